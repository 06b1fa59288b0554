use std::time::Duration;

use super::*;

fn zone() -> ZoneResolver {
    ZoneResolver::parse(
        "
        $ORIGIN example.org.   ; a comment
        $TTL 60
        @           MX     10 mx1
                    MX     20 mx2.example.net.
        mx1 120 IN  A      192.0.2.1
                    AAAA   2001:db8::1
        null        MX     0 .
        www         CNAME  mx1
        _25._tcp.mx1 TLSA  3 1 1 00ff 10
        s._domainkey TXT   \"v=DKIM1; \" \"p=abc\"
        192.0.2.1   PTR    mx1
        2001:db8::1 PTR    mx1
        $SECURE mx1.example.org
        $SERVFAIL broken.example.org
        $BOGUS forged.example.org
        ",
    )
    .unwrap()
}

#[tokio::test]
async fn records_are_found_under_their_full_names() {
    let dns = zone();
    let mx = dns.mx("Example.org.").await.unwrap();
    let hosts: Vec<_> = mx.records.iter().map(|mx| (mx.preference, mx.exchange.as_str())).collect();
    assert_eq!(hosts, [(10, "mx1.example.org"), (20, "mx2.example.net")]);
    assert_eq!((mx.secure, mx.ttl), (false, Duration::from_secs(60)));
    let a = dns.a("mx1.example.org").await.unwrap();
    assert_eq!((a.records[0].to_string(), a.secure, a.ttl.as_secs()), ("192.0.2.1".to_owned(), true, 120));
    assert_eq!(dns.mx("null.example.org").await.unwrap().records[0].exchange, "");
    assert_eq!(dns.txt("s._domainkey.example.org").await.unwrap().records, [b"v=DKIM1; p=abc".to_vec()]);
    let tlsa = dns.tlsa("_25._tcp.mx1.example.org").await.unwrap().records.remove(0);
    assert_eq!((tlsa.usage, tlsa.selector, tlsa.matching, tlsa.data), (3, 1, 1, vec![0, 255, 16]));
    for ip in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(dns.ptr(ip.parse().unwrap()).await.unwrap().records, ["mx1.example.org"]);
    }
    assert_eq!(dns.lookups()[..2], ["MX Example.org.", "A mx1.example.org"]);
}

#[tokio::test]
async fn an_alias_is_followed_and_is_secure_only_as_a_whole() {
    let dns = zone();
    let a = dns.a("www.example.org").await.unwrap();
    assert_eq!((a.records.len(), a.secure), (1, false));
}

#[tokio::test]
async fn no_such_name_and_no_such_record_are_told_apart() {
    let dns = zone();
    let none = ResolveError::NoSuchName { secure: false };
    assert_eq!(dns.a("nobody.example.org").await.unwrap_err(), none);
    assert_eq!(dns.txt("null.example.org").await.unwrap().records, Vec::<Vec<u8>>::new());
    // nothing stands at this name, but something below it
    assert_eq!(dns.a("_domainkey.example.org").await.unwrap().records, Vec::<Ipv4Addr>::new());
    assert_eq!(dns.a("below.mx1.example.org").await.unwrap_err(), ResolveError::NoSuchName { secure: true });
    assert!(matches!(dns.a("broken.example.org").await, Err(ResolveError::Temporary(_))));
    assert!(matches!(dns.a("forged.example.org").await, Err(ResolveError::Bogus(_))));
}

#[tokio::test]
async fn a_silent_name_is_never_answered_for_and_others_are() {
    let dns = ZoneResolver::parse("a.example A 192.0.2.1\n$SILENT a.example\nb.example A 192.0.2.2").unwrap();
    tokio::select! {
        biased;
        _ = dns.a("A.example.") => panic!("it was answered"),
        answer = dns.a("b.example") => assert_eq!(answer.unwrap().records.len(), 1),
    }
    assert_eq!(dns.lookups(), ["A A.example.", "A b.example"]);
}

#[test]
fn what_is_no_zone_is_told_with_its_line() {
    for (text, line) in [("a A 1.2.3", 1), ("\n$NONE x", 2), ("a TXT \"open", 1), ("a", 1), ("a WKS 1", 1)] {
        assert_eq!(ZoneResolver::parse(text).err().unwrap().line, line, "{text}");
    }
}
