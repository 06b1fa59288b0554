//! The contract of the directory port.

use super::Fixture;
use crate::port::Directory;

/// Checks the contract of [`Directory`].
pub async fn directory_suite(_fixture: &dyn Fixture<dyn Directory>) {}

/// Checks what must hold under faults.
pub async fn directory_under_faults(_fixture: &dyn Fixture<dyn Directory>, _seed: u64) {}
