//! AUTH (RFC 4954): the lines of an exchange. What they say is for whoever knows the secrets.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shared::mail::Reply;

use super::super::command::{Auth, response};
use super::super::line::Line;
use super::super::replies;
use super::{Action, Output, Phase, Session};

impl Session {
    pub(super) fn auth(&mut self, auth: Auth, out: &mut Output) -> Option<Action> {
        if !self.offer.has_auth() {
            return self.bad(replies::not_implemented(), out);
        }
        if self.hello.as_ref().is_none_or(|hello| !hello.extended) {
            return self.bad(replies::out_of_order("send EHLO first"), out);
        }
        if self.authenticated {
            return self.bad(replies::out_of_order("already authenticated"), out);
        }
        if self.transaction.is_some() {
            return self.bad(replies::out_of_order("a transaction is open, send RSET first"), out);
        }
        if self.offer.mechanisms.is_empty() {
            return self.bad(replies::auth_needs_tls(), out);
        }
        if !self.offer.mechanisms.iter().any(|offered| *offered == auth.mechanism) {
            return self.bad(replies::unknown_mechanism(), out);
        }
        Some(Action::Authenticate(auth.mechanism, auth.initial))
    }

    /// The next line of an exchange.
    pub(super) fn exchange_line(&mut self, input: &mut &[u8], out: &mut Output) -> Option<Action> {
        let said = match self.splitter.next(input) {
            None => return Some(Action::Read),
            Some(Line::TooLong) => Err(replies::auth_line_too_long()),
            Some(Line::Bare) => Err(replies::bare_line_end()),
            Some(Line::Text(b"*")) => Err(replies::auth_cancelled()),
            Some(Line::Text(line)) => response(line).ok_or_else(replies::not_base64),
        };
        self.lines += 1;
        self.leave_exchange();
        match said {
            Ok(response) => Some(Action::Respond(response)),
            Err(reply) => self.bad(reply, out),
        }
    }

    /// Answers [`Action::Authenticate`] and [`Action::Respond`]: the exchange goes on.
    pub fn challenge(&mut self, challenge: &[u8], out: &mut Output) {
        self.phase = Phase::Exchange;
        self.splitter.in_exchange(true);
        out.say(Reply::plain(334, BASE64_STANDARD.encode(challenge)));
    }

    /// Answers them: the client is who it says it is.
    pub fn authenticated(&mut self, out: &mut Output) {
        self.authenticated = true;
        out.say(replies::authenticated());
    }

    /// Answers them: it is not known to be.
    pub fn denied(&mut self, reply: Reply, out: &mut Output) -> Option<Action> {
        self.counts.auth_failures += 1;
        if self.counts.auth_failures >= self.config.limits.auth_failures {
            // the reason goes before the end
            out.say(reply);
            return Some(self.close(replies::too_many_auth_failures(), out));
        }
        out.say(reply);
        None
    }

    /// Answers them: it cannot be known now, which is no fault of the client.
    pub fn not_known(&mut self, reply: Reply, out: &mut Output) {
        out.say(reply);
    }

    fn leave_exchange(&mut self) {
        self.phase = Phase::Commands;
        self.splitter.in_exchange(false);
    }
}
