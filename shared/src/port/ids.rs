use crate::mail::{PackId, Timestamp};

/// Chance: ids that nobody can guess, and numbers to spread things with.
pub trait Ids: Send + Sync {
    /// A new pack id, sorted behind those of an earlier `now`.
    fn pack(&self, now: Timestamp) -> PackId;

    /// 64 random bits, from a cryptographic source.
    fn random(&self) -> u64;
}

impl dyn Ids + '_ {
    /// Random octets, from the same source: for secrets, salts and nonces.
    pub fn octets<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        for eight in octets.chunks_mut(size_of::<u64>()) {
            eight.copy_from_slice(&self.random().to_be_bytes()[..eight.len()]);
        }
        octets
    }

    /// A number from 0 up to, but without, 1.
    pub fn fraction(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        fraction
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.random() % (last as u64 + 1)).unwrap_or(0);
            items.swap(last, other);
        }
    }
}
