use std::net::IpAddr;
use std::time::Duration;

use shared::mail::TenantId;
use workers::deliver::{Outcome, Source, Sources};

use crate::server::Server;
use crate::world::{World, outcome, outcomes, smart_host};

const PIPELINING: &[&str] = &["PIPELINING"];

fn source(address: &str) -> Sources {
    Sources::new(vec![Source {
        name: "bulk".to_owned(),
        addresses: vec![address.parse().unwrap()],
        helo: Some("bulk.example".to_owned()),
        tenants: vec![TenantId("newsletter".to_owned())],
    }])
}

#[tokio::test]
async fn the_server_sees_the_source_of_the_tenant_and_its_name() {
    let server = Server::start(PIPELINING, |_| None).await;
    let mut world = World::new(0);
    world.settings.sources = source("127.0.0.9");
    // kept connections are of one source, too
    world.settings.limits.keep = Duration::from_secs(60);
    let mut messages: Vec<_> = (0..4).map(|_| world.message("x\r\n", &["a@example.org"])).collect();
    for bulk in [0, 2] {
        messages[bulk].tenant = TenantId("newsletter".to_owned());
    }
    let tried = world.attempt(&smart_host(server.port()), messages).await;
    assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
    let mut told: Vec<_> = tried
        .iter()
        .map(|tried| (tried.delivery.tenant.0.as_str(), tried.attempt.source.as_deref()))
        .collect();
    told.sort_unstable();
    let bulk = ("newsletter", Some("bulk (127.0.0.9)"));
    assert_eq!(told, [("default", None), ("default", None), bulk, bulk]);
    let seen = server.seen();
    let mut peers = seen.peers.clone();
    peers.sort_unstable();
    assert_eq!(peers, ["127.0.0.1", "127.0.0.9"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    let mut hellos: Vec<_> = seen.commands.iter().filter(|line| line.starts_with("EHLO")).collect();
    hellos.sort_unstable();
    assert_eq!(hellos, ["EHLO bulk.example", "EHLO edge.example"]);
}

#[tokio::test]
async fn a_source_that_cannot_reach_a_host_defers_and_sends_from_nowhere_else() {
    for address in ["::1", "192.0.2.1"] {
        let server = Server::start(PIPELINING, |_| None).await;
        let mut world = World::new(0);
        world.settings.sources = source(address);
        let mut message = world.message("x\r\n", &["a@example.org"]);
        message.tenant = TenantId("newsletter".to_owned());
        let (outcome, reply) = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
        assert_eq!(outcome, Outcome::Deferred);
        assert!(reply.contains("source"), "{address}: {reply}");
        assert_eq!(server.seen().connections, 0);
    }
}
