//! How much of something one tenant may have: some of it is left for whoever has none.

use crate::limits::SHARE_OF_FREE;

/// Whether a tenant that has `held` of something may have one more while `free` are left: at most [`SHARE_OF_FREE`] times what
/// stays free. So one tenant alone has three quarters, two have three sevenths each, and however many there are, one that has nothing
/// finds something.
pub(crate) fn may_have(held: usize, free: usize) -> bool {
    free > 0 && (held == 0 || held < SHARE_OF_FREE * free)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much each of `tenants` gets of `total` when all ask for more and more.
    fn shares(tenants: usize, total: usize) -> Vec<usize> {
        let mut held = vec![0; tenants];
        loop {
            let before = held.clone();
            for at in 0..tenants {
                let free = total - held.iter().sum::<usize>();
                if may_have(held[at], free) {
                    held[at] += 1;
                }
            }
            if held == before {
                return held;
            }
        }
    }

    #[test]
    fn something_is_left_for_whoever_comes_next() {
        assert_eq!(shares(1, 256), [192]);
        assert_eq!(shares(2, 256), [110, 110]);
        for tenants in 1..20 {
            assert!(shares(tenants, 256).iter().sum::<usize>() < 256, "{tenants}");
        }
        assert_eq!((shares(1, 1), shares(3, 2)), (vec![1], vec![1, 1, 0]));
    }
}
