//! RFC 7672 and the operator's rules, from a socket to a host that a signed zone names; the edge validates from the zone's own root.

use harness::{Client, Edge, Script, Setup, Sink, eventually, loopback, numbered_message};
use serde_json::Value;
use shared::testkit::{SignedDns, Signing};

/// The port of all hosts; their addresses tell them apart.
const PORT: u16 = 2501;

/// The status of the only recipient of a message to `to`, and the last attempt, once there was one.
fn attempt(edge: &Edge, to: &str) -> (String, Value) {
    let id = Client::submit(edge.smtp(), "a@app.example", &[to], &numbered_message(1, 500));
    eventually("an attempt", || {
        let trace: Value = serde_json::from_slice(&edge.run(&["trace", &id, "--json"]).stdout).ok()?;
        let delivery = &trace["deliveries"][0];
        let last = delivery["attempts"].as_array()?.last()?.clone();
        Some((delivery["recipients"][0]["status"].as_str()?.to_owned(), last))
    })
}

#[test]
fn the_trace_tells_by_which_policy_mail_went_or_waits() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let sink = Sink::on(loopback(), PORT, Script::default().with_broken_certificate());
    let ip = sink.address().ip();
    let hosts = format!(
        "mx.host.test. A {ip}\nother.host.test. A {ip}\n_{PORT}._tcp.mx.host.test. TLSA 3 1 1 {}",
        "00".repeat(32)
    );
    let zones = [
        ("host.test.", Signing::Signed, hosts.as_str()),
        ("dane.test.", Signing::Signed, "dane.test. MX 1 mx.host.test.\nx.dane.test. A 192.0.2.1"),
        ("none.test.", Signing::Signed, "none.test. MX 1 other.host.test.\nx.none.test. A 192.0.2.1"),
        ("ruled.test.", Signing::Signed, "ruled.test. MX 1 mx.host.test.\nx.ruled.test. A 192.0.2.1"),
        ("bogus.test.", Signing::Stripped, "bogus.test. MX 1 mx.host.test."),
    ];
    let dns = runtime.block_on(SignedDns::serve(Signing::Signed, &zones));
    let setup = Setup::default()
        .route("app.example", "inbox")
        .route("*", "mx")
        .section(&dns.section())
        .section(&format!("[deliver]\nport = {PORT}\nallow_private_addresses = true"))
        .section("[tls_policy.\"ruled.test\"]\nmode = \"require\"");
    let edge = Edge::start(&setup);
    let (status, held) = attempt(&edge, "u@dane.test");
    assert_eq!(status, "deferred", "{held}");
    let reply = held["reply"].to_string();
    assert!(reply.contains("no TLSA record fits it (DANE)"), "{held}");
    let (status, held) = attempt(&edge, "u@bogus.test");
    assert_eq!((status.as_str(), sink.count()), ("deferred", 0), "{held}");
    for (to, how) in [
        ("u@none.test", "(certificate not checked)"),
        ("u@ruled.test", "(tls_policy \"ruled.test\", certificate not checked)"),
    ] {
        let (status, sent) = attempt(&edge, to);
        assert_eq!(status, "delivered", "{sent}");
        assert!(sent["tls"].as_str().is_some_and(|tls| tls.ends_with(how)), "{sent}");
    }
    let sunk = sink.sunk();
    assert_eq!((sunk.len(), sunk.iter().all(|message| message.tls)), (2, true));
}
