//! Messages that end while a commit is in flight share the next one: packs, and with them requests, are fewer than messages.

use harness::{Client, Edge, Setup, eventually, numbered_message};

const SESSIONS: u64 = 20;
const MESSAGES_EACH: u64 = 50;

#[test]
fn messages_sent_at_once_share_packs() {
    let edge = Edge::start(&Setup::default().route("*", "discard"));
    let smtp = edge.smtp();
    let session = |session| {
        std::thread::spawn(move || {
            let mut client = Client::connect(smtp);
            client.command("EHLO client.example").unwrap();
            for number in 0..MESSAGES_EACH {
                let message = numbered_message(session * MESSAGES_EACH + number, 4_096);
                let reply = client.send("a@app.example", &["u@b.example"], &message).unwrap();
                assert!(reply.starts_with("250 2.0.0 queued as "), "{reply}");
            }
        })
    };
    let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
    sessions.into_iter().for_each(|session| session.join().unwrap());
    let packs = eventually("the packs can be counted", || {
        let shards = std::fs::read_dir(edge.folder().join("spool/packs")).ok()?.flatten();
        Some(shards.map(|shard| std::fs::read_dir(shard.path()).unwrap().count()).sum::<usize>())
    });
    println!("{} messages in {packs} packs", SESSIONS * MESSAGES_EACH);
    assert!(
        packs as u64 * 3 < SESSIONS * MESSAGES_EACH,
        "{packs} packs for {} messages",
        SESSIONS * MESSAGES_EACH
    );
}
