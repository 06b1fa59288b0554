//! Twenty SIGKILLs at random instants while mail leaves for one site, over few connections that are reused, pipelined, by chunks, no faster
//! than its rules say; it throttles and breaks off now and then, says nothing for a while, and is gone for a while. What got 250 arrives; twice only
//! what was in doubt when a connection broke; and at no time has the site more connections than its limit.

use std::time::{Duration, Instant};

use harness::{
    Act, Dns, Edge, Load, LoadOf, Script, Setup, Sink, Step, Zone, by_number, eventually_within, loopback,
    numbered_message, second_copies,
};
use shared::port::Ids as _;
use shared::testkit::SeededIds;
use tempfile::TempDir;

const KILLS: usize = 20;
const PORT: u16 = 2500;
const CONNECTIONS: usize = 3;
/// A message whose reply is awaited, and those that are out behind it (`ClientLimits::ahead`).
const IN_DOUBT: usize = 4;
/// How long after a remote's 250 a record may still be on its way to the disk, or the sink be reading what a dead process wrote.
const BREAK_TAKES_AT_MOST: Duration = Duration::from_secs(2);
const DOMAINS: u64 = 3;

const RULES: &str = r#"
[[rule]]
name = "touchy provider"
site = "mx.provider.example"
connections = 3
message_rate = "20/s"
[[rule.on]]
code = "421"
text = "too many connections"
then = "suspend"
for = "1s"
"#;

/// More than the site takes, so that some of it waits for longer than a process has it wait.
const LOAD: LoadOf = LoadOf {
    sessions: 6,
    pause: Duration::from_millis(200),
    octets: |_| 2_000,
    to: |number| format!("user@domain-{}.example", number % DOMAINS),
};

#[test]
fn killed_throttled_and_partitioned_it_loses_nothing_and_keeps_to_the_limits_of_the_site() {
    let throttles = Act::Say("421 4.7.0 too many connections".into());
    let leaves = Act::Say("421 4.4.2 enough for one connection".into());
    let script =
        Script::default().each(25, Step::Greeting, throttles).each(200, Step::Mail, leaves).counting();
    let script = script.offering(&["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8"]);
    let sink = Sink::on(loopback(), PORT, script);
    let (setup, _dns, _folder) = shaped(&sink);
    let mut edge = Edge::start(&setup);
    let load = Load::begin(edge.smtp(), LOAD);
    let chance = SeededIds::new(7);
    let mut breaks = Vec::new();
    for kill in 1..=KILLS {
        let before = sink.count();
        eventually_within(Duration::from_secs(30), "some more mail is delivered", || {
            (sink.count() > before + 5).then_some(())
        });
        std::thread::sleep(Duration::from_millis(chance.random() % 300));
        let silent = kill == KILLS / 2;
        if silent {
            sink.freeze();
            std::thread::sleep(Duration::from_secs(2));
        }
        edge.kill();
        breaks.push(Instant::now());
        edge.restart();
        if silent {
            std::thread::sleep(Duration::from_secs(1));
            sink.thaw();
            breaks.push(Instant::now());
        }
    }
    sink.cut();
    breaks.push(Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    sink.mend();
    let accepted = load.end();

    let arrived = eventually_within(Duration::from_secs(90), "every accepted message arrives", || {
        let arrived = by_number(sink.sunk());
        accepted.keys().all(|number| arrived.contains_key(number)).then_some(arrived)
    });
    // a job that found the claims of another is given back for some time, and doubles it
    let end = Instant::now() + Duration::from_secs(120);
    while let Some(left) = left_to_do(&edge) {
        assert!(Instant::now() < end, "this is left to be done: {left}");
        std::thread::sleep(Duration::from_millis(100));
    }
    for (number, copies) in &arrived {
        let original = numbered_message(*number, (LOAD.octets)(*number));
        assert!(copies.iter().all(|copy| copy.data.ends_with(&original)), "message {number} was changed");
    }
    let twice = second_copies(&arrived, &breaks, BREAK_TAKES_AT_MOST);
    assert!(twice <= breaks.len() * CONNECTIONS * IN_DOUBT, "{twice} second copies");
    shaping_was_at_work(&edge, &sink, arrived.len());
    println!(
        "{} accepted, {twice} second copies, {KILLS} kills, {} connections, {} at a time",
        accepted.len(),
        sink.connections(),
        sink.connections_most()
    );
}

/// An edge that keeps connections, and several domains at the one site of the sink.
fn shaped(sink: &Sink) -> (Setup, Dns, TempDir) {
    let zone = Zone::default().address("mx.provider.example", sink.address().ip());
    let zone = (0..DOMAINS)
        .fold(zone, |zone, domain| zone.mx(&format!("domain-{domain}.example"), 10, "mx.provider.example"));
    let dns = Dns::serve(zone);
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("shaping.toml");
    std::fs::write(&rules, RULES).unwrap();
    let setup = Setup::default()
        .route("*", "mx")
        .section(&dns.section())
        .section(&format!("[deliver]\nport = {PORT}\nallow_private_addresses = true\nkeep = \"5s\""))
        .section(&format!("[shaping]\nrules = \"{}\"", rules.display()))
        .section("[retry]\nschedule = [\"1s\"]");
    (setup, dns, folder)
}

/// Jobs that wait or are dead, and what is unsettled and has no time; a kill between a record and its job leaves it its time.
fn left_to_do(edge: &Edge) -> Option<serde_json::Value> {
    let told = edge.json(&["queue"]);
    let queues = &told["queues"];
    let empty = |name: &str| {
        queues[name]["ready"] == 0 && queues[name]["in_flight"] == 0 && queues[name]["dead"] == 0
    };
    let has_its_time = |one: &serde_json::Value| one["next_attempt_by"].is_string();
    let due = told["destinations"].as_array().is_some_and(|all| all.iter().all(has_its_time));
    let done = empty("inbound") && empty("outbound") && due;
    (!done).then_some(told)
}

fn shaping_was_at_work(edge: &Edge, sink: &Sink, messages: usize) {
    assert!(sink.connections_most() <= CONNECTIONS, "{} connections at a time", sink.connections_most());
    assert!(sink.connections() * 4 < messages, "{} connections for {messages}", sink.connections());
    let sunk = sink.sunk();
    let ahead = sunk.iter().filter(|copy| copy.pipelined && copy.chunked).count();
    assert!(ahead * 2 > sunk.len(), "{ahead} of {} came ahead of the replies", sunk.len());
    let log = edge.log_text();
    for reason in ["suspended", "message_rate"] {
        let put_off = log.lines().filter(|line| line.contains("attempt put off") && line.contains(reason));
        assert!(put_off.count() > 0, "nothing was put off for {reason}");
    }
}
