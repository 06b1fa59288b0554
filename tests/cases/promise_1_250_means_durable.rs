//! Twenty SIGKILLs at random instants under load: what got 250 arrives, byte for byte. A message may arrive twice only where
//! a kill fell between the remote's 250 and its record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::{Client, Edge, Setup, Sink, Sunk, eventually_within, numbered_message};

const KILLS: usize = 20;
const SESSIONS: usize = 8;
/// How long after the remote's 250 a record may still be on its way to the disk.
const RECORD_TAKES_AT_MOST: Duration = Duration::from_secs(2);

#[test]
fn killed_twenty_times_under_load_it_loses_nothing_it_said_250_to() {
    let sink = Sink::start();
    let mut edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let load = Load::begin(edge.smtp());
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        let accepted = load.accepted();
        eventually_within(Duration::from_secs(30), "some more mail is accepted", || {
            (load.accepted() > accepted + 20).then_some(())
        });
        std::thread::sleep(random_pause());
        edge.kill();
        kills.push(Instant::now());
        edge.restart();
    }
    let accepted = load.end();
    let arrived = eventually_within(Duration::from_secs(120), "every accepted message arrives", || {
        let arrived = by_number(sink.sunk());
        accepted.keys().all(|number| arrived.contains_key(number)).then_some(arrived)
    });
    for (number, octets) in &accepted {
        let original = numbered_message(*number, *octets);
        assert!(
            arrived[number].iter().all(|copy| copy.data.ends_with(&original)),
            "message {number} was changed"
        );
    }
    let twice: Vec<_> = arrived.values().filter(|copies| copies.len() > 1).collect();
    println!(
        "{} accepted, {} arrived, {} of them twice, {KILLS} kills",
        accepted.len(),
        arrived.len(),
        twice.len()
    );
    for copies in twice {
        // the sink may read what the dead process had written a moment after the kill
        let near = |at: Instant, kill: Instant| at.max(kill) - at.min(kill) < RECORD_TAKES_AT_MOST;
        let between = |pair: &[Sunk]| kills.iter().any(|kill| near(pair[0].at, *kill) && *kill < pair[1].at);
        assert!(copies.windows(2).all(between), "a second copy that no kill explains");
    }
}

/// Up to 400 ms, from the clock's last digits: the instants are to differ from run to run.
fn random_pause() -> Duration {
    let nanos = std::time::UNIX_EPOCH.elapsed().expect("it is after 1970").subsec_nanos();
    Duration::from_millis(u64::from(nanos / 1000 % 400))
}

fn by_number(sunk: Vec<Sunk>) -> HashMap<u64, Vec<Sunk>> {
    let mut by_number: HashMap<u64, Vec<Sunk>> = HashMap::new();
    for message in sunk {
        let text = String::from_utf8_lossy(&message.data);
        let number = text.split_once("X-Number: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        by_number.entry(number.expect("every message has its number")).or_default().push(message);
    }
    by_number
}

struct Load {
    accepted: Arc<Mutex<HashMap<u64, usize>>>,
    ended: Arc<AtomicBool>,
    sessions: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn begin(edge: std::net::SocketAddr) -> Self {
        let (accepted, ended) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let next = Arc::new(AtomicU64::new(1));
        let session = |_| {
            let (accepted, ended, next) = (Arc::clone(&accepted), Arc::clone(&ended), Arc::clone(&next));
            std::thread::spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    if send_until_it_breaks(edge, &accepted, &ended, &next).is_none() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            })
        };
        let sessions = (0..SESSIONS).map(session).collect();
        Self { accepted, ended, sessions }
    }

    fn accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    fn end(self) -> HashMap<u64, usize> {
        self.ended.store(true, Ordering::SeqCst);
        for session in self.sessions {
            session.join().unwrap();
        }
        self.accepted.lock().unwrap().clone()
    }
}

fn send_until_it_breaks(
    edge: std::net::SocketAddr,
    accepted: &Mutex<HashMap<u64, usize>>,
    ended: &AtomicBool,
    next: &AtomicU64,
) -> Option<()> {
    let mut client = Client::try_connect(edge)?;
    client.command("EHLO load.example")?;
    while !ended.load(Ordering::SeqCst) {
        let number = next.fetch_add(1, Ordering::SeqCst);
        // every tenth is over 256 KiB, and so streamed
        let octets = if number.is_multiple_of(10) { 300_000 } else { 2_000 };
        let reply =
            client.send("app@example.com", &["user@example.org"], &numbered_message(number, octets))?;
        assert!(reply.starts_with("250 ") || reply.starts_with('4'), "{reply}");
        if reply.starts_with("250 ") {
            accepted.lock().unwrap().insert(number, octets);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(())
}
