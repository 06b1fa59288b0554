//! What servers reply suspends and slows down, for all workers.

use shared::mail::{FailureClass, FailureScope};

use super::*;
use crate::limits::shaping::{SLOW_DOWN_EVERY, SLOW_DOWN_MIN, SUSPENSION_AGE};

const RULES: &str = r#"
    [[rule]]
    name = "all"
    connections = 8
    message_rate = "40/m"
    [[rule.on]]
    code = "421"
    text = ["too many connections", "TSS04"]
    then = "suspend"
    for = "10m"
    [[rule.on]]
    enhanced = "4.7.28"
    then = "slow_down"
    factor = 0.25
    for = "1h"
    [[rule.on]]
    text = "your account"
    then = "suspend_tenant"
    for = "30m"
    [[rule]]
    name = "careful"
    site = "mx.c.example"
    [[rule.on]]
    code = "4xx"
    text = "mailbox busy"
    then = "ignore"
    [[rule.on]]
    code = "4xx"
    then = "suspend"
    for = "1m"
"#;

fn to() -> To {
    To::new("a.example", &["mx.a.example"])
}

async fn says(worker: &Shaper, to: &To, tenant: &str, code: u16, text: &str) {
    let reply = Reply::received(code, text).unwrap();
    worker.observe(&to.place(), &TenantId(tenant.to_owned()), &reply, None).await;
}

/// How many of ten of each tenant go, and the reasons why others do not.
async fn gone(worker: &Shaper, to: &To, tenant: &str) -> (usize, Vec<Reason>) {
    let (gone, connection, waits) = admit(worker, to, mail(10, tenant)).await;
    worker.leave(&to.place(), connection, Vec::new).await;
    (gone, waits.into_iter().map(|(_, wait)| wait.reason).collect())
}

#[tokio::test]
async fn a_reply_suspends_the_site_for_all_workers_and_no_other_site() {
    let world = World::new(2, RULES).await;
    let [one, two] = [&world.workers[0], &world.workers[1]];
    says(one, &to(), "shop", 421, "4.7.0 Too many\nconnections from you").await;
    says(one, &to(), "shop", 421, "4.7.0 [TSS04] deferred").await;
    assert_eq!(
        gone(one, &to(), "shop").await,
        (0, vec![Reason::Suspended]),
        "words over two lines are found"
    );
    assert_eq!(gone(two, &to(), "other").await, (0, vec![Reason::Suspended]));
    let (_, _, waits) = admit(two, &to(), mail(1, "shop")).await;
    let wait = &waits[0].1;
    assert_eq!(wait.until, samples::NOW + MINUTE * 10);
    // its own words, which may name a recipient, are for the operator alone
    assert_eq!(wait.text, "mx.a.example is suspended by rule all after 421 4.7.0");
    assert_eq!(gone(two, &To::new("b.example", &["mx.b.example"]), "shop").await, (10, vec![]));
    world.clock.advance(MINUTE * 10);
    assert_eq!(gone(two, &to(), "shop").await, (10, vec![]), "it ends by itself");
}

#[tokio::test]
async fn a_worker_that_knows_of_none_learns_of_a_suspension_in_seconds() {
    let world = World::new(2, RULES).await;
    assert_eq!(gone(&world.workers[1], &to(), "shop").await.0, 10);
    says(&world.workers[0], &to(), "shop", 421, "too many connections").await;
    world.clock.advance(SUSPENSION_AGE);
    assert_eq!(gone(&world.workers[1], &to(), "shop").await.0, 0);
    assert_eq!(gone(world.worker().await.as_ref(), &to(), "shop").await.0, 0, "a new one knows at once");
}

#[tokio::test]
async fn replies_that_ask_for_nothing_do_nothing() {
    let world = World::new(1, RULES).await;
    let worker = &world.workers[0];
    for (code, text) in [
        (250, "2.0.0 too many connections, but fine"),
        (450, "too many connections"),
        (421, "4.3.2 closing"),
        (451, "4.7.29 slow"),
        (451, "5.7.28 no such class"),
    ] {
        says(worker, &to(), "shop", code, text).await;
    }
    assert_eq!((gone(worker, &to(), "shop").await.0, world.faults.calls("mark")), (10, 0));
}

#[tokio::test]
async fn a_reply_may_suspend_one_tenant_and_leave_the_others_alone() {
    let world = World::new(2, RULES).await;
    says(&world.workers[0], &to(), "shop", 550, "5.7.1 your account sends too much").await;
    let mut load = mail(3, "shop");
    load.extend(mail(4, "other"));
    let (gone, _, waits) = admit(&world.workers[1], &to(), load).await;
    let told: Vec<_> = waits.iter().map(|(count, wait)| (*count, wait.reason)).collect();
    assert_eq!((gone, told), (4, vec![(3, Reason::TenantSuspended)]));
}

#[tokio::test]
async fn a_slow_down_is_a_share_of_rates_and_connections_and_grows_once_a_while() {
    let world = World::new(1, RULES).await;
    let worker = &world.workers[0];
    // many connections hear the same at once
    for _ in 0..5 {
        says(worker, &to(), "shop", 421, "4.7.28 unusual rate").await;
    }
    let numbers = worker.explain(&to().place(), None).await.numbers;
    let now: Vec<_> = numbers.iter().map(|number| (number.name, number.slowed_to.as_deref())).collect();
    assert_eq!(now, [("connections", Some("2")), ("message_rate", Some("10/m"))]);
    let mut sent = 0;
    for _ in 0..3 {
        sent += gone(worker, &to(), "shop").await.0;
    }
    assert_eq!(sent, 10);
    let mut factors = Vec::new();
    for _ in 0..4 {
        world.clock.advance(SLOW_DOWN_EVERY);
        says(worker, &to(), "shop", 421, "4.7.28 unusual rate").await;
        let measures = worker.explain(&to().place(), None).await.measures;
        factors.push(measures[0].measure.factor);
    }
    assert_eq!(factors, [0.0625, SLOW_DOWN_MIN, SLOW_DOWN_MIN, SLOW_DOWN_MIN]);
    world.clock.advance(MINUTE * 61);
    assert_eq!(gone(worker, &to(), "shop").await.0, 10);
    assert!(worker.explain(&to().place(), None).await.measures.is_empty());
}

#[tokio::test]
async fn the_most_specific_rule_that_speaks_of_a_reply_decides() {
    let world = World::new(1, RULES).await;
    let careful = To::new("c.example", &["mx.c.example"]);
    let worker = &world.workers[0];
    says(worker, &careful, "shop", 450, "mailbox busy").await;
    assert_eq!(gone(worker, &careful, "shop").await.0, 10, "it is to be ignored");
    says(worker, &careful, "shop", 421, "too many connections").await;
    let (_, _, waits) = admit(worker, &careful, mail(1, "shop")).await;
    assert_eq!(waits[0].1.until, samples::NOW + MINUTE, "by its own rule");
}

#[tokio::test]
async fn many_replies_of_a_kind_are_written_once() {
    let world = World::new(1, RULES).await;
    for _ in 0..50 {
        says(&world.workers[0], &to(), "shop", 421, "too many connections").await;
    }
    assert_eq!(world.faults.calls("mark"), 1);
}

#[test]
fn the_built_in_rules_hear_what_large_providers_say() {
    let rules = Rules::default();
    for (host, code, text, expected) in [
        ("mx.a.example", 421, "4.7.0 Too many connections from your IP", "slow_down to 0.5"),
        ("mx.a.example", 450, "4.2.1 mailbox exceeded its rate limit", "ignore"),
        ("mx.a.example", 451, "4.7.1 Greylisted, please try again later", ""),
        ("mx.a.example", 421, "4.3.2 not accepting network messages", "suspend"),
        ("mx.a.example", 550, "5.1.1 no such user", ""),
        (
            "alt1.gmail-smtp-in.l.google.com",
            421,
            "4.7.28 Gmail has detected an unusual rate",
            "slow_down to 0.25",
        ),
        ("alt1.gmail-smtp-in.l.google.com", 450, "4.2.1 The user is receiving mail at a rate", "ignore"),
        ("mta5.am0.yahoodns.net", 421, "4.7.0 [TSS04] Messages temporarily deferred", "suspend"),
        (
            "hotmail-com.olc.protection.outlook.com",
            451,
            "4.7.650 The mail server has been temporarily rate limited",
            "slow_down to 0.25",
        ),
        (
            "example-com.mail.protection.outlook.com",
            451,
            "4.7.500 Server busy. Please try again later (AS77714)",
            "slow_down to 0.25",
        ),
        ("mx00.emig.gmx.net", 421, "Rate limit reached. Please try again later", "slow_down to 0.25"),
        ("smtp-in.orange.fr", 421, "mwinf5c Service refused, OFR004_104", "suspend"),
        ("mx1.qq.com", 550, "Ip frequency limited", "suspend"),
    ] {
        let shape = Shape::of(&rules, &To::new("a.example", &[host]).place(), None);
        let reply = Reply::received(code, text).unwrap();
        let action = shape.automation(&reply, None).map_or(String::new(), |(_, on)| on.action.to_string());
        assert_eq!(action, expected, "{host}: {reply}");
    }
}

#[test]
fn a_rule_may_ask_for_what_a_reply_means_in_place_of_its_words() {
    let shape = Shape::of(&Rules::default(), &to().place(), None);
    let action = |code, text, class, scope| {
        let reply = Reply::received(code, text).unwrap();
        let on = shape.automation(&reply, Some(FailureKind { class, scope }));
        on.map_or(String::new(), |(_, on)| on.action.to_string())
    };
    let (rate, site) = (FailureClass::RateLimit, FailureScope::Site);
    assert_eq!(action(450, "4.7.1 slower please", rate, site), "slow_down to 0.5");
    assert_eq!(action(450, "4.7.1 slower please", FailureClass::Greylisting, site), "");
    for scope in [FailureScope::Recipient, FailureScope::Message] {
        assert_eq!(action(452, "4.5.3 enough of them", rate, scope), "", "it says nothing of the site");
    }
    assert_eq!(action(550, "5.7.1 enough of you", rate, site), "", "the code is another");
}
