//! Chance that a test can repeat.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Builder;

use crate::mail::{PackId, Timestamp};
use crate::port::Ids;

/// Ids and numbers that follow from a seed.
#[derive(Debug)]
pub struct SeededIds {
    state: AtomicU64,
}

impl SeededIds {
    /// The ids of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }
}

impl Ids for SeededIds {
    fn pack(&self, now: Timestamp) -> PackId {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random().to_be_bytes());
        random[8..].copy_from_slice(&self.random().to_be_bytes()[..2]);
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        PackId::new(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// SplitMix64: each state is the one before plus a constant, so threads never share one.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
