//! MAIL and RCPT (RFC 5321 §3.3).

use shared::mail::{ByMode, Envelope, Mailbox, Recipient, Reply};

use super::super::command::{CommandError, ForwardPath, Mail, Rcpt};
use super::super::replies;
use super::{Action, Encryption, Limit, Output, Receiving, Session, Verdict};

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) envelope: Envelope,
    pub(super) terms: Terms,
    /// Its content, once that has begun.
    pub(super) receiving: Option<Receiving>,
}

/// What a sender may do in the transaction that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Most recipients.
    pub recipients: usize,
    /// Most octets of content.
    pub message_octets: u64,
}

impl Session {
    pub(super) fn mail(&mut self, mail: Box<Mail>, out: &mut Output) -> Option<Action> {
        self.given_up = true;
        let Some(hello) = &self.hello else {
            return self.bad(replies::out_of_order("send EHLO first"), out);
        };
        if self.transaction.is_some() {
            self.given_up = false;
            return self.bad(replies::out_of_order("a transaction is open, send RSET first"), out);
        }
        if mail.extended && !hello.extended {
            return self.bad(replies::not_extended(), out);
        }
        if let Some(reply) = self.why_not_offered(&mail) {
            return self.bad(reply, out);
        }
        if mail.size.is_some_and(|size| size > self.config.limits.message_octets) {
            out.say(replies::too_large());
            return None;
        }
        Some(Action::CheckSender(mail))
    }

    /// What is wrong with parameters that are each well formed.
    fn why_not_offered(&self, mail: &Mail) -> Option<Reply> {
        let options = &mail.options;
        let unknown = (mail.submitter && !self.offer.has_auth())
            || ((options.hold.is_some() || mail.prioritized) && !self.offer.submission);
        if unknown {
            return Some(replies::command_error(CommandError::UnknownParameter));
        }
        if options.require_tls && self.offer.encryption != Encryption::Active {
            return Some(replies::require_tls_needs_tls());
        }
        let hold = options.hold?.until(self.now);
        if hold > self.now + self.config.limits.hold {
            return Some(replies::held_too_long(self.config.limits.hold));
        }
        let due = options.deliver_by.filter(|by| by.mode == ByMode::Return)?;
        let seconds = u64::try_from(due.seconds).unwrap_or_default();
        (hold >= self.now + std::time::Duration::from_secs(seconds)).then(replies::held_beyond_its_time)
    }

    /// Answers [`Action::CheckSender`].
    pub fn sender(&mut self, mail: Mail, verdict: Result<Terms, Reply>, out: &mut Output) {
        match verdict {
            Ok(terms) if mail.size.is_some_and(|size| size > terms.message_octets) => {
                out.say(replies::too_large());
            }
            Ok(terms) => {
                self.given_up = false;
                let envelope = Envelope { from: mail.from, recipients: Vec::new(), options: mail.options };
                self.transaction = Some(Box::new(Transaction { envelope, terms, receiving: None }));
                out.say(replies::sender_ok());
            }
            Err(reply) => out.say(reply),
        }
    }

    pub(super) fn rcpt(&mut self, rcpt: Box<Rcpt>, out: &mut Output) -> Option<Action> {
        let Some(transaction) = &self.transaction else {
            return self.without_mail(out);
        };
        let Transaction { envelope, terms, receiving } = &**transaction;
        if receiving.is_some() {
            return self.bad(replies::out_of_order("the content has begun"), out);
        }
        if rcpt.extended && self.hello.as_ref().is_none_or(|hello| !hello.extended) {
            return self.bad(replies::not_extended(), out);
        }
        let mailbox = match &rcpt.to {
            ForwardPath::Mailbox(mailbox) => mailbox.clone(),
            ForwardPath::Postmaster => {
                match Mailbox::parse(&format!("postmaster@{}", self.config.hostname)) {
                    Ok(mailbox) => mailbox,
                    Err(_) => return self.bad(replies::command_error(CommandError::Recipient), out),
                }
            }
        };
        if !envelope.options.smtputf8 && !mailbox.is_ascii() {
            return self.refuse_recipient(replies::no_utf8(), out);
        }
        if envelope.recipients.iter().any(|recipient| recipient.address == mailbox) {
            out.say(replies::recipient_ok());
            return None;
        }
        if envelope.recipients.len() >= terms.recipients {
            return self.refuse_recipient(replies::too_many_recipients(), out);
        }
        Some(Action::CheckRecipient(rcpt, mailbox))
    }

    /// Answers [`Action::CheckRecipient`].
    pub fn recipient(
        &mut self,
        rcpt: Rcpt,
        mailbox: Mailbox,
        verdict: Verdict,
        out: &mut Output,
    ) -> Option<Action> {
        match (verdict, &mut self.transaction) {
            (Verdict::Accept, Some(transaction)) => {
                let Rcpt { notify, original, .. } = rcpt;
                transaction.envelope.recipients.push(Recipient { address: mailbox, notify, original });
                out.say(replies::recipient_ok());
                None
            }
            (Verdict::Refuse(reply), _) => self.refuse_recipient(reply, out),
            (Verdict::Accept, None) => {
                out.say(replies::out_of_order("send MAIL first"));
                None
            }
        }
    }

    fn refuse_recipient(&mut self, reply: Reply, out: &mut Output) -> Option<Action> {
        self.counts.refused_recipients += 1;
        if self.counts.refused_recipients >= self.config.limits.refused_recipients {
            return Some(self.over(Limit::RefusedRecipients, out));
        }
        out.say(reply);
        None
    }

    /// RCPT or DATA where no transaction is open.
    pub(super) fn without_mail(&mut self, out: &mut Output) -> Option<Action> {
        let reply = replies::out_of_order("send MAIL first");
        if self.given_up {
            out.say(reply);
            return None;
        }
        self.bad(reply, out)
    }
}
