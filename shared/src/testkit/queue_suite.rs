//! The contract of a queue.

mod checks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fixture::{Belief, Pair};
use super::samples::unique;
use super::{Faults, Faulty, Fixture, Mode, Windows, eventually};
use crate::mail::TenantId;
use crate::port::{Outgoing, PortResult, Queue, Received};

/// Checks the contract of [`Queue`].
pub async fn queue_suite(fixture: &dyn Fixture<dyn Queue>) {
    checks::an_entry_sent_is_received_and_is_gone_once_acknowledged(fixture).await;
    checks::a_batch_has_a_result_for_each_entry(fixture).await;
    checks::what_sqs_would_not_take_is_refused(fixture).await;
    checks::an_entry_not_acknowledged_comes_back_and_its_receipt_goes_stale(fixture).await;
    checks::an_entry_is_held_on_to_and_given_back_by_release(fixture).await;
    checks::a_delayed_entry_is_not_visible_before_its_time(fixture).await;
    checks::an_entry_received_too_often_goes_to_the_dead_letter_queue(fixture).await;
    checks::a_receive_that_waits_is_woken_by_a_send(fixture).await;
    checks::a_receive_that_waits_sees_an_entry_come_back(fixture).await;
    checks::an_empty_queue_is_not_waited_for_unless_asked(fixture).await;
    checks::a_priority_loses_no_entry_and_comes_first_where_the_queue_ranks(fixture).await;
    checks::tenants_who_are_left_out_lose_nothing(fixture).await;
    checks::receivers_that_compete_get_every_entry(fixture).await;
    checks::the_depth_tells_what_is_where(fixture).await;
    checks::entries_outlive_their_handles_and_those_received_come_back(fixture).await;
    checks::a_probe_leaves_nothing(fixture).await;
}

fn job(body: &str) -> Outgoing {
    Outgoing { body: body.to_owned(), delay: Duration::ZERO, tenant: TenantId::default(), priority: 0 }
}

async fn send(queue: &dyn Queue, body: &str) {
    let answers = queue.send(vec![job(body)]).await.expect("a sound queue takes a job");
    assert!(matches!(answers.as_slice(), [Ok(())]));
}

/// The next entry, which must come within the patience of the fixture.
async fn next(queue: &dyn Queue, windows: Windows) -> Received {
    eventually("an entry is received", windows.patience, async || {
        queue.receive(1, Duration::from_secs(1)).await.expect("a sound queue answers").pop()
    })
    .await
}

/// Receives and acknowledges until nothing has come for longer than anything can be invisible; counts each body.
async fn drain(queue: &dyn Queue, windows: Windows) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    loop {
        let received = queue.receive(10, windows.visibility * 3).await.expect("a sound queue answers");
        if received.is_empty() {
            return found;
        }
        for entry in received {
            queue.ack(&entry.receipt).await.expect("a sound queue takes an acknowledgement");
            *found.entry(entry.body).or_default() += 1;
        }
    }
}

/// Checks that what was said to be in the queue comes out of it, what was refused does not, and that only an acknowledged
/// entry, or one whose acknowledgement is in doubt, stays away.
pub async fn queue_under_faults(fixture: &dyn Fixture<dyn Queue>, seed: u64) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let faults = Faults::new(seed);
    let queue: Arc<dyn Queue> = Faulty::<dyn Queue>::new(a, &faults);
    faults.set(Mode::Random { probability: 0.3 });
    let mut beliefs: BTreeMap<String, Belief> = BTreeMap::new();
    for _ in 0..40 {
        let bodies: Vec<String> = (0..3).map(|_| unique("job")).collect();
        let answer = queue.send(bodies.iter().map(|body| job(body)).collect()).await;
        for (n, body) in bodies.into_iter().enumerate() {
            let belief = match &answer {
                Ok(answers) => Belief::of(&answers[n]),
                Err(_) => Belief::of(&answer),
            };
            beliefs.insert(body, belief);
        }
    }
    let mut seen: BTreeMap<String, Belief> = BTreeMap::new();
    for _ in 0..15 {
        for entry in queue.receive(10, Duration::ZERO).await.unwrap_or_default() {
            assert!(beliefs.contains_key(&entry.body), "nothing comes that was not sent");
            let acked = ack_or_release(&*queue, &entry).await;
            seen.insert(entry.body, acked);
        }
    }
    assert!(faults.failed() > 0, "the seed draws no fault at all");
    let left = drain(&*b, fixture.windows()).await;
    let depth = b.depth().await.expect("depth");
    for (body, belief) in beliefs {
        let came = seen.contains_key(&body) || left.contains_key(&body);
        // an entry can have been received into the void up to its last receive
        if depth.dead == 0 || belief == Belief::NotThere {
            belief.check("a job", came);
        }
        if seen.get(&body) == Some(&Belief::There) {
            assert!(!left.contains_key(&body), "an acknowledged job came again");
        }
    }
}

/// Whether the entry is gone.
async fn ack_or_release(queue: &dyn Queue, entry: &Received) -> Belief {
    if entry.receives.is_multiple_of(2) {
        let _: PortResult<()> = queue.release(&entry.receipt, Duration::ZERO).await;
        return Belief::NotThere;
    }
    Belief::of(&queue.ack(&entry.receipt).await)
}
