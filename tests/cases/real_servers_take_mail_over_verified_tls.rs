//! DANE (RFC 7672), MTA-STS (RFC 8461) and TLS as it comes, with mail servers of others and a zone that is signed; counted from their logs.

use std::net::IpAddr;

use harness::{
    Authority, Client, Edge, Exim, OpenSmtpd, Peer, PolicySite, Postfix, Received, Setup, Sink, eventually,
    numbered_message, peers_present,
};
use serde_json::Value;
use shared::testkit::{SignedDns, Signing};

/// Messages for each domain.
const MESSAGES: usize = 20;
/// Connections that each site may have.
const CONNECTIONS: usize = 3;
/// Each domain, and how its mail must be told to have gone.
const DOMAINS: [(&str, &str); 5] = [
    ("dane.test", "(DANE-EE)"),
    ("sts.test", "(MTA-STS enforce)"),
    ("exim.test", "(MTA-STS enforce)"),
    ("authority.test", "(DANE-TA)"),
    ("plain.test", "(certificate not checked)"),
];

/// What the DNS knows of the three servers and the site of the policies, with the TLSA records of the first and the last server.
fn zones(
    port: u16,
    [postfix, exim, open, site]: [IpAddr; 4],
    [tlsa_of_postfix, tlsa_of_open]: [&str; 2],
) -> Vec<(&'static str, Signing, String)> {
    let host = |name: &str, ip| format!("{name}. A {ip}\n");
    let tlsa = |host: &str, data: &str| format!("_{port}._tcp.{host}. TLSA {data}\n");
    let domain = |domain: &str, mx: &str| format!("{domain}. MX 1 {mx}.\n");
    let sts =
        |domain: &str| format!("_mta-sts.{domain}. TXT \"v=STSv1; id=a1;\"\nmta-sts.{domain}. A {site}\n");
    let post = host("mx.post.test", postfix) + &host("sts.post.test", postfix);
    vec![
        ("post.test.", Signing::Signed, post + &tlsa("mx.post.test", tlsa_of_postfix)),
        ("open.test.", Signing::Signed, host("mx.open.test", open) + &tlsa("mx.open.test", tlsa_of_open)),
        ("dane.test.", Signing::Signed, domain("dane.test", "mx.post.test")),
        ("sts.test.", Signing::Unsigned, domain("sts.test", "sts.post.test") + &sts("sts.test")),
        (
            "exim.test.",
            Signing::Signed,
            domain("exim.test", "mx.exim.test") + &host("mx.exim.test", exim) + &sts("exim.test"),
        ),
        ("authority.test.", Signing::Signed, domain("authority.test", "mx.open.test")),
        (
            "plain.test.",
            Signing::Unsigned,
            domain("plain.test", "mx.plain.test") + &host("mx.plain.test", open),
        ),
    ]
}

/// Sends each domain its messages, over a connection of its own; gives what the traces say of them.
fn send_to_all(edge: &Edge) -> Vec<(&'static str, Value)> {
    let ids: Vec<(&str, Vec<String>)> = std::thread::scope(|scope| {
        let send = |(number, domain)| {
            scope.spawn(move || {
                let number = |n: usize| u64::try_from(number * MESSAGES + n).unwrap();
                let one = |n| {
                    let to = format!("u{n}@{domain}");
                    Client::submit(edge.smtp(), "a@app.test", &[&to], &numbered_message(number(n), 2_000))
                };
                (domain, (0..MESSAGES).map(one).collect())
            })
        };
        let sending: Vec<_> = DOMAINS.iter().map(|(domain, _)| *domain).enumerate().map(send).collect();
        sending.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let traced = |(domain, ids): (_, Vec<String>)| ids.into_iter().map(move |id| (domain, edge.settled(&id)));
    ids.into_iter().flat_map(traced).collect()
}

/// That as many messages came, all under TLS 1.3, and no more connections than the sites of a server may have.
#[track_caller]
fn shared_connections(received: &Received, sites: usize, log: &str) {
    let messages = sites * MESSAGES;
    assert_eq!((received.messages, received.under_tls_1_3), (messages, messages), "{log}");
    assert!(received.connections <= sites * CONNECTIONS, "{received:?}\n{log}");
}

#[test]
fn postfix_exim_and_opensmtpd_get_each_message_once_and_as_their_domains_ask() {
    let case = "postfix_exim_and_opensmtpd_get_each_message_once_and_as_their_domains_ask";
    if !peers_present(case, &[Peer::Postfix, Peer::Receivers]) {
        return;
    }
    let (authority, sink) = (Authority::new(), Sink::start());
    let identities = [&["mx.post.test", "sts.post.test"][..], &["mx.exim.test"], &["mx.open.test"]]
        .map(|n| authority.issue(n));
    let postfix = Postfix::start_with_tls(sink.address(), &identities[0]);
    let exim = Exim::start(sink.address(), &identities[1]);
    let open = OpenSmtpd::start(sink.address(), &identities[2]);
    let site =
        PolicySite::enforcing(&authority, &[("sts.test", "sts.post.test"), ("exim.test", "*.exim.test")]);
    let port = postfix.address().port();
    let hosts = [postfix.address().ip(), exim.address().ip(), open.address().ip(), site.ip()];
    let zones = zones(port, hosts, [&identities[0].tlsa(), &authority.tlsa()]);
    let zones: Vec<_> = zones.iter().map(|(name, signing, text)| (*name, *signing, text.as_str())).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dns = runtime.block_on(SignedDns::serve(Signing::Signed, &zones));
    let rules = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(rules.path(), format!("[[rule]]\nname = \"all\"\nconnections = {CONNECTIONS}\n")).unwrap();
    let setup = Setup::default()
        .section(&format!("[shaping]\nrules = \"{}\"", rules.path().display()))
        .route("*", "mx")
        .section(&format!("{}\nvalidate = \"always\"", dns.section()))
        // a connection is kept for as long as a busy machine may take
        .section(&format!("[deliver]\nport = {port}\nallow_private_addresses = true\nkeep = \"60s\""))
        .authorities(authority.file());
    let edge = Edge::start(&setup);
    for (domain, trace) in send_to_all(&edge) {
        let attempts = trace["deliveries"][0]["attempts"].as_array().unwrap();
        let how = DOMAINS.iter().find(|(known, _)| *known == domain).unwrap().1;
        let tls = attempts[0]["tls"].as_str().unwrap_or_default();
        assert_eq!(
            (attempts.len(), tls.starts_with("TLSv1.3"), tls.ends_with(how)),
            (1, true, true),
            "{trace}"
        );
    }
    let all = MESSAGES * DOMAINS.len();
    let sunk = sink.wait_for(all);
    for number in 0..all {
        let message = numbered_message(u64::try_from(number).unwrap(), 2_000);
        assert_eq!(sunk.iter().filter(|copy| copy.data.ends_with(&message)).count(), 1, "message {number}");
    }
    eventually("the logs tell of all messages", || {
        let all = [postfix.received(), exim.received(), open.received()].map(|received| received.messages);
        (all == [2 * MESSAGES, MESSAGES, 2 * MESSAGES]).then_some(())
    });
    // a site is a set of hosts, of which Postfix and OpenSMTPD have two names each
    shared_connections(&postfix.received(), 2, &postfix.log_text());
    shared_connections(&exim.received(), 1, &exim.log_text());
    shared_connections(&open.received(), 2, &open.log_text());
}
