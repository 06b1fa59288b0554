//! The bounds of telemetry.

use std::time::Duration;

/// Most connections to the HTTP server at once; further ones wait to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 32;
/// Longest time for the head of a request.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(5);
/// Longest life of a connection.
pub(super) const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// Octets of a request's head, which is also all that hyper buffers of one connection.
pub(super) const HEAD_OCTETS_MAX: usize = 8 * 1024;
/// Header lines of a request.
pub(super) const HEADERS_MAX: usize = 64;
/// Rest after a connection could not be accepted.
pub(super) const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often the samples of histograms are folded, whether or not anybody asks for them.
pub(super) const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// Longest time for one probe; a part that takes longer is unhealthy.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(2);
/// How long a health report is good for: probes cost a write each.
pub(super) const HEALTH_AGE: Duration = Duration::from_secs(3);

/// How long log lines are gathered before they are written: few enough writes, soon enough for a person.
pub(super) const LOG_GATHER: Duration = Duration::from_millis(20);
/// How long a line waits for a log that nobody reads, and the last lines of a process. Then lines are thrown away, and counted.
pub(super) const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// Octets of log lines that wait to be written; whoever logs more waits too, and for so long no line is lost.
pub(super) const LOG_OCTETS_MAX: usize = 1024 * 1024;
