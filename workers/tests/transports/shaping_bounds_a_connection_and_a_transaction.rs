use std::sync::Arc;

use shared::system::SystemClock;
use shared::testkit::{SeededIds, TempStores};
use workers::deliver::shaping::{LiveRules, Rules, Shaper, ShaperPorts};
use workers::deliver::{Outcome, Route, Transport as _};

use crate::server::Server;
use crate::world::{World, outcomes, rule, zone};

const ZONE: &str = "a.example. MX 10 mx.a.example.\nb.example. MX 10 mx.b.example.\nc.example. MX 10 MX.A.example.\n\
                    mx.a.example. A 127.0.0.1\nmx.b.example. A 127.0.0.1\nnull.example. MX 0 .\nself.example. A 127.0.0.1\n";
const RULES: &str =
    "[[rule]]\nname = \"a\"\nsite = \"mx.a.example\"\nmessages_per_connection = 2\nrecipients = 3\n";

async fn world(port: u16) -> (World, TempStores) {
    let clock = Arc::new(SystemClock);
    let stores = TempStores::open(clock.clone()).await;
    let ports = ShaperPorts {
        counters: stores.stores.counters.clone(),
        deliveries: stores.stores.deliveries.clone(),
        clock,
        ids: Arc::new(SeededIds::new(1)),
    };
    let rules = LiveRules::fixed(Rules::read(Some(RULES)).unwrap());
    let mut world = World::new(port);
    world.dns = zone(ZONE);
    world.shaper = Some(Arc::new(Shaper::new(rules, ports)));
    (world, stores)
}

#[tokio::test]
async fn messages_over_the_number_of_a_rule_have_a_connection_of_their_own() {
    for (domain, connections) in [("a.example", 3), ("b.example", 1)] {
        let server = Server::start(&["PIPELINING"], |_| None).await;
        let (world, _stores) = world(server.port()).await;
        let to = format!("u@{domain}");
        let five = (0..5).map(|_| world.message("x\r\n", &[&to])).collect();
        let tried = world.attempt(&Route::Mx, five).await;
        assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
        assert_eq!(server.seen().connections, connections, "{domain}");
    }
}

#[tokio::test]
async fn recipients_over_the_number_of_a_rule_have_a_transaction_of_their_own() {
    let server = Server::start(&["PIPELINING"], |_| None).await;
    let (world, _stores) = world(server.port()).await;
    let to: Vec<String> = (0..7).map(|n| format!("u{n}@a.example")).collect();
    let message = world.message("x\r\n", &to.iter().map(String::as_str).collect::<Vec<_>>());
    let told = outcomes(&world.attempt(&Route::Mx, vec![message]).await).remove(0);
    assert!(told.iter().all(|(outcome, _)| *outcome == Outcome::Delivered));
    let seen = server.seen();
    assert_eq!(seen.contents.len(), 3, "{:?}", seen.commands);
}

#[tokio::test]
async fn domains_with_the_same_hosts_have_one_site_and_some_have_none() {
    let (world, _stores) = world(0).await;
    let transports = world.transports().await;
    let site = async |domain: &str, route: Route| {
        let site = transports.site(rule(&route), &domain.parse().unwrap()).await.unwrap();
        site.map(|site| site.name().to_owned())
    };
    let mx = Some("mx.a.example".to_owned());
    assert_eq!(site("a.example", Route::Mx).await, mx);
    assert_eq!(site("c.example", Route::Mx).await, mx);
    assert_eq!(site("self.example", Route::Mx).await, Some("self.example".to_owned()));
    for nowhere in ["null.example", "missing.example"] {
        assert_eq!(site(nowhere, Route::Mx).await, None, "{nowhere}");
    }
    let relay = Route::SmartHost { host: "relay.example".to_owned(), port: 26 };
    assert_eq!(site("a.example", relay).await, Some("smtp://relay.example:26".to_owned()));
    assert_eq!(site("a.example", Route::Inbox).await, None);
}
