//! Every accepted message ends as delivered, bounced with a DSN, or discarded by a rule that names itself.

use std::path::Path;

use harness::{Act, Client, Edge, Script, Setup, Sink, Step, numbered_message};

#[test]
fn every_message_ends_and_says_how() {
    let good = Sink::start();
    let bad =
        Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 no such user here".into())));
    let slow = Sink::scripted(Script::default().on(Step::Mail, Act::Say("451 4.3.2 come back".into())));
    let setup = Setup::default()
        .route("good.example", &good.route())
        .route("bad.example", &bad.route())
        .route("slow.example", &slow.route())
        .route("*.void.example", "discard")
        .route("app.example", "inbox")
        .section("[retry]\nschedule = [\"1s\"]\nlifetime = \"3s\"");
    let edge = Edge::start(&setup);
    let to = ["u@good.example", "u@bad.example", "u@slow.example", "u@deep.void.example"];
    let id = Client::submit(edge.smtp(), "sender@app.example", &to, &numbered_message(1, 2_000));
    let trace = edge.settled(&id);
    let ended = |domain: &str| {
        let deliveries = trace["deliveries"].as_array().unwrap();
        let delivery = deliveries.iter().find(|delivery| delivery["destination"] == domain).unwrap();
        let recipient = &delivery["recipients"][0];
        (recipient["status"].as_str().unwrap().to_owned(), recipient["reply"].to_string())
    };
    assert_eq!(ended("good.example").0, "delivered");
    assert_eq!(ended("bad.example").0, "bounced");
    assert_eq!(ended("slow.example").0, "bounced");
    let (status, reply) = ended("deep.void.example");
    assert_eq!(status, "discarded");
    let rule = r#"discarded by route "*.void.example""#;
    assert!(reply.contains(&rule.escape_debug().to_string()), "the rule does not name itself: {reply}");
    let told = edge.run(&["trace", &id]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(rule), "{told}");

    let mut dsns = Vec::new();
    harness::eventually("the bounce is in the sender's inbox", || {
        dsns = mail(&edge.folder().join("inbox"));
        (!dsns.is_empty()).then_some(())
    });
    let [dsn] = &dsns[..] else { panic!("both failures are in one DSN: {dsns:#?}") };
    for text in [
        "Return-Path: <>",
        "Delivered-To: sender@app.example",
        "multipart/report",
        "Action: failed",
        "X-Number: 1",
        "u@bad.example",
        "Status: 5.1.1",
        "u@slow.example",
        "Status: 4.4.7",
    ] {
        assert!(dsn.contains(text), "{text} is missing in\n{dsn}");
    }
}

/// The messages of an inbox.
fn mail(inbox: &Path) -> Vec<String> {
    let files = std::fs::read_dir(inbox).into_iter().flatten().flatten();
    let files = files.filter(|file| file.path().extension().is_some_and(|end| end == "eml"));
    files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
}

#[test]
fn a_message_that_fifty_domains_refuse_comes_back_in_one_dsn() {
    let bad =
        Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 no such user here".into())));
    let edge = Edge::start(&Setup::default().route("app.example", "inbox").route("*", &bad.route()));
    let to: Vec<String> = (0..50).map(|n| format!("user{n}@domain-{n}.example")).collect();
    let named: Vec<&str> = to.iter().map(String::as_str).collect();
    let id = Client::submit(edge.smtp(), "sender@app.example", &named, &numbered_message(1, 2_000));
    edge.settled(&id);
    let told = harness::eventually("the trace names the DSN of each", || {
        let told = edge.run(&["trace", &id]);
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        (told.matches("the sender is told by message").count() == to.len()).then_some(told)
    });
    let dsn = told.split("told by message ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert_eq!(told.matches(dsn).count(), to.len(), "one DSN tells of all: {told}");
    let inbox = edge.folder().join("inbox");
    let arrived = harness::eventually("the DSN is in the sender's inbox", || {
        Some(mail(&inbox)).filter(|mail| !mail.is_empty())
    });
    assert_eq!(arrived.len(), 1, "{arrived:#?}");
    for to in &to {
        assert_eq!(arrived[0].matches(&format!("Final-Recipient: rfc822; {to}\r\n")).count(), 1, "{to}");
    }
    assert_eq!(arrived[0].matches("Action: failed").count(), to.len());
}

#[test]
fn a_null_sender_is_never_bounced_to() {
    let bad =
        Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 no such user here".into())));
    let edge = Edge::start(&Setup::default().route("*", &bad.route()));
    let id = Client::submit(edge.smtp(), "", &["u@bad.example"], &numbered_message(1, 500));
    let trace = edge.settled(&id);
    assert_eq!(trace["deliveries"][0]["recipients"][0]["status"], "bounced");
    let packs = std::fs::read_dir(edge.folder().join("spool/packs")).unwrap().flatten();
    let count: usize = packs.map(|shard| std::fs::read_dir(shard.path()).unwrap().count()).sum();
    assert_eq!(count, 1, "a bounce of a bounce was made");
}
