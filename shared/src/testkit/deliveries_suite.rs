//! The contract of the delivery state.

mod claims;
mod due;
mod holds;
mod notes;
mod orders;
mod postponements;
mod records;
mod tells;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fixture::{Belief, Pair};
use super::samples::{NOW, delivery, record, unique};
use super::{Faults, Faulty, Fixture, Mode};
use crate::job::DeliveryKey;
use crate::port::{Claim, Deliveries, DeliveryState, RecipientStatus, Record, due_shard};

const LEASE: Duration = Duration::from_secs(60);

/// Checks the contract of [`Deliveries`].
pub async fn deliveries_suite(fixture: &dyn Fixture<dyn Deliveries>) {
    claims::a_claim_keeps_others_out_until_its_lease_ends(fixture).await;
    claims::a_claim_by_the_same_holder_renews_the_lease(fixture).await;
    claims::a_finished_job_stays_finished(fixture).await;
    claims::a_claim_given_up_is_free_at_once(fixture).await;
    claims::of_claims_that_race_one_wins(fixture).await;
    claims::old_claims_and_items_are_forgotten_and_no_others(fixture).await;
    records::an_item_is_made_by_its_first_record(fixture).await;
    records::states_come_in_the_order_of_their_keys(fixture).await;
    records::a_final_status_stays(fixture).await;
    records::an_attempt_is_added_once(fixture).await;
    records::a_record_that_comes_late_does_not_move_the_due_time(fixture).await;
    records::of_many_attempts_the_first_and_the_latest_are_kept(fixture).await;
    records::records_of_one_call_are_taken_in_their_order(fixture).await;
    records::records_that_race_are_all_kept(fixture).await;
    records::a_message_has_all_its_deliveries_and_no_others(fixture).await;
    due::what_is_due_is_leased_to_one_caller(fixture).await;
    due::callers_that_race_never_get_the_same_delivery(fixture).await;
    due::a_record_ends_a_lease(fixture).await;
    due::pending_deliveries_are_listed_by_due_time(fixture).await;
    holds::a_held_delivery_is_due_at_its_release(fixture).await;
    holds::what_is_held_twice_is_held_once_and_what_came_of_it_stays(fixture).await;
    holds::a_cancelled_delivery_is_never_due(fixture).await;
    holds::what_is_released_cannot_be_cancelled(fixture).await;
    holds::of_a_cancel_and_a_lease_that_race_one_wins(fixture).await;
    notes::what_is_noted_is_there_once_and_changes_nothing_else(fixture).await;
    notes::of_many_notes_the_first_and_the_latest_are_kept(fixture).await;
    notes::notes_and_records_that_race_are_all_kept(fixture).await;
    orders::an_order_changes_when_a_delivery_is_due(fixture).await;
    orders::what_is_settled_obeys_nobody(fixture).await;
    orders::an_attempt_undoes_no_order(fixture).await;
    orders::an_order_makes_an_item_only_where_it_is_told_of_what(fixture).await;
    orders::orders_and_records_that_race_are_all_kept(fixture).await;
    postponements::what_is_put_off_is_due_at_its_time_and_says_why(fixture).await;
    postponements::an_attempt_that_was_made_is_not_put_off(fixture).await;
    postponements::the_later_of_two_postponements_stays(fixture).await;
    postponements::a_record_ends_the_wait(fixture).await;
    postponements::what_an_operator_returns_stays_due_at_once(fixture).await;
    postponements::what_is_released_from_a_hold_can_be_put_off(fixture).await;
    tells::what_is_told_is_noted_and_changes_nothing_else(fixture).await;
    tells::who_stays_deferred_stays_told_of_and_an_end_is_told_anew(fixture).await;
    tells::an_attempt_that_is_recorded_twice_is_not_to_be_told_twice(fixture).await;
    tells::tellings_and_records_that_race_are_all_kept(fixture).await;
    due::state_outlives_its_handles(fixture).await;
}

async fn write(deliveries: &dyn Deliveries, record: Record) {
    let answers = deliveries.record(vec![record]).await.expect("a sound store records");
    assert!(matches!(answers.as_slice(), [Ok(())]));
}

async fn read(deliveries: &dyn Deliveries, key: &DeliveryKey) -> Option<DeliveryState> {
    let mut states = deliveries.settled(std::slice::from_ref(key)).await.expect("a sound store can be read");
    assert_eq!(states.len(), 1);
    states.remove(0)
}

/// Checks that an attempt which was said to be recorded is there, that one which was refused is not, that a status never leaves
/// its final value, and that two holders never both have a job.
pub async fn deliveries_under_faults(fixture: &dyn Fixture<dyn Deliveries>, seed: u64) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let faults = Faults::new(seed);
    let faulty: Arc<dyn Deliveries> = Faulty::<dyn Deliveries>::new(a, &faults);
    faults.set(Mode::Random { probability: 0.3 });
    for _ in 0..25 {
        records_hold(&*faulty, &*b).await;
        claims_hold(&*faulty, &*b).await;
        holds::holds_hold(&*faulty, &*b).await;
        notes::notes_hold(&*faulty, &*b).await;
        orders::orders_hold(&*faulty, &*b).await;
        postponements::postponements_hold(&*faulty, &*b).await;
        tells::tellings_hold(&*faulty, &*b).await;
    }
    assert!(faults.failed() > 0, "the seed draws no fault at all");
}

async fn records_hold(faulty: &dyn Deliveries, sound: &dyn Deliveries) {
    let mut tried = delivery(&["r@example.org"]);
    let (key, mut beliefs) = (tried.key.clone(), BTreeMap::new());
    for number in 1..=4 {
        tried.attempt = number;
        let status = if number < 4 { RecipientStatus::Deferred } else { RecipientStatus::Delivered };
        let written = record(&tried, status);
        let answer = faulty.record(vec![written.clone()]).await;
        beliefs.insert(number, Belief::of(&answer));
        let state = read(sound, &key).await;
        let numbers: Vec<u32> =
            state.iter().flat_map(|state| &state.attempts).map(|attempt| attempt.number).collect();
        for (number, belief) in &beliefs {
            belief.check("an attempt", numbers.contains(number));
        }
        if let (Ok(_), Some(state)) = (&answer, &state) {
            assert_eq!(state.due_at.is_some(), number < 4, "the last record sets what is due");
        }
        // what is in doubt is written again, and is there once
        if beliefs.get(&number) == Some(&Belief::Perhaps) {
            write(sound, written).await;
            beliefs.insert(number, Belief::There);
        }
    }
    let shard = due_shard(&key);
    let due = sound.due(shard, NOW + LEASE * 60, LEASE, 100).await.expect("due");
    let settled = beliefs.get(&4) == Some(&Belief::There);
    assert!(!settled || due.iter().all(|delivery| delivery.key != key), "what is settled is not due");
}

async fn claims_hold(faulty: &dyn Deliveries, sound: &dyn Deliveries) {
    let job = unique("job");
    let answer = faulty.claim(&job, "one", NOW, LEASE).await;
    let other = sound.claim(&job, "two", NOW, LEASE).await.expect("claim");
    match Belief::of(&answer) {
        Belief::There => assert_eq!(other, Claim::Held { until: NOW + LEASE }),
        Belief::NotThere => assert_eq!(other, Claim::Taken { again: false }),
        Belief::Perhaps => {
            assert!(matches!(other, Claim::Held { .. } | Claim::Taken { again: false }));
        }
    }
    let finished = faulty.finish(&job, "one", NOW + LEASE * 1000).await;
    let after = sound.claim(&job, "three", NOW + LEASE * 2, LEASE).await.expect("claim");
    Belief::of(&finished).check("the end of a job", after == Claim::Finished);
}
