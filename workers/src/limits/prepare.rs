//! The bounds of the prepare stage.

use std::time::Duration;

/// Longest header section that is read as one, in octets. A message with a longer one is carried like any other; it is not signed,
/// and gets no Date or Message-ID, as nobody looked whether it has them.
pub const HEADER_OCTETS_MAX: usize = 256 * 1024;
/// Most octets of a message that are hashed before other tasks get their turn.
pub const PIECE_OCTETS_MAX: u64 = 256 * 1024;
/// Longest Subject kept, in characters.
pub const SUBJECT_CHARS_MAX: usize = 120;
/// Octets of a Subject field that are decoded: 120 characters of four octets in base64, with their charset's name on each.
pub const SUBJECT_OCTETS_READ: usize = 2048;
/// Longest name of a client in a Received line, in octets: that of a domain (RFC 5321 §4.5.3.1.2).
pub const HELO_OCTETS_MAX: usize = 255;
/// Longest text on a client's TLS in a Received line, in octets.
pub(crate) const TLS_OCTETS_MAX: usize = 160;
/// How long the signing keys of a domain are kept.
pub const KEYS_KEPT_FOR: Duration = Duration::from_secs(10);
/// How long it is believed that a domain is not in the directory: an operator who adds one tries it at once.
pub const ABSENCE_KEPT_FOR: Duration = Duration::from_secs(2);
/// Most domains that are remembered, with keys or without.
pub const DOMAINS_KEPT_MAX: usize = 4096;
/// Most recipients of a message that leaves with return paths, each a delivery of its own: their parts are numbered with 16 bits.
pub const RETURN_PATHS_MAX: usize = 50_000;
/// When to try again after a port failed.
pub const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// When to look again for a pack that is not there.
pub const AGAIN_AFTER_MISSING: Duration = Duration::from_secs(30);
/// When to look again at a job that cannot be done; it is on its way to the dead-letter queue.
pub const AGAIN_AFTER_BROKEN: Duration = Duration::from_secs(1);
/// How much longer than its messages live a prepared pack is remembered.
pub const FORGET_AFTER_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Octets that a delivery takes in JSON beside its texts, at most: names, numbers, punctuation.
pub const DELIVERY_OCTETS: usize = 992;
/// Octets that a recipient takes in JSON beside its address.
pub const RECIPIENT_OCTETS: usize = 16;
/// Octets that NOTIFY of a recipient takes in JSON.
pub const NOTIFY_OCTETS: usize = 64;
/// Octets that ORCPT of a recipient takes in JSON beside its texts.
pub const ORIGINAL_OCTETS: usize = 48;
