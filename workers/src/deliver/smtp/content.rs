//! The content of a message, from the spool to the wire, a block at a time.

use std::sync::Arc;

use bytes::Bytes;
use shared::job::Delivery;
use shared::mail::PackId;
use shared::pack::{PackError, PackReader};
use shared::port::{PortError, Spool};

use super::command::octets;
use super::dots::DotStuffer;
use super::session::Session;
use crate::deliver::outcome::{Failure, Step};
use crate::deliver::pending::Passage;
use crate::limits::CONTENT_OCTETS;

/// The packs that deliveries lie in, one open at a time: neighbours share it.
pub(crate) struct Packs {
    spool: Arc<dyn Spool>,
    reader: Option<PackReader>,
}

/// Why content did not get out whole.
pub(crate) enum Cut {
    /// The spool did not give it.
    Unreadable(Failure),
    /// The server did not take it.
    Broken(Failure),
}

impl Packs {
    pub(crate) fn new(spool: Arc<dyn Spool>) -> Self {
        Self { spool, reader: None }
    }

    /// Tells whether the beginning of the stored message can be read, and has it ready.
    pub(crate) async fn prepare(&mut self, delivery: &Delivery) -> Result<(), Failure> {
        if delivery.length == 0 {
            return Ok(());
        }
        let reader = self.reader(delivery.key.message.pack);
        let first = reader.read(delivery.offset, 1).await.map_err(|error| unreadable(delivery, &error))?;
        if first.is_empty() { Err(ends_early(delivery)) } else { Ok(()) }
    }

    /// Adds all of a message to `out`, prefix and stored octets. Only for one that is small.
    pub(crate) async fn read_whole(&mut self, delivery: &Delivery, out: &mut Vec<u8>) -> Result<(), Failure> {
        out.extend_from_slice(delivery.prefix.as_bytes());
        let (mut at, end) = (delivery.offset, delivery.offset.saturating_add(delivery.length));
        while at < end {
            let piece = self.piece(delivery, at, end).await?;
            at += piece.len() as u64;
            out.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// The next octets of a stored message that ends at `end`; never none.
    async fn piece(&mut self, delivery: &Delivery, at: u64, end: u64) -> Result<Bytes, Failure> {
        let reader = self.reader(delivery.key.message.pack);
        let piece = reader.read(at, CONTENT_OCTETS.min(end - at)).await;
        let piece = piece.map_err(|error| unreadable(delivery, &error))?;
        if piece.is_empty() { Err(ends_early(delivery)) } else { Ok(piece) }
    }

    pub(crate) fn reader(&mut self, id: PackId) -> &mut PackReader {
        let open = self.reader.take().filter(|reader| reader.id() == id);
        self.reader.insert(open.unwrap_or_else(|| PackReader::new(self.spool.clone(), id)))
    }
}

pub(crate) fn unreadable(delivery: &Delivery, error: &PackError) -> Failure {
    let why = match error {
        PackError::Spool(cause @ (PortError::Refused { .. } | PortError::Unknown { .. })) => cause.chain(),
        PackError::Corrupt(_) | PackError::Missing => error.to_string(),
    };
    tracing::warn!(message_id = %delivery.key.message, %why, "content cannot be read from the spool");
    // what the store says of itself is for the log; this text goes into reports
    Failure::Unreadable(error.to_string())
}

pub(crate) fn ends_early(delivery: &Delivery) -> Failure {
    unreadable(delivery, &PackError::Corrupt("it ends before its message does"))
}

impl Session {
    /// Writes prefix and stored octets: dot-stuffed and with the final dot, or as one last chunk (RFC 3030 §2). All but the last
    /// block is sent; that one is left in `out`, for more to go with it. If the content cannot be had whole, it gets no end, and
    /// the connection must be dropped: the server then knows that it does not have the message (RFC 5321 §4.1.1.4).
    pub(super) async fn write_content(
        &mut self,
        delivery: &Delivery,
        passage: Passage,
        packs: &mut Packs,
    ) -> Result<(), Cut> {
        let mut stuffer = (passage == Passage::Data).then(DotStuffer::default);
        let mut write = |piece: &[u8], out: &mut Vec<u8>| match &mut stuffer {
            Some(stuffer) => stuffer.push(piece, out),
            None => out.extend_from_slice(piece),
        };
        let out = &mut self.connection.out;
        if passage != Passage::Data {
            out.extend_from_slice(format!("BDAT {} LAST\r\n", octets(delivery)).as_bytes());
        }
        write(delivery.prefix.as_bytes(), out);
        let (mut at, end) = (delivery.offset, delivery.offset.saturating_add(delivery.length));
        while at < end {
            let piece = packs.piece(delivery, at, end).await.map_err(Cut::Unreadable)?;
            at += piece.len() as u64;
            write(&piece, &mut self.connection.out);
            if self.connection.out.len() as u64 >= CONTENT_OCTETS {
                self.flush(Step::Content).await.map_err(Cut::Broken)?;
            }
        }
        if let Some(stuffer) = stuffer {
            stuffer.end(&mut self.connection.out);
        }
        Ok(())
    }
}
