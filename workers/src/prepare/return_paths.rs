//! The return paths of a message: one a recipient, so that whatever comes back tells whom it is about.

use shared::mail::{Domain, Mailbox, MessageId};
use shared::pack::PackedMessage;
use shared::port::PortResult;
use shared::return_path::ReturnPath;
use tracing::error;

use super::Prepare;
use crate::limits::prepare::RETURN_PATHS_MAX;

impl Prepare {
    /// The domain at which bounces come in.
    pub(super) fn bounces(&self) -> Option<&Domain> {
        self.ports.return_paths.as_ref().map(|paths| paths.domain())
    }

    /// One for each recipient of a submission, in the order of [`split`](super::split); none for what others sent, whose bounces are
    /// theirs, nor for the null path, which nothing may come back to (RFC 5321 §4.5.5).
    pub(super) async fn return_paths(
        &self,
        id: MessageId,
        message: &PackedMessage,
    ) -> PortResult<Vec<Mailbox>> {
        let Some(paths) = &self.ports.return_paths else { return Ok(Vec::new()) };
        let count = message.envelope.recipients.len();
        if !message.client.submission || message.envelope.from.mailbox().is_none() || count > RETURN_PATHS_MAX
        {
            return Ok(Vec::new());
        }
        let mut signed = Vec::with_capacity(count);
        for recipient in 0..u32::try_from(count).unwrap_or(0) {
            let Some(path) = paths.sign(ReturnPath { message: id, recipient }).await? else {
                error!(message_id = %id, "there is no key to sign return paths with: run spoolway bounces rotate; the message leaves with the MAIL FROM of its sender");
                return Ok(Vec::new());
            };
            signed.push(path);
        }
        Ok(signed)
    }
}
