//! The contract of the spool port.

use super::Fixture;
use crate::port::Spool;

/// Checks the contract of [`Spool`].
pub async fn spool_suite(_fixture: &dyn Fixture<dyn Spool>) {}

/// Checks what must hold under faults.
pub async fn spool_under_faults(_fixture: &dyn Fixture<dyn Spool>, _seed: u64) {}
