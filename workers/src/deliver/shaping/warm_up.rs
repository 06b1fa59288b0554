//! Warm-up: a new source address earns its reputation with little mail at first, and more each day.

use shared::directory::Rate;
use shared::mail::Timestamp;

use crate::limits::shaping::DAY;

/// How much a source may send on each day of its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    /// The source: an address, the name of a pool, or `default`.
    pub source: String,
    /// When its first day begins; days are those of UTC.
    pub started: Timestamp,
    /// Messages on the first day, the second, and so on. Behind the last one there is no limit.
    pub messages: Vec<u64>,
}

impl WarmUp {
    /// Which day `now` is, from 1, and what may be sent on it. Before the first day it is as on the first.
    pub(super) fn today(&self, now: Timestamp) -> Option<(usize, Rate)> {
        let days = now.since(self.started).as_secs() / DAY.as_secs();
        let day = usize::try_from(days).ok()?;
        self.messages.get(day).map(|messages| (day + 1, Rate { messages: *messages, period: DAY }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_its_number_and_after_the_last_there_is_none() {
        let started = Timestamp::parse_utc("2026-11-25T00:00:00Z").unwrap();
        let warm_up = WarmUp { source: "default".to_owned(), started, messages: vec![50, 100] };
        let on = |text: &str| {
            let today = warm_up.today(Timestamp::parse_utc(text).unwrap());
            today.map(|(day, rate)| (day, rate.messages))
        };
        assert_eq!(on("2026-11-20T12:00:00Z"), Some((1, 50)));
        assert_eq!(on("2026-11-25T23:59:59Z"), Some((1, 50)));
        assert_eq!(on("2026-11-26T00:00:00Z"), Some((2, 100)));
        assert_eq!(on("2026-11-27T00:00:00Z"), None);
    }
}
