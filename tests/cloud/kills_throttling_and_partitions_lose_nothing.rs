//! Functions killed twenty times while they deliver to one site, over few connections that are reused, by chunks, no faster than its rules
//! say; the site throttles now and then and is gone for a while, and so is the cloud. What got 250 arrives; twice only what was in doubt
//! when a connection broke; and all functions together never have more connections than the site's limit.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::{
    Act, CloudEdge, Load, LoadOf, Script, Sink, Step, by_number, eventually_within, numbered_message,
    second_copies,
};
use shared::port::Ids as _;
use shared::testkit::SeededIds;
use tempfile::TempDir;

use super::faults_lose_nothing::{functions, signal};

const KILLS: usize = 20;
/// Some more than the functions need: a dead one keeps its places for a minute.
const CONNECTIONS: usize = 8;
/// A message whose reply is awaited, and those that are out behind it (`ClientLimits::ahead`).
const IN_DOUBT: usize = 4;
/// How long after a remote's 250 a record may still be on its way to the table.
const BREAK_TAKES_AT_MOST: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(240);

const RULES: &str = r#"
[[rule]]
name = "touchy provider"
domain = "b.example"
connections = 8
message_rate = "30/s"
[[rule.on]]
code = "421"
text = "too many connections"
then = "suspend"
for = "2s"
"#;

const LOAD: LoadOf = LoadOf {
    sessions: 4,
    pause: Duration::from_millis(100),
    octets: |_| 2_000,
    to: |_| "user@b.example".to_owned(),
};

#[test]
fn functions_killed_throttled_and_partitioned_lose_nothing_and_keep_to_the_limits_of_the_site() {
    let throttles = Act::Say("421 4.7.0 too many connections".into());
    let script = Script::default().each(25, Step::Greeting, throttles).counting();
    let sink = Sink::scripted(script.offering(&["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8"]));
    let routes = format!("*={}", sink.route());
    let Some(edge) = CloudEdge::start("functions_killed_throttled_and_partitioned", &routes) else { return };
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("shaping.toml");
    std::fs::write(&rules, RULES).unwrap();
    let rules = rules.to_str().unwrap();
    edge.configure("Deliver", &[("SPOOLWAY_SHAPING_RULES", rules), ("SPOOLWAY_RETRY_SCHEDULE", "1s")]);
    // a job of a dead function comes back when its visibility runs out
    let outbound = edge.output("QueueOutbound").to_owned();
    let visible = ["--attributes", "VisibilityTimeout=20"];
    edge.aws(&[&["sqs", "set-queue-attributes", "--queue-url", &outbound][..], &visible].concat());

    let load = Load::begin(edge.smtp(), LOAD);
    eventually_within(PATIENCE, "mail is delivered", || (sink.count() > 20).then_some(()));
    let mut breaks = kill(&edge, KILLS / 2);
    let emulator = edge.emulator().pid().expect("it is ours");
    signal(emulator, "-STOP");
    std::thread::sleep(Duration::from_secs(3));
    signal(emulator, "-CONT");
    sink.cut();
    breaks.push(Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    sink.mend();
    breaks.extend(kill(&edge, KILLS - KILLS / 2));
    let accepted = load.end();

    let arrived = eventually_within(PATIENCE, "every accepted message arrives", || {
        let arrived = by_number(sink.sunk());
        accepted.keys().all(|number| arrived.contains_key(number)).then_some(arrived)
    });
    for (number, copies) in &arrived {
        let original = numbered_message(*number, (LOAD.octets)(*number));
        assert!(copies.iter().all(|copy| copy.data.ends_with(&original)), "message {number} was changed");
    }
    let twice = second_copies(&arrived, &breaks, BREAK_TAKES_AT_MOST);
    assert!(twice <= breaks.len() * CONNECTIONS * IN_DOUBT, "{twice} second copies");
    println!(
        "{} accepted, {twice} second copies, {KILLS} kills, {} connections, {} at a time",
        accepted.len(),
        sink.connections(),
        sink.connections_most()
    );
    assert!(sink.connections_most() <= CONNECTIONS, "{} connections at a time", sink.connections_most());
    assert!(sink.connections() < accepted.len(), "{} connections", sink.connections());
    assert!(sink.sunk().iter().filter(|copy| copy.pipelined && copy.chunked).count() * 2 > accepted.len());
    eventually_within(PATIENCE, "nothing is left to be done", || {
        let told = edge.json(&["queue"]);
        let empty = |name: &str| told["queues"][name]["ready"] == 0 && told["queues"][name]["in_flight"] == 0;
        let settled = told["destinations"].as_array().is_some_and(Vec::is_empty);
        (empty("inbound") && empty("outbound") && settled).then_some(())
    });
}

/// Kills that many functions, one after the other, at random times while they deliver; tells when.
fn kill(edge: &CloudEdge, count: usize) -> Vec<Instant> {
    let chance = SeededIds::new(11);
    let mut kills = Vec::new();
    while kills.len() < count {
        std::thread::sleep(Duration::from_millis(200 + chance.random() % 600));
        let alive = eventually_within(PATIENCE, "a function delivers", || {
            let alive = functions(edge, "deliver");
            (!alive.is_empty()).then_some(alive)
        });
        let one = alive[usize::try_from(chance.random() % alive.len() as u64).unwrap_or(0)];
        let killed = Command::new("kill").args(["-KILL", &one.to_string()]).status().unwrap();
        kills.extend(killed.success().then(Instant::now));
    }
    kills
}
