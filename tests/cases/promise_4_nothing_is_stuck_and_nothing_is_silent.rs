//! Every accepted message ends as delivered, bounced with a DSN, or discarded by a rule that names itself.

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

    let inbox = edge.folder().join("inbox");
    let dsns = harness::eventually("both bounces are in the sender's inbox", || {
        let files = std::fs::read_dir(&inbox)
            .ok()?
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|end| end == "eml"));
        let texts: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        (texts.len() == 2).then_some(texts)
    });
    for (domain, status) in [("bad.example", "Status: 5.1.1"), ("slow.example", "Status: 4.4.7")] {
        let dsn = dsns.iter().find(|dsn| dsn.contains(&format!("u@{domain}"))).expect("one DSN a domain");
        for text in [
            "Return-Path: <>",
            "Delivered-To: sender@app.example",
            "multipart/report",
            "Action: failed",
            "X-Number: 1",
        ] {
            assert!(dsn.contains(text), "{text} is missing in\n{dsn}");
        }
        assert!(
            dsn.contains(status) || dsn.contains(&status.replace("4.4.7", "5.4.7")),
            "{status} is missing in\n{dsn}"
        );
    }
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
