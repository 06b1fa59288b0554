//! What is done about what a message says that came back. All of it can be done twice.

use std::time::Duration;

use shared::directory::{SuppressionEntry, SuppressionReason, is_same_address};
use shared::job::{DeliverJob, Delivery, DeliveryKey, Job, Notices};
use shared::mail::{MailOptions, Mailbox, MessageId, Reply, ReversePath};
use shared::port::{DeliveryState, Feedback, FeedbackKind, Outgoing, PortError, PortResult};
use shared::return_path::{COMPLAINTS, ReturnPath};

use super::super::backoff::persist;
use super::super::classify::classify;
use super::super::hard_bounce::is_hard;
use super::super::outcome::{Failure, Step};
use super::report::{Report, Status, parse};
use super::{Bounces, Read};
use crate::limits::{PORT_TRIES, REPORT_OCTETS_MAX, REPORT_WAITS_FOR_RECORD};

/// What came back, and what it is about.
struct About<'a> {
    delivery: &'a Delivery,
    path: ReturnPath,
    state: DeliveryState,
    /// Whom the message was for.
    address: Mailbox,
}

impl Bounces {
    pub(super) async fn read(&self, delivery: &Delivery) -> Read {
        match self.try_read(delivery).await {
            Ok(read) => read,
            Err(cause) => {
                let message = delivery.key.message;
                tracing::warn!(message_id = %message, cause = cause.chain(), "a bounce cannot be read yet");
                Read::Later(Reply::new(451, (3, 0), "a store does not answer; it is read later"))
            }
        }
    }

    async fn try_read(&self, delivery: &Delivery) -> PortResult<Read> {
        let clock = &*self.ports.clock;
        let to = &delivery.recipients[0].address;
        let own = if to.local_part().eq_ignore_ascii_case(COMPLAINTS) {
            None
        } else {
            match persist(clock, PORT_TRIES, || self.ports.return_paths.verify(to)).await? {
                None => return Ok(Read::NoSuchPath),
                found => found,
            }
        };
        let end = delivery.offset + delivery.length.min(REPORT_OCTETS_MAX);
        let pack = delivery.key.message.pack;
        let get = || self.ports.spool.get(pack, delivery.offset..end);
        let Some(piece) = persist(clock, PORT_TRIES, get).await? else {
            return Ok(Read::Failed(Failure::Unreadable("its pack is not in the spool any more".to_owned())));
        };
        let report = parse(&piece.bytes);
        // a complaint may come from anywhere, and tells by a path within it what it is about
        let path = match (&report, own) {
            (Report::Feedback { paths, .. }, None) => self.first_signed(paths).await?,
            (_, own) => own,
        };
        let Some(path) = path else {
            let wrong = match report {
                Report::Feedback { .. } => "the complaint names no return path of this edge",
                Report::Delivery { .. } | Report::None => "it is no feedback report (RFC 5965)",
            };
            return Ok(discarded(delivery, wrong));
        };
        let about = match self.about(delivery, path).await? {
            Ok(about) => about,
            Err(unknown) => return Ok(unknown),
        };
        match report {
            Report::Delivery { reporter, statuses } => self.bounced(&about, reporter, statuses).await,
            Report::Feedback { reporter, kind, .. } => self.complained(&about, reporter, &kind).await,
            Report::None => {
                let to = self.pass_on(&about).await?;
                count("answer");
                Ok(Read::Done(Reply::new(250, (0, 0), format!("an answer to message {}{to}", path.message))))
            }
        }
    }

    async fn first_signed(&self, paths: &[Mailbox]) -> PortResult<Option<ReturnPath>> {
        for path in paths {
            let verify = || self.ports.return_paths.verify(path);
            if let Some(found) = persist(&*self.ports.clock, PORT_TRIES, verify).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The delivery that left with `path`; or what becomes of a bounce of one that is not on record.
    async fn about<'a>(
        &self,
        delivery: &'a Delivery,
        path: ReturnPath,
    ) -> PortResult<Result<About<'a>, Read>> {
        let message = || self.ports.deliveries.message(path.message);
        let states = persist(&*self.ports.clock, PORT_TRIES, message).await?;
        let left_so = |state: &DeliveryState| {
            let own = state.return_path.as_ref().and_then(|own| ReturnPath::read(own.local_part()));
            own == Some(path)
        };
        let state = states.into_iter().find(left_so);
        let address = state.as_ref().and_then(|state| state.recipients.first()).map(|to| to.address.clone());
        if let (Some(state), Some(address)) = (state, address) {
            return Ok(Ok(About { delivery, path, state, address }));
        }
        // a quick bounce overtakes the record of its delivery
        if self.ports.clock.now().since(delivery.accepted_at) < REPORT_WAITS_FOR_RECORD {
            let text = format!("the outcome of message {} is not on record yet", path.message);
            return Ok(Err(Read::Later(Reply::new(451, (3, 0), text))));
        }
        Ok(Err(discarded(delivery, &format!("message {} is not known any more", path.message))))
    }

    async fn bounced(
        &self,
        about: &About<'_>,
        reporter: Option<String>,
        statuses: Vec<Status>,
    ) -> PortResult<Read> {
        let message = about.path.message;
        let (status, names_it) = decisive(statuses, &about.address);
        let Some(Status { kind, reply, .. }) = status else {
            return Ok(discarded(about.delivery, "it is empty"));
        };
        let hard = kind == FeedbackKind::Bounced
            && names_it
            && is_hard(Step::Recipient, &reply, &classify(&reply, Step::Recipient));
        let suppressed =
            hard && self.suppress(about, SuppressionReason::HardBounce, &reply.to_string()).await?;
        self.note(about, kind, reply, reporter, suppressed).await?;
        let to = self.pass_on(about).await?;
        let word = word(kind);
        count(word);
        Ok(Read::Done(Reply::new(250, (0, 0), format!("recorded as {word} of message {message}{to}"))))
    }

    async fn complained(&self, about: &About<'_>, reporter: Option<String>, kind: &str) -> PortResult<Read> {
        let message = about.path.message;
        // RFC 5965 §7.3; RFC 6591 and later types report on other things than a person's wish
        let complaint = matches!(kind, "abuse" | "fraud" | "virus" | "opt-out" | "opt-out-list" | "other");
        let text = format!("feedback report: {kind}");
        let suppressed = complaint && self.suppress(about, SuppressionReason::Complaint, &text).await?;
        let reply = Reply::plain(if complaint { 550 } else { 250 }, text);
        let kind = if complaint { FeedbackKind::Complaint } else { FeedbackKind::Other };
        self.note(about, kind, reply, reporter, suppressed).await?;
        count(word(kind));
        let text = format!("recorded as {} of message {message}", word(kind));
        Ok(Read::Done(Reply::new(250, (0, 0), text)))
    }

    /// Suppresses the address of the delivery, unless its tenant wants none of that; tells which.
    async fn suppress(&self, about: &About<'_>, reason: SuppressionReason, words: &str) -> PortResult<bool> {
        let (tenant, suppressions) = (&about.state.tenant, &self.ports.suppressions);
        if !suppressions.adds(tenant, reason) {
            return Ok(false);
        }
        let source = format!("message {}: {words}", about.path.message);
        let now = self.ports.clock.now();
        let entry = SuppressionEntry::new(tenant.clone(), about.address.clone(), reason, &source, now);
        persist(&*self.ports.clock, PORT_TRIES, || suppressions.add(entry.clone())).await?;
        Ok(true)
    }

    async fn note(
        &self,
        about: &About<'_>,
        kind: FeedbackKind,
        reply: Reply,
        reporter: Option<String>,
        suppressed: bool,
    ) -> PortResult<()> {
        let About { delivery, address, state, .. } = about;
        let (report, at) = (delivery.key.message, self.ports.clock.now());
        let feedback = Feedback { at, kind, address: address.clone(), reply, reporter, report, suppressed };
        let note = || self.ports.deliveries.note(&state.key, feedback.clone());
        persist(&*self.ports.clock, PORT_TRIES, note).await?;
        tracing::info!(message_id = %state.key.message, report_id = %report, kind = word(kind), suppressed, "feedback came in");
        Ok(())
    }

    /// Sends what came back to the sender of the message, who would have got it without us; from the null path, so that nothing comes
    /// of it where the sender takes no mail. Tells of it, for a reply.
    async fn pass_on(&self, about: &About<'_>) -> PortResult<&'static str> {
        let ReversePath::Mailbox(sender) = &about.state.from else { return Ok("") };
        if sender.domain() == self.ports.return_paths.domain() {
            return Ok(", whose sender is a return path itself");
        }
        let delivery = passed_on(about, sender);
        let tenant = delivery.tenant.clone();
        // `check`, so that it goes once however often it is sent
        let body = DeliverJob::new(vec![delivery], true).encode();
        let send = || {
            self.send(Outgoing {
                body: body.clone(),
                delay: Duration::ZERO,
                tenant: tenant.clone(),
                priority: 0,
            })
        };
        persist(&*self.ports.clock, PORT_TRIES, send).await?;
        Ok(", and passed on to its sender")
    }

    async fn send(&self, outgoing: Outgoing) -> PortResult<()> {
        let answers = self.ports.outbound.send(vec![outgoing]).await?;
        answers
            .into_iter()
            .next()
            .unwrap_or_else(|| Err(PortError::unknown("the send of a job", "no result")))
    }
}

/// The same stored octets, for the sender. Its part tells it from every other delivery of the message that came back.
fn passed_on(about: &About<'_>, sender: &Mailbox) -> Delivery {
    let part = u16::MAX - about.delivery.key.part;
    let message: MessageId = about.delivery.key.message;
    Delivery {
        key: DeliveryKey { message, domain: sender.domain().clone(), part },
        from: ReversePath::Null,
        return_path: None,
        recipients: vec![sender.clone().into()],
        tenant: about.state.tenant.clone(),
        attempt: 1,
        // RFC 3461 §6.1: a DSN goes without RET, and its envelope id is nobody's
        options: MailOptions { ret: None, envid: None, ..about.delivery.options.clone() },
        notices: Notices::default(),
        ..about.delivery.clone()
    }
}

/// The status that counts, and whether it is about the address itself. Where others are told of, they are behind it: the members of a
/// list, of whom one that is gone does not make the list so.
fn decisive(mut statuses: Vec<Status>, address: &Mailbox) -> (Option<Status>, bool) {
    statuses.sort_by_key(|status| status.kind != FeedbackKind::Bounced);
    let names = |status: &Status| status.addresses.iter().any(|one| is_same_address(one, address));
    if let Some(at) = statuses.iter().position(names) {
        return (Some(statuses.swap_remove(at)), true);
    }
    let alone = statuses.len() == 1;
    (statuses.into_iter().next(), alone)
}

fn discarded(delivery: &Delivery, why: &str) -> Read {
    tracing::info!(message_id = %delivery.key.message, why, "a bounce is thrown away");
    count("discarded");
    Read::Discarded(Reply::new(250, (0, 0), format!("discarded by bounces.domain: {why}")))
}

fn word(kind: FeedbackKind) -> &'static str {
    match kind {
        FeedbackKind::Bounced => "a bounce",
        FeedbackKind::Delayed => "a delay",
        FeedbackKind::Delivered => "the delivery",
        FeedbackKind::Relayed => "the relay",
        FeedbackKind::Expanded => "the expansion",
        FeedbackKind::Complaint => "a complaint",
        FeedbackKind::Other => "feedback",
    }
}

fn count(kind: &'static str) {
    metrics::counter!("spoolway_bounces_total", "kind" => kind).increment(1);
}
