//! The contract of the counters port.

use super::Fixture;
use crate::port::Counters;

/// Checks the contract of [`Counters`].
pub async fn counters_suite(_fixture: &dyn Fixture<dyn Counters>) {}

/// Checks what must hold under faults.
pub async fn counters_under_faults(_fixture: &dyn Fixture<dyn Counters>, _seed: u64) {}
