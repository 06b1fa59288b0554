//! One pass over the bytes of a message.

use bytes::{Bytes, BytesMut};
use shared::mail::header::{Separator, separator};
use shared::pack::{PackError, PackReader, PackedMessage};

use crate::limits::prepare::{HEADER_OCTETS_MAX, PIECE_OCTETS_MAX};

/// Reads a message of a pack piece by piece, and holds it against its checksum.
pub(super) struct Content<'a> {
    reader: &'a mut PackReader,
    at: u64,
    end: u64,
    crc32c: u32,
    expected: u32,
    /// Body octets that were read together with the header section.
    body: Option<Bytes>,
}

/// The header section of a message.
pub(super) struct Section {
    /// The section, or all of the message where no empty line ends it; or its beginning, where it is longer than is read.
    pub(super) octets: Bytes,
    /// Whether this is all of it.
    pub(super) whole: bool,
}

impl<'a> Content<'a> {
    /// The content of `message`, of which nothing has been read.
    pub(super) fn new(reader: &'a mut PackReader, message: &PackedMessage) -> Self {
        let end = message.offset.saturating_add(message.length);
        Self { reader, at: message.offset, end, crc32c: 0, expected: message.crc32c, body: None }
    }

    /// Reads the header section.
    pub(super) async fn header(&mut self) -> Result<Section, PackError> {
        let Some(first) = self.read().await? else {
            return Ok(Section { octets: Bytes::new(), whole: true });
        };
        // nearly always the first piece holds the section, and nothing is copied
        if let Some(found) = separator(&first, 0) {
            return Ok(self.split(first, found));
        }
        let mut octets = BytesMut::from(&first[..]);
        drop(first);
        while octets.len() <= HEADER_OCTETS_MAX {
            let searched = octets.len();
            let Some(more) = self.read().await? else {
                return Ok(Section { octets: octets.freeze(), whole: true });
            };
            octets.extend_from_slice(&more);
            if let Some(found) = separator(&octets, searched) {
                return Ok(self.split(octets.freeze(), found));
            }
        }
        Ok(Section { octets: octets.freeze(), whole: false })
    }

    /// Keeps what lies behind the section for the body.
    fn split(&mut self, mut octets: Bytes, found: Separator) -> Section {
        self.body = Some(octets.split_off(found.body_start));
        octets.truncate(found.section_end);
        let whole = octets.len() <= HEADER_OCTETS_MAX;
        Section { octets, whole }
    }

    /// The next octets of the body; `None` at its end, when all of the message was read and is what was written.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, PackError> {
        if let Some(body) = self.body.take().filter(|body| !body.is_empty()) {
            return Ok(Some(body));
        }
        let piece = self.read().await?;
        if piece.is_none() && self.crc32c != self.expected {
            return Err(PackError::Corrupt("a message does not match its checksum"));
        }
        Ok(piece)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, PackError> {
        let left = self.end - self.at;
        if left == 0 {
            return Ok(None);
        }
        let piece = self.reader.read(self.at, left.min(PIECE_OCTETS_MAX)).await?;
        if piece.is_empty() {
            return Err(PackError::Corrupt("it ends early"));
        }
        self.at += piece.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &piece);
        if piece.len() as u64 == PIECE_OCTETS_MAX {
            // a large message must not keep a thread for itself
            tokio::task::yield_now().await;
        }
        Ok(Some(piece))
    }
}
