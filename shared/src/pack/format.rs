use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mail::{Client, ContentFacts, Envelope, PackId, TenantId, Timestamp};
use crate::port::PortError;

/// Magic and version of the format that this code writes and reads.
pub(super) const MAGIC: &[u8; 8] = b"SPOOLWY\x01";
pub(super) const TRAILER_MAGIC: &[u8; 8] = b"SPLWYEND";
/// Octets before the header.
pub(super) const PREAMBLE_OCTETS: usize = 16;
/// Octets of a streamed message's trailer.
pub const TRAILER_OCTETS: u64 = 24;

/// Why a pack cannot be used.
#[derive(Debug, Error)]
pub enum PackError {
    /// The pack is not what a writer of this format leaves: never to be read, to be set aside.
    #[error("the pack is corrupt: {0}")]
    Corrupt(&'static str),
    /// There is no such pack.
    #[error("the pack is not in the spool")]
    Missing,
    /// The spool did not answer.
    #[error("the pack could not be read")]
    Spool(#[from] PortError),
}

/// What a pack says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackHeader {
    /// Its id.
    pub id: PackId,
    /// When its commit began.
    pub created: Timestamp,
    /// Its messages, by number.
    pub messages: Vec<PackedMessage>,
}

/// One message of a pack, but for its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedMessage {
    /// Its number in the pack, from 0.
    pub n: u32,
    /// Where its bytes begin, counted from the end of the header.
    pub offset: u64,
    /// How many there are; 0 in the header of a streamed message, whose trailer tells.
    pub length: u64,
    /// Their checksum; 0 likewise.
    pub crc32c: u32,
    /// What the content is like; unset likewise.
    #[serde(default)]
    pub content: ContentFacts,
    /// Whether length, checksum and facts stand in a trailer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub streamed: bool,
    /// When the client ended its DATA, or began it where the message was streamed.
    pub received_at: Timestamp,
    /// Its envelope.
    pub envelope: Envelope,
    /// Who handed it in.
    pub client: Client,
    /// Whom it is accounted to.
    #[serde(default)]
    pub tenant: TenantId,
}

/// The facts, with their complement above them, as no checksum covers a trailer.
pub(super) fn facts_to_bits(facts: ContentFacts) -> u32 {
    let bits = [facts.eight_bit_header, facts.eight_bit_body, facts.tls_not_required];
    let bits = bits.into_iter().rev().fold(0, |bits, fact| bits << 1 | u32::from(fact));
    bits | (bits ^ 0xffff) << 16
}

pub(super) fn facts_from_bits(bits: u32) -> Option<ContentFacts> {
    let fact = |n: u32| bits >> n & 1 != 0;
    let facts =
        ContentFacts { eight_bit_header: fact(0), eight_bit_body: fact(1), tls_not_required: fact(2) };
    (facts_to_bits(facts) == bits).then_some(facts)
}
