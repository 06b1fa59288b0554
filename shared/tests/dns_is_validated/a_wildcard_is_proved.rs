//! What is synthesised from a wildcard is secure where the name is proved not to exist, and nowhere else (RFC 4035 §5.3.4, RFC 4592):
//! a record of a wildcard is signed well for any name.

use std::net::Ipv4Addr;

use shared::port::{ResolveError, Resolved, Resolver};
use shared::testkit::{SignedDns, Signing};

const ZONE: &str = "
    *         TXT   top
    *         MX    10 mx
    mx        A     192.0.2.1
    *._tcp.mx TLSA  3 1 1 00ff
    b         A     192.0.2.2
    *.w       MX    10 mx.wild.test.
    *.w       A     192.0.2.3
    host.w    A     192.0.2.4
    deep.ent.w A    192.0.2.5
    alias     CNAME host.w
    *.c       CNAME mx
    *.out     CNAME mx.plain.test.
    *.away    CNAME a.w
";
async fn dns() -> SignedDns {
    let (nsec, nsec3) = (format!("$ORIGIN wild.test.{ZONE}"), format!("$ORIGIN hashed.test.{ZONE}"));
    SignedDns::serve(
        Signing::Signed,
        &[
            ("wild.test.", Signing::Signed, &nsec),
            ("hashed.test.", Signing::SignedNsec3, &nsec3),
            ("sub.wild.test.", Signing::Signed, "mx.sub.wild.test. A 192.0.2.6"),
            ("sub.hashed.test.", Signing::SignedNsec3, "mx.sub.hashed.test. A 192.0.2.6"),
            ("plain.test.", Signing::Unsigned, "mx.plain.test. A 192.0.2.7"),
            ("other.test.", Signing::Signed, "other.test. MX 10 mx.other.test."),
        ],
    )
    .await
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn is_secure<T>(answer: &Resolved<T>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.secure && !answer.records.is_empty())
}

fn is_bogus<T>(answer: &Result<T, ResolveError>) -> bool {
    matches!(answer, Err(ResolveError::Bogus(_)))
}

#[tokio::test]
async fn what_a_wildcard_answers_is_secure() {
    let server = dns().await;
    let dns = server.resolver();
    for zone in ["wild.test", "hashed.test"] {
        for host in ["a.w", "zz.w", "x.a.w", "x.y.z.w"] {
            for _ in 0..2 {
                let mx = dns.mx(&format!("{host}.{zone}")).await;
                assert!(is_secure(&mx), "{host}.{zone}: {mx:?}");
            }
        }
        let tlsa = dns.tlsa(&format!("_25._tcp.mx.{zone}")).await;
        assert!(is_secure(&tlsa), "{zone}: {tlsa:?}");
        let top = dns.txt(&format!("no.{zone}")).await;
        assert!(is_secure(&top), "{zone}: {top:?}");
    }
}

#[tokio::test]
async fn what_a_wildcard_has_none_of_is_proved_not_to_be_there() {
    let server = dns().await;
    let dns = server.resolver();
    for (host, denials) in [
        // the wildcard's own record says what it has not, and denies the name as well
        ("a.w.wild.test", &["*.w.wild.test NSEC"][..]),
        ("x.a.w.wild.test", &["*.w.wild.test NSEC"]),
        ("zz.w.wild.test", &["*.w.wild.test NSEC", "host.w.wild.test NSEC"]),
        ("x.y.z.w.wild.test", &["host.w.wild.test NSEC", "*.w.wild.test NSEC"]),
        ("_25._tcp.mx.wild.test", &["*._tcp.mx.wild.test NSEC"]),
        ("no.wild.test", &["*.wild.test NSEC", "mx.wild.test NSEC", "*._tcp.mx.wild.test NSEC"]),
    ] {
        let authority: Vec<_> = denials.iter().copied().chain(["wild.test SOA"]).collect();
        server.replay(&format!("{host} AAAA"), &[], &authority);
        let none = dns.aaaa(host).await.unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!((none.records.len(), none.secure), (0, true), "{host}");
    }
}

#[tokio::test]
async fn a_wildcard_that_has_some_denies_none() {
    let server = dns().await;
    let dns = server.resolver();
    for (question, denials) in [
        // it has them
        ("a.w.wild.test A", &["*.w.wild.test NSEC"][..]),
        // the name is not denied
        ("zz.w.wild.test AAAA", &["*.w.wild.test NSEC"]),
        // the name exists
        ("host.w.wild.test A", &["*.w.wild.test NSEC", "deep.ent.w.wild.test NSEC"]),
        // another wildcard is closer
        ("zz.w.wild.test AAAA", &["*.wild.test NSEC", "host.w.wild.test NSEC"]),
        // and not a wildcard's at all
        ("b.wild.test A", &["*.wild.test NSEC", "alias.wild.test NSEC", "*.away.wild.test NSEC"]),
        ("mx.sub.wild.test A", &["*.wild.test NSEC", "sub.wild.test NSEC of wild.test"]),
    ] {
        let authority: Vec<_> = denials.iter().copied().chain(["wild.test SOA"]).collect();
        server.replay(question, &[], &authority);
        let host = question.split(' ').next().unwrap();
        let answer = match question.ends_with(" A") {
            true => dns.a(host).await.map(|_| ()),
            false => dns.aaaa(host).await.map(|_| ()),
        };
        assert!(is_bogus(&answer), "{question} {denials:?}: {answer:?}");
    }
}

#[tokio::test]
async fn an_alias_of_a_wildcard_is_followed() {
    let server = dns().await;
    let dns = server.resolver();
    for zone in ["wild.test", "hashed.test"] {
        for (alias, leads_to, ip, secure) in [
            ("a.c", format!("mx.{zone}"), 1, true),
            ("x.away", format!("a.w.{zone}"), 3, true),
            ("a.out", "mx.plain.test".to_owned(), 7, false),
        ] {
            let answer = dns.a(&format!("{alias}.{zone}")).await.unwrap();
            let told = (answer.name, answer.records, answer.secure);
            assert_eq!(told, (leads_to, vec![Ipv4Addr::new(192, 0, 2, ip)], secure), "{alias}.{zone}");
        }
        let none = dns.aaaa(&format!("a.c.{zone}")).await.unwrap();
        assert_eq!((none.name, none.records.len(), none.secure), (format!("mx.{zone}"), 0, true));
    }
}

#[tokio::test]
async fn a_wildcard_is_bogus_for_a_name_that_it_does_not_apply_to() {
    let server = dns().await;
    let dns = server.resolver();
    let denials = server.denials("wild.test");
    let denials = texts(&denials);
    let alone = denials.iter().map(std::slice::from_ref);
    for authority in alone.chain([&denials[..], &[]]) {
        for host in [
            // names that exist
            "host.w.wild.test",
            "deep.ent.w.wild.test",
            // one that exists for those below it, and one below that
            "ent.w.wild.test",
            "x.ent.w.wild.test",
            // below another name that exists
            "x.host.w.wild.test",
        ] {
            let shown = format!("*.w.wild.test MX as {host}");
            server.replay(&format!("{host} MX"), &[&shown], authority);
            let mx = dns.mx(host).await;
            assert!(is_bogus(&mx), "{host} {authority:?}: {mx:?}");
        }
        for host in ["mx.wild.test", "w.wild.test", "x.b.wild.test", "x.w.wild.test", "x.y.b.wild.test"] {
            let shown = format!("*.wild.test TXT as {host}");
            server.replay(&format!("{host} TXT"), &[&shown], authority);
            let txt = dns.txt(host).await;
            assert!(is_bogus(&txt), "{host} {authority:?}: {txt:?}");
        }
    }
}

#[tokio::test]
async fn a_wildcard_is_bogus_without_a_denial_by_its_zone() {
    let server = dns().await;
    let dns = server.resolver();
    for (host, authority) in [
        ("a.w.wild.test", &[][..]),
        ("a.w.wild.test", &["*.w.wild.test NSEC bare"]),
        ("a.w.wild.test", &["*.w.wild.test NSEC spoilt"]),
        ("a.w.wild.test", &["*.w.wild.test NSEC expired"]),
        // of other names
        ("a.w.wild.test", &["host.w.wild.test NSEC"]),
        ("a.w.wild.test", &["wild.test SOA", "wild.test NS"]),
        // from a wildcard itself
        ("b.w.wild.test", &["*.w.wild.test NSEC as a.w.wild.test"]),
        // of other zones, one of them without signatures
        ("a.w.wild.test", &["other.test NSEC"]),
        ("a.w.wild.test", &["plain.test SOA"]),
        ("host.w.wild.test", &["plain.test SOA"]),
        // of the zone above, at the cut and where it has nothing more
        ("a.w.wild.test", &["wild.test NSEC of ."]),
    ] {
        let shown = format!("*.w.wild.test MX as {host}");
        server.replay(&format!("{host} MX"), &[&shown], authority);
        let mx = dns.mx(host).await;
        assert!(is_bogus(&mx), "{host} {authority:?}: {mx:?}");
    }
    // of the zone below, in which the name is
    let below = server.denials("sub.wild.test");
    server.replay("a.sub.wild.test TXT", &["*.wild.test TXT as a.sub.wild.test"], &texts(&below));
    assert!(is_bogus(&dns.txt("a.sub.wild.test").await));
    // and the one denial that it takes
    let (shown, denied) = (["*.w.wild.test MX as a.w.wild.test"], ["*.w.wild.test NSEC"]);
    server.replay("a.w.wild.test MX", &shown, &denied);
    assert!(is_secure(&dns.mx("a.w.wild.test").await));
}

#[tokio::test]
async fn a_wildcard_of_a_zone_with_nsec3_applies_where_its_own_denials_say_so() {
    let server = dns().await;
    let dns = server.resolver();
    let (own, below) = (server.denials("hashed.test"), server.denials("sub.hashed.test"));
    let (own, below) = (texts(&own), texts(&below));
    let decoy = "b.hashed.test A";
    for (host, shown, authority, secure) in [
        ("zz.w.hashed.test", &["*.w.hashed.test MX as zz.w.hashed.test"][..], &own, true),
        ("host.w.hashed.test", &["*.w.hashed.test MX as host.w.hashed.test"], &own, false),
        ("x.ent.w.hashed.test", &["*.w.hashed.test MX as x.ent.w.hashed.test"], &own, false),
        ("a.w.hashed.test", &["*.w.hashed.test MX as a.w.hashed.test"], &vec![], false),
        // of the zone below
        ("a.sub.hashed.test", &["*.hashed.test MX as a.sub.hashed.test"], &below, false),
        // with a signature of as many labels as would have to be denied, were it the wildcard's
        ("x.b.hashed.test", &[decoy, "*.hashed.test MX as x.b.hashed.test"], &own, false),
    ] {
        server.replay(&format!("{host} MX"), shown, authority);
        let mx = dns.mx(host).await;
        assert_eq!((is_secure(&mx), is_bogus(&mx)), (secure, !secure), "{shown:?} {authority:?}: {mx:?}");
    }
}

#[tokio::test]
async fn a_denial_makes_no_good_record_of_a_bad_one() {
    let server = dns().await;
    let dns = server.resolver();
    let denials = server.denials("wild.test");
    for (host, shown) in [
        ("a.w.wild.test", "*.w.wild.test MX as a.w.wild.test bare"),
        ("a.w.wild.test", "*.w.wild.test MX as a.w.wild.test spoilt"),
        ("a.w.wild.test", "*.w.wild.test MX as a.w.wild.test expired"),
        // signed for a longer name
        ("w.wild.test", "*.w.wild.test MX as w.wild.test"),
        ("wild.test", "*.w.wild.test MX as wild.test"),
        // signed by another zone
        ("a.w.wild.test", "other.test MX as a.w.wild.test"),
        // of another name
        ("a.w.wild.test", "*.w.wild.test MX as b.w.wild.test"),
        ("a.w.wild.test", "*.w.wild.test MX"),
    ] {
        server.replay(&format!("{host} MX"), &[shown], &texts(&denials));
        let mx = dns.mx(host).await;
        assert!(is_bogus(&mx), "{shown}: {mx:?}");
    }
}

#[tokio::test]
async fn what_an_alias_leads_to_needs_a_proof_of_its_own() {
    let server = dns().await;
    let dns = server.resolver();
    let denials = server.denials("wild.test");
    let shown = ["alias.wild.test CNAME", "*.w.wild.test A as host.w.wild.test"];
    server.replay("alias.wild.test A", &shown, &texts(&denials));
    // it is asked for by itself
    let own = dns.a("alias.wild.test").await.unwrap();
    assert_eq!((own.records, own.secure), (vec![Ipv4Addr::new(192, 0, 2, 4)], true));
    server.replay("host.w.wild.test A", &shown[1..], &texts(&denials));
    let without_what_is_kept = server.resolver();
    assert!(is_bogus(&without_what_is_kept.a("alias.wild.test").await));
}
