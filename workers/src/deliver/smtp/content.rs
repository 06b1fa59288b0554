//! The content of a message, from the spool to the wire, a block at a time.

use std::sync::Arc;

use shared::job::Delivery;
use shared::mail::PackId;
use shared::pack::{PackError, PackReader};
use shared::port::{PortError, Spool};

use super::dots::DotStuffer;
use super::session::Session;
use crate::deliver::outcome::{Failure, Step};
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

impl Session<'_> {
    /// Writes prefix, stored octets and final dot. All but the last block is sent; that one is left in `out`, for more to
    /// go with it. If the content cannot be had whole, there is no final dot, and the connection must be dropped: the
    /// server then knows that it does not have the message (RFC 5321 §4.1.1.4).
    pub(super) async fn write_content(&mut self, delivery: &Delivery, packs: &mut Packs) -> Result<(), Cut> {
        let mut stuffer = DotStuffer::default();
        stuffer.push(delivery.prefix.as_bytes(), &mut self.connection.out);
        let (mut at, end) = (delivery.offset, delivery.offset.saturating_add(delivery.length));
        while at < end {
            let reader = packs.reader(delivery.key.message.pack);
            let piece = reader.read(at, CONTENT_OCTETS.min(end - at)).await;
            let piece = piece.map_err(|error| Cut::Unreadable(unreadable(delivery, &error)))?;
            if piece.is_empty() {
                return Err(Cut::Unreadable(ends_early(delivery)));
            }
            at += piece.len() as u64;
            stuffer.push(&piece, &mut self.connection.out);
            if self.connection.out.len() as u64 >= CONTENT_OCTETS {
                self.flush(Step::Content).await.map_err(Cut::Broken)?;
            }
        }
        stuffer.end(&mut self.connection.out);
        Ok(())
    }
}
