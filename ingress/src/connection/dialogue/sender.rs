//! Whether a client may begin a transaction, and on what terms.

use shared::mail::Reply;

use super::Dialogue;
use crate::smtp::Terms;
use crate::{ListenerKind, policy};

impl Dialogue {
    /// The terms of the next transaction, or why there is none; `None` where somebody must be asked first.
    pub(super) fn terms_at_once(&self) -> Option<Result<Terms, Reply>> {
        if self.listener.kind == ListenerKind::Submission && !self.trusted {
            return Some(Err(policy::authentication_required()));
        }
        if !self.trusted
            && let Err(over) = self.edge.rates.message(self.client, self.edge.ports.clock.now())
        {
            self.tell(over.limit);
            return Some(Err(over.reply));
        }
        let limits = &self.edge.limits;
        Some(Ok(Terms { recipients: limits.recipients, message_octets: limits.message_octets }))
    }
}
