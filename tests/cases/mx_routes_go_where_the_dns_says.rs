//! RFC 5321 §5.1 and RFC 7505, from a socket to the hosts that a real name server names.

use std::net::Ipv6Addr;

use harness::{Client, Dns, Edge, Script, Setup, Sink, Zone, eventually, loopback, numbered_message};
use serde_json::Value;

/// The port of all hosts; their addresses tell them apart.
const PORT: u16 = 2500;

fn sink(script: Script) -> Sink {
    Sink::on(loopback(), PORT, script)
}

/// An edge that may send to loopback addresses, where all hosts of a test are.
fn edge(dns: &Dns, port: u16) -> Edge {
    edge_with(dns, &format!("[deliver]\nport = {port}\nallow_private_addresses = true"))
}

fn edge_with(dns: &Dns, deliver: &str) -> Edge {
    let setup = Setup::default().route("app.example", "inbox").route("*", "mx");
    Edge::start(&setup.section(&dns.section()).section(deliver))
}

fn submit(edge: &Edge, to: &[&str]) -> String {
    Client::submit(edge.smtp(), "a@app.example", to, &numbered_message(1, 500))
}

/// The trace of a message that is delivered by now, and its only attempt at its only destination.
fn only_attempt(edge: &Edge, to: &str) -> Value {
    let trace = edge.settled(&submit(edge, &[to]));
    let delivery = &trace["deliveries"][0];
    assert_eq!(delivery["recipients"][0]["status"], "delivered", "{trace}");
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "{trace}");
    delivery["attempts"][0].clone()
}

#[test]
fn the_best_host_that_answers_gets_the_mail() {
    let (best, second) = (sink(Script::default()), sink(Script::default()));
    let zone = Zone::default()
        .mx("up.example", 20, "second.example")
        .mx("up.example", 10, "best.example")
        .mx("down.example", 20, "second.example")
        .mx("down.example", 10, "nobody.example")
        .address("best.example", best.address().ip())
        .address("second.example", second.address().ip())
        .address("nobody.example", loopback());
    let dns = Dns::serve(zone);
    let edge = edge(&dns, PORT);
    assert_eq!(only_attempt(&edge, "u@up.example")["host"], "best.example");
    assert_eq!((best.count(), second.connections()), (1, 0));
    let attempt = only_attempt(&edge, "u@down.example");
    assert_eq!(attempt["host"], "second.example");
    assert_eq!(attempt["route"], "mx");
    assert_eq!((best.count(), second.count()), (1, 1));
}

#[test]
fn equal_hosts_share_the_mail() {
    let (one, other) = (sink(Script::default()), sink(Script::default()));
    let domains: Vec<String> = (0..24).map(|n| format!("d{n}.example")).collect();
    let mut zone = Zone::default()
        .address("one.example", one.address().ip())
        .address("other.example", other.address().ip());
    for domain in &domains {
        zone = zone.mx(domain, 10, "one.example").mx(domain, 10, "other.example");
    }
    let dns = Dns::serve(zone);
    let edge = edge(&dns, PORT);
    let to: Vec<String> = domains.iter().map(|domain| format!("u@{domain}")).collect();
    let id = submit(&edge, &to.iter().map(String::as_str).collect::<Vec<_>>());
    edge.settled(&id);
    assert_eq!(one.count() + other.count(), domains.len());
    assert!(one.count() > 0 && other.count() > 0, "{} and {}", one.count(), other.count());
}

#[test]
fn a_domain_without_mx_is_its_own_host_and_ipv6_will_do() {
    let v6 = Sink::on(Ipv6Addr::LOCALHOST, 0, Script::default());
    // one port for both, which on ::1 is not ours to choose
    let v4 = Sink::on(loopback(), v6.address().port(), Script::default());
    let zone = Zone::default()
        .address("four.example", v4.address().ip())
        .address("six.example", Ipv6Addr::LOCALHOST)
        .mx("mx.example", 10, "six.example");
    let dns = Dns::serve(zone);
    let edge = edge(&dns, v6.address().port());
    assert_eq!(only_attempt(&edge, "u@four.example")["peer"], v4.address().to_string());
    assert_eq!(only_attempt(&edge, "u@six.example")["peer"], v6.address().to_string());
    assert_eq!(only_attempt(&edge, "u@mx.example")["host"], "six.example");
    assert_eq!((v4.count(), v6.count()), (1, 2));
}

#[test]
fn what_the_dns_says_decides_between_bounce_and_deferral() {
    let zone = Zone::default()
        .mx("null.example", 0, ".")
        .mx("hostless.example", 10, "gone.example")
        .broken("broken.example");
    let dns = Dns::serve(zone);
    let edge = edge(&dns, PORT);
    let expected = [
        ("broken.example", "deferred", "4.4.3"),
        ("hostless.example", "bounced", "5.4.4"),
        ("missing.example", "bounced", "5.1.2"),
        ("null.example", "bounced", "5.1.10"),
    ];
    let to = expected.map(|(domain, ..)| format!("u@{domain}"));
    let id = submit(&edge, &to.each_ref().map(String::as_str));
    let trace = eventually("each destination was tried", || {
        let output = edge.run(&["trace", &id, "--json"]);
        let trace: Value = serde_json::from_slice(&output.stdout).ok()?;
        (trace["deliveries"].as_array()?.len() == expected.len()).then_some(trace)
    });
    for (domain, status, enhanced) in expected {
        let mut deliveries = trace["deliveries"].as_array().unwrap().iter();
        let delivery = deliveries.find(|delivery| delivery["destination"] == domain).unwrap();
        let recipient = &delivery["recipients"][0];
        let told = (recipient["status"].as_str(), recipient["reply"]["enhanced"].as_str());
        assert_eq!(told, (Some(status), Some(enhanced)), "{domain}");
    }
}

#[test]
fn a_private_address_is_refused_unless_a_setting_allows_it() {
    let sink = sink(Script::default());
    let zone = Zone::default()
        .mx("trap.example", 10, "inside.example")
        .address("inside.example", sink.address().ip())
        .address("bare.example", Ipv6Addr::LOCALHOST);
    let dns = Dns::serve(zone);
    let edge = edge_with(&dns, &format!("[deliver]\nport = {PORT}"));
    for to in
        ["u@trap.example".to_owned(), "u@bare.example".to_owned(), format!("u@[{}]", sink.address().ip())]
    {
        let trace = edge.settled(&submit(&edge, &[&to]));
        let recipient = &trace["deliveries"][0]["recipients"][0];
        let told = (recipient["status"].as_str(), recipient["reply"]["enhanced"].as_str());
        assert_eq!(told, (Some("bounced"), Some("5.7.1")), "{to}");
    }
    assert_eq!(sink.connections(), 0);
}

#[test]
fn tls_is_used_where_a_host_offers_it_whatever_its_certificate_is_worth() {
    let sink = sink(Script::default().with_broken_certificate());
    let zone = Zone::default().mx("tls.example", 10, "mx.example").address("mx.example", sink.address().ip());
    let dns = Dns::serve(zone);
    let edge = edge(&dns, PORT);
    let attempt = only_attempt(&edge, "u@tls.example");
    assert!(attempt["tls"].as_str().is_some_and(|tls| tls.starts_with("TLS")), "{attempt}");
    assert!(sink.sunk()[0].tls);
}
