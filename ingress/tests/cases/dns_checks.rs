//! What the DNS says of a client, and what comes of it: reverse DNS (RFC 8601 §3) and block lists (RFC 5782).

use std::sync::Arc;
use std::time::Duration;

use ingress::{Action, CheckSettings, Dnsbl, Limits, ListenerKind, Settings};
use shared::mail::{ClientDns, ReverseDns};
use shared::testkit::ManualClock;

use super::support::client::{Client, Edge, settings};
use super::support::counted::Counted;
use super::support::ports::World;

const ACTIONS: [Action; 4] = [Action::Accept, Action::Tag, Action::Defer, Action::Refuse];
const GOOD: &str = "127.0.0.2";
const FORGED: &str = "127.0.0.3";
const NAMELESS: &str = "127.0.0.4";
const BROKEN: &str = "127.0.0.5";
const SILENT: &str = "127.0.0.6";
const TIMEOUT: Duration = Duration::from_secs(3);

const ZONE: &str = "
    127.0.0.2         PTR good.example.
    good.example.     A   127.0.0.2
    127.0.0.3         PTR forged.example.
    forged.example.   A   192.0.2.99
    $SERVFAIL 5.0.0.127.in-addr.arpa
    $SILENT   6.0.0.127.in-addr.arpa
    $SILENT   6.0.0.127.bl.example
    3.0.0.127.bl.example.    A 127.0.0.2
    4.0.0.127.other.example. A 127.0.0.2
";

fn list(zone: &str, action: Action) -> Dnsbl {
    Dnsbl { zone: zone.parse().unwrap(), action, answers: Vec::new() }
}

/// A listener for anybody's mail to `d.example`, on an edge that trusts nobody. Time stands still unless a test moves it: what waits
/// for an answer waits for ever.
async fn edge(clock: &Arc<ManualClock>, reverse_dns: Action, dnsbls: Vec<Dnsbl>) -> Edge {
    let checks = CheckSettings { reverse_dns, dnsbls, timeout: TIMEOUT };
    let mut settings = Settings { checks, trusted_networks: Vec::new(), ..settings(Limits::default()) };
    settings.listeners[0].kind = ListenerKind::Mx;
    settings.relay_domains.push("d.example".parse().unwrap());
    let world = World::at_the_time_of(clock).await;
    world.dns.replace(ZONE).unwrap();
    Edge::start_in(world, settings).await
}

async fn begin(edge: &Edge, ip: &str) -> Client {
    let mut client = edge.connect_from(ip).await;
    client.ask("HELO client.example", "250").await;
    client.ask("MAIL FROM:<a@b.example>", "250").await;
    client
}

async fn send(client: &mut Client) {
    client.ask("DATA", "354").await;
    client.ask(".", "250 2.0.0 queued as").await;
}

/// What goes with the last message.
async fn told(edge: &Edge) -> ClientDns {
    edge.world.read_packs().await.pop().unwrap().0.messages[0].client.dns.clone()
}

#[tokio::test]
async fn a_client_whose_name_leads_back_to_it_is_taken_whatever_is_asked_for() {
    for action in ACTIONS {
        let edge = edge(&Arc::default(), action, Vec::new()).await;
        let mut client = begin(&edge, GOOD).await;
        client.ask("RCPT TO:<c@d.example>", "250").await;
        send(&mut client).await;
        let reverse = (action > Action::Accept).then_some(ReverseDns::Pass);
        let name = Some("good.example".to_owned());
        assert_eq!(told(&edge).await, ClientDns { name, reverse, listed: Vec::new() }, "{action:?}");
    }
}

#[tokio::test]
async fn a_client_without_a_name_that_leads_back_is_taken_tagged_deferred_or_refused() {
    let clients = [
        (FORGED, ReverseDns::Fail, "the name of your address 127.0.0.3 does not lead back to it"),
        (NAMELESS, ReverseDns::PermError, "your address 127.0.0.4 has no name in the DNS"),
        (BROKEN, ReverseDns::TempError, "the name of your address 127.0.0.5 cannot be looked up now"),
    ];
    for action in ACTIONS {
        let edge = edge(&Arc::default(), action, Vec::new()).await;
        for (ip, fault, text) in clients {
            let mut client = begin(&edge, ip).await;
            let code = match action {
                Action::Accept | Action::Tag => "250 2.1.5".to_owned(),
                // what may be cured by another try is not refused
                Action::Refuse if ip != BROKEN => format!("550 5.7.25 {text}"),
                Action::Defer | Action::Refuse => format!("450 4.7.25 {text}"),
            };
            client.ask("RCPT TO:<c@d.example>", &code).await;
            // RFC 5321 §4.5.1
            client.ask("RCPT TO:<postmaster>", "250").await;
            send(&mut client).await;
            let dns = told(&edge).await;
            assert_eq!(dns.reverse, (action > Action::Accept).then_some(fault), "{action:?} {ip}");
            assert_eq!(dns.name, None);
        }
    }
}

#[tokio::test]
async fn a_client_that_is_listed_is_taken_tagged_deferred_or_refused_and_others_are_not() {
    let counted = Counted::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    for action in ACTIONS {
        let edge = edge(&Arc::default(), Action::Accept, vec![list("bl.example", action)]).await;
        let mut client = begin(&edge, FORGED).await;
        let reply = match action {
            Action::Accept | Action::Tag => "250 2.1.5",
            Action::Defer => "450 4.7.1 your address 127.0.0.3 is listed at bl.example",
            Action::Refuse => "550 5.7.1 your address 127.0.0.3 is listed at bl.example",
        };
        client.ask("RCPT TO:<c@d.example>", reply).await;
        client.ask("RCPT TO:<postmaster>", "250").await;
        send(&mut client).await;
        let listed = if action > Action::Accept { vec!["bl.example".to_owned()] } else { Vec::new() };
        assert_eq!(told(&edge).await.listed, listed, "{action:?}");
        let mut other = begin(&edge, NAMELESS).await;
        other.ask("RCPT TO:<c@d.example>", "250").await;
        send(&mut other).await;
        assert_eq!(told(&edge).await.listed, Vec::<String>::new());
    }
    let looked_up =
        |result| counted.of(&format!("spoolway_ingress_checks_total check=bl.example result={result}"));
    assert_eq!((looked_up("listed"), looked_up("not_listed")), (4, 4));
    assert_eq!((counted.refusals("450"), counted.refusals("550")), (1, 1));
}

#[tokio::test]
async fn of_several_checks_the_worst_counts() {
    let lists = vec![list("bl.example", Action::Tag), list("other.example", Action::Refuse)];
    let edge = edge(&Arc::default(), Action::Defer, lists).await;
    let mut client = begin(&edge, NAMELESS).await;
    client.ask("RCPT TO:<c@d.example>", "550 5.7.1 your address 127.0.0.4 is listed at other.example").await;
    let mut client = begin(&edge, FORGED).await;
    client.ask("RCPT TO:<c@d.example>", "450 4.7.25").await;
    let mut client = begin(&edge, GOOD).await;
    client.ask("RCPT TO:<c@d.example>", "250").await;
}

#[tokio::test]
async fn a_dns_that_never_answers_holds_one_recipient_for_the_time_limit_and_nobody_else() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock, Action::Refuse, vec![list("bl.example", Action::Refuse)]).await;
    let mut client = begin(&edge, SILENT).await;
    client.send("RCPT TO:<c@d.example>\r\n").await;
    assert!(client.is_silent().await);
    let mut other = begin(&edge, GOOD).await;
    other.ask("RCPT TO:<c@d.example>", "250").await;
    send(&mut other).await;
    clock.advance(TIMEOUT - Duration::from_millis(1));
    assert!(client.is_silent().await);
    clock.advance(Duration::from_millis(1));
    client.expect("450 4.7.25 the name of your address 127.0.0.6 cannot be looked up now").await;
    // the time is that of the connection: it is up for whatever comes behind
    client.ask("RCPT TO:<e@d.example>", "450 4.7.25").await;
    client.ask("QUIT", "221").await;
}

#[tokio::test]
async fn a_list_that_never_answers_lists_nobody() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock, Action::Accept, vec![list("bl.example", Action::Refuse)]).await;
    let mut client = begin(&edge, SILENT).await;
    client.send("RCPT TO:<c@d.example>\r\n").await;
    assert!(client.is_silent().await);
    clock.advance(TIMEOUT);
    client.expect("250").await;
    send(&mut client).await;
    assert_eq!(told(&edge).await, ClientDns::default());
}

#[tokio::test]
async fn where_nobody_is_turned_away_only_the_end_of_a_message_waits_for_the_dns() {
    let clock = Arc::new(ManualClock::default());
    let edge = edge(&clock, Action::Tag, vec![list("bl.example", Action::Tag)]).await;
    let mut client = begin(&edge, SILENT).await;
    client.ask("RCPT TO:<c@d.example>", "250").await;
    client.ask("DATA", "354").await;
    client.send("hello\r\n.\r\n").await;
    assert!(client.is_silent().await);
    clock.advance(TIMEOUT);
    client.expect("250 2.0.0 queued as").await;
    let dns = ClientDns { reverse: Some(ReverseDns::TempError), ..ClientDns::default() };
    assert_eq!(told(&edge).await, dns);
    // and only that of the first
    assert!(client.message("hello\r\n").await.starts_with("250"));
}
