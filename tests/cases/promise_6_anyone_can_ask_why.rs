//! `spoolway trace ID` tells the whole story of a message.

use harness::{Act, Client, Edge, Script, Setup, Sink, Step, numbered_message};

#[test]
fn a_trace_tells_the_whole_story() {
    let sink =
        Sink::scripted(Script::default().first(1, Step::Dot, Act::Say("451 4.3.2 busy right now".into())));
    let edge =
        Edge::start(&Setup::default().route("*", &sink.route()).section("[retry]\nschedule = [\"1s\"]"));
    let added = edge.run(&["domain", "add", "example.com"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let id = Client::submit(edge.smtp(), "app@example.com", &["user@b.example"], &numbered_message(7, 2_000));
    edge.settled(&id);
    let output = edge.run(&["trace", &id]);
    let story = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = sink.address().to_string();
    for part in [
        id.as_str(),
        "app@example.com",
        "user@b.example",
        "number 7",
        "client.example",
        "_domainkey.example.com",
        "451 4.3.2 busy right now",
        "250 2.0.0 taken",
        address.as_str(),
        "delivered",
    ] {
        assert!(story.contains(part), "{part} is missing in\n{story}");
    }
}

#[test]
fn a_bounce_leads_to_its_report_which_has_a_story_too() {
    let sink = Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 nobody".into())));
    let edge = Edge::start(&Setup::default().route("app.example", "inbox").route("*", &sink.route()));
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@bad.example"], &numbered_message(1, 500));
    let recipient = &edge.settled(&id)["deliveries"][0]["recipients"][0];
    let report = recipient["report"].as_str().expect("the bounce names its DSN");
    let story = edge.settled(report);
    assert_eq!(story["from"], "");
    assert_eq!(story["recipients"][0], "a@app.example");
    assert_eq!(story["deliveries"][0]["recipients"][0]["status"], "delivered");
    let told = edge.run(&["trace", &id]);
    assert!(String::from_utf8_lossy(&told.stdout).contains(report));
}

#[test]
fn an_unknown_message_is_said_to_be_unknown() {
    let edge = Edge::start(&Setup::default().route("*", "discard"));
    let unknown = edge.run(&["trace", "0193a0b0c0d07000800000000000abcd-0"]);
    assert!(!unknown.status.success());
    assert!(!unknown.stderr.is_empty());
    let malformed = edge.run(&["trace", "hello"]);
    assert_eq!(malformed.status.code(), Some(64));
}

#[test]
fn the_queue_shows_what_waits_where_and_why() {
    let sink = Sink::scripted(Script::default().on(Step::Mail, Act::Say("451 4.3.2 not today".into())));
    let edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@later.example"], &numbered_message(1, 500));
    harness::eventually("the first attempt is recorded", || {
        let trace = edge.run(&["trace", &id]);
        String::from_utf8_lossy(&trace.stdout).contains("not today").then_some(())
    });
    let output = edge.run(&["queue"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("later.example") && table.contains("451 4.3.2 not today"), "{table}");
}
