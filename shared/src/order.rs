//! Orders: what an operator wants done with mail that waits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mail::Timestamp;

/// One order, as it stands on each delivery that it was given for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its name; of two orders the later one has the greater.
    pub id: OrderId,
    /// What is to be done.
    #[serde(flatten)]
    pub hand: Hand,
    /// When it was given.
    pub at: Timestamp,
    /// Who gave it, as far as is known.
    pub by: String,
}

/// What an operator can do with mail that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "hand", rename_all = "lowercase")]
pub enum Hand {
    /// Try it now, unless it is held.
    Retry,
    /// Do not try it until it is released, or until then. It grows old meanwhile: at its expiry it goes back to its sender.
    Hold {
        /// When the hold ends by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// End a hold, or take a bounce back that has not been made, and try it now.
    Release,
    /// Give it up, and tell its sender.
    Bounce {
        /// Why, in the operator's words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// From now on, send it by this route.
    Reroute {
        /// As a configuration writes it.
        route: String,
    },
}

impl Hand {
    /// The command that does it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hold { .. } => "hold",
            Self::Release => "release",
            Self::Bounce { .. } => "bounce",
            Self::Reroute { .. } => "reroute",
        }
    }
}

/// The name of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(String);

impl OrderId {
    /// A name for an order given at `at`; `chance` tells it from others of that moment.
    pub fn new(at: Timestamp, chance: u64) -> Self {
        Self(format!("{:013}-{:08x}", at.millis().max(0), chance & 0xffff_ffff))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for OrderId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
