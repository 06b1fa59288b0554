//! The bounds of what is known of TLS with others.

use std::time::Duration;

/// How long a server whose TLS is broken is spoken to in clear text at once, where that is allowed.
pub const BROKEN_TLS_KEPT: Duration = Duration::from_secs(3600);
/// Most servers that are remembered for that.
pub const BROKEN_TLS_MAX: usize = 4096;

/// How long the fetch of an MTA-STS policy may take (RFC 8461 §3.3 suggests a minute).
pub const STS_FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest MTA-STS policy, in octets (RFC 8461 §3.3 suggests 64 KiB; so much fits an entry of the directory as JSON).
pub const STS_POLICY_OCTETS_MAX: usize = 32 * 1024;
/// Most patterns of MX hosts in one.
pub const STS_PATTERNS_MAX: usize = 500;
/// Longest id of one, in characters (RFC 8461 §3.1).
pub const STS_ID_CHARS_MAX: usize = 32;
/// Longest time that one holds, in seconds: about a year (RFC 8461 §3.2).
pub const STS_MAX_AGE_MAX: u64 = 31_557_600;
/// How old a policy may be before it is fetched again although its id is the same (RFC 8461 §3.3 suggests daily).
pub const STS_REFRESH: Duration = Duration::from_secs(86_400);
/// How long a fetch that failed is not tried again (RFC 8461 §3.3 suggests five minutes).
pub const STS_RETRY: Duration = Duration::from_secs(300);
/// How often the directory is asked for the policy of a domain that publishes none at the moment.
pub const STS_LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// Domains whose policy, or that they have none, a process remembers.
pub const STS_DOMAINS_KEPT: usize = 4096;

/// Most addresses of a web server that are tried.
pub const HTTPS_ADDRESSES_MAX: usize = 4;
/// How long each of them has for a connection and a handshake.
pub const HTTPS_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
