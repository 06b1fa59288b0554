//! What a client gets that is over a limit, and how it is told of: each time in a metric, and in the log not more often than somebody
//! could read.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use shared::mail::{Reply, Timestamp};
use tracing::info;

use crate::limits::OVER_LIMIT_LOG_PAUSE;
use crate::telemetry::over_limit;

/// The limits against abuse, by their names in the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    Connections,
    ConnectionsEach,
    ConnectionsNetwork,
    SessionMemory,
    ConnectionRate,
    MessageRate,
    IdleCommands,
    RefusedRecipients,
    ContentRate,
    EarlyTalker,
    /// Not a number: a connection to a listener behind a balancer that has no PROXY header, or from elsewhere.
    ProxyHeader,
}

impl Limit {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsEach => "connections_each",
            Self::ConnectionsNetwork => "connections_network",
            Self::SessionMemory => "session_memory",
            Self::ConnectionRate => "connection_rate",
            Self::MessageRate => "message_rate",
            Self::IdleCommands => "idle_commands",
            Self::RefusedRecipients => "refused_recipients",
            Self::ContentRate => "content_rate",
            Self::EarlyTalker => "early_talker",
            Self::ProxyHeader => "proxy_header",
        }
    }

    /// What a client gets in whose session this limit was reached.
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Connections => Reply::new(421, (3, 2), "too many connections, try again later"),
            Self::SessionMemory => Reply::new(421, (3, 2), "no memory for more connections, try again later"),
            Self::ConnectionsEach => {
                Reply::new(421, (7, 0), "too many connections from your address, try again later")
            }
            Self::ConnectionsNetwork => {
                Reply::new(421, (7, 0), "too many connections from your network, try again later")
            }
            Self::ConnectionRate => {
                Reply::new(421, (7, 0), "your address connects too often, try again later")
            }
            Self::MessageRate => Reply::new(450, (7, 1), "too many messages, try again later"),
            Self::IdleCommands => Reply::new(421, (7, 0), "too many commands without a message"),
            Self::RefusedRecipients => Reply::new(421, (7, 0), "too many recipients were refused"),
            Self::ContentRate => Reply::new(421, (4, 2), "your message comes too slowly"),
            Self::EarlyTalker | Self::ProxyHeader => {
                Reply::new(554, (7, 1), "you spoke before it was your turn")
            }
        }
    }
}

/// Which limit a client is over, and what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) limit: Limit,
    pub(crate) reply: Reply,
}

impl From<Limit> for Over {
    fn from(limit: Limit) -> Self {
        Self { limit, reply: limit.reply() }
    }
}

/// Tells of clients over limits.
#[derive(Debug, Default)]
pub(crate) struct OverLimits {
    logged: Mutex<HashMap<Limit, Logged>>,
}

/// When a limit was logged last, and how often it was reached since.
#[derive(Debug, Default)]
struct Logged {
    at: Option<Timestamp>,
    since: u64,
}

impl OverLimits {
    /// Counts that `client` is over `limit`, and logs it unless that was done a moment ago.
    pub(crate) fn tell(&self, limit: Limit, client: IpAddr, now: Timestamp) {
        over_limit(limit.as_str()).increment(1);
        if let Some(others) = self.others_to_log(limit, now) {
            info!(limit = limit.as_str(), client = %client, others, "over a limit");
        }
    }

    /// How often the limit was reached since the last line about it, where it is time for another line.
    fn others_to_log(&self, limit: Limit, now: Timestamp) -> Option<u64> {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let last = logged.entry(limit).or_default();
        if last.at.is_some_and(|at| now.since(at) < OVER_LIMIT_LOG_PAUSE) {
            last.since += 1;
            return None;
        }
        last.at = Some(now);
        Some(std::mem::take(&mut last.since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_a_line_now_and_then_that_says_how_many_there_were() {
        let (overs, start) = (OverLimits::default(), Timestamp::from_millis(0));
        let lines = |limit, after| overs.others_to_log(limit, start + after);
        assert_eq!(lines(Limit::Connections, Duration::ZERO), Some(0));
        for _ in 0..1000 {
            assert_eq!(lines(Limit::Connections, OVER_LIMIT_LOG_PAUSE / 2), None);
        }
        assert_eq!(
            lines(Limit::MessageRate, OVER_LIMIT_LOG_PAUSE / 2),
            Some(0),
            "each limit has its own lines"
        );
        assert_eq!(lines(Limit::Connections, OVER_LIMIT_LOG_PAUSE), Some(1000));
    }
}
