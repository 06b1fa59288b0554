//! A moment, to the millisecond.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{Duration as Span, OffsetDateTime};

/// Milliseconds since 1970-01-01T00:00:00Z. In JSON, that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Time since `earlier`, or zero where that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The form of a Date header or a Received line, in UTC: `Fri, 21 Nov 1997 09:55:06 +0000` (RFC 5322 §3.3).
    pub fn rfc5322(self) -> String {
        self.utc().format(&Rfc2822).unwrap_or_default()
    }

    /// Reads a date and time of RFC 3339 in UTC, such as `2026-11-25T08:00:00Z`.
    pub fn parse_utc(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok().filter(|at| at.offset().is_utc())?;
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    fn utc(self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Span::milliseconds(self.0.clamp(0, 253_402_300_799_000))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC, to the millisecond where there are any.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.utc().format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_written_forms_are_those_of_their_rfcs() {
        let at = Timestamp::from_millis(880_106_106_250);
        assert_eq!(at.rfc5322(), "Fri, 21 Nov 1997 09:55:06 +0000");
        assert_eq!(at.to_string(), "1997-11-21T09:55:06.25Z");
    }

    #[test]
    fn a_date_and_time_in_utc_is_read_and_no_other() {
        assert_eq!(
            Timestamp::parse_utc("1997-11-21T09:55:06.25Z"),
            Some(Timestamp::from_millis(880_106_106_250))
        );
        for wrong in
            ["1997-11-21T09:55:06", "1997-11-21T09:55:06+01:00", "1997-13-21T09:55:06Z", "880106106", ""]
        {
            assert_eq!(Timestamp::parse_utc(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn time_since_a_later_moment_is_zero() {
        let at = Timestamp::from_millis(5);
        assert_eq!(at.since(at + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((at + Duration::from_secs(1)).since(at), Duration::from_secs(1));
    }
}
