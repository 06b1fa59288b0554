//! 250 only after the pack and its job are durable, and packs that many messages share.

use std::time::Duration;

use ingress::Limits;
use shared::job::{Job, PrepareJob};
use shared::mail::MessageId;
use shared::testkit::{Fate, Mode};

use super::support::client::{Edge, within};

fn id_of(reply: &str) -> MessageId {
    reply.strip_prefix("250 2.0.0 queued as ").unwrap_or_else(|| panic!("{reply}")).parse().unwrap()
}

#[tokio::test]
async fn a_message_that_got_250_is_in_its_pack_and_has_its_job() {
    let edge = Edge::start(Limits::default()).await;
    let mut client = edge.connect().await;
    let id = id_of(&client.message("Subject: x\r\n\r\n..y\r\n\u{e4}\r\n").await);
    let packs = edge.world.read_packs().await;
    let [(header, contents)] = &packs[..] else { panic!("{packs:?}") };
    let message = &header.messages[0];
    assert_eq!((header.id, message.n), (id.pack, id.n));
    assert_eq!(contents[0], "Subject: x\r\n\r\n.y\r\n\u{e4}\r\n".as_bytes());
    assert!(message.content.eight_bit_body && !message.content.eight_bit_header);
    assert_eq!(message.envelope.recipients[0].address.as_str(), "c@d.example");
    assert!(message.client.submission && !message.client.esmtp);
    assert_eq!(
        (message.client.helo.as_str(), message.client.ip),
        ("client.example", "127.0.0.1".parse().unwrap())
    );
    assert_eq!(edge.world.jobs().await, [PrepareJob { pack: id.pack }.encode()]);
}

#[tokio::test]
async fn whatever_goes_wrong_in_a_commit_the_answer_is_451_and_the_next_message_is_taken() {
    let small = "x\r\n".to_owned();
    let large = "x".repeat(998) + "\r\n";
    for content in [small, large.repeat(400)] {
        for mode in [Mode::Always(Fate::Refused), Mode::Always(Fate::HappenedUnknown), Mode::Stuck] {
            for spool in [true, false] {
                let limits = Limits { commit_timeout: Duration::from_millis(300), ..Limits::default() };
                let edge = Edge::start(limits).await;
                let port = if spool { &edge.world.spool } else { &edge.world.queue };
                port.set(mode);
                let mut client = edge.connect().await;
                let reply = client.message(&content).await;
                assert_eq!(reply, "451 4.3.0 not queued, try again later", "{mode:?}, spool {spool}");
                if spool {
                    assert_eq!(
                        edge.world.jobs().await,
                        [""; 0],
                        "a job was sent for a pack that is not known to be there"
                    );
                }
                port.set(Mode::Sound);
                id_of(&client.message(&content).await);
            }
        }
    }
}

#[tokio::test]
async fn no_250_is_said_before_the_pack_and_the_job_are_durable() {
    let edge = Edge::start(Limits::default()).await;
    edge.world.spool.set(Mode::Stuck);
    edge.world.queue.set(Mode::Stuck);
    let mut client = edge.connect().await;
    client.begin().await;
    client.send("x\r\n.\r\n").await;
    edge.world.spool.until_called("put", 1).await;
    assert!(client.is_silent().await && edge.world.packs().await == 0);
    edge.world.spool.set(Mode::Sound);
    edge.world.queue.until_called("send", 1).await;
    assert!(client.is_silent().await && edge.world.packs().await == 1);
    edge.world.queue.set(Mode::Sound);
    client.expect("250 2.0.0 queued as ").await;
}

#[tokio::test]
async fn messages_that_wait_for_a_commit_share_the_next_pack_up_to_its_limits() {
    let limits = Limits { pack_messages: 4, pack_octets: 1000, ..Limits::default() };
    let edge = Edge::start(limits).await;
    edge.world.spool.set(Mode::Stuck);
    let mut clients = Vec::new();
    // the first goes alone; of the others 4 go, then 2 for their octets, then the rest
    for octets in [10, 20, 20, 20, 20, 496, 496, 10] {
        let mut client = edge.connect().await;
        client.begin().await;
        let before = edge.world.spool.calls("put");
        client.send(format!("{}\r\n.\r\n", "x".repeat(octets))).await;
        if before == 0 {
            edge.world.spool.until_called("put", 1).await;
        }
        assert!(client.is_silent().await);
        clients.push(client);
    }
    edge.world.spool.set(Mode::Sound);
    let mut ids = Vec::new();
    for client in &mut clients {
        ids.push(id_of(&client.line().await));
    }
    let sizes: Vec<_> =
        edge.world.read_packs().await.iter().map(|(header, _)| header.messages.len()).collect();
    assert_eq!(sizes, [1, 4, 2, 1]);
    assert_eq!(ids.iter().map(|id| id.n).collect::<Vec<_>>(), [0, 0, 1, 2, 3, 0, 1, 0]);
    assert_eq!(edge.world.jobs().await.len(), 4);
}

#[tokio::test]
async fn messages_whose_envelopes_no_header_could_hold_go_in_several_packs() {
    let limits = Limits { pack_header_octets: 3 * 1024, ..Limits::default() };
    let edge = Edge::start(limits).await;
    edge.world.spool.set(Mode::Stuck);
    let mut clients = Vec::new();
    for n in 0..8 {
        let mut client = edge.connect().await;
        client.begin().await;
        client.send("x\r\n.\r\n").await;
        if n == 0 {
            edge.world.spool.until_called("put", 1).await;
        }
        assert!(client.is_silent().await);
        clients.push(client);
    }
    edge.world.spool.set(Mode::Sound);
    for client in &mut clients {
        id_of(&client.line().await);
    }
    let sizes: Vec<_> =
        edge.world.read_packs().await.iter().map(|(header, _)| header.messages.len()).collect();
    assert_eq!(sizes, [1, 4, 3]);
}

#[tokio::test]
async fn a_large_message_is_streamed_and_comes_out_as_it_went_in() {
    let edge = Edge::start(Limits::default()).await;
    let mut client = edge.connect().await;
    let content = (0..300_000).fold(String::new(), |all, n| all + &format!("{n:08}\r\n"));
    let id = id_of(&client.message(&content).await);
    let packs = edge.world.read_packs().await;
    assert!(packs[0].0.messages[0].streamed);
    assert_eq!(packs[0].0.id, id.pack);
    assert!(packs[0].1[0] == content.as_bytes());
    assert_eq!(edge.world.jobs().await.len(), 1);
}

#[tokio::test]
async fn a_large_message_whose_client_goes_away_is_given_up() {
    let edge = Edge::start(Limits::default()).await;
    let mut client = edge.connect().await;
    client.begin().await;
    client.send("x".repeat(998).repeat(400)).await;
    edge.world.spool.until_called("begin", 1).await;
    drop(client);
    within(edge.world.spool.until_called("abort", 1)).await;
    assert_eq!((edge.world.packs().await, edge.world.jobs().await.len()), (0, 0));
}

#[tokio::test]
async fn a_large_message_with_a_fault_is_given_up_and_refused() {
    let edge = Edge::start(Limits::default()).await;
    let mut client = edge.connect().await;
    let content = ("x".repeat(998) + "\r\n").repeat(400) + "bare\nline\r\n";
    assert!(client.message(content).await.starts_with("550 5.6.0"));
    within(edge.world.spool.until_called("abort", 1)).await;
    assert_eq!((edge.world.packs().await, edge.world.jobs().await.len()), (0, 0));
}

#[tokio::test]
async fn a_spool_that_gets_stuck_within_a_message_holds_no_session_up() {
    let limits = Limits { commit_timeout: Duration::from_millis(200), ..Limits::default() };
    let edge = Edge::start(limits).await;
    let mut client = edge.connect().await;
    let line = "x".repeat(998) + "\r\n";
    client.begin().await;
    client.send(line.repeat(400)).await;
    edge.world.spool.until_called("write", 1).await;
    edge.world.spool.set(Mode::Stuck);
    client.send(line.repeat(400) + ".\r\n").await;
    client.expect("451 4.3.0").await;
    edge.world.spool.set(Mode::Sound);
    id_of(&client.message(line.repeat(400)).await);
}
