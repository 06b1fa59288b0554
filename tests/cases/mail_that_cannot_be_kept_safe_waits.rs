//! What a wrong TLSA record, an expired certificate, a bogus zone and a policy of other hosts come to with servers of others: they
//! see no mail, the sender is asked for patience, and the domain is told.

use harness::{
    Authority, Client, Edge, Exim, Peer, PolicySite, Postfix, Setup, Sink, eventually, numbered_message,
    peers_present, tls_reports,
};
use serde_json::Value;
use shared::testkit::{SignedDns, Signing};

/// A domain, what the trace says of its mail, and the policy and the failure of which its report tells.
struct Unsafe(&'static str, &'static str, Option<[&'static str; 2]>);

const DOMAINS: [Unsafe; 6] = [
    Unsafe("wrong.test", "no TLSA record fits it (DANE)", Some(["tlsa", "tlsa-invalid"])),
    Unsafe("expired.test", "certificate expired", Some(["sts", "certificate-expired"])),
    Unsafe("old.test", "certificate expired", Some(["tlsa", "certificate-expired"])),
    Unsafe(
        "foreign.test",
        "the MTA-STS policy of foreign.test does not have mx.foreign.test",
        Some(["sts", "validation-failure"]),
    ),
    Unsafe("forged.test", "the DNS lookup failed: TLSA of mx.forged.test", Some(["tlsa", "dnssec-invalid"])),
    // nobody can tell which host it is, and so which policy
    Unsafe("bogus.test", "the DNS lookup failed", None),
];

/// The trace of a message once it was tried twice, in vain.
fn tried_twice(edge: &Edge, id: &str) -> Value {
    eventually("a second attempt", || {
        let trace: Value = serde_json::from_slice(&edge.run(&["trace", id, "--json"]).stdout).ok()?;
        let delivery = &trace["deliveries"][0];
        let attempts = delivery["attempts"].as_array()?.len();
        assert!(attempts == 0 || delivery["recipients"][0]["status"] == "deferred", "{trace}");
        (attempts >= 2).then_some(trace)
    })
}

#[test]
fn postfix_and_exim_see_no_mail_that_could_be_read_by_others() {
    let case = "postfix_and_exim_see_no_mail_that_could_be_read_by_others";
    if !peers_present(case, &[Peer::Postfix, Peer::Receivers]) {
        return;
    }
    let (authority, sink) = (Authority::new(), Sink::start());
    let good = authority.issue(&["mx.wrong.test", "mx.foreign.test", "mx.forged.test", "mx.bogus.test"]);
    let expired = authority.issue_expired(&["mx.expired.test", "mx.old.test"]);
    let postfix = Postfix::start_with_tls(sink.address(), &good);
    let exim = Exim::start(sink.address(), &expired);
    let site = PolicySite::enforcing(
        &authority,
        &[("expired.test", "mx.expired.test"), ("foreign.test", "mx.elsewhere.test")],
    );
    let (port, well, ill) = (postfix.address().port(), postfix.address().ip(), exim.address().ip());
    let sts = |domain: &str| {
        format!("_mta-sts.{domain}. TXT \"v=STSv1; id=a1;\"\nmta-sts.{domain}. A {}", site.ip())
    };
    let tlsa = |host: &str, data: &str| format!("_{port}._tcp.{host}. TLSA {data}");
    let wrong = format!("3 1 1 {}", "00".repeat(32));
    let zones = [
        ("wrong.test.", Signing::Signed, well, tlsa("mx.wrong.test", &wrong)),
        ("expired.test.", Signing::Unsigned, ill, sts("expired.test")),
        ("old.test.", Signing::Signed, ill, tlsa("mx.old.test", &authority.tlsa())),
        ("foreign.test.", Signing::Signed, well, sts("foreign.test")),
        ("forged.test.", Signing::BrokenTlsa, well, tlsa("mx.forged.test", &good.tlsa())),
        ("bogus.test.", Signing::Broken, well, String::new()),
    ]
    .map(|(zone, signing, ip, more)| {
        let report = format!("_smtp._tls.{zone} TXT \"v=TLSRPTv1; rua=https://reports.{zone}/\"");
        (zone, signing, format!("{zone} MX 1 mx.{zone}\nmx.{zone} A {ip}\n{report}\n{more}"))
    });
    let zones: Vec<_> = zones.iter().map(|(name, signing, text)| (*name, *signing, text.as_str())).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dns = runtime.block_on(SignedDns::serve(Signing::Signed, &zones));
    let setup = Setup::default()
        .route("*", "mx")
        .section(&format!("{}\nvalidate = \"always\"", dns.section()))
        .section(&format!("[deliver]\nport = {port}\nallow_private_addresses = true"))
        .section("[retry]\nschedule = [\"1s\"]\n[tls_reports]\nfrom = \"tls@app.test\"")
        .authorities(authority.file());
    let mut edge = Edge::start(&setup);
    let submit = |to: &str| Client::submit(edge.smtp(), "a@app.test", &[to], &numbered_message(1, 500));
    let ids = DOMAINS.map(|Unsafe(domain, ..)| submit(&format!("u@{domain}")));
    for (id, Unsafe(_, why, _)) in ids.iter().zip(DOMAINS) {
        let trace = tried_twice(&edge, id);
        let delivery = &trace["deliveries"][0];
        for attempt in delivery["attempts"].as_array().unwrap() {
            assert!(attempt["reply"].to_string().contains(why), "{trace}");
        }
    }
    edge.signal();
    assert!(edge.wait().success());
    assert_eq!((sink.count(), postfix.received().messages, exim.received().messages), (0, 0, 0));
    for log in [postfix.log_text(), exim.log_text()] {
        // which commands a session had, and how a transaction ended, is in their logs too
        let mail = [" mail=", " <= ", "incomplete transaction"];
        assert!(!mail.iter().any(|mail| log.contains(mail)), "{log}");
        let refused = ["ehlo=1 starttls=0/1", "Certificate is expired"];
        assert!(refused.iter().any(|refused| log.contains(refused)), "{log}");
    }
    let reports = runtime.block_on(tls_reports(edge.folder(), &dns));
    for Unsafe(domain, _, told) in DOMAINS {
        let of_domain: Vec<_> = reports.iter().filter(|report| report.domain == domain).collect();
        assert_eq!(of_domain.is_empty(), told.is_none(), "{domain}: {reports:?}");
        for report in of_domain {
            let [policy, result] = told.unwrap();
            assert_eq!((report.policy.as_str(), report.successes), (policy, 0), "{report:?}");
            assert!(report.failures > 0 && report.results.iter().all(|known| known == result), "{report:?}");
        }
    }
}
