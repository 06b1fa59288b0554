//! A session with what answers its questions.

use std::net::IpAddr;
use std::sync::Arc;

use shared::mail::{Client, Envelope, Mailbox, Reply, TenantId};
use shared::pack::NewMessage;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, info};

use crate::ListenerKind;
use crate::edge::Edge;
use crate::limits::{RECIPIENT_OCTETS, RECIPIENTS_UNCOUNTED};
use crate::policy;
use crate::server::Door;
use crate::smtp::{Action, Mail, Offer, Output, Session, Terms, Verdict};

/// The session with what answers its questions at once.
pub(super) struct Dialogue {
    pub(super) session: Session,
    pub(super) out: Output,
    pub(super) edge: Arc<Edge>,
    pub(super) client: IpAddr,
    kind: ListenerKind,
    trusted: bool,
    /// For the recipients of a long envelope, as long as there is one.
    pub(super) envelope_memory: Option<OwnedSemaphorePermit>,
}

impl Dialogue {
    pub(super) fn begin(client: IpAddr, door: &Door, edge: Arc<Edge>) -> Self {
        let mut out = Output::default();
        let now = edge.ports.clock.now();
        let offer = Offer { submission: door.kind == ListenerKind::Submission, ..Offer::default() };
        let session = Session::begin(Arc::clone(&door.config), offer, now, &mut out);
        let trusted = edge.policy.trusts(client);
        Self {
            session,
            out,
            edge,
            client: client.to_canonical(),
            kind: door.kind,
            trusted,
            envelope_memory: None,
        }
    }

    pub(super) fn advance(&mut self, input: &mut &[u8]) -> Action {
        loop {
            let answered = match self.session.step(input, &mut self.out) {
                Action::CheckSender(mail) => {
                    let terms = self.terms(&mail);
                    self.session.sender(terms, &mut self.out);
                    None
                }
                Action::CheckRecipient(rcpt, mailbox) => {
                    let verdict = self.judge(&mailbox);
                    debug!(client = %self.client, recipient = %mailbox, ?verdict, "recipient decided on");
                    self.session.recipient(*rcpt, mailbox, verdict, &mut self.out)
                }
                action => Some(action),
            };
            if let Some(action) = answered {
                return action;
            }
        }
    }

    fn terms(&self, _mail: &Mail) -> Result<Terms, Reply> {
        if self.kind == ListenerKind::Submission && !self.trusted {
            return Err(policy::authentication_required());
        }
        let limits = &self.edge.limits;
        Ok(Terms { recipients: limits.recipients, message_octets: limits.message_octets })
    }

    fn judge(&mut self, mailbox: &Mailbox) -> Verdict {
        if self.kind == ListenerKind::Mx && !self.edge.policy.is_ours(mailbox) {
            Verdict::Refuse(policy::relay_denied())
        } else if !self.hold_recipient(mailbox) {
            Verdict::Refuse(policy::no_room())
        } else {
            Verdict::Accept
        }
    }

    /// Takes memory for one more recipient, out of what all messages have; tells whether there is any. Of the first few recipients
    /// nothing is counted: what nearly every message has costs nothing here.
    fn hold_recipient(&mut self, mailbox: &Mailbox) -> bool {
        let held = self.session.envelope().map_or(0, |envelope| envelope.recipients.len());
        if held == 0 {
            self.envelope_memory = None;
        }
        if held < RECIPIENTS_UNCOUNTED {
            return true;
        }
        // the address, its domain once more, and what stands around them
        let octets =
            u32::try_from(2 * mailbox.as_str().len()).unwrap_or(u32::MAX).saturating_add(RECIPIENT_OCTETS);
        let Ok(memory) = Arc::clone(&self.edge.memory).try_acquire_many_owned(octets) else { return false };
        match &mut self.envelope_memory {
            Some(held) => held.merge(memory),
            None => self.envelope_memory = Some(memory),
        }
        true
    }

    pub(super) fn new_message(&self, envelope: Envelope) -> NewMessage {
        let (helo, esmtp) = self.session.client();
        NewMessage {
            received_at: self.edge.ports.clock.now(),
            envelope,
            client: Client {
                ip: self.client,
                helo: helo.to_owned(),
                esmtp,
                tls: None,
                credential: None,
                submission: self.kind == ListenerKind::Submission,
            },
            tenant: TenantId::default(),
        }
    }

    /// Counts and logs what was refused since the last time, and tells whether anything was.
    pub(super) fn report(&mut self) -> bool {
        let any = !self.out.refused.is_empty();
        for reply in std::mem::take(&mut self.out.refused) {
            self.edge.telemetry.refused(&reply);
            info!(client = %self.client, code = reply.code(), status = %reply.status(), reason = reply.text(), "refused");
        }
        any
    }
}
