//! Limits hold over all workers, and mail that waits for one says for which.

use shared::port::{Taken, Window};

use super::*;
use crate::limits::shaping::{SLOT_LEASE, SLOT_PAUSE};

fn to() -> To {
    To::new("a.example", &["mx.a.example"])
}

#[tokio::test]
async fn messages_a_minute_are_counted_over_all_workers() {
    let world = World::new(2, "[[rule]]\nname = \"all\"\nmessage_rate = \"20/m\"").await;
    let mut gone = 0;
    for worker in world.workers.iter().cycle().take(10) {
        let (some, _, waits) = admit(worker, &to(), mail(5, "default")).await;
        gone += some;
        for (_, wait) in waits {
            assert_eq!((wait.reason, wait.until), (Reason::MessageRate, samples::NOW + MINUTE));
            assert!(wait.text.contains("20/m") && wait.text.contains("rule all"), "{}", wait.text);
        }
    }
    assert!((19..=20).contains(&gone), "{gone} of 50 went");
    world.clock.advance(MINUTE);
    assert_eq!(
        admit(&world.workers[0], &to(), mail(5, "default")).await.0,
        5,
        "the next minute grants again"
    );
}

#[tokio::test]
async fn another_site_has_tokens_of_its_own() {
    let world = World::new(1, "[[rule]]\nname = \"all\"\nmessage_rate = \"5/m\"").await;
    assert_eq!(admit(&world.workers[0], &to(), mail(9, "default")).await.0, 5);
    let other = To::new("b.example", &["mx.b.example"]);
    assert_eq!(admit(&world.workers[0], &other, mail(5, "default")).await.0, 5);
}

#[tokio::test]
async fn what_one_window_refuses_uses_up_no_other() {
    let rules = "[[rule]]\nname = \"all\"\nmessage_rate = [\"4/m\", \"100/h\"]\n\
                 [[rule]]\nname = \"shop\"\ntenant = \"shop\"\nmessage_rate = \"2/m\"";
    let world = World::new(1, rules).await;
    let mut load = mail(4, "shop");
    load.extend(mail(4, "other"));
    let (gone, _, waits) = admit(&world.workers[0], &to(), load).await;
    assert_eq!(gone, 4, "two of the shop and two others: {waits:?}");
    // of the hour, as many are taken as went
    let hour =
        Window { name: "shaping/mx.a.example/messages/3600".to_owned(), limit: 100, period: MINUTE * 60 };
    world.clock.advance(MINUTE);
    for _ in 0..30 {
        admit(&world.workers[0], &to(), mail(4, "other")).await;
        world.clock.advance(MINUTE);
    }
    let left = world.stores.stores.counters.take(&hour, 0, samples::NOW).await.unwrap();
    assert!(matches!(left, Taken::Granted { left: 0..=12 }), "{left:?}");
}

#[tokio::test]
async fn a_tenant_that_has_had_its_share_keeps_no_other_back() {
    let rules = "[[rule]]\nname = \"shop\"\ntenant = \"shop\"\nmessage_rate = \"2/m\"";
    let world = World::new(1, rules).await;
    let mut load = mail(5, "shop");
    load.extend(mail(5, "other"));
    let (gone, _, waits) = admit(&world.workers[0], &to(), load).await;
    let told: Vec<_> = waits.iter().map(|(count, wait)| (*count, wait.reason)).collect();
    assert_eq!((gone, told), (7, vec![(3, Reason::TenantRate)]));
}

#[tokio::test]
async fn connections_at_a_time_are_counted_over_all_workers() {
    let world = World::new(2, "[[rule]]\nname = \"all\"\nconnections = 3").await;
    let mut connections = Vec::new();
    for worker in world.workers.iter().cycle().take(6) {
        let (gone, connection, waits) = admit(worker, &to(), mail(1, "default")).await;
        assert_eq!(gone, usize::from(connection.is_some()));
        if let Some((_, wait)) = waits.first() {
            assert_eq!(wait.reason, Reason::Connections);
        }
        connections.extend(connection);
    }
    assert_eq!(connections.len(), 3);
    world.workers[0].leave(&to().place(), connections.pop(), Vec::new).await;
    world.clock.advance(SLOT_PAUSE);
    let (_, again, _) = admit(&world.workers[1], &to(), mail(1, "default")).await;
    assert!(again.is_some(), "what one worker gives back another one has");
}

#[tokio::test]
async fn a_worker_that_dies_keeps_its_connections_for_a_minute_and_no_longer() {
    let world = World::new(2, "[[rule]]\nname = \"all\"\nconnections = 1").await;
    let (_, connection, _) = admit(&world.workers[0], &to(), mail(1, "default")).await;
    // killed, it gives nothing back
    std::mem::forget(connection.unwrap());
    world.clock.advance(SLOT_LEASE - SECOND);
    assert!(admit(&world.workers[1], &to(), mail(1, "default")).await.1.is_none());
    world.clock.advance(SECOND * 2);
    assert!(admit(&world.workers[1], &to(), mail(1, "default")).await.1.is_some());
}

#[tokio::test]
async fn a_connection_that_lasts_keeps_its_place() {
    let world = World::new(2, "[[rule]]\nname = \"all\"\nconnections = 1").await;
    let (_, connection, _) = admit(&world.workers[0], &to(), mail(1, "default")).await;
    let mut connection = connection.unwrap();
    let keep = async {
        while world.clock.now() <= samples::NOW + SLOT_LEASE * 2 {
            world.clock.advance_to_next_waking().await;
            tokio::task::yield_now().await;
        }
        assert!(admit(&world.workers[1], &to(), mail(1, "default")).await.1.is_none());
    };
    tokio::select! {
        () = connection.keep() => {}
        () = keep => {}
    }
}

#[tokio::test]
async fn who_waits_gets_the_place_that_another_group_of_its_worker_gives_back() {
    let world = World::new(1, "[[rule]]\nname = \"all\"\nconnections = 1").await;
    let worker = Arc::clone(&world.workers[0]);
    let (_, connection, _) = admit(&worker, &to(), mail(1, "default")).await;
    let waiting = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move {
            let mut patience = worker.patience(0, &TenantId::default());
            worker.admit(&to().place(), mail(1, "default"), &mut patience, FREE).await
        }
    });
    world.clock.until_asleep(1).await;
    let claims = world.faults.calls("claim");
    worker.leave(&to().place(), connection, Vec::new).await;
    let admission = waiting.await.unwrap();
    assert!(admission.connection.is_some() && admission.go.len() == 1);
    assert_eq!((world.faults.calls("claim"), world.faults.calls("abandon")), (claims, 0), "at no cost");
}

#[tokio::test]
async fn a_place_that_was_lost_is_passed_on_to_nobody() {
    let world = World::new(2, "[[rule]]\nname = \"all\"\nconnections = 1").await;
    let (one, two) = (Arc::clone(&world.workers[0]), &world.workers[1]);
    let (_, slot, _) = admit(&one, &to(), mail(1, "default")).await;
    let mut slot = slot.unwrap();
    // its process is stopped, and somebody else takes the place
    world.clock.advance(SLOT_LEASE * 2);
    let (gone, _held, _) = admit(two, &to(), mail(1, "default")).await;
    assert_eq!(gone, 1);
    let claims = world.faults.calls("claim");
    let learns = async {
        while world.faults.calls("claim") == claims {
            tokio::task::yield_now().await;
        }
        world.clock.until_asleep(1).await;
    };
    tokio::select! {
        () = slot.keep() => {}
        () = learns => {}
    }
    let waiting = tokio::spawn(async move {
        let mut patience = one.patience(0, &TenantId::default());
        let admission = one.admit(&to().place(), mail(1, "default"), &mut patience, FREE).await;
        (one, admission)
    });
    world.clock.until_asleep(1).await;
    world.workers[0].leave(&to().place(), Some(slot), Vec::new).await;
    while !waiting.is_finished() {
        world.clock.advance_to_next();
        tokio::task::yield_now().await;
    }
    let (_one, admission) = waiting.await.unwrap();
    assert_eq!((admission.go.len(), admission.put_off.len()), (0, 1));
}

#[tokio::test]
async fn new_connections_a_minute_are_counted_and_cost_no_place() {
    let rules = "[[rule]]\nname = \"all\"\nconnections = 9\nconnection_rate = \"2/m\"";
    let world = World::new(1, rules).await;
    let worker = &world.workers[0];
    for _ in 0..2 {
        let (_, connection, _) = admit(worker, &to(), mail(1, "default")).await;
        worker.leave(&to().place(), connection, Vec::new).await;
    }
    let (gone, connection, waits) = admit(worker, &to(), mail(3, "default")).await;
    assert_eq!((gone, connection.is_none()), (0, true));
    assert_eq!((waits[0].0, waits[0].1.reason), (3, Reason::ConnectionRate));
    assert_eq!(world.faults.calls("abandon"), 3, "the place is given back");
}

#[tokio::test]
async fn a_group_takes_a_token_for_each_connection_that_it_will_need() {
    let rules =
        "[[rule]]\nname = \"all\"\nconnections = 9\nconnection_rate = \"3/h\"\nmessages_per_connection = 2";
    let world = World::new(1, rules).await;
    let worker = &world.workers[0];
    let (gone, _first, later) = admit(worker, &to(), mail(9, "default")).await;
    assert_eq!((gone, later[0].0), (6, 3), "three connections of two messages; the rest comes behind them");
    let (gone, _, waits) = admit(worker, &to(), mail(3, "default")).await;
    assert_eq!((gone, waits[0].0, waits[0].1.reason), (0, 3, Reason::ConnectionRate));
    world.clock.advance(MINUTE * 60);
    assert_eq!(admit(worker, &to(), mail(3, "default")).await.0, 3);
}

#[tokio::test]
async fn a_short_wait_is_waited_for() {
    let world = World::new(1, "[[rule]]\nname = \"all\"\nmessage_rate = \"2/s\"").await;
    let worker = &world.workers[0];
    assert_eq!(admit(worker, &to(), mail(2, "default")).await.0, 2);
    let mut patience = worker.patience(0, &TenantId::default());
    let waiting = async { worker.admit(&to().place(), mail(1, "default"), &mut patience, FREE).await };
    let pass = async {
        // until it sleeps for nothing but its turn
        while world.clock.next_waking() != Some(samples::NOW + SECOND) {
            tokio::task::yield_now().await;
        }
        world.clock.advance_to_next();
    };
    let (admission, ()) = tokio::join!(waiting, pass);
    assert_eq!(admission.go.len(), 1);
    assert_eq!(world.clock.now(), samples::NOW + SECOND);
}

#[tokio::test]
async fn a_new_address_sends_what_its_day_allows_to_all_sites_together() {
    let rules = "[[warm_up]]\nsource = \"192.0.2.7\"\nstarted = \"2025-01-01\"\nmessages = [3, 5]";
    let world = World::new(1, rules).await;
    let worker = &world.workers[0];
    let warm = |domain: &str| To { source: Some(pool("mail-7", "192.0.2.7")), ..To::new(domain, &[domain]) };
    assert_eq!(admit(worker, &warm("a.example"), mail(2, "default")).await.0, 2);
    let (gone, _, waits) = admit(worker, &warm("b.example"), mail(4, "default")).await;
    let day = MINUTE * 60 * 24;
    assert_eq!(
        (gone, waits[0].0, waits[0].1.reason, waits[0].1.until),
        (1, 3, Reason::WarmUp, samples::NOW + day)
    );
    assert_eq!(admit(worker, &to(), mail(9, "default")).await.0, 9, "another source has no part in it");
    world.clock.advance(day);
    assert_eq!(admit(worker, &warm("b.example"), mail(9, "default")).await.0, 5);
    world.clock.advance(day);
    assert_eq!(admit(worker, &warm("b.example"), mail(9, "default")).await.0, 9, "its beginning is over");
}

#[tokio::test]
async fn two_new_addresses_of_one_source_bound_it_both() {
    let ramp = |address: &str, most: u32| {
        format!("[[warm_up]]\nsource = \"{address}\"\nstarted = \"2025-01-01\"\nmessages = [{most}]\n")
    };
    let world = World::new(1, &(ramp("192.0.2.7", 9) + &ramp("192.0.2.8", 2))).await;
    let mut source = pool("both", "192.0.2.7");
    source.addresses.push("192.0.2.8".parse().unwrap());
    let warm = To { source: Some(source), ..to() };
    let (gone, _, waits) = admit(&world.workers[0], &warm, mail(5, "default")).await;
    assert_eq!((gone, waits[0].1.reason), (2, Reason::WarmUp));
    assert!(waits[0].1.text.contains("192.0.2.8"), "{}", waits[0].1.text);
}

#[tokio::test]
async fn stores_that_fail_stop_no_mail() {
    let world = World::new(1, "[[rule]]\nname = \"all\"\nconnections = 2\nmessage_rate = \"5/m\"").await;
    world.faults.set(shared::testkit::Mode::Always(shared::testkit::Fate::NothingUnknown));
    let (gone, connection, _) = admit(&world.workers[0], &to(), mail(9, "default")).await;
    assert_eq!((gone, connection.is_some()), (5, true), "each keeps the limits for itself");
    let second = admit(&world.workers[0], &To::new("b.example", &["mx.b.example"]), mail(1, "default")).await;
    assert!(second.1.is_some());
}

#[tokio::test]
async fn what_is_put_off_comes_back_one_after_the_other() {
    let world = World::new(1, "[[rule]]\nname = \"all\"\nmessage_rate = \"60/m\"").await;
    let worker = &world.workers[0];
    admit(worker, &to(), mail(60, "default")).await;
    let mut patience = worker.patience(0, &TenantId::default());
    patience.spend(crate::limits::shaping::WAIT_MAX);
    let admission = worker.admit(&to().place(), mail(30, "default"), &mut patience, FREE).await;
    let mut put_off = admission.put_off;
    let turns = worker.turns(put_off.remove(0));
    assert!(turns.len() >= 4, "not all at once: {}", turns.len());
    assert_eq!(turns.iter().map(|(_, together)| together.len()).sum::<usize>(), 30);
    let (first, last) = (turns[0].0, turns.last().unwrap().0);
    assert!(first >= samples::NOW + MINUTE, "not before the next minute");
    assert!(
        last.since(first) >= SECOND * 20 && last.since(first) <= SECOND * 60,
        "at the rate: {:?}",
        last.since(first)
    );
}

#[tokio::test]
async fn a_tenant_that_waits_for_tomorrow_is_not_in_the_way_of_others() {
    let rules = "[[rule]]\nname = \"all\"\nmessage_rate = \"1/m\"\n\
                 [[rule]]\nname = \"shop\"\ntenant = \"shop\"\nmessage_rate = \"1/day\"";
    let world = World::new(1, rules).await;
    let worker = &world.workers[0];
    let put_off = async |tenant: &str| {
        let mut patience = worker.patience(0, &TenantId::default());
        patience.spend(crate::limits::shaping::WAIT_MAX);
        let mut admission = worker.admit(&to().place(), mail(1, tenant), &mut patience, FREE).await;
        worker.turns(admission.put_off.remove(0)).remove(0).0
    };
    admit(worker, &to(), mail(1, "shop")).await;
    assert!(put_off("shop").await >= samples::NOW + MINUTE * 60 * 24);
    let soon = put_off("other").await;
    assert!(soon >= samples::NOW + MINUTE && soon <= samples::NOW + MINUTE * 2, "{soon}");
}
