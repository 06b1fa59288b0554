//! `spoolway queue`: what an operator orders happens within a minute, and each message can tell of it.

use std::net::SocketAddr;
use std::time::Duration;

use harness::{
    Act, Client, Edge, Identity, Script, Setup, Sink, Step, Sunk, eventually, eventually_within, loopback,
    numbered_message,
};
use serde_json::Value;

/// A minute, and what a busy machine takes.
const MINUTE: Duration = Duration::from_secs(80);

/// An edge whose mail for `b.example` and `c.example` a busy server does not take, and will not be tried again for hours.
fn edge(busy: &Sink, good: &Sink) -> Edge {
    let setup = Setup::default().route("*", &good.route());
    let setup = setup.route("b.example", &busy.route()).route("c.example", &busy.route());
    Edge::start(&setup.section("[retry]\nschedule = [\"4h\"]"))
}

fn submit(edge: &Edge, number: u64, to: &str) -> String {
    Client::submit(edge.smtp(), "a@app.example", &[to], &numbered_message(number, 1_000))
}

fn trace(edge: &Edge, id: &str) -> Value {
    edge.json(&["trace", id])
}

fn attempts(trace: &Value) -> usize {
    trace["deliveries"][0]["attempts"].as_array().map_or(0, Vec::len)
}

fn tried(edge: &Edge, id: &str) {
    eventually("an attempt has ended", || (attempts(&trace(edge, id)) == 1).then_some(()));
}

fn hands(trace: &Value) -> Vec<&str> {
    let orders = trace["deliveries"][0]["orders"].as_array();
    orders.into_iter().flatten().filter_map(|order| order["hand"].as_str()).collect()
}

#[test]
fn mail_is_held_released_bounced_rerouted_and_tried_again() {
    let busy = Sink::scripted(Script::default().on(Step::Dot, Act::Say("451 4.3.0 too busy".into())));
    let good = Sink::start();
    let edge = edge(&busy, &good);
    let (bounced, rerouted) = (submit(&edge, 1, "u@b.example"), submit(&edge, 2, "u@c.example"));
    for id in [&bounced, &rerouted] {
        tried(&edge, id);
    }
    let listed = edge.json(&["queue", "--list", "--reason", "too busy", "--status", "deferred"]);
    assert_eq!(listed["deliveries"].as_array().map(Vec::len), Some(2), "{listed}");

    // one by its id, one by its destination, and one that is not there yet
    edge.json(&["queue", "hold", &bounced]);
    assert_eq!(edge.json(&["queue", "--list", "--status", "held"])["deliveries"][0]["message"], *bounced);
    edge.json(&["queue", "bounce", &bounced, "--because", "sent by mistake"]);
    edge.json(&["queue", "reroute", "--domain", "c.example", "--route", &good.route()]);
    edge.json(&["queue", "retry", "--domain", "c.example"]);
    edge.json(&["queue", "hold", "--domain", "d.example", "--for", "1h"]);
    // until those who deliver know of it, some are sent
    let mut sent = 0;
    let later = eventually_within(MINUTE, "what comes later is held without an attempt", || {
        let id = submit(&edge, 3, "u@d.example");
        let trace = eventually("it is sent or held", || {
            let trace = trace(&edge, &id);
            (!trace["deliveries"].as_array()?.is_empty()).then_some(trace)
        });
        sent += usize::from(hands(&trace).is_empty());
        (hands(&trace) == ["hold"]).then_some(id)
    });
    edge.json(&["queue", "release", "--domain", "d.example"]);

    let settled = |id: &str, status: &str| {
        eventually_within(MINUTE, "the order is obeyed", || {
            let trace = trace(&edge, id);
            (trace["deliveries"][0]["recipients"][0]["status"] == status).then_some(trace)
        })
    };
    let told = settled(&bounced, "bounced");
    assert_eq!(hands(&told), ["hold", "bounce"]);
    let recipient = &told["deliveries"][0]["recipients"][0];
    assert_eq!(recipient["reply"]["text"], "returned by the operator: sent by mistake");
    assert!(recipient["report"].is_string(), "its sender is told");
    assert_eq!(hands(&settled(&rerouted, "delivered")), ["reroute", "retry"]);
    assert_eq!(hands(&settled(&later, "delivered")), ["hold", "release"]);
    // each once, and the report on the one that was bounced
    assert_eq!(good.wait_for(sent + 3).len(), sent + 3);
    let text = String::from_utf8(edge.run(&["trace", &bounced]).stdout).unwrap();
    assert!(text.contains("bounce ordered by") && text.contains("sent by mistake"), "{text}");
}

#[test]
fn mail_is_rerouted_by_smart_hosts_that_the_configuration_names_and_no_others() {
    let busy = Sink::scripted(Script::default().on(Step::Dot, Act::Say("451 4.3.0 too busy".into())));
    let good = Sink::start();
    let (host, port) = good.route().trim_start_matches("smtp://").rsplit_once(':').map(owned).unwrap();
    let relay = format!(
        "[[smart_host]]\nname = \"relay\"\ntls = \"off\"\nhosts = [{{ host = \"{host}\", port = {port} }}]\n\
         [[smart_host]]\nname = \"spare\"\nhosts = [{{ host = \"192.0.2.1\" }}]\n\
         [retry]\nschedule = [\"4h\"]"
    );
    let edge = Edge::start(&Setup::default().route("*", &busy.route()).section(&relay));
    let id = submit(&edge, 1, "u@a.example");
    tried(&edge, &id);
    for (route, told) in [
        (
            "smart_host:realy",
            "--route: there is no smart host `realy`: use smart_host:relay or smart_host:spare",
        ),
        ("relay", "--route: `relay` is not a route: use mx"),
    ] {
        let refused = edge.run(&["queue", "reroute", &id, "--route", route]);
        assert_eq!(refused.status.code(), Some(64));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(told), "{said}");
    }
    edge.json(&["queue", "reroute", &id, "--route", "smart_host:relay"]);
    edge.json(&["queue", "retry", &id]);
    let attempts = eventually_within(MINUTE, "it is delivered", || {
        let trace = trace(&edge, &id);
        (trace["status"] == "settled").then(|| trace["deliveries"][0]["attempts"].clone())
    });
    assert_eq!(attempts[1]["route"], "smart_host:relay", "{attempts}");
    assert_eq!(good.wait_for(1).len(), 1);
}

#[test]
fn the_mail_of_one_tenant_is_held_and_that_of_others_goes_on() {
    let sink = Sink::start();
    let (implicit, identity) = (SocketAddr::from((loopback(), 2465)), Identity::new(loopback()));
    let setup = Setup::with_logins(&identity).implicit_tls(implicit).route("*", &sink.route());
    let edge = Edge::start(&setup.section("[retry]\nschedule = [\"1s\"]"));
    sink.cut();
    let [shop, news] = [(1, "shop"), (2, "news")].map(|(number, tenant)| {
        let told = edge.json(&["credential", "add", tenant, "--tenant", tenant, "--from", "@example.com"]);
        let mut client = Client::logged_in(implicit, &identity, tenant, told["secret"].as_str().unwrap());
        client.queued("app@example.com", &["u@b.example"], &numbered_message(number, 1_000))
    });
    let tried_after = |id: &str, before: usize| {
        eventually("it is tried", || Some(attempts(&trace(&edge, id))).filter(|tried| *tried > before))
    };
    tried_after(&shop, 0);
    tried_after(&news, 0);

    let told = edge.json(&["queue", "hold", "--tenant", "shop"]);
    assert_eq!((&told["messages"], &told["first"][0]["message"]), (&1.into(), &shop.as_str().into()));
    let held = edge.json(&["queue", "--list", "--status", "held"]);
    let held: Vec<_> = held["deliveries"].as_array().unwrap().iter().map(|row| &row["message"]).collect();
    assert_eq!(held, [&shop]);
    // what was under way when the hold came is over
    tried_after(&news, attempts(&trace(&edge, &news)) + 1);
    let before = attempts(&trace(&edge, &shop));
    sink.mend();
    let gone = edge.settled(&news);
    assert_eq!((hands(&gone), sink.wait_for(1)[0].number()), (vec![], 2));
    let kept = trace(&edge, &shop);
    assert_eq!((&kept["tenant"], attempts(&kept)), (&"shop".into(), before), "{kept}");

    edge.json(&["queue", "release", "--tenant", "shop"]);
    let gone = eventually_within(MINUTE, "it is released", || {
        let trace = trace(&edge, &shop);
        (trace["status"] == "settled").then_some(trace)
    });
    assert_eq!(gone["deliveries"][0]["recipients"][0]["status"], "delivered");
    assert_eq!(hands(&gone), ["hold", "release"]);
    let numbers: Vec<u64> = sink.wait_for(2).iter().map(Sunk::number).collect();
    assert_eq!(numbers, [2, 1]);
}

fn owned((host, port): (&str, &str)) -> (String, String) {
    (host.to_owned(), port.to_owned())
}
