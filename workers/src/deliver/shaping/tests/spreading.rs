//! Workers that know nothing of each other do not come back at one moment, and ask the counters seldom.

use std::collections::BTreeSet;

use super::*;

const WORKERS: usize = 8;

/// Mail that waits so long.
fn put_off(span: Duration, whole: bool) -> PutOff {
    let until = samples::NOW + span;
    PutOff { deliveries: mail(1, "default"), wait: Wait { until, whole, ..waits_unknown() } }
}

#[tokio::test]
async fn workers_that_wait_for_the_same_come_back_at_different_times_and_hardly_later() {
    let world = World::new(WORKERS, "").await;
    // a tenth of it at most; and of a long one five seconds, as mail of one job waits for the rest of it
    for (wait, most) in
        [(SECOND * 20, SECOND * 2), (MINUTE * 10, POSTPONE_MERGE), (MINUTE * 600, POSTPONE_MERGE)]
    {
        for whole in [true, false] {
            let mut times = BTreeSet::new();
            for worker in &world.workers {
                let turns = worker.turns(put_off(wait, whole));
                let [(at, deliveries)] = &turns[..] else { panic!("one job: {turns:?}") };
                assert_eq!(deliveries.len(), 1);
                assert!((wait..=wait + most).contains(&at.since(samples::NOW)), "{wait:?}: {at:?}");
                times.insert(at.millis());
            }
            assert_eq!(times.len(), WORKERS, "{wait:?}: {times:?}");
        }
    }
}

/// How often the counters were asked for tokens while `messages` went, in groups of so many, one group after the other.
async fn asked(world: &World, messages: usize, each: usize) -> u64 {
    let to = To::new("a.example", &["mx.a.example"]);
    let before = world.faults.calls("take");
    for _ in 0..messages / each {
        let (gone, _, waits) = admit(&world.workers[0], &to, mail(each, "default")).await;
        assert_eq!(gone, each, "{waits:?}");
    }
    world.faults.calls("take") - before
}

#[tokio::test]
async fn tokens_are_taken_in_blocks_and_not_one_a_message() {
    let rules = "[[rule]]\nname = \"all\"\nmessage_rate = \"100000/h\"";
    let world = World::new(1, rules).await;
    assert_eq!(asked(&world, 100, 100).await, 1, "a group asks once");
    // of the first hundred, a share is had in advance of whoever comes one by one
    let alone = asked(&world, 100, 1).await;
    assert!((1..=20).contains(&alone), "{alone} requests for a hundred messages");
    let later = asked(&world, 1000, 1).await;
    assert!((1..=50).contains(&later), "{later} requests for a thousand messages more");
}

#[tokio::test]
async fn groups_that_want_tokens_at_the_same_time_share_a_request() {
    let world = World::new(1, "[[rule]]\nname = \"all\"\nmessage_rate = \"100000/h\"").await;
    let to = To::new("a.example", &["mx.a.example"]);
    let groups = (0..100).map(|_| admit(&world.workers[0], &to, mail(1, "default")));
    let gone: usize = futures::future::join_all(groups).await.into_iter().map(|(gone, _, _)| gone).sum();
    assert_eq!(gone, 100);
    let calls = world.faults.calls("take");
    assert!((1..=10).contains(&calls), "{calls} requests for a hundred messages");
}
