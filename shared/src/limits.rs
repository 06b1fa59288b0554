//! Every bound of this crate, in one place.

use std::time::Duration;

/// Longest local part, in octets (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// Longest domain, in octets (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// Longest label of a domain name, in octets (RFC 1035 §2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// Most deliveries in one job.
pub const DELIVERIES_MAX: usize = 32;
/// Most octets of a job as JSON; what SQS takes, with room to spare.
pub const JOB_OCTETS_MAX: usize = 200 * 1024;
/// Most recipients in one delivery: what every server must take in one transaction (RFC 5321 §4.5.3.1.8).
pub const RECIPIENTS_MAX: usize = 100;

/// Most attempts that are remembered of one delivery. With the schedule as it comes, five days have about 40.
pub const ATTEMPTS_MAX: usize = 100;

/// Most entries of one send or receive of a queue (SQS).
pub const BATCH_MAX: usize = 10;
/// Longest delay of a queue's entry (SQS).
pub const DELAY_MAX: Duration = Duration::from_secs(900);

/// Longest header of a pack, in octets: 64 messages of 1,000 recipients at 320 octets, rounded up.
pub const PACK_HEADER_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// How much of a pack is asked of the spool at once, in octets.
pub const READ_AHEAD_OCTETS: u64 = 256 * 1024;
