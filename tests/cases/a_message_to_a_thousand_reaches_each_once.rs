//! One message to 1,000 recipients at 50 domains, each with an MX host of its own: each of them gets it once, and one trace tells of all.

use std::collections::{BTreeMap, BTreeSet};

use harness::{Client, Dns, Edge, Script, Setup, Sink, Zone, eventually, loopback, numbered_message};

const DOMAINS: usize = 50;
const EACH: usize = 20;
const PORT: u16 = 2500;

#[test]
fn a_message_to_a_thousand_at_fifty_domains_reaches_each_once_and_has_one_trace() {
    let sink = Sink::on(loopback(), PORT, Script::default());
    let mut zone = Zone::default();
    for domain in (0..DOMAINS).map(name) {
        let host = format!("mx.{domain}");
        zone = zone.mx(&domain, 10, &host).address(&host, sink.address().ip());
    }
    let dns = Dns::serve(zone);
    let setup = Setup::default().route("*", "mx").section(&dns.section());
    let edge =
        Edge::start(&setup.section(&format!("[deliver]\nport = {PORT}\nallow_private_addresses = true")));
    // the domains come in turn, as in a list that nobody sorted
    let to: Vec<String> =
        (0..DOMAINS * EACH).map(|n| format!("user{}@{}", n / DOMAINS, name(n % DOMAINS))).collect();
    let message = numbered_message(1, 20_000);
    let named: Vec<&str> = to.iter().map(String::as_str).collect();
    let id = Client::submit(edge.smtp(), "a@app.example", &named, &message);

    eventually("every recipient has it", || {
        (sink.sunk().iter().map(|copy| copy.to.len()).sum::<usize>() >= to.len()).then_some(())
    });
    let trace = edge.settled(&id);
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for copy in sink.sunk() {
        assert!(copy.data.ends_with(&message));
        for to in copy.to {
            *copies.entry(to).or_default() += 1;
        }
    }
    assert_eq!(copies.keys().collect::<BTreeSet<_>>(), to.iter().collect());
    assert!(copies.values().all(|count| *count == 1), "{copies:?}");
    assert_eq!(sink.count(), DOMAINS, "the recipients of a domain share a transaction");

    let deliveries = trace["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), DOMAINS);
    let told = deliveries.iter().flat_map(|delivery| delivery["recipients"].as_array().unwrap());
    let delivered: BTreeSet<&str> = told
        .filter(|recipient| recipient["status"] == "delivered")
        .filter_map(|recipient| recipient["address"].as_str())
        .collect();
    assert_eq!(delivered, to.iter().map(String::as_str).collect());
}

fn name(domain: usize) -> String {
    format!("domain-{domain}.example")
}
