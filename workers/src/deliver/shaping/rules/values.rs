//! The values of a rule, each with its one written form.

use std::fmt;

use shared::config::Setting;
use shared::directory::Rate;
use shared::mail::Timestamp;

/// So much at most; or no limit, in place of one that a less specific rule has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// At most so much.
    AtMost(T),
    /// No limit.
    Off,
}

impl<T: Copy> Limit<T> {
    /// The limit, if there is one.
    pub fn at_most(self) -> Option<T> {
        match self {
            Self::AtMost(limit) => Some(limit),
            Self::Off => None,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => limit.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

impl Setting for Limit<u32> {
    const RIGHT: &'static str = "a whole number from 1, or off";

    fn read(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            _ => text.parse().ok().filter(|limit| *limit > 0).map(Self::AtMost),
        }
    }
}

/// A rate, or `off`.
pub(super) struct MaybeRate(pub(super) Option<Rate>);

impl Setting for MaybeRate {
    const RIGHT: &'static str = "rates such as 10/s, 600/m, 5000/h and 100000/day, or off";

    fn read(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self(None)),
            _ => text.parse().ok().map(|rate| Self(Some(rate))),
        }
    }
}

/// A day, from its beginning in UTC.
pub(super) struct Day(pub(super) Timestamp);

impl Setting for Day {
    const RIGHT: &'static str = "a day such as 2026-11-25";

    fn read(text: &str) -> Option<Self> {
        Timestamp::parse_utc(&format!("{text}T00:00:00Z")).map(Self)
    }
}

/// A share, above 0 and below 1.
pub(super) struct Share(pub(super) f64);

impl Setting for Share {
    const RIGHT: &'static str = "a number between 0 and 1 such as 0.5";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0).map(Self)
    }
}
