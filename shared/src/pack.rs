//! Packs: immutable objects of the spool, each holding one or more messages.
//!
//! ```text
//! "SPOOLWY" version   8 octets
//! header length       u32, big-endian
//! header crc32c       u32, big-endian
//! header              JSON: PackHeader
//! messages            back to back
//! trailer             only where the one message was streamed: its length (u64), crc32c (u32), facts (u32), "SPLWYEND"
//! ```

mod format;
mod reader;
mod writer;

pub use format::{PackError, PackHeader, PackedMessage, TRAILER_OCTETS};
pub use reader::PackReader;
pub use writer::{NewMessage, StreamedPack, encode};
