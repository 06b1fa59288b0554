//! One provider is slow, or wants no mail for a while: its mail waits and says why, and everybody else's leaves at once.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{
    Act, Client, Dns, Edge, Script, Setup, Sink, Step, Zone, eventually, loopback, numbered_message,
};
use serde_json::Value;
use tempfile::TempDir;

const PORT: u16 = 2500;
/// Far less than any pause of the provider, and enough for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(15);
/// More than a worker runs jobs at a time.
const QUEUED: usize = 120;

const RULES: &str = r#"
[[rule]]
name = "touchy provider"
site = "mx.a.example"
connections = 1
[[rule.on]]
code = "421"
text = "too many connections"
then = "suspend"
for = "1h"
"#;

/// A provider with this script, one that takes everything, and an edge between.
struct World {
    touchy: Sink,
    other: Sink,
    edge: Edge,
    rules: PathBuf,
    _folder: TempDir,
    _dns: Dns,
}

fn world(script: Script) -> World {
    let (touchy, other) = (Sink::on(loopback(), PORT, script), Sink::on(loopback(), PORT, Script::default()));
    let zone = Zone::default()
        .mx("a.example", 10, "mx.a.example")
        .mx("b.example", 10, "mx.b.example")
        .address("mx.a.example", touchy.address().ip())
        .address("mx.b.example", other.address().ip());
    let dns = Dns::serve(zone);
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("shaping.toml");
    fs::write(&rules, RULES).unwrap();
    let setup = Setup::default()
        .route("app.example", "inbox")
        .route("*", "mx")
        .section(&dns.section())
        .section(&format!("[deliver]\nport = {PORT}\nallow_private_addresses = true"))
        .section(&format!("[shaping]\nrules = \"{}\"", rules.display()));
    let edge = Edge::start(&setup);
    World { touchy, other, edge, rules, _folder: folder, _dns: dns }
}

impl World {
    fn submit(&self, to: &str) -> String {
        Client::submit(self.edge.smtp(), "a@app.example", &[to], &numbered_message(1, 500))
    }

    fn trace(&self, id: &str) -> Value {
        self.edge.json(&["trace", id])
    }

    /// The trace of a message once it is put off.
    fn put_off(&self, id: &str) -> Value {
        eventually("the message is put off", || {
            let trace = self.trace(id);
            trace["deliveries"][0]["waiting"].is_object().then_some(trace)
        })
    }
}

#[test]
fn mail_for_a_suspended_site_waits_and_says_why_and_all_other_mail_leaves_at_once() {
    let script = Script::default().on(Step::Mail, Act::Say("421 4.7.0 Too many connections from you".into()));
    let world = world(script);
    let first = world.submit("u@a.example");
    eventually("the provider has complained", || {
        (!world.trace(&first)["deliveries"][0]["attempts"].as_array()?.is_empty()).then_some(())
    });
    eventually("the site is suspended", || {
        let told = world.edge.json(&["shaping", "explain", "a.example"]);
        (told["shaping"]["measures"][0]["what"] == "suspended").then_some(())
    });
    let spoken_to = world.touchy.connections();
    let waiting: Vec<String> = (0..QUEUED).map(|_| world.submit("u@a.example")).collect();

    let began_at = Instant::now();
    world.submit("u@b.example");
    world.other.wait_for(1);
    assert!(began_at.elapsed() < AT_ONCE, "{:?}", began_at.elapsed());

    let trace = world.put_off(waiting.last().unwrap());
    let delivery = &trace["deliveries"][0];
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(0), "it costs no attempt: {trace}");
    assert_eq!(delivery["waiting"]["reason"], "suspended");
    let told = world.edge.run(&["trace", waiting.last().unwrap()]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for part in ["waiting: ", "rule touchy provider", "after 421 4.7.0", "put off once"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    assert_eq!(world.touchy.connections(), spoken_to, "nobody speaks to it any more");

    let all = eventually("all of it waits", || {
        let told = world.edge.json(&["shaping", "explain", "a.example"]);
        let count: u64 =
            told["waiting"].as_array()?.iter().filter_map(|one| one["deliveries"].as_u64()).sum();
        (count == QUEUED as u64).then_some(told)
    });
    assert_eq!(all["waiting"][0]["reason"], "suspended");
    let told = world.edge.run(&["shaping", "explain", "a.example"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for part in [
        "site        mx.a.example",
        "touchy provider",
        "the operator's file",
        "default",
        "suspended until",
        "after       421 4.7.0 Too many connections",
        "120 messages waiting",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let log = world.edge.log_text();
    assert!(log.contains("attempt put off") && log.contains("a reply asks for less mail"));
}

#[test]
fn mail_for_a_site_that_hangs_leaves_places_and_connections_to_others() {
    let world = world(Script::default().on(Step::Greeting, Act::Hang));
    for _ in 0..QUEUED {
        world.submit("u@a.example");
    }
    eventually("the site has its one connection", || (world.touchy.connections() == 1).then_some(()));
    let began_at = Instant::now();
    world.submit("u@b.example");
    world.other.wait_for(1);
    assert!(began_at.elapsed() < AT_ONCE, "{:?}", began_at.elapsed());
    assert_eq!(world.touchy.connections(), 1, "as many as the rule says");
}

#[test]
fn mail_that_waits_outlives_the_process_and_leaves_when_it_may() {
    let script = Script::default().first(1, Step::Mail, Act::Say("421 4.7.0 Too many connections".into()));
    let mut world = world(script);
    fs::write(&world.rules, RULES.replace("1h", "20s")).unwrap();
    hang_up(&world.edge);
    eventually("the rules are read again", || {
        world.edge.log_text().contains("the rules of shaping were read again").then_some(())
    });
    world.submit("u@a.example");
    eventually("the site is suspended", || {
        let told = world.edge.json(&["shaping", "explain", "a.example"]);
        (told["shaping"]["measures"][0]["what"] == "suspended").then_some(())
    });
    let id = world.submit("u@a.example");
    world.put_off(&id);
    world.edge.kill();
    world.edge.restart();
    let trace = world.edge.settled(&id);
    let delivery = &trace["deliveries"][0];
    assert_eq!(delivery["recipients"][0]["status"], "delivered", "{trace}");
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "{trace}");
    assert!(delivery["waiting"].is_null());
}

#[test]
fn rules_that_are_broken_while_the_edge_runs_change_nothing_and_are_told() {
    let world = world(Script::default());
    fs::write(&world.rules, "[[rule]]\nname = \"a\"\nconections = 5").unwrap();
    hang_up(&world.edge);
    eventually("the mistake is told", || {
        world.edge.log_text().contains("did you mean `connections`?").then_some(())
    });
    let told = world.edge.run(&["shaping", "check", world.rules.to_str().unwrap()]);
    assert!(!told.status.success());
    world.submit("u@a.example");
    world.touchy.wait_for(1);
}

fn hang_up(edge: &Edge) {
    let status = Command::new("kill").arg("-HUP").arg(edge.pid().to_string()).status().unwrap();
    assert!(status.success());
}
