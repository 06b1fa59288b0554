//! Deferred mail on real stores, under a clock that the tests move: nothing is lost, nothing is sent twice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod an_outage_makes_no_job_dead;
mod what_is_deferred_comes_back;
mod what_is_held_waits_for_its_release;
mod what_is_put_off_comes_back;
mod world;
