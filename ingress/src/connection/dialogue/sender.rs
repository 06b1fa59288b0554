//! Whether a client may begin a transaction, and on what terms.

use std::sync::Arc;

use shared::directory::{CredentialEntry, SenderPattern};
use shared::mail::{Reply, ReversePath};
use tracing::warn;

use super::Dialogue;
use crate::auth::Grant;
use crate::author::is_author_allowed;
use crate::smtp::{Mail, Terms};
use crate::{ListenerKind, policy};

impl Dialogue {
    /// The terms of the next transaction, or why there is none; `None` where somebody must be asked first.
    pub(super) fn terms_at_once(&self) -> Option<Result<Terms, Reply>> {
        if self.grant.is_some() {
            return None;
        }
        if self.trusted {
            return Some(Ok(self.widest()));
        }
        if self.listener.kind == ListenerKind::Submission {
            return Some(Err(policy::authentication_required()));
        }
        if let Err(over) = self.edge.rates.message(self.client, self.edge.ports.clock.now()) {
            self.tell(over.limit);
            return Some(Err(over.reply));
        }
        Some(Ok(self.widest()))
    }

    fn widest(&self) -> Terms {
        let limits = &self.edge.limits;
        Terms { recipients: limits.recipients, message_octets: limits.message_octets }
    }

    /// Decides on the sender of a client that has authenticated.
    pub(in crate::connection) async fn check_sender(&mut self, mail: Mail) {
        let terms = self.terms(&mail.from).await;
        self.session.sender(mail, terms, &mut self.out);
    }

    async fn terms(&mut self, from: &ReversePath) -> Result<Terms, Reply> {
        let Some(grant) = self.grant.clone() else { return Err(policy::authentication_required()) };
        // it may have been revoked or changed since
        let entry = match self.edge.auth.credentials().get(grant.name()).await {
            Ok(Some(entry)) => entry,
            Ok(None) => return Err(policy::authentication_required()),
            Err(error) => {
                warn!(
                    error = error.chain(),
                    "a credential could not be looked up; MAIL was answered with 451"
                );
                return Err(policy::unknown_now());
            }
        };
        let is_allowed = match from {
            ReversePath::Null => true,
            ReversePath::Mailbox(mailbox) => entry.senders.iter().any(|pattern| pattern.matches(mailbox)),
        };
        if !is_allowed {
            return Err(policy::sender_not_allowed(&entry.name));
        }
        let now = self.edge.ports.clock.now();
        if let Err(exceeded) = self.edge.allowance.take(&entry).await {
            return Err(policy::allowance_exceeded(exceeded, now));
        }
        // the message that follows is held against the credential as it is now
        self.grant = Some(Arc::new(Grant { entry: Arc::clone(&entry), mechanism: grant.mechanism }));
        let widest = self.widest();
        Ok(Terms {
            recipients: entry.recipients.map_or(widest.recipients, |most| most.min(widest.recipients)),
            message_octets: entry
                .message_octets
                .map_or(widest.message_octets, |most| most.min(widest.message_octets)),
        })
    }

    /// Why a message may not be sent whose content begins so, with all of its header section where that is not absurdly long.
    pub(in crate::connection) fn author_refused(&self, content: &[u8]) -> Option<Reply> {
        let entry = &self.grant.as_ref()?.entry;
        let allowed = is_unrestricted(entry) || is_author_allowed(content, &entry.senders);
        (!allowed).then(|| policy::author_not_allowed(&entry.name))
    }
}

fn is_unrestricted(entry: &CredentialEntry) -> bool {
    entry.senders.contains(&SenderPattern::Any)
}
