//! What is due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::Fixture;
use super::super::fixture::Pair;
use super::super::samples::{NOW, delivery, record};
use super::{LEASE, read, write};
use crate::job::Delivery;
use crate::mail::Timestamp;
use crate::port::{
    DUE_SHARDS, Deliveries, DeliveryState, Next, PendingCursor, RecipientStatus, Record, due_shard,
};

const SECOND: Duration = Duration::from_secs(1);

/// A delivery, deferred until `at`, in the shard `shard`, or in any.
fn deferred(at: Timestamp, shard: Option<u8>) -> Record {
    let tried = loop {
        let tried = delivery(&["r@example.org"]);
        if shard.is_none_or(|shard| due_shard(&tried.key) == shard) {
            break tried;
        }
    };
    let next = Next::Due { at, delivery: Box::new(Delivery { attempt: 2, ..tried.clone() }) };
    Record { next, ..record(&tried, RecipientStatus::Deferred) }
}

async fn due(deliveries: &dyn Deliveries, shard: u8, now: Timestamp) -> Vec<Delivery> {
    deliveries.due(shard, now, LEASE, 100).await.expect("a sound store tells what is due")
}

pub(super) async fn what_is_due_is_leased_to_one_caller(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let written = deferred(NOW + SECOND, None);
    let Next::Due { delivery: expected, .. } = written.next.clone() else { panic!("it is deferred") };
    let (key, shard) = (written.delivery.key.clone(), due_shard(&written.delivery.key));
    write(&*a, written).await;
    assert!(due(&*b, shard, NOW).await.is_empty(), "not before its time");
    let later = NOW + SECOND;
    assert!(due(&*b, (shard + 1) % DUE_SHARDS, later).await.is_empty(), "not in another shard");
    assert_eq!(due(&*a, shard, later).await, [*expected.clone()]);
    assert!(due(&*b, shard, later).await.is_empty());
    assert!(due(&*b, shard, later + LEASE - SECOND).await.is_empty());
    // its job was lost: it is due again
    assert_eq!(due(&*b, shard, later + LEASE).await, [*expected]);
    let state = read(&*a, &key).await.expect("it is there");
    assert_eq!(state.due_at, Some(later + LEASE * 2), "the due time is never cleared by a lease");
}

pub(super) async fn callers_that_race_never_get_the_same_delivery(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let mut keys = BTreeSet::new();
    for n in 0..12 {
        let written = deferred(NOW + SECOND * n, Some(5));
        keys.insert(written.delivery.key.clone());
        write(&*a, written).await;
    }
    let callers: Vec<_> = (0..6)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &a } else { &b });
            tokio::spawn(async move { store.due(5, NOW + LEASE, LEASE, 3).await.expect("due") })
        })
        .collect();
    let mut found = Vec::new();
    for caller in callers {
        let some = caller.await.expect("the task ends");
        assert!(some.len() <= 3, "no more are leased than was asked for");
        found.extend(some.into_iter().map(|delivery| delivery.key));
    }
    let unique: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(found.len(), unique.len(), "two callers have one delivery");
    // a caller may find less than there is where another one takes it away
    let rest = due(&*a, 5, NOW + LEASE).await;
    assert!(rest.iter().all(|delivery| !unique.contains(&delivery.key)));
    assert_eq!(
        unique.into_iter().chain(rest.into_iter().map(|rest| rest.key)).collect::<BTreeSet<_>>(),
        keys
    );
}

pub(super) async fn a_record_ends_a_lease(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    for status in [RecipientStatus::Delivered, RecipientStatus::Deferred] {
        let written = deferred(NOW, None);
        let shard = due_shard(&written.delivery.key);
        write(&*a, written).await;
        let leased = due(&*a, shard, NOW).await.remove(0);
        let mut after = record(&leased, status);
        let again_at = NOW + LEASE * 5;
        if let Next::Due { at, .. } = &mut after.next {
            *at = again_at;
        }
        write(&*b, after).await;
        assert!(due(&*a, shard, again_at - SECOND).await.is_empty(), "the lease has no say any more");
        let last = due(&*a, shard, again_at).await;
        assert_eq!(last.len(), usize::from(status == RecipientStatus::Deferred));
        assert!(last.iter().all(|delivery| delivery.attempt == 3));
    }
}

pub(super) async fn pending_deliveries_are_listed_by_due_time(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let mut keys = BTreeSet::new();
    // some at the same time
    for n in [3, 1, 2, 1, 3, 1, 0] {
        let written = deferred(NOW + SECOND * n, Some(9));
        keys.insert(written.delivery.key.clone());
        write(&*a, written).await;
    }
    write(&*a, deferred(NOW, Some(10))).await;
    let mut settled = deferred(NOW, Some(9));
    settled.next = Next::Settled;
    settled.recipients[0].status = RecipientStatus::Delivered;
    write(&*a, settled).await;
    for _ in 0..2 {
        let mut found: Vec<DeliveryState> = Vec::new();
        loop {
            let after = found.last().map(|last| PendingCursor {
                due_at: last.due_at.expect("what is pending is due"),
                key: last.key.clone(),
            });
            let page = b.pending(9, after, 2).await.expect("pending");
            assert!(page.len() <= 2);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert!(found.is_sorted_by_key(|state| state.due_at));
        assert_eq!(
            (found.len(), found.into_iter().map(|state| state.key).collect()),
            (keys.len(), keys.clone())
        );
    }
    assert_eq!(due(&*a, 9, NOW + LEASE).await.len(), keys.len(), "the listing leases nothing");
}

pub(super) async fn state_outlives_its_handles(fixture: &dyn Fixture<dyn Deliveries>) {
    let pair = Pair::open(fixture).await;
    let written = deferred(NOW, None);
    let (key, shard) = (written.delivery.key.clone(), due_shard(&written.delivery.key));
    write(&*pair.a, written).await;
    // a caller that dies with its lease
    assert_eq!(due(&*pair.a, shard, NOW).await.len(), 1);
    let (_store, deliveries) = pair.reopen().await;
    assert!(read(&*deliveries, &key).await.is_some());
    assert_eq!(due(&*deliveries, shard, NOW + LEASE).await.len(), 1);
}
