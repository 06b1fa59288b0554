use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::format::{
    MAGIC, PREAMBLE_OCTETS, PackError, PackHeader, TRAILER_MAGIC, TRAILER_OCTETS, facts_from_bits,
};
use crate::limits::{PACK_HEADER_OCTETS_MAX, READ_AHEAD_OCTETS};
use crate::mail::PackId;
use crate::port::Spool;

/// Reads one pack piece by piece, and keeps the last piece: what lies close together costs one request.
/// It holds at most [`READ_AHEAD_OCTETS`] octets, and the header while that is read.
pub struct PackReader {
    spool: Arc<dyn Spool>,
    id: PackId,
    window: Bytes,
    window_at: u64,
    pack_length: Option<u64>,
}

impl PackReader {
    /// A reader of the pack `id`, which is not touched yet.
    pub fn new(spool: Arc<dyn Spool>, id: PackId) -> Self {
        Self { spool, id, window: Bytes::new(), window_at: 0, pack_length: None }
    }

    /// Which pack this reads.
    pub fn id(&self) -> PackId {
        self.id
    }

    /// Between 1 and `max` octets at `offset` of the pack; none at its end.
    pub async fn read(&mut self, offset: u64, max: u64) -> Result<Bytes, PackError> {
        if !(self.window_at..self.window_at + self.window.len() as u64).contains(&offset) {
            // the old window must be gone before the next one is here: two of them would be twice the memory
            self.window = Bytes::new();
            let piece = self
                .spool
                .get(self.id, offset..offset + READ_AHEAD_OCTETS)
                .await?
                .ok_or(PackError::Missing)?;
            (self.window, self.window_at, self.pack_length) = (piece.bytes, offset, Some(piece.pack_length));
        }
        let at = usize::try_from(offset - self.window_at).unwrap_or(usize::MAX);
        let end = self.window.len().min(at.saturating_add(usize::try_from(max).unwrap_or(usize::MAX)));
        Ok(self.window.slice(at.min(end)..end))
    }

    async fn read_exact(&mut self, offset: u64, length: usize) -> Result<Bytes, PackError> {
        let first = self.read(offset, length as u64).await?;
        if first.len() == length {
            return Ok(first);
        }
        let mut all = first.to_vec();
        while all.len() < length {
            let more = self.read(offset + all.len() as u64, (length - all.len()) as u64).await?;
            if more.is_empty() {
                return Err(PackError::Corrupt("it ends early"));
            }
            all.extend_from_slice(&more);
        }
        Ok(all.into())
    }

    /// The header, checked, with the offset of each message counted from the pack's first octet and the trailer's
    /// facts filled in. The messages' own checksums are for the
    /// caller's one pass over them.
    pub async fn header(&mut self) -> Result<PackHeader, PackError> {
        let mut preamble = self.read_exact(0, PREAMBLE_OCTETS).await?;
        if preamble.split_to(MAGIC.len()) != MAGIC[..] {
            return Err(PackError::Corrupt(
                "it does not begin with the magic of a version this program reads",
            ));
        }
        let (length, crc32c) = (preamble.get_u32() as usize, preamble.get_u32());
        if length > PACK_HEADER_OCTETS_MAX {
            return Err(PackError::Corrupt("its header is longer than any header can be"));
        }
        let json = self.read_exact(PREAMBLE_OCTETS as u64, length).await?;
        if crc32c::crc32c(&json) != crc32c {
            return Err(PackError::Corrupt("its header does not match its checksum"));
        }
        let mut header: PackHeader =
            serde_json::from_slice(&json).map_err(|_| PackError::Corrupt("its header cannot be read"))?;
        let body_at = (PREAMBLE_OCTETS + length) as u64;
        let pack_length = self.pack_length.unwrap_or(0);
        for message in &mut header.messages {
            message.offset += body_at;
            if message.streamed {
                self.read_trailer(message, pack_length).await?;
            } else if message.offset.saturating_add(message.length) > pack_length {
                return Err(PackError::Corrupt("it ends before its last message"));
            }
        }
        if header.id != self.id {
            return Err(PackError::Corrupt("it is another pack than its name says"));
        }
        Ok(header)
    }

    async fn read_trailer(
        &mut self,
        message: &mut super::PackedMessage,
        pack_length: u64,
    ) -> Result<(), PackError> {
        let at = pack_length.checked_sub(TRAILER_OCTETS).ok_or(PackError::Corrupt("it has no trailer"))?;
        let mut trailer = self.read_exact(at, usize::try_from(TRAILER_OCTETS).unwrap_or(0)).await?;
        message.length = trailer.get_u64();
        message.crc32c = trailer.get_u32();
        message.content =
            facts_from_bits(trailer.get_u32()).ok_or(PackError::Corrupt("its trailer does not fit"))?;
        if trailer != TRAILER_MAGIC[..] || message.offset.saturating_add(message.length) != at {
            return Err(PackError::Corrupt("its trailer does not fit"));
        }
        Ok(())
    }
}
