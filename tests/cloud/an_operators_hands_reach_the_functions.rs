//! `spoolway queue` in the cloud: the command writes the tables, and functions that may read no more of them than they need obey.

use std::time::Duration;

use harness::{Act, Client, CloudEdge, Script, Sink, Step, eventually_within, numbered_message};
use serde_json::Value;

/// A minute, and what an emulator takes.
const MINUTES: Duration = Duration::from_secs(180);

#[test]
fn mail_is_bounced_and_rerouted_by_the_sweep_and_by_deliver() {
    let busy = Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("451 4.3.2 busy right now".into())));
    let good = Sink::start();
    let routes = format!("app.example={},*={}", good.route(), busy.route());
    let Some(edge) = CloudEdge::start("mail_is_bounced_and_rerouted", &routes) else { return };
    edge.configure("Deliver", &[("SPOOLWAY_RETRY_SCHEDULE", "4h")]);
    let submit = |n, to| Client::submit(edge.smtp(), "a@app.example", &[to], &numbered_message(n, 2000));
    let (bounced, rerouted) = (submit(1, "u@b.example"), submit(2, "u@c.example"));
    for id in [&bounced, &rerouted] {
        eventually_within(MINUTES, "the first attempt is on record", || {
            let trace: Value = serde_json::from_slice(&edge.run(&["trace", id, "--json"]).stdout).ok()?;
            (trace["deliveries"][0]["attempts"].as_array()?.len() == 1).then_some(())
        });
    }
    edge.json(&["queue", "bounce", &bounced, "--because", "sent by mistake"]);
    edge.json(&["queue", "reroute", "--domain", "c.example", "--route", &good.route()]);
    edge.json(&["queue", "retry", "--domain", "c.example"]);
    // one that is in no table yet is held by what deliver reads of the directory
    edge.json(&["queue", "hold", "--domain", "d.example", "--for", "1h"]);
    let status = |id: &str, status: &str| {
        eventually_within(MINUTES, "the order is obeyed", || {
            let trace: Value = serde_json::from_slice(&edge.run(&["trace", id, "--json"]).stdout).ok()?;
            (trace["deliveries"][0]["recipients"][0]["status"] == status).then_some(trace)
        })
    };
    let told = status(&bounced, "bounced");
    assert_eq!(told["deliveries"][0]["orders"][0]["hand"], "bounce", "{told:#}");
    assert!(told["deliveries"][0]["recipients"][0]["report"].is_string());
    status(&rerouted, "delivered");
    let held = submit(3, "u@d.example");
    let told = status(&held, "deferred");
    assert_eq!(told["deliveries"][0]["orders"][0]["hand"], "hold", "{told:#}");
    assert_eq!(told["deliveries"][0]["attempts"].as_array().map(Vec::len), Some(0));
    // the one that was rerouted, and the report
    assert_eq!(good.wait_for(2).len(), 2);
}
