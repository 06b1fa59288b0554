//! How often each message arrived, and why more than once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Sunk;

/// What arrived, in its order, by the number of each [`numbered_message`](super::numbered_message).
pub fn by_number(sunk: Vec<Sunk>) -> HashMap<u64, Vec<Sunk>> {
    let mut by_number: HashMap<u64, Vec<Sunk>> = HashMap::new();
    for message in sunk {
        by_number.entry(message.number()).or_default().push(message);
    }
    by_number
}

/// How many copies arrived beyond the first of each.
///
/// # Panics
/// If one of them came where nothing broke between it and the copy before it, within `span` of that one: for as long a record may be
/// on its way to the disk, or the sink be reading what a dead process had written.
#[track_caller]
pub fn second_copies(arrived: &HashMap<u64, Vec<Sunk>>, breaks: &[Instant], span: Duration) -> usize {
    let pairs: Vec<&[Sunk]> = arrived.values().flat_map(|copies| copies.windows(2)).collect();
    for pair in &pairs {
        let near = |at: Instant, broke: Instant| at.max(broke) - at.min(broke) < span;
        let explains = |broke: &Instant| near(pair[0].at, *broke) && *broke < pair[1].at;
        assert!(breaks.iter().any(explains), "a second copy that nothing explains: {:?}", pair[0].commands);
    }
    pairs.len()
}
