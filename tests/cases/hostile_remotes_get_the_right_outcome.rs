//! A remote that refuses, drops, drips, lies about TLS or rambles: the right outcome, and never a stuck worker.

use std::time::Duration;

use harness::{Act, Client, Edge, Script, Setup, Sink, Step, eventually, numbered_message};

/// What the first attempt came to.
#[derive(Debug, PartialEq)]
enum First {
    Delivered,
    Deferred,
    Bounced,
}

fn first_attempt_with(script: Script) -> First {
    let sink = Sink::scripted(script);
    let setup = Setup::default().route("app.example", "discard").route("*", &sink.route());
    let steps = ["greeting", "command", "mail", "rcpt", "data", "block", "end"]
        .map(|step| format!("{step} = \"2s\"\n"));
    let edge = Edge::start(&setup.section(&format!("[deliver.timeouts]\n{}", steps.concat())));
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &numbered_message(1, 3_000));
    let trace = eventually("the first attempt ends", || {
        let output = edge.run(&["trace", &id, "--json"]);
        let trace: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        trace["deliveries"].get(0)?.get("recipients")?;
        Some(trace)
    });
    match trace["deliveries"][0]["recipients"][0]["status"].as_str().unwrap() {
        "delivered" => First::Delivered,
        "deferred" => First::Deferred,
        "bounced" => First::Bounced,
        other => panic!("{other}"),
    }
}

const AFTER_GREETING: [Step; 5] = [Step::Ehlo, Step::Mail, Step::Rcpt, Step::Data, Step::Dot];

#[test]
fn a_4xx_at_any_step_defers() {
    for step in [Step::Greeting].into_iter().chain(AFTER_GREETING) {
        let script = Script::default().on(step, Act::Say("451 4.3.0 not now".into()));
        assert_eq!(first_attempt_with(script), First::Deferred, "{step:?}");
    }
}

#[test]
fn a_5xx_in_the_transaction_bounces() {
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        let script = Script::default().on(step, Act::Say("554 5.7.0 never".into()));
        assert_eq!(first_attempt_with(script), First::Bounced, "{step:?}");
    }
}

#[test]
fn a_5xx_to_ehlo_is_answered_with_helo() {
    let script = Script::default().on(Step::Ehlo, Act::Say("502 5.5.1 what?".into()));
    assert_eq!(first_attempt_with(script), First::Delivered);
}

#[test]
fn a_connection_dropped_at_any_step_defers() {
    for step in [Step::Greeting].into_iter().chain(AFTER_GREETING) {
        assert_eq!(first_attempt_with(Script::default().on(step, Act::Drop)), First::Deferred, "{step:?}");
    }
}

#[test]
fn one_octet_a_second_runs_into_the_timeout_of_the_command() {
    for step in [Step::Greeting, Step::Ehlo, Step::Mail, Step::Dot] {
        let script = Script::default().on(step, Act::Drip(Duration::from_secs(1)));
        assert_eq!(first_attempt_with(script), First::Deferred, "{step:?}");
    }
}

#[test]
fn a_broken_certificate_does_not_stop_opportunistic_tls() {
    assert_eq!(first_attempt_with(Script::default().with_broken_certificate()), First::Delivered);
}

#[test]
fn a_refused_starttls_goes_on_in_the_clear() {
    let script =
        Script::default().with_broken_certificate().on(Step::StartTls, Act::Say("454 4.7.0 no".into()));
    assert_eq!(first_attempt_with(script), First::Delivered);
}

#[test]
fn lines_of_ten_thousand_octets_defer_or_are_cut() {
    let long = "x".repeat(10_000);
    for (step, code, outcome) in [(Step::Mail, 451, First::Deferred), (Step::Greeting, 451, First::Deferred)]
    {
        let script = Script::default().on(step, Act::Say(format!("{code} {long}")));
        assert_eq!(first_attempt_with(script), outcome, "{step:?}");
    }
}

#[test]
fn an_8bit_message_bounces_where_8bitmime_is_not_offered() {
    let sink = Sink::scripted(Script::default().offering(&["PIPELINING"]));
    let edge = Edge::start(&Setup::default().route("app.example", "discard").route("*", &sink.route()));
    let id =
        Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], b"Subject: x\r\n\r\nh\xc3\xa9\r\n");
    let trace = edge.settled(&id);
    let recipient = &trace["deliveries"][0]["recipients"][0];
    assert_eq!(recipient["status"], "bounced");
    assert!(recipient["reply"].to_string().contains("5.6.3"), "{recipient}");
    assert_eq!(sink.count(), 0);
}
