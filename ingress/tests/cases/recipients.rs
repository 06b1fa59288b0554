//! Messages with as many recipients as there may be.

use std::fmt::Write as _;

use ingress::Limits;

use super::support::client::Edge;

const MOST: usize = 1000;

#[tokio::test]
async fn a_thousand_recipients_are_taken_and_the_next_one_is_to_be_sent_to_separately() {
    let edge = Edge::start(Limits::default()).await;
    assert_eq!(edge.limits.recipients, MOST, "README tells of the default");
    let mut client = edge.connect().await;
    assert!(client.ehlo().await.contains(&format!("LIMITS RCPTMAX={MOST}")));
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    let mut commands = String::new();
    for n in 0..=MOST {
        write!(commands, "RCPT TO:<recipient-{n}@d.example>\r\n").unwrap();
    }
    let (mut reading, mut writing) = client.split();
    // both at once: the replies do not fit into what a socket holds
    let replies = reading.lines(MOST + 1);
    let (replies, ()) = tokio::join!(replies, writing.send_all(commands));
    let (last, taken) = replies.split_last().unwrap();
    assert!(taken.iter().all(|reply| reply.starts_with("250 2.1.5")), "{taken:?}");
    assert_eq!(last, "452 4.5.3 too many recipients, send the rest separately");
    client.ask("DATA", "354").await;
    client.ask(".", "250 2.0.0 queued as").await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client.ask(&format!("RCPT TO:<recipient-{MOST}@d.example>"), "250").await;
    client.ask("DATA", "354").await;
    client.ask(".", "250 2.0.0 queued as").await;
    let packs = edge.world.read_packs().await;
    let sent: Vec<_> = packs
        .iter()
        .flat_map(|(header, _)| &header.messages)
        .map(|message| {
            message.envelope.recipients.iter().map(|to| to.address.to_string()).collect::<Vec<_>>()
        })
        .collect();
    let expected: Vec<_> = (0..=MOST).map(|n| format!("recipient-{n}@d.example")).collect();
    assert_eq!(sent, [&expected[..MOST], &expected[MOST..]]);
}
