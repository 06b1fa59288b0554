//! What the queues carry: small versioned JSON without message bytes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::limits::{DELIVERIES_MAX, JOB_OCTETS_MAX, RECIPIENTS_MAX};
use crate::mail::{
    ContentFacts, Domain, JobId, MailOptions, Mailbox, MessageId, PackId, Recipient, ReversePath, TenantId,
    Timestamp,
};

/// The latest version that this code reads; it reads every one released so far (golden files in `tests/jobs/`). A job says the first
/// version whose programs can do it: those before leave it in its queue.
const VERSION: u8 = 2;

/// A text that is not a job this code can read.
#[derive(Debug, Error)]
pub enum JobError {
    /// Not JSON, or not of the job's shape.
    #[error("the job cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// A version from the future.
    #[error("the job has version {0}, and this program reads version {VERSION}")]
    Version(u8),
}

/// A pack is in the spool; check, sign and split its messages. Carried by the inbound queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareJob {
    /// The pack to prepare.
    pub pack: PackId,
}

/// Attempts to make now. Carried by the outbound queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverJob {
    /// Derived from the deliveries it carries, so that one job made twice is one job.
    pub id: JobId,
    /// Whether these deliveries may have been made before by another job: read their state first.
    #[serde(default)]
    pub check: bool,
    /// At most [`DELIVERIES_MAX`], sorted by destination.
    pub deliveries: Vec<Delivery>,
    /// A message whose sender is to be told of it, in place of deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tell: Option<Tell>,
}

/// A message whose sender is to be told what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tell {
    /// The message.
    pub message: MessageId,
    /// Whom it is accounted to.
    pub tenant: TenantId,
    /// The reminders of it, which go away once there is nothing to be told any more.
    pub reminders: Vec<String>,
}

/// One message for one destination domain: all that an attempt needs but the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which delivery this is.
    #[serde(flatten)]
    pub key: DeliveryKey,
    /// Where the message's bytes begin in its pack.
    pub offset: u64,
    /// How many bytes the message has.
    pub length: u64,
    /// The header lines put in front of the stored bytes, each ended by CRLF; and the empty line behind them, where the
    /// stored bytes begin with neither a header field nor that line.
    pub prefix: String,
    /// MAIL FROM, as its sender gave it: who is told of what becomes of it.
    pub from: ReversePath,
    /// What MAIL FROM says in its place, so that a later bounce finds its way back; the delivery has one recipient then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_path: Option<Mailbox>,
    /// Those who have no final outcome yet; at most [`RECIPIENTS_MAX`].
    pub recipients: Vec<Recipient>,
    /// The parameters of MAIL.
    #[serde(default)]
    pub options: MailOptions,
    /// What the next server must be able to take.
    #[serde(default)]
    pub content: ContentFacts,
    /// Whom the message is accounted to.
    pub tenant: TenantId,
    /// The Subject, decoded and cut to 120 characters; empty where there is none.
    #[serde(default)]
    pub subject: String,
    /// The `d=` and `s=` of each signature in `prefix`, as `selector._domainkey.domain`.
    #[serde(default)]
    pub signed: Vec<String>,
    /// Why a submission is not signed, as a short name such as `not_our_domain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// When 250 was said.
    pub accepted_at: Timestamp,
    /// When to give up.
    pub expires_at: Timestamp,
    /// What its sender was told of its being late.
    #[serde(default, skip_serializing_if = "Notices::is_empty")]
    pub notices: Notices,
    /// The route that an operator has given it, as a configuration writes one; else the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// How often this try was put off before it began: for a limit of its destination, and at no cost of an attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub postponed: u32,
    /// How many more deliveries its message has, of which its sender is told together with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u32,
}

/// The DSNs that told of a delay. Each is sent once, so the next attempt must know of it. Where a message has other deliveries, and a
/// delay is told together with theirs, it is no DSN's id that stands here, but a mark that it is told or will be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// To those who asked for it by `NOTIFY=DELAY` (RFC 3461 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<MessageId>,
    /// At the end of a deliver-by time of mode N (RFC 2852 §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_by: Option<MessageId>,
}

impl Notices {
    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        self.latest().is_none()
    }

    /// One that told of the delay, if any did.
    pub fn latest(&self) -> Option<MessageId> {
        self.deliver_by.or(self.delay)
    }
}

impl Delivery {
    /// What MAIL FROM says to the next server; `None` is the null path.
    pub fn mail_from(&self) -> Option<&Mailbox> {
        self.return_path.as_ref().or(self.from.mailbox())
    }

    /// Whether a client of ours handed the message in, and no stranger: its signatures were made here, or it is told why not.
    pub fn is_submission(&self) -> bool {
        !self.signed.is_empty() || self.unsigned.is_some()
    }

    /// Until when the message is to be delivered, where its sender set a time (RFC 2852).
    pub fn deliver_by(&self) -> Option<Timestamp> {
        let by = self.options.deliver_by?;
        let span = std::time::Duration::from_secs(by.seconds.unsigned_abs().into());
        Some(if by.seconds < 0 { self.accepted_at - span } else { self.accepted_at + span })
    }
}

impl Delivery {
    /// The name of this try: `<key> <attempt>`, and `<key> <attempt>+<times>` where it was put off. A try that was put off is another
    /// one, with a job of its own.
    pub fn turn(&self) -> String {
        match self.postponed {
            0 => format!("{} {}", self.key, self.attempt),
            times => format!("{} {}+{times}", self.key, self.attempt),
        }
    }

    /// From when on it may be attempted, and from when its age counts: the release of a held message, and else its 250.
    pub fn released_at(&self) -> Timestamp {
        self.options.held_until(self.accepted_at).unwrap_or(self.accepted_at)
    }
}

/// The name of a delivery. `part` tells deliveries of one message to one domain apart, where it has over
/// [`RECIPIENTS_MAX`] recipients there. As text: `<message id>/<domain>` and `<message id>/<domain>#<part>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeliveryKey {
    /// The message.
    pub message: MessageId,
    /// The destination.
    pub domain: Domain,
    /// From 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u16,
}

fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

impl DeliveryKey {
    /// The key below its message: `<domain>` or `<domain>#<part>`.
    pub fn destination(&self) -> String {
        if self.part == 0 { self.domain.to_string() } else { format!("{}#{}", self.domain, self.part) }
    }
}

impl std::fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.message, self.destination())
    }
}

impl DeliverJob {
    /// The job for one try at each of `deliveries`, which are not empty.
    pub fn new(deliveries: Vec<Delivery>, check: bool) -> Self {
        let names: Vec<String> = deliveries.iter().map(Delivery::turn).collect();
        let at = deliveries.first().map_or(Timestamp::from_millis(0), |first| first.accepted_at);
        Self { id: JobId::derived(at, names.iter().map(String::as_str)), check, deliveries, tell: None }
    }

    /// The job of telling a sender, made at `at`: one that is made again later is another one.
    pub fn tell(tell: Tell, at: Timestamp) -> Self {
        let id = JobId::derived(at, tell.reminders.iter().map(String::as_str));
        Self { id, check: false, deliveries: Vec::new(), tell: Some(tell) }
    }

    /// Whom the job is accounted to: its deliveries are of one tenant.
    pub fn tenant(&self) -> TenantId {
        let told = self.tell.iter().map(|tell| &tell.tenant);
        let delivered = self.deliveries.iter().map(|delivery| &delivery.tenant);
        told.chain(delivered).next().cloned().unwrap_or_default()
    }
}

/// A job as a queue carries it.
pub trait Job: Serialize + DeserializeOwned {
    /// The first version whose programs can do this job.
    fn version(&self) -> u8 {
        1
    }

    /// The JSON text, with its version.
    fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Versioned<'a, J> {
            v: u8,
            #[serde(flatten)]
            job: &'a J,
        }
        let json =
            serde_json::to_string(&Versioned { v: self.version(), job: self }).expect("a job is plain data");
        // the two characters that JSON may hold as they are and SQS refuses; both can only stand within a text
        if json.contains(['\u{fffe}', '\u{ffff}']) {
            return json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
        }
        json
    }

    /// Reads what [`Job::encode`] of this or an earlier release wrote.
    fn decode(text: &str) -> Result<Self, JobError> {
        #[derive(Deserialize)]
        struct Version {
            v: u8,
        }
        let written_by_us = text.strip_prefix(r#"{"v":1,"#).is_some();
        if !written_by_us {
            let Version { v } = serde_json::from_str(text).map_err(JobError::Malformed)?;
            if !(1..=VERSION).contains(&v) {
                return Err(JobError::Version(v));
            }
        }
        serde_json::from_str(text).map_err(JobError::Malformed)
    }
}

impl Job for PrepareJob {}

impl Job for DeliverJob {
    /// What there is to tell is told since version 2.
    fn version(&self) -> u8 {
        if self.tell.is_some() { 2 } else { 1 }
    }
}
