//! Retries by a delayed job and by the sweep, bounces, and jobs that nobody can do.

use std::time::Duration;

use harness::{Act, Client, CloudEdge, Script, Sink, Step, eventually_within, numbered_message};
use serde_json::Value;

const MINUTES: Duration = Duration::from_secs(180);

#[test]
fn a_destination_that_defers_twice_is_tried_by_a_delayed_job_and_by_the_sweep() {
    let busy = Act::Say("451 4.3.2 busy right now".into());
    let sink = Sink::scripted(Script::default().first(2, Step::Rcpt, busy));
    let routes = format!("*={}", sink.route());
    let Some(edge) = CloudEdge::start("a_destination_that_defers_twice", &routes) else { return };
    // the first pause fits a queue's delay, the second does not
    edge.configure("Deliver", &[("SPOOLWAY_RETRY_SCHEDULE", "2s,20m")]);
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &numbered_message(1, 2000));
    let deferred = eventually_within(MINUTES, "the second attempt is on record", || {
        let trace: Value = serde_json::from_slice(&edge.run(&["trace", &id, "--json"]).stdout).ok()?;
        let attempts = trace["deliveries"][0]["attempts"].as_array()?.len();
        (attempts == 2).then_some(trace)
    });
    assert_eq!(deferred["deliveries"][0]["recipients"][0]["status"], "deferred", "{deferred:#}");
    assert_eq!(sink.count(), 0);
    // twenty minutes pass
    edge.make_due(&id, "b.example");
    let settled = edge.settled(&id);
    let delivery = &settled["deliveries"][0];
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 3, "{settled:#}");
    assert_eq!(delivery["recipients"][0]["status"], "delivered");
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_refused_message_bounces_and_a_job_that_nobody_can_do_is_dead_and_seen() {
    let refusing = Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 nobody here".into())));
    let sender = Sink::start();
    let routes = format!("app.example={},*={}", sender.route(), refusing.route());
    let Some(edge) = CloudEdge::start("a_refused_message_bounces", &routes) else { return };
    // a job that is received more often than that is dead
    let outbound = edge.output("QueueOutbound").to_owned();
    edge.receives_max(&outbound, 2);
    edge.aws(&["sqs", "send-message", "--queue-url", &outbound, "--message-body", "poison"]);

    let id = Client::submit(edge.smtp(), "a@app.example", &["u@bad.example"], &numbered_message(1, 500));
    let trace = edge.settled(&id);
    let recipient = &trace["deliveries"][0]["recipients"][0];
    assert_eq!(recipient["status"], "bounced", "{trace:#}");
    let report = recipient["report"].as_str().expect("the bounce names its DSN").to_owned();
    assert_eq!(edge.settled(&report)["recipients"][0], "a@app.example");
    let dsn = sender.wait_for(1).remove(0);
    let text = String::from_utf8_lossy(&dsn.data).into_owned();
    assert!(text.contains("550 5.1.1 nobody here") && text.contains("multipart/report"), "{text}");
    assert_eq!(dsn.from, "");

    // of two destinations, the sender is told once
    let to = ["u@bad.example", "u@worse.example"];
    let id = Client::submit(edge.smtp(), "a@app.example", &to, &numbered_message(2, 500));
    let both = eventually_within(MINUTES, "each bounce names its DSN", || {
        let trace: Value = serde_json::from_slice(&edge.run(&["trace", &id, "--json"]).stdout).ok()?;
        let deliveries = trace["deliveries"].as_array()?.iter();
        let dsns: Vec<String> = deliveries
            .filter(|delivery| delivery["recipients"][0]["to_be_told"].is_null())
            .filter_map(|delivery| Some(delivery["recipients"][0]["report"].as_str()?.to_owned()))
            .collect();
        (dsns.len() == 2).then_some(dsns)
    });
    assert_eq!(both[0], both[1]);
    edge.settled(&both[0]);
    let dsn = sender.wait_for(2).remove(1);
    let text = String::from_utf8_lossy(&dsn.data).into_owned();
    assert!(to.iter().all(|to| text.contains(&format!("Final-Recipient: rfc822; {to}"))), "{text}");

    // the two queues are counted one after the other
    eventually_within(MINUTES, "the poisoned job is dead", || {
        let outbound = &edge.json(&["queue"])["queues"]["outbound"];
        (outbound["dead"] == 1 && outbound["ready"] == 0).then_some(())
    });
    let table = edge.run(&["queue"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("dead"), "a person sees it too");
}
