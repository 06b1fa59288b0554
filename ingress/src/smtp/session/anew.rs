//! What makes a session start anew: TLS (RFC 3207), and a proxy that says for whom it speaks.

use shared::mail::Reply;

use super::super::command::XClient;
use super::super::line::Splitter;
use super::super::replies;
use super::{Action, Encryption, Offer, Output, Phase, Session};

impl Session {
    /// RFC 3207 §4.
    pub(super) fn start_tls(&mut self, out: &mut Output) -> Option<Action> {
        match self.offer.encryption {
            Encryption::None => self.bad(replies::not_implemented(), out),
            Encryption::Active => self.bad(replies::out_of_order("TLS is active already"), out),
            Encryption::Offered => Some(Action::StartTls),
        }
    }

    /// Answers [`Action::StartTls`] before hands are shaken: whether that can be done now.
    pub fn ready_for_tls(&mut self, ready: bool, out: &mut Output) {
        out.say(if ready { replies::ready_for_tls() } else { replies::tls_not_available() });
    }

    /// Answers [`Action::StartTls`] in the end: hands have been shaken, and the session starts anew, without a greeting. What was known of the
    /// client is forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self, offer: Offer) {
        self.start_anew(offer);
    }

    fn start_anew(&mut self, offer: Offer) {
        self.offer = offer;
        (self.hello, self.authenticated) = (None, false);
        (self.transaction, self.given_up, self.phase) = (None, false, Phase::Commands);
        self.splitter =
            Splitter::new(self.config.limits.command_line_octets, self.config.limits.auth_line_octets);
    }

    pub(super) fn xclient(&mut self, said: Box<XClient>, out: &mut Output) -> Option<Action> {
        if !self.offer.xclient {
            return self.bad(replies::not_implemented(), out);
        }
        if self.transaction.is_some() {
            return self.bad(replies::out_of_order("a transaction is open, send RSET first"), out);
        }
        Some(Action::Relocate(said))
    }

    /// Answers [`Action::Relocate`]: the session starts anew, with a greeting, for the client that was named; or the client is
    /// refused with a reply.
    pub fn relocated(&mut self, offer: Result<Offer, Reply>, out: &mut Output) -> Option<Action> {
        match offer {
            Ok(offer) => {
                self.start_anew(offer);
                out.say(replies::greeting(&self.config.hostname));
                None
            }
            Err(reply) => Some(self.close(reply, out)),
        }
    }
}
