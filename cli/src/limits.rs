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
/// Octets of a message that are gathered before they are sent, for `send`.
pub(crate) const SEND_OCTETS: usize = 64 * 1024;
/// Longest wait, at the very end, for threads in the middle of a system call.
pub(crate) const THREADS_TIME: Duration = Duration::from_secs(1);

/// Least message size, in octets, that a server must take (RFC 5321 §4.5.3.1.7).
pub(crate) const MESSAGE_OCTETS_MIN: u64 = 64 * 1024;
/// Fewest recipients that a server must take (RFC 5321 §4.5.3.1.8).
pub(crate) const RECIPIENTS_MIN: usize = 100;
/// Least memory for messages that are being received, in octets: below it, no large message would ever fit.
pub(crate) const MEMORY_OCTETS_MIN: u32 = 1024 * 1024;
/// Shortest of the times that nothing works without.
pub(crate) const TIME_MIN: Duration = Duration::from_secs(1);
/// Shortest prefix of an IPv4 network, in bits, that can be an operator's own; a shorter one holds the world.
pub(crate) const IPV4_PREFIX_MIN: u8 = 7;
/// The same for IPv6.
pub(crate) const IPV6_PREFIX_MIN: u8 = 16;

/// How long the certificate that `dev` makes is good.
pub(crate) const DEV_CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 86_400);
/// With less time left than this, `dev` makes a new one at its start.
pub(crate) const DEV_CERTIFICATE_LEFT: Duration = Duration::from_secs(7 * 86_400);
/// Packs prepared at a time, three quarters of them of one tenant; each may hold a piece of its pack in memory.
pub(crate) const PREPARE_JOBS_MAX: usize = 20;
/// How long an order stands for mail that may be in a queue only: as long as the longest time in queue that is usual.
pub(crate) const ORDER_KEPT: Duration = Duration::from_secs(5 * 86_400);
/// How long it stands where all it is for is in the state: until every sweep and worker has seen it.
pub(crate) const ORDER_KEPT_SHORT: Duration = Duration::from_secs(600);
/// Longest time that an order can be for mail yet to come.
pub(crate) const ORDER_LASTING_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Deliveries listed at a time, for `queue --list` and `--dry-run`, unless the command says otherwise.
pub(crate) const LIST_ROWS: usize = 100;
/// Deliveries asked for at a time, for `queue`.
pub(crate) const PENDING_PAGE: usize = 200;
/// Longest name of a tenant, in octets; SQS groups messages by names of up to 128.
pub(crate) const TENANT_OCTETS_MAX: usize = 64;
/// Longest name of a credential, in octets (RFC 4616 §2).
pub(crate) const CREDENTIAL_NAME_OCTETS_MAX: usize = 255;
/// Entries asked for at a time, for `domain list`.
pub(crate) const ENTRY_PAGE: usize = 200;
/// Longest domain of return paths, in octets: a path has 256, of which its brackets, its local part and its @ take 67 (RFC 5321
/// §4.5.3.1.3).
pub(crate) const BOUNCES_DOMAIN_OCTETS_MAX: usize = 189;
/// Longest line of a file of suppressions, in octets: more than the longest address and the longest source.
pub(crate) const IMPORT_LINE_OCTETS_MAX: usize = 8 * 1024;
/// Writes under way at a time, for `suppress import`.
pub(crate) const IMPORT_WRITES_MAX: usize = 32;
/// Lines between two words on how far it is.
pub(crate) const IMPORT_PROGRESS: u64 = 10_000;
/// Wrong lines that are told one by one.
pub(crate) const IMPORT_MISTAKES_TOLD: u64 = 20;
/// Names tried for a key before giving up, for `domain add`.
pub(crate) const SELECTOR_TRIES: usize = 4;
/// Octets in one string of a TXT record (RFC 1035 §3.3.14).
pub(crate) const TXT_STRING_OCTETS_MAX: usize = 255;
/// Most recipients of a message that can be configured: at 600 octets each, the header of its pack is within its bound.
pub(crate) const RECIPIENTS_MAX: usize = 50_000;
/// File descriptors for stores, listeners, files of packs and health, beside those of connections.
pub(crate) const DESCRIPTORS_OWN: usize = 128;
/// How long a drain waits for ingress alone before the workers are told to end too.
pub(crate) const INGRESS_HEAD_START: Duration = Duration::from_secs(4);
/// How long a function that cannot begin tries to tell the service why.
pub(crate) const INIT_ERROR_TIME: Duration = Duration::from_secs(2);

/// Commits at a time into a bucket, unless `limits.commits_in_flight` says otherwise.
pub(crate) const COMMITS_IN_BUCKET: usize = 2;
/// Memory of a message that is streamed into a bucket: a part of 5 MiB, the piece that completes it, and what is being received.
pub(crate) const STREAMED_OCTETS_IN_BUCKET: u32 = 6 * 1024 * 1024;
