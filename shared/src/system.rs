//! The machine's own time and chance.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use uuid::Uuid;

use crate::mail::{PackId, Timestamp};
use crate::port::{Clock, Ids};

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the port's adapter")]
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, span: Duration) {
        #[expect(clippy::disallowed_methods, reason = "this is the port's adapter")]
        tokio::time::sleep(span).await;
    }
}

/// The bits of a UUIDv7 that are random.
const RANDOM_BITS: u32 = 74;

/// Ids from the cryptographic generator of aws-lc. Those of one process only ever grow.
#[derive(Debug, Default)]
pub struct SystemIds {
    /// Milliseconds and random bits of the last pack id, without version and variant.
    last: Mutex<u128>,
}

impl Ids for SystemIds {
    fn pack(&self, now: Timestamp) -> PackId {
        let millis = u128::try_from(now.millis()).unwrap_or(0) & ((1 << 48) - 1);
        let fresh = millis << RANDOM_BITS | u128::from_be_bytes(random()) >> (128 - RANDOM_BITS);
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // within a millisecond, or where the clock went back: a random step onwards (RFC 9562 §6.2, method 2)
        let step = 1 + u128::from(u32::from_be_bytes(random()));
        *last = if fresh >> RANDOM_BITS > *last >> RANDOM_BITS { fresh } else { *last + step };
        PackId::new(with_version(*last))
    }

    fn random(&self) -> u64 {
        u64::from_be_bytes(random())
    }
}

/// Puts version and variant between the 48 + 12 + 62 bits of `value` (RFC 9562 §5.7).
fn with_version(value: u128) -> Uuid {
    let (time, high, low) = (value >> RANDOM_BITS, value >> 62 & 0xfff, value & ((1 << 62) - 1));
    Uuid::from_u128(time << 80 | 7 << 76 | high << 64 | 2 << 62 | low)
}

fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).expect("the generator of aws-lc aborts rather than fail");
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_ids_grow_within_a_millisecond_and_when_the_clock_goes_back() {
        let ids = SystemIds::default();
        let mut last = ids.pack(Timestamp::from_millis(1_700_000_000_000));
        for step in 0..1000_i64 {
            let id = ids.pack(Timestamp::from_millis(1_700_000_000_000 - step % 7));
            assert!(id > last);
            last = id;
        }
        let text = last.to_string();
        assert_eq!((&text[12..13], &text[..8]), ("7", "018bcfe5"));
        assert!(matches!(&text[16..17], "8" | "9" | "a" | "b"));
        assert!(ids.pack(Timestamp::from_millis(1_700_000_000_001)) > last);
    }
}
