//! The contract of the queue port.

use super::Fixture;
use crate::port::Queue;

/// Checks the contract of [`Queue`].
pub async fn queue_suite(_fixture: &dyn Fixture<dyn Queue>) {}

/// Checks what must hold under faults.
pub async fn queue_under_faults(_fixture: &dyn Fixture<dyn Queue>, _seed: u64) {}
