use std::sync::{Arc, Mutex};

use workers::deliver::{
    ObserveTls, Observer, Outcome, Route, SmartHost, SmartHostTls, SmartHosts, TlsObservation, Transport as _,
};

use crate::server::{Act, Server};
use crate::world::{World, outcome, outcomes, rule};

const NONE: &[&str] = &[];

fn route(hosts: &[(u16, u16)]) -> Route {
    let host = |(port, weight): &(u16, u16)| SmartHost {
        host: "127.0.0.1".to_owned(),
        port: *port,
        weight: *weight,
    };
    Route::SmartHosts(Arc::new(SmartHosts {
        name: "relay".to_owned(),
        hosts: hosts.iter().map(host).collect(),
        tls: SmartHostTls::Off,
        implicit_tls: false,
        login: None,
    }))
}

#[tokio::test]
async fn the_others_take_what_one_fails_to() {
    let failing = Server::start(NONE, |asked| (asked.step == "GREETING").then_some(Act::Close)).await;
    let server = Server::start(NONE, |_| None).await;
    let world = World::new(0);
    let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
    // nobody listens on port 1
    let route = route(&[(1, 9), (failing.port(), 9), (server.port(), 0)]);
    let tried = world.attempt(&route, messages.into()).await;
    assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
    assert_eq!(tried[0].attempt.route, "smart_host:relay");
    assert_eq!((server.seen().contents.len(), failing.seen().connections), (2, 1));
}

#[derive(Default)]
struct Observed(Mutex<Vec<TlsObservation>>);

impl ObserveTls for Observed {
    fn observe(&self, observation: TlsObservation) {
        self.0.lock().unwrap().push(observation);
    }
}

#[tokio::test]
async fn what_comes_of_tls_with_one_is_not_told_of_the_recipients_domain() {
    let server = Server::start(NONE, |_| None).await;
    let (mut world, observed) = (World::new(0), Arc::<Observed>::default());
    world.settings.observer = Observer(observed.clone());
    let Route::SmartHosts(relay) = route(&[(server.port(), 1)]) else { panic!() };
    let relay = SmartHosts { tls: SmartHostTls::May, ..SmartHosts::clone(&relay) };
    let message = world.message("one\r\n", &["a@example.org"]);
    let tried = world.attempt(&Route::SmartHosts(Arc::new(relay)), vec![message]).await;
    assert_eq!(outcomes(&tried)[0][0].0, Outcome::Delivered);
    assert!(observed.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn connections_are_shared_out_by_weight() {
    let heavy = Server::start(NONE, |_| None).await;
    let light = Server::start(NONE, |_| None).await;
    let spare = Server::start(NONE, |_| None).await;
    let world = World::new(0);
    let message = world.message("x\r\n", &["a@example.org"]);
    let transports = world.transports().await;
    let route = route(&[(light.port(), 1), (heavy.port(), 4), (spare.port(), 0)]);
    for _ in 0..40 {
        let (tried, mut back) = tokio::sync::mpsc::channel(1);
        transports.attempt(rule(&route), vec![message.clone()], &tried).await;
        assert_eq!(outcome(&[back.recv().await.unwrap()]).0, Outcome::Delivered);
    }
    let [heavy, light, spare] = [heavy, light, spare].map(|server| server.seen().connections);
    assert_eq!((heavy + light, spare), (40, 0));
    assert!(heavy > light && light > 0, "{heavy} and {light}");
}
