//! Whoever searches a log for a message id finds all of the message, under one name.

use harness::{Act, Client, Edge, Script, Setup, Sink, Step, eventually, numbered_message};
use serde_json::Value;

#[test]
fn a_message_has_one_name_in_every_line_and_no_line_names_a_person() {
    let good = Sink::scripted(Script::default().first(1, Step::Mail, Act::Say("451 4.3.2 later".into())));
    let bad = Sink::scripted(
        Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 <u@bad.example> no such user".into())),
    );
    let setup = Setup::default()
        .route("good.example", &good.route())
        .route("bad.example", &bad.route())
        .route("app.example", "inbox")
        .section("[retry]\nschedule = [\"1s\"]");
    let edge = Edge::start(&setup);
    let to = ["u@good.example", "u@bad.example"];
    let id = Client::submit(edge.smtp(), "sender@app.example", &to, &numbered_message(1, 2_000));
    edge.settled(&id);
    let said = |what: &str| {
        let mut lines = Vec::new();
        for text in edge.log_text().lines() {
            let line: Value = serde_json::from_str(text).expect("a line is JSON");
            assert_eq!(text.matches("\"message\":").count(), 1, "two fields have one name: {text}");
            if line["message"] == what && line["message_id"] == id.as_str() {
                lines.push(line);
            }
        }
        lines
    };
    for (what, times) in [("accepted", 1), ("prepared", 1), ("attempt ended", 3), ("DSN put in", 1)] {
        eventually(what, || (said(what).len() == times).then_some(()));
    }
    let log = edge.log_text();
    for line in log.lines().filter(|line| line.contains(&id)) {
        assert!(line.contains(&format!("\"message_id\":\"{id}\"")), "{line}");
    }
    assert!(!log.contains('@'), "an address is in the log:\n{log}");
}
