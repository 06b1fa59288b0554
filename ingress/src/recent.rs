//! A map of bounded size that forgets what was not written for the longest time.

use std::collections::HashMap;
use std::hash::Hash;

/// There are two halves: when the young one is full, it becomes the old one, and what was in that is forgotten. So nothing is ever searched
/// for what could go.
pub(crate) struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// A map of at most `kept` entries, of which it remembers the half that was written last at least.
    pub(crate) fn new(kept: usize) -> Self {
        Self { half: (kept / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_is_remembered_and_the_rest_is_bounded() {
        let mut recent = Recent::new(10);
        for n in 0_u32..1000 {
            recent.insert(n, 2 * n);
            recent.insert(n, 3 * n);
            for near in n.saturating_sub(4)..=n {
                assert_eq!(recent.get(&near), Some(&(3 * near)));
            }
            assert_eq!(recent.get(&n.wrapping_sub(10)), None);
            assert!(recent.young.len() + recent.old.len() <= 10);
        }
    }
}
