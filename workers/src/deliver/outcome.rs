//! What went wrong, and what that comes to: the one place where failures are told apart.

use std::fmt;

use shared::mail::{EnhancedCode, FailureClass, FailureKind, FailureScope, Reply, ReplyClass};

use super::classify::{Retry, classify};
use super::hard_bounce::is_hard;
use super::smtp::reply::{RawReply, ReplyError};
use super::{Meaning, Outcome};

/// A step of the dialogue, by the name of what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The greeting, which answers the connection.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// RSET.
    Reset,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The content, on its way.
    Content,
    /// The final dot, or the last BDAT.
    End,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Reset => "RSET",
            Self::Mail => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the content",
            Self::End => "the final dot",
        })
    }
}

/// Why a recipient did not get the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The domain does not exist.
    NoSuchDomain,
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
    /// The domain has neither MX nor address records.
    NoMailHost,
    /// The domain has MX records, and none of their hosts has an address.
    NoHostAddress,
    /// The best host of the domain is this one, so the mail is where it should be and has nowhere to go.
    LoopsBack,
    /// Every address of the domain's hosts is one that the DNS may not send us to.
    ForbiddenAddress,
    /// The DNS did not answer.
    LookupFailed(String),
    /// The smart host of the route has no address.
    NoSmartHost,
    /// No TCP connection.
    Unreachable(String),
    /// No TLS, where TLS was begun and clear text was no way out.
    Handshake(String),
    /// The smart host does not take our credentials, or they cannot be had: why.
    Credentials(String),
    /// The connection broke.
    Lost(Step),
    /// The server took too long.
    TimedOut(Step),
    /// The server answered with something that is no answer.
    Garbled(Step, ReplyError),
    /// The server answered with a code that the step cannot have.
    OutOfPlace(Step, u16),
    /// The server said no.
    Refused(Step, Reply),
    /// The final dot is out, and no answer came: the server may have the message or not (RFC 1047).
    Unanswered(String),
    /// The message is larger than the server takes.
    TooLarge(u64),
    /// The message needs 8BITMIME, which the server lacks.
    NeedsEightBitMime,
    /// The message needs SMTPUTF8, which the server lacks.
    NeedsSmtpUtf8,
    /// The message needs BINARYMIME and CHUNKING, which the server lacks.
    NeedsBinaryMime,
    /// The message has REQUIRETLS, and the way to the server is not as that asks: why.
    NeedsRequireTls(String),
    /// The server is not as a policy about TLS asks: why.
    TlsPolicy(String),
    /// The message is to be returned where the server cannot be told its deliver-by time, which it cannot.
    NeedsDeliverBy,
    /// The server wants more time than is left of the deliver-by time.
    DeliverByTooSoon(u64),
    /// The time after which the message was to be returned has passed.
    DeliverByPassed,
    /// The content could not be read from the spool.
    Unreadable(String),
    /// The inbox could not be written.
    Inbox(String),
    /// The time of one call was up before the message's turn.
    OutOfTime,
}

impl Failure {
    /// What it comes to for the recipients, and the reply that says why.
    pub(super) fn verdict(&self) -> (Outcome, Reply) {
        let deferred = |code, enhanced, text: String| (Outcome::Deferred, Reply::new(code, enhanced, text));
        let bounced =
            |code, enhanced, text: &'static str| (Outcome::Bounced, Reply::new(code, enhanced, text));
        match self {
            Self::NoSuchDomain => bounced(550, (1, 2), "the recipient's domain does not exist"),
            // RFC 7505 §4.1
            Self::NullMx => bounced(556, (1, 10), "the recipient's domain takes no mail (null MX)"),
            Self::NoMailHost => bounced(550, (4, 4), "the recipient's domain has no host for mail"),
            // RFC 5321 §5.1: MX records none of which can be used are an error
            Self::NoHostAddress => {
                bounced(550, (4, 4), "no mail host of the recipient's domain has an address")
            }
            Self::LoopsBack => {
                bounced(554, (4, 6), "mail for the recipient's domain loops back to this host")
            }
            Self::ForbiddenAddress => {
                bounced(550, (7, 1), "the mail hosts of the recipient's domain have no public address")
            }
            Self::LookupFailed(why) => deferred(451, (4, 3), format!("the DNS lookup failed: {why}")),
            Self::NoSmartHost => deferred(451, (4, 4), "the smart host has no address".to_owned()),
            Self::Unreachable(why) => deferred(451, (4, 1), format!("no connection: {why}")),
            Self::Handshake(why) => deferred(454, (7, 0), format!("no TLS: {why}")),
            // the operator's fault, who can put it right, and no message's
            Self::Credentials(why) => deferred(454, (7, 8), format!("no login at the smart host: {why}")),
            Self::Lost(step) => deferred(451, (4, 2), format!("the connection was lost at {step}")),
            Self::TimedOut(step) => deferred(451, (4, 2), format!("the server took too long at {step}")),
            Self::Garbled(step, why) => {
                deferred(451, (5, 0), format!("the reply at {step} is no reply: {why}"))
            }
            Self::OutOfPlace(step, code) => {
                deferred(451, (5, 0), format!("the server said {code} at {step}"))
            }
            Self::Refused(step, reply) => refused(*step, reply),
            Self::Unanswered(why) => {
                let text = format!("{why}; the server may have the message, and may get it twice");
                deferred(451, (4, 2), text)
            }
            Self::TooLarge(limit) => {
                let text = format!("the message is larger than the {limit} octets that the server takes");
                (Outcome::Bounced, Reply::new(552, (3, 4), text))
            }
            // RFC 6152 §3
            Self::NeedsEightBitMime => bounced(554, (6, 3), "the server does not take 8-bit content"),
            // RFC 6531 §3.5
            Self::NeedsSmtpUtf8 => bounced(550, (6, 7), "the server does not take internationalized mail"),
            // RFC 3030 §3: it is not converted here
            Self::NeedsBinaryMime => bounced(554, (6, 3), "the server does not take binary content"),
            // RFC 8689 §4.2.1
            Self::NeedsRequireTls(why) => {
                (Outcome::Bounced, Reply::new(550, (7, 30), format!("REQUIRETLS support required: {why}")))
            }
            // RFC 8461 §5, RFC 7672 §2.2: worth another try, and never clear text
            Self::TlsPolicy(why) => deferred(454, (7, 5), why.clone()),
            // RFC 2852 §4: what cannot be held to its time is not sent on
            Self::NeedsDeliverBy => {
                bounced(554, (4, 7), "the server cannot be told by when the message is to be delivered")
            }
            Self::DeliverByTooSoon(least) => {
                let text = format!("the server wants {least} seconds for a delivery, and fewer are left");
                (Outcome::Bounced, Reply::new(554, (4, 7), text))
            }
            Self::DeliverByPassed => {
                bounced(554, (4, 7), "the time by which the message was to be delivered has passed")
            }
            Self::Unreadable(why) => deferred(451, (3, 0), format!("the content cannot be read: {why}")),
            Self::Inbox(why) => deferred(451, (3, 0), format!("the inbox cannot be written: {why}")),
            Self::OutOfTime => deferred(451, (4, 5), "there was no time left for the message".to_owned()),
        }
    }

    /// Whether the reply that says why is a server's own words.
    pub(super) fn is_spoken(&self) -> bool {
        matches!(self, Self::Refused(..))
    }

    /// What it means beside its outcome.
    pub(super) fn meaning(&self) -> Meaning {
        match self {
            Self::Refused(step, reply) => {
                let found = classify(reply, *step);
                let soon = found.retry == Retry::Soon;
                Meaning { kind: Some((&found).into()), soon, hard: is_hard(*step, reply, &found) }
            }
            other => Meaning { kind: Some(other.kind()), soon: false, hard: *other == Self::NullMx },
        }
    }

    /// Whether it is one for all the recipients of a message that were to get its content, so that it may be meant for any of them.
    pub(super) fn is_of_all(&self) -> bool {
        matches!(self, Self::Refused(Step::Data | Step::Content | Step::End, _))
    }

    /// The kind of a failure that no server speaks of.
    fn kind(&self) -> FailureKind {
        use FailureScope::{Connection, Message, Recipient, Site};
        let (class, scope) = match self {
            Self::Refused(step, reply) => return (&classify(reply, *step)).into(),
            Self::NoSuchDomain | Self::NullMx | Self::NoMailHost | Self::NoHostAddress => {
                (FailureClass::BadDomain, Recipient)
            }
            Self::LoopsBack | Self::ForbiddenAddress | Self::LookupFailed(_) => {
                (FailureClass::Routing, Recipient)
            }
            Self::NoSmartHost | Self::Unreachable(_) => (FailureClass::Routing, Site),
            Self::Handshake(_) | Self::TlsPolicy(_) => (FailureClass::Tls, Site),
            Self::NeedsRequireTls(_) => (FailureClass::Tls, Message),
            Self::Credentials(_) => (FailureClass::AuthenticationFailed, Site),
            Self::Lost(_) | Self::TimedOut(_) | Self::Unanswered(_) => (FailureClass::Transient, Connection),
            Self::Garbled(..) | Self::OutOfPlace(..) => (FailureClass::Unknown, Connection),
            Self::TooLarge(_) => (FailureClass::TooLarge, Message),
            Self::NeedsEightBitMime | Self::NeedsSmtpUtf8 | Self::NeedsBinaryMime => {
                (FailureClass::Content, Message)
            }
            // RFC 3463 §3.5: X.4.7 is of the way that a message takes
            Self::NeedsDeliverBy | Self::DeliverByTooSoon(_) | Self::DeliverByPassed => {
                (FailureClass::Routing, Message)
            }
            Self::Unreadable(_) | Self::Inbox(_) | Self::OutOfTime => (FailureClass::Transient, Message),
        };
        FailureKind { class, scope }
    }

    /// The same, where it came when the whole message was out.
    pub(super) fn unanswered(&self) -> Self {
        Self::Unanswered(self.verdict().1.text().to_owned())
    }

    /// Of two failures on the way to one domain, the one that counts: while any host may work later, nothing is final.
    pub(super) fn or(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier)
                if self.verdict().0 == Outcome::Bounced && earlier.verdict().0 != Outcome::Bounced =>
            {
                earlier
            }
            _ => self,
        }
    }
}

/// What a 4yz or 5yz comes to at `step`: the table knows where a 5yz is worth another try.
fn refused(step: Step, reply: &Reply) -> (Outcome, Reply) {
    if classify(reply, step).permanent {
        (Outcome::Bounced, reply.clone())
    } else if reply.class() == ReplyClass::Permanent {
        (Outcome::Deferred, transient(reply))
    } else {
        (Outcome::Deferred, reply.clone())
    }
}

/// The same reply in the class of what is worth another try.
fn transient(reply: &Reply) -> Reply {
    let (code, text) = (reply.code() - 100, format!("(said as {}) {}", reply.code(), reply.text()));
    match reply.enhanced() {
        Some(EnhancedCode(subject, detail)) => Reply::new(code, (subject, detail), text),
        None => Reply::plain(code, text),
    }
}

/// Whether the server goes along with `step`. `Ok(Some)` is its refusal of that step; `Err` is the end of the connection.
pub(super) fn judge(step: Step, raw: RawReply, text_octets_max: usize) -> Result<Option<Reply>, Failure> {
    let code = raw.code;
    let awaited = match step {
        Step::Data => code == 354,
        Step::Greeting
        | Step::Hello
        | Step::StartTls
        | Step::Auth
        | Step::Reset
        | Step::Mail
        | Step::Recipient
        | Step::Content
        | Step::End => code / 100 == 2,
    };
    if awaited {
        return Ok(None);
    }
    let reply = raw.into_reply(text_octets_max);
    match reply.class() {
        // 421 says that the server is about to close (RFC 5321 §3.8), whatever was asked
        ReplyClass::Transient if code == 421 => Err(Failure::Refused(step, reply)),
        ReplyClass::Transient | ReplyClass::Permanent => Ok(Some(reply)),
        ReplyClass::Completed | ReplyClass::Intermediate => Err(Failure::OutOfPlace(step, code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: Step, code: u16) -> (Outcome, u16) {
        let (outcome, reply) = Failure::Refused(step, Reply::plain(code, "x")).verdict();
        (outcome, reply.code())
    }

    #[test]
    fn a_refusal_counts_by_its_class_but_where_an_rfc_says_otherwise() {
        for step in [Step::Hello, Step::Mail, Step::Recipient, Step::Data, Step::End] {
            assert_eq!(at(step, 450), (Outcome::Deferred, 450), "{step}");
            assert_eq!(at(step, 550), (Outcome::Bounced, 550), "{step}");
        }
        assert_eq!(at(Step::Recipient, 552), (Outcome::Deferred, 452));
        assert_eq!(at(Step::End, 552), (Outcome::Bounced, 552));
        assert_eq!(at(Step::Greeting, 554), (Outcome::Deferred, 454));
        assert_eq!(at(Step::Greeting, 521), (Outcome::Bounced, 521));
    }

    #[test]
    fn the_class_of_every_reply_is_that_of_its_outcome() {
        let reply = Reply::plain(554, "x");
        for failure in [
            Failure::NoSuchDomain,
            Failure::NullMx,
            Failure::NoMailHost,
            Failure::NoHostAddress,
            Failure::LoopsBack,
            Failure::ForbiddenAddress,
            Failure::LookupFailed(String::new()),
            Failure::NoSmartHost,
            Failure::Unreachable(String::new()),
            Failure::Handshake(String::new()),
            Failure::Credentials(String::new()),
            Failure::Lost(Step::Mail),
            Failure::TimedOut(Step::Mail),
            Failure::Garbled(Step::Mail, ReplyError::Malformed),
            Failure::OutOfPlace(Step::Mail, 354),
            Failure::Refused(Step::Greeting, reply.clone()),
            Failure::Refused(Step::Mail, reply),
            Failure::Unanswered(String::new()),
            Failure::TooLarge(1),
            Failure::NeedsEightBitMime,
            Failure::NeedsSmtpUtf8,
            Failure::NeedsBinaryMime,
            Failure::NeedsRequireTls(String::new()),
            Failure::TlsPolicy(String::new()),
            Failure::NeedsDeliverBy,
            Failure::DeliverByTooSoon(1),
            Failure::DeliverByPassed,
            Failure::Unreadable(String::new()),
            Failure::Inbox(String::new()),
            Failure::OutOfTime,
        ] {
            let (outcome, reply) = failure.verdict();
            let class = match outcome {
                Outcome::Deferred => ReplyClass::Transient,
                Outcome::Bounced => ReplyClass::Permanent,
                Outcome::Delivered | Outcome::Discarded | Outcome::Suppressed => ReplyClass::Completed,
            };
            assert_eq!(reply.class(), class, "{failure:?}");
        }
    }

    #[test]
    fn while_one_host_may_work_later_nothing_is_final() {
        let (soft, hard) = (Failure::Lost(Step::Mail), Failure::NoHostAddress);
        assert_eq!(hard.clone().or(Some(soft.clone())), soft);
        assert_eq!(soft.clone().or(Some(hard.clone())), soft);
        assert_eq!(Failure::NullMx.or(Some(hard)), Failure::NullMx);
    }
}
