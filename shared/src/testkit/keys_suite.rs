//! The contract of the keys port.

use super::Fixture;
use crate::port::Keys;

/// Checks the contract of [`Keys`].
pub async fn keys_suite(_fixture: &dyn Fixture<dyn Keys>) {}

/// Checks what must hold under faults.
pub async fn keys_under_faults(_fixture: &dyn Fixture<dyn Keys>, _seed: u64) {}
