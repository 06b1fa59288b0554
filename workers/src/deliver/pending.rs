//! A delivery on its way through a transport, and how it is handed back.

use std::net::IpAddr;

use shared::job::Delivery;
use shared::mail::{Reply, Timestamp};
use shared::port::{Attempt, Clock};
use tokio::sync::mpsc;

use super::mx::Target;
use super::outcome::Failure;
use super::{Hop, Meaning, Outcome, RecipientOutcome, Tried};

/// A delivery, and what has become of each of its recipients so far.
pub(super) struct Pending<'a> {
    pub(super) delivery: Delivery,
    /// Its place among the outcomes, once its attempt has begun.
    place: Option<mpsc::Permit<'a, Tried>>,
    /// One for each recipient, in their order.
    settled: Vec<Option<Settled>>,
    /// When its own try began; it may have waited behind others.
    pub(super) began_at: Timestamp,
    /// How its content goes over the session that it is in.
    pub(super) passage: Passage,
    /// Whether RSET goes before its MAIL.
    pub(super) reset: bool,
}

/// How content goes to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// By DATA, with dots doubled.
    Data,
    /// By BDAT (RFC 3030), as it is.
    Chunk,
    /// By BDAT, in one flight with its envelope.
    Ahead,
}

/// What became of one recipient.
#[derive(Debug, Clone)]
struct Settled {
    outcome: Outcome,
    reply: Reply,
    spoken: bool,
    meaning: Meaning,
    hop: Hop,
}

impl From<&Failure> for Settled {
    fn from(failure: &Failure) -> Self {
        let (outcome, reply) = failure.verdict();
        let (spoken, meaning) = (failure.is_spoken(), failure.meaning());
        Self { outcome, reply, spoken, meaning, hop: Hop::End }
    }
}

impl Pending<'_> {
    pub(super) fn new(delivery: Delivery, now: Timestamp) -> Self {
        let settled = delivery.recipients.iter().map(|_| None).collect();
        Self { delivery, place: None, settled, began_at: now, passage: Passage::Data, reset: false }
    }

    /// The recipients that have no outcome yet, by their place.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> {
        self.settled.iter().enumerate().filter(|(_, settled)| settled.is_none()).map(|(at, _)| at)
    }

    /// Whether any recipient has no outcome yet.
    pub(super) fn is_open(&self) -> bool {
        self.open().next().is_some()
    }

    /// Whether some recipients have their outcome, and others none.
    pub(super) fn is_begun(&self) -> bool {
        self.place.is_some() && self.settled.iter().any(Option::is_some)
    }

    /// Sets what `failure` comes to for one recipient.
    pub(super) fn fail_one(&mut self, at: usize, failure: &Failure) {
        self.settled[at] = Some(self.settled_by(failure));
    }

    /// Sets what `failure` comes to for every recipient that has no outcome yet.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.settle(&self.settled_by(failure));
    }

    fn settled_by(&self, failure: &Failure) -> Settled {
        let mut settled = Settled::from(failure);
        settled.meaning.hard &= self.settled.len() == 1 || !failure.is_of_all();
        settled
    }

    /// Notes that a server took the message for the recipients at `places`, in the words of `reply`.
    pub(super) fn take(&mut self, places: &[usize], reply: &Reply, hop: Hop) {
        let (outcome, reply) = (Outcome::Delivered, reply.clone());
        let settled = Settled { outcome, reply, spoken: true, meaning: Meaning::default(), hop };
        for at in places {
            self.settled[*at] = Some(settled.clone());
        }
    }

    /// Sets an outcome that no server had a part in, for every recipient that has none yet.
    pub(super) fn settle_here(&mut self, outcome: Outcome, reply: &Reply) {
        let reply = reply.clone();
        self.settle(&Settled { outcome, reply, spoken: false, meaning: Meaning::default(), hop: Hop::End });
    }

    fn settle(&mut self, outcome: &Settled) {
        for settled in self.settled.iter_mut().filter(|settled| settled.is_none()) {
            *settled = Some(outcome.clone());
        }
    }
}

/// Whom a message was given to, as the trace tells it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) target: Target,
    /// TLS version and cipher; `None` is clear text.
    pub(super) tls: Option<String>,
    /// The source it was spoken to from, and the address of that, where the operator set any.
    pub(super) source: Option<(String, IpAddr)>,
}

/// Hands deliveries back.
pub(super) struct Reporter<'a> {
    pub(super) tried: &'a mpsc::Sender<Tried>,
    pub(super) clock: &'a dyn Clock,
    /// The route, as the configuration writes it.
    pub(super) route: String,
}

impl<'a> Reporter<'a> {
    /// Reserves the place of `pending`, whose attempt begins now; `false` where no attempt is to begin any more.
    pub(super) async fn begin(&self, pending: &mut Pending<'a>) -> bool {
        // what is done in parts keeps its place and its beginning
        if pending.place.is_none() {
            pending.began_at = self.clock.now();
            pending.place = self.tried.reserve().await.ok();
        }
        pending.place.is_some()
    }

    /// Whether no attempt is to begin any more.
    pub(super) fn is_closed(&self) -> bool {
        self.tried.is_closed()
    }

    /// Returns once no attempt is to begin any more.
    pub(super) async fn closed(&self) {
        self.tried.closed().await;
    }

    /// Hands `pending` back, each of whose recipients has an outcome.
    pub(super) async fn report(&self, pending: Pending<'a>, peer: Option<&Peer>) {
        let Pending { delivery, place, settled, began_at, passage: _, reset: _ } = pending;
        let place = match place {
            Some(place) => place,
            None => match self.tried.reserve().await {
                Ok(place) => place,
                // it was not begun, and somebody else will
                Err(_) => return,
            },
        };
        let mut outcomes = Vec::with_capacity(settled.len());
        for (recipient, settled) in delivery.recipients.iter().zip(settled) {
            let Settled { outcome, reply, spoken, meaning, hop } =
                settled.unwrap_or_else(|| Settled::from(&Failure::OutOfTime));
            count(outcome, &meaning);
            let address = recipient.address.clone();
            outcomes.push(RecipientOutcome { address, outcome, reply, spoken, meaning, hop });
        }
        let reply = deciding(&outcomes);
        tracing::debug!(message_id = %delivery.key.message, domain = %delivery.key.domain, %reply, "tried");
        let attempt = Attempt {
            number: delivery.attempt,
            began_at,
            ended_at: self.clock.now(),
            route: self.route.clone(),
            host: peer.map(|peer| peer.target.host.clone()),
            peer: peer.map(|peer| peer.target.address.to_string()),
            tls: peer.and_then(|peer| peer.tls.clone()),
            source: peer.and_then(|peer| peer.source.as_ref()).map(|(name, ip)| format!("{name} ({ip})")),
            reply,
        };
        place.send(Tried { delivery, attempt, outcomes });
    }

    /// Leaves `pending` to whoever makes the next attempt; but what some recipients have by now is on record first.
    pub(super) async fn let_go(&self, mut pending: Pending<'a>, peer: Option<&Peer>) {
        if pending.is_begun() {
            pending.fail(&Failure::OutOfTime);
            self.report(pending, peer).await;
        }
    }

    /// Hands everything in `queue` back with what `failure` comes to.
    pub(super) async fn fail(
        &self,
        queue: impl IntoIterator<Item = Pending<'a>>,
        failure: &Failure,
        peer: Option<&Peer>,
    ) {
        for mut pending in queue {
            pending.fail(failure);
            self.report(pending, peer).await;
        }
    }
}

/// The reply that tells most of the attempt: that to the message where anyone got it, and else the first one.
fn deciding(outcomes: &[RecipientOutcome]) -> Reply {
    let delivered = outcomes.iter().find(|recipient| recipient.outcome == Outcome::Delivered);
    let deciding = delivered.or(outcomes.first()).map(|recipient| recipient.reply.clone());
    deciding.unwrap_or_else(|| Reply::new(250, (0, 0), "the delivery has no recipients"))
}

fn count(outcome: Outcome, meaning: &Meaning) {
    let outcome = match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Deferred => "deferred",
        Outcome::Bounced => "bounced",
        Outcome::Discarded => "discarded",
        Outcome::Suppressed => "suppressed",
    };
    metrics::counter!("spoolway_deliver_recipients_total", "outcome" => outcome).increment(1);
    if let Some(kind) = meaning.kind {
        metrics::counter!("spoolway_deliver_failures_total", "class" => kind.class.as_str()).increment(1);
    }
}
