//! Bounds of TLS reporting.

use std::time::Duration;

/// Kinds of counts that a process holds before they are written: a new kind is not counted then.
pub(crate) const COUNTS_HELD_MAX: usize = 10_000;
/// How long counts are kept: longer than their report is tried to be told.
pub(crate) const COUNTS_KEPT: Duration = Duration::from_secs(4 * 86_400);
/// Time between two writes of what was counted.
pub(crate) const FLUSH_PAUSE: Duration = Duration::from_secs(60);
/// Hexadecimal digits of a hash in a count's key.
pub(crate) const HASH_DIGITS: usize = 16;
/// Counts read at a time.
pub(crate) const COUNTS_PAGE: usize = 500;
/// Kinds of failure that a report tells one by one for a policy.
pub(crate) const FAILURES_TOLD_MAX: usize = 1000;
/// Destinations of a domain's report; more are left out.
pub(crate) const DESTINATIONS_MAX: usize = 4;
/// How long after the end of a day its reports begin, at least, so that all workers have written what they saw.
pub(crate) const DAY_SETTLES: Duration = Duration::from_secs(15 * 60);
/// Over how long after that the edges of this world spread (RFC 8460 §4.1).
pub(crate) const REPORTS_SPREAD: Duration = Duration::from_secs(4 * 3600);
/// How long one run may take before another takes it for dead.
pub(crate) const RUN_LEASE: Duration = Duration::from_secs(10 * 60);
/// Pause after a run in which something could not be told.
pub(crate) const RUN_PAUSE: Duration = Duration::from_secs(30 * 60);
/// How long after the end of a day its reports are tried to be told (RFC 8460 §5.4: 24 hours).
pub(crate) const TOLD_WITHIN: Duration = Duration::from_secs(30 * 3600);
/// How long a server has to take a report by HTTPS.
pub(crate) const POST_TIMEOUT: Duration = Duration::from_secs(60);
/// What a report covers (RFC 8460 §4.1), in UTC.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Octets of a line of base64 in a report by mail (RFC 2045 §6.8).
pub(crate) const BASE64_LINE: usize = 76;
