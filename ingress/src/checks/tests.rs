use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use async_trait::async_trait;
use shared::mail::ReverseDns;
use shared::port::{MxHost, Resolved, Tlsa};
use shared::testkit::{ManualClock, ZoneResolver};

use super::*;
use crate::{Action, Dnsbl};

const TIMEOUT: Duration = Duration::from_secs(3);

/// A zone, some names of which are never answered for.
struct Dns {
    zone: ZoneResolver,
    silent: HashSet<&'static str>,
}

impl Dns {
    async fn hang(&self, name: &str) {
        if self.silent.contains(name) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Resolver for Dns {
    async fn mx(&self, name: &str) -> Resolved<MxHost> {
        self.zone.mx(name).await
    }
    async fn a(&self, name: &str) -> Resolved<Ipv4Addr> {
        let answer = self.zone.a(name).await;
        self.hang(name).await;
        answer
    }
    async fn aaaa(&self, name: &str) -> Resolved<Ipv6Addr> {
        self.zone.aaaa(name).await
    }
    async fn txt(&self, name: &str) -> Resolved<Vec<u8>> {
        self.zone.txt(name).await
    }
    async fn tlsa(&self, name: &str) -> Resolved<Tlsa> {
        self.zone.tlsa(name).await
    }
    async fn ptr(&self, ip: IpAddr) -> Resolved<String> {
        self.zone.ptr(ip).await
    }
}

const ZONE: &str = "
    $ORIGIN example.
    192.0.2.1    300 PTR  good.example.
    good         600 A    192.0.2.1
    192.0.2.2        PTR  forged.example.
    forged           A    192.0.2.99
    192.0.2.4        PTR  half.example.
    $SERVFAIL half.example
    192.0.2.5        PTR  gone.example.
    192.0.2.6        PTR  a_b.example.
    192.0.2.7        PTR  forged.example.
    192.0.2.7        PTR  half.example.
    192.0.2.7        PTR  both.example.
    both             A    192.0.2.7
    2001:db8::1      PTR  six.example.
    six              AAAA 2001:db8::1
    $SERVFAIL 8.2.0.192.in-addr.arpa
    3.2.0.192.bl 90  A    127.0.0.2
    1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl A 127.0.0.2
    3.2.0.192.grey   A    127.0.0.2
    9.2.0.192.bl     A    203.0.113.1
";

struct World {
    checks: Checks,
    clock: Arc<ManualClock>,
    dns: Arc<Dns>,
}

fn dnsbl(zone: &str, action: Action) -> Dnsbl {
    Dnsbl { zone: zone.parse().unwrap(), action, answers: Vec::new() }
}

fn world(reverse_dns: Action, dnsbls: Vec<Dnsbl>, silent: &[&'static str]) -> World {
    let dns = Dns { zone: ZoneResolver::parse(ZONE).unwrap(), silent: silent.iter().copied().collect() };
    let (dns, clock) = (Arc::new(dns), Arc::new(ManualClock::default()));
    let settings = CheckSettings { reverse_dns, timeout: TIMEOUT, dnsbls };
    let checks =
        Checks::new(settings, Arc::clone(&dns) as Arc<dyn Resolver>, Arc::clone(&clock) as Arc<dyn Clock>);
    World { checks, clock, dns }
}

impl World {
    fn begin(&self, client: &str) -> Pending {
        self.checks.begin(client.parse().unwrap())
    }

    async fn decision(&self, client: &str) -> String {
        match self.begin(client).decide().await {
            Decision::Accept => "accept".to_owned(),
            Decision::Defer(reply) => format!("defer {reply}"),
            Decision::Refuse(reply) => format!("refuse {reply}"),
        }
    }
}

#[tokio::test]
async fn a_name_is_confirmed_by_its_own_address() {
    let world = world(Action::Accept, Vec::new(), &[]);
    for (client, wanted) in [
        ("192.0.2.1", Reverse::Confirmed("good.example".to_owned())),
        ("::ffff:192.0.2.1", Reverse::Confirmed("good.example".to_owned())),
        ("2001:db8::1", Reverse::Confirmed("six.example".to_owned())),
        ("192.0.2.2", Reverse::Unconfirmed),
        ("192.0.2.3", Reverse::None),
        ("192.0.2.4", Reverse::Unknown),
        ("192.0.2.5", Reverse::Unconfirmed),
        ("192.0.2.6", Reverse::Unconfirmed),
        // one that is confirmed is enough
        ("192.0.2.7", Reverse::Confirmed("both.example".to_owned())),
        ("192.0.2.8", Reverse::Unknown),
    ] {
        assert_eq!(world.begin(client).facts().await.reverse, wanted, "{client}");
    }
}

#[tokio::test]
async fn who_has_no_confirmed_name_gets_what_policy_says_and_is_never_refused_for_a_fault_of_the_dns() {
    for (action, unconfirmed, none, unknown) in [
        (Action::Accept, "accept", "accept", "accept"),
        (Action::Tag, "accept", "accept", "accept"),
        (
            Action::Defer,
            "defer 450 4.7.25 the name of your address 192.0.2.2 does not lead back to it",
            "defer 450 4.7.25 your address 192.0.2.3 has no name in the DNS",
            "defer 450 4.7.25 the name of your address 192.0.2.4 cannot be looked up now",
        ),
        (
            Action::Refuse,
            "refuse 550 5.7.25 the name of your address 192.0.2.2 does not lead back to it",
            "refuse 550 5.7.25 your address 192.0.2.3 has no name in the DNS",
            "defer 450 4.7.25 the name of your address 192.0.2.4 cannot be looked up now",
        ),
    ] {
        let world = world(action, Vec::new(), &[]);
        assert_eq!(world.decision("192.0.2.1").await, "accept");
        assert_eq!(world.decision("192.0.2.2").await, unconfirmed);
        assert_eq!(world.decision("192.0.2.3").await, none);
        assert_eq!(world.decision("192.0.2.4").await, unknown);
    }
}

#[tokio::test]
async fn who_is_listed_gets_the_worst_that_any_of_the_lists_asks_for() {
    let all = |bl, grey| vec![dnsbl("bl.example", bl), dnsbl("grey.example", grey)];
    let world = world(Action::Accept, all(Action::Defer, Action::Refuse), &[]);
    assert_eq!(
        world.decision("192.0.2.3").await,
        "refuse 550 5.7.1 your address 192.0.2.3 is listed at grey.example"
    );
    assert_eq!(
        world.decision("2001:db8::1").await,
        "defer 450 4.7.1 your address 2001:db8::1 is listed at bl.example"
    );
    assert_eq!(world.decision("192.0.2.1").await, "accept");
    assert_eq!(world.decision("192.0.2.9").await, "accept", "an answer outside 127/8 is of no list");
    let asked = world.dns.zone.lookups();
    assert!(asked.contains(&"A 1.2.0.192.grey.example".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn what_goes_with_a_message_is_what_policy_tags_by() {
    let lists = || vec![dnsbl("bl.example", Action::Accept), dnsbl("grey.example", Action::Tag)];
    let quiet = world(Action::Accept, lists(), &[]);
    let name = Some("good.example".to_owned());
    assert_eq!(
        quiet.begin("192.0.2.1").dns().await,
        ClientDns { name: name.clone(), ..ClientDns::default() }
    );
    let listed = ClientDns { listed: vec!["grey.example".to_owned()], ..ClientDns::default() };
    assert_eq!(quiet.begin("192.0.2.3").dns().await, listed);

    let tagging = world(Action::Tag, Vec::new(), &[]);
    for (client, reverse) in [
        ("192.0.2.1", ReverseDns::Pass),
        ("192.0.2.2", ReverseDns::Fail),
        ("192.0.2.3", ReverseDns::PermError),
        ("192.0.2.4", ReverseDns::TempError),
    ] {
        let dns = tagging.begin(client).dns().await;
        assert_eq!((dns.reverse, dns.name.is_some()), (Some(reverse), client == "192.0.2.1"), "{client}");
    }
}

#[tokio::test]
async fn facts_come_at_the_limit_with_what_is_known_by_then() {
    let lists = vec![dnsbl("bl.example", Action::Refuse), dnsbl("slow.example", Action::Refuse)];
    let world = world(Action::Refuse, lists, &["3.2.0.192.slow.example"]);
    let mut pending = world.begin("192.0.2.3");
    let clock = Arc::clone(&world.clock);
    let facts = tokio::spawn(async move { pending.facts().await });
    // the session and the look itself
    clock.until_asleep(2).await;
    clock.advance(TIMEOUT - Duration::from_millis(1));
    tokio::task::yield_now().await;
    assert!(!facts.is_finished());
    clock.advance(Duration::from_millis(1));
    let wanted = ClientFacts { reverse: Reverse::None, listed: vec!["bl.example".to_owned()] };
    assert_eq!(facts.await.unwrap(), wanted);
}

#[tokio::test]
async fn the_limit_counts_from_the_connection_and_not_from_the_question() {
    let world = world(Action::Refuse, Vec::new(), &["good.example"]);
    let mut pending = world.begin("192.0.2.1");
    world.clock.until_asleep(1).await;
    world.clock.advance(TIMEOUT);
    assert_eq!(pending.facts().await.reverse, Reverse::Unknown, "nothing is left to wait for");
}

#[tokio::test]
async fn a_policy_that_turns_nobody_away_waits_for_nothing() {
    let world = world(Action::Tag, vec![dnsbl("bl.example", Action::Tag)], &["good.example"]);
    assert_eq!(world.decision("192.0.2.1").await, "accept");
}

#[tokio::test]
async fn sessions_of_one_address_share_a_look_which_ends_with_the_last_of_them() {
    let world = world(Action::Refuse, Vec::new(), &["good.example"]);
    let first = world.begin("192.0.2.1");
    let second = world.begin("192.0.2.1");
    world.clock.until_asleep(1).await;
    let asked = || world.dns.zone.lookups().len();
    assert_eq!(asked(), 2, "PTR and A");
    drop(first);
    let third = world.begin("192.0.2.1");
    tokio::task::yield_now().await;
    assert_eq!(asked(), 2);
    drop((second, third));
    // what was asked is not waited for any more
    while world.clock.next_waking().is_some() {
        tokio::task::yield_now().await;
    }
    let _again = world.begin("192.0.2.1");
    world.clock.until_asleep(1).await;
    assert_eq!(asked(), 4);
}

#[tokio::test]
async fn what_is_known_is_kept_for_as_long_as_the_dns_says_within_bounds() {
    let world = world(Action::Refuse, vec![dnsbl("bl.example", Action::Tag)], &[]);
    let asked = |client: &'static str| {
        let world = &world;
        async move {
            let before = world.dns.zone.lookups().len();
            world.begin(client).facts().await;
            world.dns.zone.lookups().len() > before
        }
    };
    // 90 s of its listing; five minutes that it has no name; a minute that the DNS failed
    for (client, seconds) in [("192.0.2.3", 90), ("192.0.2.1", 300), ("192.0.2.8", 60)] {
        assert!(asked(client).await, "{client}");
        world.clock.advance(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert!(!asked(client).await, "{client} is known");
        world.clock.advance(Duration::from_millis(1));
        assert!(asked(client).await, "{client} is forgotten");
    }
}

#[tokio::test]
async fn what_did_not_come_in_time_is_not_asked_for_by_the_next_session() {
    let world = world(Action::Refuse, Vec::new(), &["good.example"]);
    let pending = world.begin("192.0.2.1");
    world.clock.until_asleep(1).await;
    world.clock.advance(2 * TIMEOUT);
    pending.lookup.done().await;
    assert_eq!(world.begin("192.0.2.1").facts().await.reverse, Reverse::Unknown);
    assert_eq!(world.dns.zone.lookups().len(), 2);
}
