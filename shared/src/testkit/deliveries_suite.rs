//! The contract of the deliveries port.

use super::Fixture;
use crate::port::Deliveries;

/// Checks the contract of [`Deliveries`].
pub async fn deliveries_suite(_fixture: &dyn Fixture<dyn Deliveries>) {}

/// Checks what must hold under faults.
pub async fn deliveries_under_faults(_fixture: &dyn Fixture<dyn Deliveries>, _seed: u64) {}
