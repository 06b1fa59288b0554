//! The DNS adapter against signed zones: what DNSSEC proves is secure, what it proves to be unsigned is not, and what should be
//! proved and is not is never used.

use std::net::Ipv4Addr;

use shared::dns::{Dns, DnsSettings, Validation};
use shared::port::{ResolveError, Resolver};
use shared::testkit::{SignedDns, Signing};

const ZONE: &str = "
    $ORIGIN good.test.
    @      MX    10 mx
    mx     A     192.0.2.1
    alias  CNAME mx
    out    CNAME mx.plain.test.
    twice  CNAME alias
    nowhere CNAME no.good.test.
    _25._tcp.mx TLSA 3 1 1 00ff
";
const PLAIN: &str = "
    $ORIGIN plain.test.
    @      MX    10 mx
    mx     A     192.0.2.2
    in     CNAME mx.good.test.
";

async fn dns() -> SignedDns {
    SignedDns::serve(
        Signing::Signed,
        &[
            ("good.test.", Signing::Signed, ZONE),
            ("nsec3.test.", Signing::SignedNsec3, "mx.nsec3.test. A 192.0.2.3"),
            ("plain.test.", Signing::Unsigned, PLAIN),
            ("stripped.test.", Signing::Stripped, "mx.stripped.test. A 192.0.2.4"),
            ("broken.test.", Signing::Broken, "mx.broken.test. A 192.0.2.5"),
        ],
    )
    .await
}

#[tokio::test]
async fn what_is_signed_is_secure() {
    let server = dns().await;
    let dns = server.resolver();
    let mx = dns.mx("good.test").await.unwrap();
    assert!(mx.secure, "{mx:?}");
    let a = dns.a("mx.good.test").await.unwrap();
    assert_eq!((a.records, a.secure), (vec![Ipv4Addr::new(192, 0, 2, 1)], true));
    assert!(dns.tlsa("_25._tcp.mx.good.test").await.unwrap().secure);
    // and once more, from what is kept
    assert!(dns.a("mx.good.test").await.unwrap().secure);
}

#[tokio::test]
async fn what_is_not_there_is_proved_not_to_be() {
    let server = dns().await;
    let dns = server.resolver();
    for name in ["mx.good.test", "mx.nsec3.test"] {
        for _ in 0..2 {
            let none = dns.aaaa(name).await.unwrap();
            assert_eq!((none.records.len(), none.secure), (0, true), "{name}");
        }
    }
    for name in ["_26._tcp.mx.good.test", "_25._tcp.mx.nsec3.test", "no.good.test", "no.nsec3.test"] {
        assert_eq!(dns.tlsa(name).await, Err(ResolveError::NoSuchName { secure: true }), "{name}");
    }
}

#[tokio::test]
async fn what_is_proved_to_be_unsigned_is_not_secure_and_is_used() {
    let server = dns().await;
    let dns = server.resolver();
    let a = dns.a("mx.plain.test").await.unwrap();
    assert_eq!((a.records, a.secure), (vec![Ipv4Addr::new(192, 0, 2, 2)], false));
    assert!(!dns.mx("plain.test").await.unwrap().secure);
    let none = dns.aaaa("mx.plain.test").await.unwrap();
    assert_eq!((none.records.len(), none.secure), (0, false));
    assert_eq!(dns.tlsa("_25._tcp.mx.plain.test").await, Err(ResolveError::NoSuchName { secure: false }));
}

#[tokio::test]
async fn a_chain_of_aliases_is_secure_only_where_each_link_is() {
    let server = dns().await;
    let dns = server.resolver();
    for (name, leads_to, secure) in [
        ("alias.good.test", "mx.good.test", true),
        ("out.good.test", "mx.plain.test", false),
        ("in.plain.test", "mx.good.test", false),
    ] {
        let answer = dns.a(name).await.unwrap();
        assert_eq!(
            (answer.name.as_str(), answer.records.len(), answer.secure),
            (leads_to, 1, secure),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_alias_of_a_name_without_such_records_has_none() {
    let server = dns().await;
    let dns = server.resolver();
    for (name, leads_to, secure) in [
        ("alias.good.test", "mx.good.test", true),
        ("twice.good.test", "mx.good.test", true),
        ("out.good.test", "mx.plain.test", false),
        ("in.plain.test", "mx.good.test", false),
    ] {
        let answer = dns.aaaa(name).await.unwrap();
        let told = (answer.name.as_str(), answer.records.len(), answer.secure);
        assert_eq!(told, (leads_to, 0, secure), "{name}");
    }
    let nowhere = dns.mx("nowhere.good.test").await;
    assert_eq!(nowhere, Err(ResolveError::NoSuchName { secure: true }));
}

#[tokio::test]
async fn what_should_be_signed_and_is_not_is_bogus() {
    let server = dns().await;
    let dns = server.resolver();
    for name in ["mx.stripped.test", "mx.broken.test", "no.stripped.test"] {
        for _ in 0..2 {
            let answer = dns.a(name).await;
            assert!(matches!(answer, Err(ResolveError::Bogus(_))), "{name}: {answer:?}");
        }
    }
    let denied = dns.tlsa("_25._tcp.mx.stripped.test").await;
    assert!(matches!(denied, Err(ResolveError::Bogus(_))), "{denied:?}");
}

#[tokio::test]
async fn a_root_that_is_not_the_one_that_is_trusted_makes_everything_bogus() {
    let server = dns().await;
    let dns = Dns::new(&DnsSettings { validation: Validation::Always, ..server.settings() }).unwrap();
    let answer = dns.a("mx.good.test").await;
    assert!(matches!(answer, Err(ResolveError::Bogus(_))), "{answer:?}");
}

#[tokio::test]
async fn with_servers_that_strip_signatures_nothing_is_secure_or_nothing_is_used() {
    let server = SignedDns::serve(Signing::Stripped, &[("good.test.", Signing::Stripped, ZONE)]).await;
    let auto = Dns::new(&server.settings()).unwrap().a("mx.good.test").await.unwrap();
    assert_eq!((auto.records.len(), auto.secure), (1, false));
    let never = Dns::new(&DnsSettings { validation: Validation::Never, ..server.settings() }).unwrap();
    assert!(!never.a("mx.good.test").await.unwrap().secure);
    let always = Dns::new(&DnsSettings { validation: Validation::Always, ..server.settings() }).unwrap();
    for dns in [always, server.resolver()] {
        let answer = dns.a("mx.good.test").await;
        assert!(matches!(answer, Err(ResolveError::Bogus(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_trust_anchor_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "nonsense", "example.org. IN A 192.0.2.1"] {
        let path = folder.path().join("anchors");
        std::fs::write(&path, text).unwrap();
        let settings = DnsSettings { trust_anchors: Some(path), ..DnsSettings::default() };
        let told = Dns::new(&settings).err().unwrap().to_string();
        assert!(told.contains("cannot be read") && told.contains("DNSKEY"), "{told}");
    }
}
