//! The bounds of the command.

use std::time::Duration;

/// From the first signal to the end of the process: what is under way then goes on after the next start.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(28);
/// Longest time to connect, for `send`.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(30);
/// Longest wait for a reply, for `send` (RFC 5321 §4.5.3.2: up to 10 minutes after the final dot).
pub(crate) const REPLY_TIME: Duration = Duration::from_secs(600);
/// Octets of a reply's line; RFC 5321 §4.5.3.1.5 says 512, and servers say more.
pub(crate) const REPLY_LINE_OCTETS_MAX: usize = 4096;
/// Lines of a reply.
pub(crate) const REPLY_LINES_MAX: usize = 128;
/// Packs prepared at a time; each may hold a piece of its pack in memory.
pub(crate) const PREPARE_JOBS_MAX: usize = 16;
/// Deliveries asked for at a time, for `queue`.
pub(crate) const PENDING_PAGE: usize = 200;
/// Entries asked for at a time, for `domain list`.
pub(crate) const ENTRY_PAGE: usize = 200;
/// Octets in one string of a TXT record (RFC 1035 §3.3.14).
pub(crate) const TXT_STRING_OCTETS_MAX: usize = 255;
/// Most recipients of a message that can be configured: at 600 octets each, the header of its pack is within its bound.
pub(crate) const RECIPIENTS_MAX: u32 = 50_000;
/// File descriptors for stores, listeners, files of packs and health, beside those of connections.
pub(crate) const DESCRIPTORS_OWN: u64 = 128;
/// How long a drain waits for ingress alone before the workers are told to end too.
pub(crate) const INGRESS_HEAD_START: Duration = Duration::from_secs(4);
