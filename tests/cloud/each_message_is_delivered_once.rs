//! Two hundred messages of all sizes pass the deployed edge, from socket to sink.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Client, CloudEdge, Sink, eventually_within, numbered_message};

const MESSAGES: usize = 200;
const SESSIONS: usize = 8;

/// From 1 KB to 12 MB; most are small, as mail is.
fn octets(number: usize) -> usize {
    match number {
        0 | 100 => 12_000_000,
        n if n % 20 == 1 => 400_000 + n * 1000,
        n => 1024 + n * 150,
    }
}

/// One to five recipients at one to three domains.
fn recipients(number: usize) -> Vec<String> {
    (0..=number % 5).map(|n| format!("user{n}@d{}.example", (number + n % 3) % 7)).collect()
}

fn number_of(data: &[u8]) -> usize {
    let head = String::from_utf8_lossy(&data[..data.len().min(8192)]);
    let (_, rest) = head.split_once("X-Number: ").expect("every message has its number");
    rest.lines().next().unwrap().parse().unwrap()
}

#[test]
fn two_hundred_messages_arrive_once_each_unchanged_signed_and_traced() {
    let sink = Sink::start();
    let routes = format!("*={}", sink.route());
    let Some(edge) = CloudEdge::start("two_hundred_messages", &routes) else { return };
    let added = edge.run(&["domain", "add", "example.com"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));

    let ids = submit_all(&edge);
    let wanted: usize = (0..MESSAGES).map(|n| recipients(n).len()).sum();
    let arrived = || sink.sunk().iter().map(|sunk| sunk.to.len()).sum::<usize>();
    eventually_within(Duration::from_secs(240), "every recipient gets the message", || {
        (arrived() >= wanted).then_some(())
    });
    for (number, id) in &ids {
        let trace = edge.settled(id);
        let told: BTreeSet<String> = trace["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|delivery| delivery["recipients"].as_array().unwrap())
            .inspect(|recipient| assert_eq!(recipient["status"], "delivered", "{trace:#}"))
            .map(|recipient| recipient["address"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told, recipients(*number).into_iter().collect::<BTreeSet<_>>());
    }

    let mut copies: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for sunk in sink.sunk() {
        let number = number_of(&sunk.data);
        let original = numbered_message(number as u64, octets(number));
        assert!(sunk.data.ends_with(&original), "message {number} was changed");
        let prefix = String::from_utf8_lossy(&sunk.data[..sunk.data.len() - original.len()]).into_owned();
        assert_eq!(prefix.matches("DKIM-Signature:").count(), 2, "RSA and Ed25519:\n{prefix}");
        for to in sunk.to {
            *copies.entry((number, to)).or_default() += 1;
        }
    }
    assert_eq!(copies.len(), wanted, "nobody got what was not meant for them");
    let twice: Vec<_> = copies.into_iter().filter(|(_, copies)| *copies > 1).collect();
    assert!(twice.is_empty(), "second copies: {twice:?}");
}

fn submit_all(edge: &CloudEdge) -> BTreeMap<usize, String> {
    let (next, ids) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..SESSIONS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= MESSAGES {
                        return;
                    }
                    let to = recipients(number);
                    let to: Vec<&str> = to.iter().map(String::as_str).collect();
                    let message = numbered_message(number as u64, octets(number));
                    let id = Client::submit(edge.smtp(), "app@example.com", &to, &message);
                    ids.lock().unwrap().insert(number, id);
                }
            });
        }
    });
    ids.into_inner().unwrap()
}
