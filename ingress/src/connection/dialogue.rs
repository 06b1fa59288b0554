//! A session with what answers its questions.

mod login;
mod sender;
mod whereabouts;

use std::net::IpAddr;
use std::sync::Arc;

use shared::mail::{Client, ClientDns, Envelope, Mailbox, TenantId};
use shared::pack::NewMessage;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, info, warn};

use crate::ListenerKind;
use crate::auth::{Channel, Exchange, Grant};
use crate::checks::{Decision, Pending};
use crate::edge::Edge;
use crate::limits::{RECIPIENT_OCTETS, RECIPIENTS_UNCOUNTED};
use crate::over_limit::Limit;
use crate::policy;
use crate::recipients::Known;
use crate::server::ListenerConfig;
use crate::smtp::{Action, Encryption, Offer, Output, Rcpt, Session, Verdict};
use crate::tls::{ListenerTls, TlsFacts};

/// The session with what answers its questions.
pub(super) struct Dialogue {
    pub(super) session: Session,
    pub(super) out: Output,
    pub(super) edge: Arc<Edge>,
    pub(super) client: IpAddr,
    listener: Arc<ListenerConfig>,
    trusted: bool,
    /// Whether the peer may say by XCLIENT for whom it speaks.
    xclient: bool,
    tls: Option<Box<TlsFacts>>,
    exchange: Option<Box<Exchange>>,
    /// Who the client has proved to be.
    grant: Option<Arc<Grant>>,
    /// The look at the DNS, where there is one.
    checks: Option<Pending>,
    /// What policy made of it, once a recipient was asked about.
    decision: Option<Decision>,
    dns: ClientDns,
    /// For the recipients of a long envelope, as long as there is one.
    pub(super) envelope_memory: Option<OwnedSemaphorePermit>,
}

impl Dialogue {
    pub(super) fn begin(
        client: IpAddr,
        trusted: bool,
        tls: Option<Box<TlsFacts>>,
        listener: &Arc<ListenerConfig>,
        edge: Arc<Edge>,
    ) -> Self {
        let mut out = Output::default();
        let now = edge.ports.clock.now();
        let xclient = edge.policy.may_xclient(client);
        let offer = offer(listener, client, tls.as_deref(), xclient, &edge);
        let session = Session::begin(Arc::clone(&listener.config), offer, now, &mut out);
        let mut dialogue = Self {
            session,
            out,
            edge,
            client: client.to_canonical(),
            listener: Arc::clone(listener),
            trusted,
            xclient,
            tls,
            exchange: None,
            grant: None,
            checks: None,
            decision: None,
            dns: ClientDns::default(),
            envelope_memory: None,
        };
        dialogue.look_up();
        dialogue
    }

    /// Begins to ask the DNS about a stranger, while the dialogue goes on.
    fn look_up(&mut self) {
        let asks = self.listener.kind == ListenerKind::Mx && !self.trusted;
        self.checks = asks.then(|| self.edge.checks.begin(self.client));
        self.decision = None;
    }

    /// Goes on until there is something to do; what can be answered at once has been answered by then.
    pub(super) fn advance(&mut self, input: &mut &[u8]) -> Action {
        loop {
            let answered = match self.session.step(input, &mut self.out) {
                Action::CheckSender(mail) => match self.terms_at_once() {
                    Some(terms) => {
                        self.session.sender(*mail, terms, &mut self.out);
                        None
                    }
                    None => Some(Action::CheckSender(mail)),
                },
                Action::CheckRecipient(rcpt, mailbox) if self.listener.kind == ListenerKind::Submission => {
                    self.answer_recipient(*rcpt, mailbox, Verdict::Accept)
                }
                action => Some(action),
            };
            if let Some(action) = answered {
                return action;
            }
        }
    }

    /// Decides on a recipient of an `mx` listener.
    pub(super) async fn check_recipient(&mut self, rcpt: Rcpt, mailbox: Mailbox) -> Option<Action> {
        let verdict = self.judge(&mailbox).await;
        self.answer_recipient(rcpt, mailbox, verdict)
    }

    async fn judge(&mut self, mailbox: &Mailbox) -> Verdict {
        if self.decision.is_none() {
            self.decision = Some(match &mut self.checks {
                Some(checks) => checks.decide().await,
                None => Decision::Accept,
            });
        }
        match &self.decision {
            // RFC 5321 §4.5.1, so that somebody can be told of a wrong listing
            _ if self.edge.policy.is_own_postmaster(mailbox) => Verdict::Accept,
            Some(Decision::Defer(reply) | Decision::Refuse(reply)) => Verdict::Refuse(reply.clone()),
            Some(Decision::Accept) | None if policy::is_routed(mailbox) => {
                Verdict::Refuse(policy::relay_denied())
            }
            Some(Decision::Accept) | None => match self.edge.recipients.check(mailbox).await {
                Ok(Known::Yes) => Verdict::Accept,
                Ok(Known::NoSuchRecipient) => Verdict::Refuse(policy::no_such_recipient()),
                Ok(Known::NotOurDomain) => Verdict::Refuse(policy::relay_denied()),
                Err(error) => {
                    warn!(
                        error = error.chain(),
                        "a recipient could not be looked up; it was answered with 451"
                    );
                    Verdict::Refuse(policy::unknown_now())
                }
            },
        }
    }

    fn answer_recipient(&mut self, rcpt: Rcpt, mailbox: Mailbox, verdict: Verdict) -> Option<Action> {
        let verdict = match verdict {
            Verdict::Accept if !self.hold_recipient(&mailbox) => Verdict::Refuse(policy::no_room()),
            verdict => verdict,
        };
        debug!(client = %self.client, recipient = %mailbox, ?verdict, "recipient decided on");
        self.session.recipient(rcpt, mailbox, verdict, &mut self.out)
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

    /// Waits, if it must, for what the DNS says of the client, which goes with each of its messages.
    pub(super) async fn settle_dns(&mut self) {
        if let Some(mut checks) = self.checks.take() {
            let said = self.dns.name.take();
            self.dns = Box::pin(checks.dns()).await;
            self.dns.name = said.or(self.dns.name.take());
        }
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
                tls: self.tls.as_ref().map(|tls| tls.describe()),
                credential: self.grant.as_ref().map(|grant| grant.name().to_owned()),
                submission: self.listener.kind == ListenerKind::Submission,
                dns: self.dns.clone(),
            },
            tenant: self.grant.as_ref().map_or_else(TenantId::default, |grant| grant.entry.tenant.clone()),
        }
    }

    /// Tells that the client is over a limit.
    pub(super) fn tell(&self, limit: Limit) {
        self.edge.over_limits.tell(limit, self.client, self.edge.ports.clock.now());
    }

    /// Counts and logs what was refused since the last time, and tells whether anything was.
    pub(super) fn report(&mut self) -> bool {
        if let Some(limit) = self.out.over.take() {
            self.tell(limit);
        }
        let any = !self.out.refused.is_empty();
        for reply in std::mem::take(&mut self.out.refused) {
            self.edge.telemetry.refused(&reply);
            info!(client = %self.client, code = reply.code(), status = %reply.status(), reason = reply.text(), "refused");
        }
        any
    }
}

/// What a session offers there.
fn offer(
    listener: &ListenerConfig,
    client: IpAddr,
    tls: Option<&TlsFacts>,
    xclient: bool,
    edge: &Edge,
) -> Offer {
    let encryption = match (tls, listener.tls) {
        (Some(_), _) => Encryption::Active,
        (None, ListenerTls::StartTls) if listener.acceptor.is_some() => Encryption::Offered,
        (None, ListenerTls::StartTls | ListenerTls::Implicit | ListenerTls::Off) => Encryption::None,
    };
    let submission = listener.kind == ListenerKind::Submission;
    let mechanisms = if submission { edge.auth.mechanisms(&channel(client, tls)) } else { Vec::new() };
    let mechanisms_under_tls = submission && encryption == Encryption::Offered;
    Offer { encryption, mechanisms, mechanisms_under_tls, submission, xclient }
}

/// What a mechanism of AUTH may know of the connection.
fn channel(client: IpAddr, tls: Option<&TlsFacts>) -> Channel {
    Channel {
        tls: tls.is_some(),
        exporter: tls.and_then(|tls| tls.exporter),
        server_end_point: tls.and_then(|tls| tls.server_end_point.clone()),
        loopback: client.to_canonical().is_loopback(),
    }
}
