//! How much of the original a DSN returns (RFC 3461 §4.3).

use bytes::Bytes;
use shared::job::Delivery;
use shared::mail::Ret;
use shared::mail::header::split;

use super::super::backoff::persist;
use super::super::stage::DeliverPorts;
use super::encode::{Encoding, encoding};
use crate::limits::{DSN_FULL_OCTETS_MAX, DSN_HEADER_OCTETS_MAX, PORT_TRIES};

/// What of the original stands in a report.
pub(super) enum Returned {
    /// Nothing: it cannot be read any more.
    Nothing,
    /// Its header section, as far as that is within bounds; and why it is not all of it, where all of it was asked for.
    Header { octets: Vec<u8>, instead: Option<&'static str> },
    /// All of it.
    Full { octets: Vec<u8>, encoding: Encoding },
}

impl Returned {
    /// The header section, or the message, whose header section comes first.
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Header { octets, .. } | Self::Full { octets, .. } => octets,
        }
    }

    /// Whether it makes the report one of 8-bit content.
    pub(super) fn is_eight_bit(&self) -> bool {
        matches!(self, Self::Full { encoding: Encoding::EightBit, .. })
    }
}

/// The original with what we put in front of it: all of it where its sender asked for that and a delivery failed, and else its
/// header section. A report without either is better than none.
pub(super) async fn read(ports: &DeliverPorts, delivery: &Delivery, failed: bool) -> Returned {
    // RFC 3461 §4.3: RET is for failures. RFC 8689 §5: never more than the header of what must not be seen
    let full = failed && delivery.options.ret == Some(Ret::Full) && !delivery.options.require_tls;
    let length = delivery.length.saturating_add(delivery.prefix.len() as u64);
    let fits = length <= DSN_FULL_OCTETS_MAX;
    let wanted = if full && fits { delivery.length } else { delivery.length.min(DSN_HEADER_OCTETS_MAX) };
    let Some(piece) = stored(ports, delivery, wanted).await else { return Returned::Nothing };
    let mut octets = delivery.prefix.as_bytes().to_vec();
    if full && fits {
        octets.extend_from_slice(&piece);
        if let Some(encoding) = encoding(&octets) {
            return Returned::Full { octets, encoding };
        }
        octets.truncate(delivery.prefix.len());
    }
    octets.extend_from_slice(header_section(&piece));
    let instead = match (full, fits) {
        (false, _) => None,
        (true, false) => Some("it is too large to be returned whole"),
        (true, true) => Some("its lines are not those of a text, so it cannot be returned whole"),
    };
    Returned::Header { octets, instead }
}

/// The first `length` stored octets.
async fn stored(ports: &DeliverPorts, delivery: &Delivery, length: u64) -> Option<Bytes> {
    let end = delivery.offset.saturating_add(length);
    let pack = delivery.key.message.pack;
    match persist(&*ports.clock, PORT_TRIES, || ports.spool.get(pack, delivery.offset..end)).await {
        Ok(Some(piece)) => Some(piece.bytes),
        Ok(None) => {
            tracing::warn!(message_id = %delivery.key.message, "the original of a DSN is not in the spool any more");
            None
        }
        Err(cause) => {
            tracing::warn!(message_id = %delivery.key.message, cause = cause.chain(), "the original of a DSN cannot be read");
            None
        }
    }
}

/// The whole lines in front of the first empty one.
pub(super) fn header_section(bytes: &[u8]) -> &[u8] {
    let (section, _) = split(bytes);
    let end = memchr::memmem::rfind(section, b"\r\n");
    &section[..end.map_or(0, |end| end + 2)]
}
