//! Of the rules that fit, the most specific one gives each number.

use super::*;

fn rules(text: &str) -> Rules {
    Rules::read(Some(text)).unwrap()
}

/// The connections at a place, and the rule that says so.
fn connections(rules: &Rules, to: &To) -> Option<(u32, String)> {
    let applied = Shape::of(rules, &to.place(), None).connections?;
    Some((applied.value, applied.rule.name.clone()))
}

fn said(value: u32, rule: &str) -> Option<(u32, String)> {
    Some((value, rule.to_owned()))
}

const FILE: &str = r#"
    built_in = false
    [[rule]]
    name = "all"
    connections = 1
    message_rate = "10/s"
    [[rule]]
    name = "net"
    site = "example.net"
    connections = 2
    [[rule]]
    name = "mx of net"
    site = "mx.example.net"
    connections = 3
    messages_per_connection = 7
    [[rule]]
    name = "below org"
    domain = "*.example.org"
    connections = 4
    [[rule]]
    name = "far below org"
    domain = "*.a.example.org"
    connections = 5
    [[rule]]
    name = "one"
    domain = "b.a.example.org"
    connections = 6
    [[rule]]
    name = "one from the pool"
    domain = "b.a.example.org"
    source = "bulk"
    connections = 7
"#;

#[test]
fn the_most_specific_rule_wins() {
    let rules = rules(FILE);
    for (domain, host, expected) in [
        ("x.example", "mx.elsewhere.example", said(1, "all")),
        ("x.example", "a.example.net", said(2, "net")),
        ("x.example", "example.net", said(2, "net")),
        ("x.example", "notexample.net", said(1, "all")),
        ("x.example", "MX.Example.Net", said(3, "mx of net")),
        ("x.example", "1.mx.example.net", said(3, "mx of net")),
        ("x.example.org", "mx.example.net", said(4, "below org")),
        ("example.org", "mx.example.net", said(3, "mx of net")),
        ("c.a.example.org", "mx.example.net", said(5, "far below org")),
        ("b.a.example.org", "mx.example.net", said(6, "one")),
        ("c.b.a.example.org", "mx.example.net", said(5, "far below org")),
    ] {
        assert_eq!(connections(&rules, &To::new(domain, &[host])), expected, "{domain} at {host}");
    }
}

#[test]
fn each_number_comes_from_the_most_specific_rule_that_has_it() {
    let shape = Shape::of(&rules(FILE), &To::new("x.example.org", &["mx.example.net"]).place(), None);
    let rate = &shape.message_rates[0];
    assert_eq!((rate.value.to_string(), rate.rule.name.as_str()), ("10/s".to_owned(), "all"));
    assert_eq!(shape.messages_per_connection.unwrap().rule.name, "mx of net");
    assert_eq!(shape.connections.unwrap().rule.name, "below org");
    assert!(shape.recipients.is_none());
}

#[test]
fn any_host_of_a_site_makes_a_rule_fit() {
    let to = To::new("x.example", &["backup.elsewhere.example", "mx.example.net"]);
    assert_eq!(connections(&rules(FILE), &to), said(3, "mx of net"));
}

#[test]
fn a_source_is_called_by_its_address_or_its_pool_and_is_counted_apart() {
    let mut to = To::new("b.a.example.org", &["mx.example.net"]);
    to.source = Some(pool("bulk", "192.0.2.7"));
    let rules = rules(FILE);
    assert_eq!(connections(&rules, &to), said(7, "one from the pool"));
    assert_eq!(Shape::of(&rules, &to.place(), None).key, "mx.example.net from bulk");
    to.source = Some(pool("other", "192.0.2.7"));
    assert_eq!(connections(&rules, &to), said(6, "one"));
}

#[test]
fn an_operator_wins_against_a_built_in_rule_of_the_same_destination_and_a_later_rule_against_an_earlier() {
    let google = To::new("gmail.com", &["gmail-smtp-in.l.google.com"]);
    let (value, name) = connections(&Rules::default(), &google).unwrap();
    assert_eq!(name, "google");
    let own = rules(
        "[[rule]]\nname = \"mine\"\nsite = \"google.com\"\nconnections = 99\n[[rule]]\nname = \"later\"\nsite = \"google.com\"\nconnections = 98",
    );
    assert_eq!(connections(&own, &google), said(98, "later"));
    // what it does not say stays built in
    let shape = Shape::of(&own, &google.place(), None);
    assert_eq!(shape.messages_per_connection.unwrap().rule.name, "google");
    let general = rules("[[rule]]\nname = \"mine\"\nconnections = 99");
    assert_eq!(connections(&general, &google), said(value, "google"), "it is less specific");
    let off = rules("[[rule]]\nname = \"mine\"\nsite = \"google.com\"\nconnections = \"off\"");
    assert_eq!(connections(&off, &google), None);
}

#[test]
fn sites_of_one_provider_are_counted_as_one_where_a_rule_says_so() {
    let rules = Rules::default();
    let key = |hosts: &[&str]| Shape::of(&rules, &To::new("x.example", hosts).place(), None).key;
    assert_eq!(key(&["one-com.mail.protection.outlook.com"]), key(&["two-com.mail.protection.outlook.com"]));
    assert_ne!(key(&["mx.one.example"]), key(&["mx.two.example"]));
}

#[test]
fn a_smart_host_is_bound_by_what_names_it_and_by_nothing_else() {
    let site = Site::of_route(&SmartHosts::only("relay.example.net", 25));
    let to = To { site, ..To::new("x.example", &[]) };
    assert_eq!(connections(&Rules::default(), &to), None);
    assert_eq!(connections(&rules(FILE), &to), said(2, "net"));
    assert_eq!(connections(&rules("[[rule]]\nname = \"all\"\nconnections = 1"), &to), None);
    let by_domain = rules("[[rule]]\nname = \"x\"\ndomain = \"x.example\"\nconnections = 2");
    assert_eq!(connections(&by_domain, &to), said(2, "x"));
}

#[test]
fn what_is_said_of_a_tenant_holds_beside_what_is_said_of_all() {
    let rules = rules(
        "built_in = false\n[[rule]]\nname = \"all\"\nmessage_rate = \"10/s\"\n\
         [[rule]]\nname = \"shop\"\ntenant = \"shop\"\nmessage_rate = [\"100/h\", \"2/s\"]",
    );
    let to = To::new("x.example", &["mx.x.example"]);
    let rates = |tenant: Option<&str>| -> Vec<String> {
        let tenant = tenant.map(|tenant| TenantId(tenant.to_owned()));
        let shape = Shape::of(&rules, &to.place(), tenant.as_ref());
        shape.message_rates.iter().map(|rate| rate.value.to_string()).collect()
    };
    assert_eq!(rates(None), ["10/s"]);
    assert_eq!(rates(Some("shop")), ["2/s", "100/h"], "the shortest period first");
    assert!(rates(Some("other")).is_empty());
}
