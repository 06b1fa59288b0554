//! A connection that is kept for the next message holds its place: for its own process, and against all others.

use super::*;
use crate::limits::shaping::{SLOT_GRACE, SLOT_LEASE, SLOT_PAUSE};

const ONE: &str = "[[rule]]\nname = \"all\"\nconnections = 1";
const KEEP: Duration = Duration::from_secs(5);

fn to() -> To {
    To::new("a.example", &["mx.a.example"])
}

/// Lets the time pass in the steps of those who sleep.
async fn pass(world: &World, span: Duration) {
    let end = world.clock.now() + span;
    while world.clock.now() < end {
        world.clock.advance(SLOT_PAUSE);
        // until whoever tends places has done what is due, and sleeps again
        let is_awake = || world.clock.next_waking().is_none_or(|at| at <= world.clock.now());
        while world.workers.iter().any(|worker| worker.slots.is_tended()) && is_awake() {
            tokio::task::yield_now().await;
        }
    }
}

/// A connection of `worker` to `to`, which is kept behind its message.
async fn used_and_kept(world: &World, worker: &Shaper, to: &To) {
    let (_, connection, _) = admit(worker, to, mail(1, "default")).await;
    assert!(connection.is_some());
    worker.leave(&to.place(), connection, || vec![world.clock.now() + KEEP]).await;
}

#[tokio::test]
async fn a_connection_that_is_kept_keeps_others_out_until_it_is_closed() {
    let world = World::new(2, ONE).await;
    used_and_kept(&world, &world.workers[0], &to()).await;
    pass(&world, KEEP).await;
    let own = admit(&world.workers[0], &to(), mail(1, "default")).await.1;
    assert!(own.is_none(), "it says QUIT, and one more would be one too many");
    assert!(admit(&world.workers[1], &to(), mail(1, "default")).await.1.is_none(), "it may be open still");
    pass(&world, SLOT_GRACE + SLOT_PAUSE * 2).await;
    assert!(admit(&world.workers[1], &to(), mail(1, "default")).await.1.is_some());
}

#[tokio::test]
async fn the_next_message_of_the_same_process_has_the_place_of_the_kept_connection_at_no_cost() {
    let world = World::new(1, ONE).await;
    used_and_kept(&world, &world.workers[0], &to()).await;
    let calls = (world.faults.calls("claim"), world.faults.calls("abandon"));
    for _ in 0..3 {
        used_and_kept(&world, &world.workers[0], &to()).await;
    }
    assert_eq!((world.faults.calls("claim"), world.faults.calls("abandon")), calls);
}

#[tokio::test]
async fn no_more_places_stay_than_connections_are_kept() {
    let world = World::new(2, "[[rule]]\nname = \"all\"\nconnections = 3").await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(admit(&world.workers[0], &to(), mail(1, "default")).await.1);
    }
    // two of the three broke
    let kept = [world.clock.now() + KEEP];
    for connection in connections {
        world.workers[0].leave(&to().place(), connection, || kept.to_vec()).await;
    }
    let mut others = Vec::new();
    for _ in 0..3 {
        others.extend(admit(&world.workers[1], &to(), mail(1, "default")).await.1);
    }
    assert_eq!(others.len(), 2);
}

#[tokio::test]
async fn a_place_lasts_as_long_as_the_last_connection_that_is_kept() {
    let world = World::new(2, "[[rule]]\nname = \"all\"\nconnections = 2").await;
    let worker = &world.workers[0];
    let first = admit(worker, &to(), mail(1, "default")).await.1;
    let second = admit(worker, &to(), mail(1, "default")).await.1;
    let until = world.clock.now() + KEEP;
    worker.leave(&to().place(), first, || vec![until]).await;
    pass(&world, KEEP - SLOT_PAUSE).await;
    // the first connection is closed, and the second one is kept by the place of the first
    let until = world.clock.now() + KEEP;
    worker.leave(&to().place(), second, || vec![until]).await;
    pass(&world, KEEP - SLOT_PAUSE).await;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.extend(admit(&world.workers[1], &to(), mail(1, "default")).await.1);
    }
    assert_eq!(others.len(), 1);
}

#[tokio::test]
async fn a_process_that_rests_gives_every_place_back_at_once() {
    let world = World::new(2, ONE).await;
    used_and_kept(&world, &world.workers[0], &to()).await;
    world.workers[0].rest().await;
    assert!(admit(&world.workers[1], &to(), mail(1, "default")).await.1.is_some());
}

#[tokio::test]
async fn a_connection_that_is_kept_for_longer_than_a_lease_keeps_its_place() {
    let world = World::new(2, ONE).await;
    let (_, connection, _) = admit(&world.workers[0], &to(), mail(1, "default")).await;
    let until = world.clock.now() + SLOT_LEASE * 2;
    world.workers[0].leave(&to().place(), connection, || vec![until]).await;
    pass(&world, SLOT_LEASE + SLOT_LEASE / 2).await;
    assert!(admit(&world.workers[1], &to(), mail(1, "default")).await.1.is_none());
}

#[tokio::test]
async fn a_connection_to_another_site_of_those_that_are_counted_together_makes_room() {
    let rules =
        "[[rule]]\nname = \"provider\"\nsite = \"provider.example\"\ntogether = true\nconnections = 1";
    let world = World::new(1, rules).await;
    let (one, other) =
        (To::new("a.example", &["a.provider.example"]), To::new("b.example", &["b.provider.example"]));
    used_and_kept(&world, &world.workers[0], &one).await;
    let (gone, connection, _) = admit(&world.workers[0], &other, mail(1, "default")).await;
    assert_eq!(gone, 1, "nobody waits for a connection that nobody uses");
    let connection = connection.unwrap();
    assert_eq!(connection.displaces(&other.site), Some(&one.site));
    let (_, second, _) = admit(&world.workers[0], &one, mail(1, "default")).await;
    assert!(second.is_none(), "and there is no second place");
}

#[tokio::test]
async fn a_place_that_was_not_used_stays_with_its_connection() {
    let rules = "[[rule]]\nname = \"provider\"\nsite = \"provider.example\"\ntogether = true\nconnections = 1\nconnection_rate = \"1/h\"";
    let world = World::new(2, rules).await;
    let (one, other) =
        (To::new("a.example", &["a.provider.example"]), To::new("b.example", &["b.provider.example"]));
    used_and_kept(&world, &world.workers[0], &one).await;
    let (_, _, waits) = admit(&world.workers[0], &other, mail(1, "default")).await;
    assert_eq!(waits[0].1.reason, Reason::ConnectionRate, "it would be a new one");
    assert_eq!(world.faults.calls("abandon"), 0, "its connection is open");
    assert!(admit(&world.workers[0], &one, mail(1, "default")).await.1.is_some());
}

#[tokio::test]
async fn only_a_new_connection_counts_against_their_rate() {
    let rules = "[[rule]]\nname = \"all\"\nconnections = 2\nconnection_rate = \"2/h\"";
    let world = World::new(1, rules).await;
    for _ in 0..5 {
        used_and_kept(&world, &world.workers[0], &to()).await;
    }
    let first = admit(&world.workers[0], &to(), mail(1, "default")).await.1;
    let second = admit(&world.workers[0], &to(), mail(1, "default")).await.1;
    assert!(first.is_some() && second.is_some(), "the kept one, and a second one");
    world.workers[0].leave(&to().place(), second, Vec::new).await;
    let (gone, _, waits) = admit(&world.workers[0], &to(), mail(1, "default")).await;
    assert_eq!((gone, waits[0].1.reason), (0, Reason::ConnectionRate), "a third one");
}
