//! Claims.

use std::sync::Arc;
use std::time::Duration;

use super::super::Fixture;
use super::super::fixture::Pair;
use super::super::samples::{NOW, delivery, record, unique};
use super::{LEASE, read, write};
use crate::port::{Claim, Deliveries, RecipientStatus};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn a_claim_keeps_others_out_until_its_lease_ends(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let job = unique("job");
    assert_eq!(a.claim(&job, "one", NOW, LEASE).await.expect("claim"), Claim::Taken { again: false });
    let before = NOW + LEASE - SECOND;
    let held = Claim::Held { until: NOW + LEASE };
    assert_eq!(b.claim(&job, "two", before, LEASE).await.expect("claim"), held);
    // another job is another matter
    assert_eq!(
        b.claim(&unique("job"), "two", NOW, LEASE).await.expect("claim"),
        Claim::Taken { again: false }
    );
    let after = NOW + LEASE + SECOND;
    assert_eq!(b.claim(&job, "two", after, LEASE).await.expect("claim"), Claim::Taken { again: true });
    let held = Claim::Held { until: after + LEASE };
    assert_eq!(a.claim(&job, "one", after, LEASE).await.expect("claim"), held);
}

pub(super) async fn a_claim_by_the_same_holder_renews_the_lease(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let job = unique("job");
    a.claim(&job, "one", NOW, LEASE).await.expect("claim");
    let later = NOW + SECOND * 30;
    assert_eq!(b.claim(&job, "one", later, LEASE).await.expect("claim"), Claim::Taken { again: true });
    let held = Claim::Held { until: later + LEASE };
    assert_eq!(a.claim(&job, "two", NOW + LEASE + SECOND, LEASE).await.expect("claim"), held);
}

pub(super) async fn a_finished_job_stays_finished(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let job = unique("job");
    a.claim(&job, "one", NOW, LEASE).await.expect("claim");
    a.finish(&job, "one", NOW + LEASE * 100).await.expect("finish");
    a.abandon(&job, "one").await.expect("abandon");
    for (holder, now) in [("one", NOW), ("two", NOW), ("two", NOW + LEASE * 2)] {
        assert_eq!(b.claim(&job, holder, now, LEASE).await.expect("claim"), Claim::Finished);
    }
}

pub(super) async fn a_claim_given_up_is_free_at_once(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let job = unique("job");
    b.abandon(&job, "one").await.expect("a job that nobody claimed can be given up");
    assert_eq!(a.claim(&job, "one", NOW, LEASE).await.expect("claim"), Claim::Taken { again: false });
    b.abandon(&job, "two").await.expect("abandon");
    assert!(
        matches!(b.claim(&job, "two", NOW, LEASE).await.expect("claim"), Claim::Held { .. }),
        "who does not hold a claim cannot give it up"
    );
    a.abandon(&job, "one").await.expect("abandon");
    assert_eq!(b.claim(&job, "two", NOW, LEASE).await.expect("claim"), Claim::Taken { again: true });
}

pub(super) async fn of_claims_that_race_one_wins(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let job = unique("job");
    // once for a job that nobody had, and once for one whose lease has ended
    for (again, now) in [(false, NOW), (true, NOW + LEASE * 2)] {
        let claims: Vec<_> = (0..8)
            .map(|n| {
                let (store, job) = (Arc::clone(if n % 2 == 0 { &a } else { &b }), job.clone());
                tokio::spawn(
                    async move { store.claim(&job, &format!("holder {n} {again}"), now, LEASE).await },
                )
            })
            .collect();
        let mut taken = 0;
        for claim in claims {
            match claim.await.expect("the task ends").expect("claim") {
                Claim::Taken { again: told } => {
                    assert_eq!(told, again);
                    taken += 1;
                }
                Claim::Held { until } => assert_eq!(until, now + LEASE),
                Claim::Finished => panic!("nobody finished the job"),
            }
        }
        assert_eq!(taken, 1);
    }
}

pub(super) async fn old_claims_and_items_are_forgotten_and_no_others(fixture: &dyn Fixture<dyn Deliveries>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (old, new) = (unique("old"), unique("new"));
    for (job, forget_at) in [(&old, NOW + LEASE), (&new, NOW + LEASE * 100)] {
        a.claim(job, "one", NOW, LEASE).await.expect("claim");
        a.finish(job, "one", forget_at).await.expect("finish");
    }
    let (gone, kept) = (delivery(&["r@example.org"]), delivery(&["r@example.org"]));
    for (delivery, forget_at) in [(&gone, NOW + LEASE), (&kept, NOW + LEASE * 100)] {
        let mut written = record(delivery, RecipientStatus::Delivered);
        written.forget_at = forget_at;
        write(&*a, written).await;
    }
    assert_eq!(b.forget(NOW, 10).await.expect("forget"), 0);
    let now = NOW + LEASE * 10;
    let mut forgotten = 0;
    loop {
        let some = b.forget(now, 1).await.expect("forget");
        assert!(some <= 1, "no more are deleted than was asked for");
        if some == 0 {
            break;
        }
        forgotten += some;
    }
    // a store that forgets by itself does so in its own time
    if forgotten > 0 {
        assert_eq!(forgotten, 2);
        assert_eq!(a.claim(&old, "two", now, LEASE).await.expect("claim"), Claim::Taken { again: false });
        assert_eq!(read(&*a, &gone.key).await, None);
    }
    assert_eq!(a.claim(&new, "two", now, LEASE).await.expect("claim"), Claim::Finished);
    assert!(read(&*a, &kept.key).await.is_some());
}
