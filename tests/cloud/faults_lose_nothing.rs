//! The emulator frozen under load, a queue that refuses, functions killed while they deliver, one job delivered twice at once: no
//! accepted message is lost, and second copies are there only where a kill fell between a remote's 250 and its record.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::{Client, CloudEdge, Sink, eventually_within, numbered_message};

const SESSIONS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(240);

/// Sends until it is told to end, and keeps the number of what got 250.
fn load(edge: &CloudEdge, ended: &AtomicBool, accepted: &Mutex<Vec<u64>>) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SESSIONS {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let message = numbered_message(number, 2000);
                    let reply = Client::try_connect(edge.smtp()).and_then(|mut client| {
                        client.command("EHLO client.example")?;
                        client.send("a@app.example", &["u@b.example"], &message)
                    });
                    match reply {
                        Some(reply) if reply.starts_with("250") => accepted.lock().unwrap().push(number),
                        // 451 and 421 promise nothing
                        Some(reply) => assert!(reply.starts_with('4'), "{reply}"),
                        None => std::thread::sleep(Duration::from_millis(50)),
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
}

/// How often each number arrived.
fn copies(sink: &Sink) -> HashMap<u64, usize> {
    let mut copies = HashMap::new();
    for sunk in sink.sunk() {
        let text = String::from_utf8_lossy(&sunk.data).into_owned();
        let (_, rest) = text.split_once("X-Number: ").unwrap();
        let number: u64 = rest.lines().next().unwrap().parse().unwrap();
        assert!(sunk.data.ends_with(&numbered_message(number, 2000)), "message {number} was changed");
        *copies.entry(number).or_default() += 1;
    }
    copies
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "{signal} to {pid}");
}

/// Ends the load, also where a case fails.
struct EndsLoad<'a>(&'a AtomicBool);

impl Drop for EndsLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `disturb` under load, and gives how many messages arrived twice.
fn twice_after(edge: &CloudEdge, sink: &Sink, disturb: impl FnOnce(&Mutex<Vec<u64>>)) -> usize {
    let (ended, accepted) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let _end = EndsLoad(&ended);
        scope.spawn(|| load(edge, &ended, &accepted));
        let some = |least: usize| {
            let enough = || (accepted.lock().unwrap().len() >= least).then_some(());
            eventually_within(Duration::from_secs(60), "mail is accepted", enough);
        };
        some(20);
        disturb(&accepted);
        let before = accepted.lock().unwrap().len();
        some(before + 20);
    });
    let accepted = accepted.into_inner().unwrap();
    let arrived = eventually_within(PATIENCE, "every accepted message arrives", || {
        let arrived = copies(sink);
        accepted.iter().all(|number| arrived.contains_key(number)).then_some(arrived)
    });
    let twice = accepted.iter().filter(|number| arrived[number] > 1).count();
    println!("{} accepted, {} of them twice", accepted.len(), twice);
    twice
}

#[test]
fn an_emulator_that_is_frozen_for_ten_seconds_under_load_loses_nothing() {
    let sink = Sink::start();
    let routes = format!("*={}", sink.route());
    let Some(edge) = CloudEdge::start("an_emulator_that_is_frozen", &routes) else { return };
    let pid = edge.emulator().pid().expect("it is ours");
    let twice = twice_after(&edge, &sink, |_| {
        signal(pid, "-STOP");
        std::thread::sleep(Duration::from_secs(10));
        signal(pid, "-CONT");
    });
    assert_eq!(twice, 0, "nobody was killed");
}

#[test]
fn a_queue_that_refuses_for_a_while_is_answered_with_451_and_no_250() {
    let sink = Sink::start();
    let routes = format!("*={}", sink.route());
    let Some(edge) = CloudEdge::start("a_queue_that_refuses", &routes) else { return };
    let inbound = edge.output("QueueInbound").to_owned();
    let policy = |text: &str| {
        let attributes = serde_json::json!({ "Policy": text }).to_string();
        edge.aws(&["sqs", "set-queue-attributes", "--queue-url", &inbound, "--attributes", &attributes]);
    };
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sqs:SendMessage","Resource":"*"}]}"#;
    let twice = twice_after(&edge, &sink, |accepted| {
        policy(deny);
        let refused = eventually_within(Duration::from_secs(30), "the client is told to come again", || {
            let mut client = Client::try_connect(edge.smtp())?;
            client.command("EHLO client.example")?;
            let reply = client.send("a@app.example", &["u@b.example"], &numbered_message(0, 2000))?;
            reply.starts_with('4').then_some(reply)
        });
        assert!(refused.starts_with("451 4.3.0"), "{refused}");
        let before = accepted.lock().unwrap().len();
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(accepted.lock().unwrap().len(), before, "a 250 without a job");
        policy("");
    });
    assert_eq!(twice, 0, "nobody was killed");
}

/// The processes of a stage's functions on this emulator.
pub(crate) fn functions(edge: &CloudEdge, stage: &str) -> Vec<u32> {
    let endpoint = format!("AWS_ENDPOINT_URL={}", edge.emulator().endpoint().unwrap());
    let handler = format!("_HANDLER={stage}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let has = |wanted: &str| environment.split(|octet| *octet == 0).any(|one| one == wanted.as_bytes());
        has(&handler) && has(&endpoint)
    })
    .collect()
}

#[test]
fn functions_killed_while_they_deliver_lose_nothing() {
    let sink = Sink::start();
    let routes = format!("*={}", sink.route());
    let Some(edge) = CloudEdge::start("functions_killed_while_they_deliver", &routes) else { return };
    // a job of a dead function comes back when its visibility runs out
    let outbound = edge.output("QueueOutbound").to_owned();
    let visible = ["--attributes", "VisibilityTimeout=20"];
    edge.aws(&[&["sqs", "set-queue-attributes", "--queue-url", &outbound][..], &visible].concat());
    let mut kills = 0;
    let twice = twice_after(&edge, &sink, |_| {
        let began = Instant::now();
        while kills < 5 && began.elapsed() < Duration::from_secs(60) {
            for pid in functions(&edge, "deliver") {
                kills += usize::from(
                    Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success(),
                );
            }
            std::thread::sleep(Duration::from_millis(700));
        }
    });
    assert!(kills >= 5, "functions were killed: {kills}");
    // a job has 32 deliveries at most, and a kill falls into those under way
    assert!(twice <= kills * 32, "{twice} second copies of {kills} kills");
}

#[test]
fn one_job_delivered_twice_at_once_is_delivered_once() {
    let sink = Sink::start();
    let routes = format!("*={}", sink.route());
    let Some(edge) = CloudEdge::start("one_job_delivered_twice_at_once", &routes) else { return };
    let inbound = edge.output("QueueInbound").to_owned();
    let ids: Vec<String> = (0..10)
        .map(|n| {
            let message = numbered_message(n, 2000);
            let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &message);
            // the job of its pack once more, as a standard queue may deliver it, and what follows from it
            let job = serde_json::json!({"v": 1, "pack": id.split('-').next().unwrap()}).to_string();
            edge.aws(&["sqs", "send-message", "--queue-url", &inbound, "--message-body", &job]);
            id
        })
        .collect();
    for id in &ids {
        edge.settled(id);
    }
    let empty = |queue: &serde_json::Value| queue["ready"] == 0 && queue["in_flight"] == 0;
    eventually_within(PATIENCE, "every job is done", || {
        let queues = edge.json(&["queue"])["queues"].clone();
        (empty(&queues["inbound"]) && empty(&queues["outbound"])).then_some(())
    });
    let copies = copies(&sink);
    assert_eq!(copies.len(), 10);
    assert!(copies.values().all(|copies| *copies == 1), "{copies:?}");
}
