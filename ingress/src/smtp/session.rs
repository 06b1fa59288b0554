//! The state of one SMTP session (RFC 5321 §4.1.4): octets in, replies and actions out.

mod anew;
mod auth;
mod content;
mod offer;
mod transaction;

use std::sync::Arc;

use shared::mail::{ContentFacts, Envelope, Mailbox, Reply, ReplyClass, Timestamp};

use super::command::{Command, CommandError, Mail, Rcpt, Response, XClient};
use super::content::BareLf;
use super::line::{Line, Splitter};
use super::replies;
use crate::Limits;
use crate::over_limit::Limit;

use content::Receiving;
pub use offer::{Encryption, Offer};
pub use transaction::Terms;
use transaction::Transaction;

/// What all sessions of a listener have in common.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's own name.
    pub hostname: String,
    /// What a bare LF in content comes to.
    pub bare_lf: BareLf,
    /// The bounds.
    pub limits: Limits,
}

/// What a session puts out. The caller empties it.
#[derive(Debug, Default)]
pub struct Output {
    /// Replies, as they go over the wire.
    pub replies: Vec<u8>,
    /// Decoded content of the message being received.
    pub content: Vec<u8>,
    /// The replies among them that refuse something, for logs and metrics.
    pub refused: Vec<Reply>,
    /// The limit against abuse that the client is over.
    pub(crate) over: Option<Limit>,
}

impl Output {
    fn say(&mut self, reply: Reply) {
        reply.write_to(&mut self.replies);
        if matches!(reply.class(), ReplyClass::Transient | ReplyClass::Permanent) {
            self.refused.push(reply);
        }
    }
}

/// What the caller is to do before the next step.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// All input is used up, or all that is part of the content: write the replies, read on.
    Read,
    /// Write the replies, then go on with the rest of the input.
    Flush,
    /// Call [`Session::ready_for_tls`], write the replies, throw away all input there is (RFC 3207 §4.2), and shake hands. Then call
    /// [`Session::secured`].
    StartTls,
    /// Begin an exchange and call [`Session::challenge`], [`Session::authenticated`] or [`Session::denied`].
    Authenticate(String, Option<Response>),
    /// Go on with the exchange, likewise.
    Respond(Response),
    /// A trusted proxy says for whom it speaks. Call [`Session::relocated`].
    Relocate(Box<XClient>),
    /// Decide on a sender and call [`Session::sender`].
    CheckSender(Box<Mail>),
    /// Decide on a recipient and call [`Session::recipient`].
    CheckRecipient(Box<Rcpt>, Mailbox),
    /// Write the replies; content comes next.
    Begin,
    /// What has come of a message's content is to be thrown away; the client has been told why, or has asked for it.
    Discard,
    /// The content has ended. Make it durable and call [`Session::committed`].
    Commit(Envelope, ContentFacts),
    /// Write the replies and close the connection.
    Close,
}

/// The answer to [`Action::CheckRecipient`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The recipient is taken.
    Accept,
    /// It is refused with this reply.
    Refuse(Reply),
}

/// Why a message that is in order cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setback {
    /// There is no memory for it.
    NoMemory,
    /// It is not known to be durable.
    NotDurable,
    /// A policy refuses it with this reply.
    Refused(Box<Reply>),
}

/// One session. Its replies and actions depend on the octets and the answers it is given alone, not on how the octets are cut into
/// pieces.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    offer: Offer,
    now: Timestamp,
    splitter: Splitter,
    hello: Option<Hello>,
    authenticated: bool,
    transaction: Option<Box<Transaction>>,
    phase: Phase,
    counts: Counts,
    /// Whether the last MAIL was refused, or the message given up. With PIPELINING what follows is on its way already, and no mistake
    /// of the client (RFC 2920 §3.1).
    given_up: bool,
    lines: u64,
    content_octets: u64,
    draining: bool,
}

#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

/// What makes a session end once there is too much of it. A message that was accepted sets all but one to zero.
#[derive(Debug, Default)]
struct Counts {
    bad_commands: u32,
    idle_commands: u32,
    refused_recipients: u32,
    /// Failures of AUTH, which no message makes good.
    auth_failures: u32,
}

#[derive(Debug)]
enum Phase {
    Commands,
    /// Within an exchange of AUTH; the next line is a response.
    Exchange,
    /// Behind DATA.
    Data,
    /// Within a chunk of which so many octets are still to come.
    Chunk {
        left: u64,
        last: bool,
        octets: u64,
        refusal: Option<Box<Reply>>,
    },
    Closed,
}

impl Session {
    /// A session that begins: the greeting is the first reply.
    pub fn begin(config: Arc<Config>, offer: Offer, now: Timestamp, out: &mut Output) -> Self {
        out.say(replies::greeting(&config.hostname));
        Self {
            splitter: Splitter::new(config.limits.command_line_octets, config.limits.auth_line_octets),
            config,
            offer,
            now,
            hello: None,
            authenticated: false,
            transaction: None,
            phase: Phase::Commands,
            counts: Counts::default(),
            given_up: false,
            lines: 0,
            content_octets: 0,
            draining: false,
        }
    }

    /// Tells the session what time it is.
    pub fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Takes from the front of `input` what can be dealt with before the caller has to do something.
    pub fn step(&mut self, input: &mut &[u8], out: &mut Output) -> Action {
        loop {
            let action = match self.phase {
                Phase::Closed => Some(Action::Close),
                Phase::Data => Some(self.data_content(input, out)),
                Phase::Chunk { .. } => self.chunk_content(input, out),
                Phase::Exchange => self.exchange_line(input, out),
                Phase::Commands => self.command_line(input, out),
            };
            if let Some(action) = action {
                return action;
            }
        }
    }

    fn command_line(&mut self, input: &mut &[u8], out: &mut Output) -> Option<Action> {
        if out.replies.len() >= self.config.limits.replies_octets {
            return Some(Action::Flush);
        }
        if self.splitter.is_at_start() && input.first() == Some(&TLS_HANDSHAKE) {
            return Some(self.close(replies::tls_unasked(), out));
        }
        let parsed = match self.splitter.next(input) {
            None => return Some(Action::Read),
            Some(Line::TooLong) => Err(replies::line_too_long()),
            Some(Line::Bare) => Err(replies::bare_line_end()),
            Some(Line::Text(line)) => match Command::parse(line, self.config.limits.path_octets) {
                Err(CommandError::Http) => return Some(self.close(replies::not_smtp(), out)),
                // where the next command begins, nobody can tell
                Err(CommandError::ChunkSize) => return Some(self.close(replies::chunk_size(), out)),
                parsed => {
                    self.given_up |= parsed.is_err() && is_mail(line);
                    parsed.map_err(replies::command_error)
                }
            },
        };
        self.lines += 1;
        match parsed {
            Ok(command) => self.command(command, out),
            Err(reply) => self.bad(reply, out),
        }
    }

    fn command(&mut self, command: Command, out: &mut Output) -> Option<Action> {
        if self.draining && self.transaction.is_none() && command != Command::Quit {
            return Some(self.close(replies::shutting_down(), out));
        }
        let carries_mail = matches!(command, Command::Rcpt(_) | Command::Data | Command::Bdat(_));
        if !carries_mail && command != Command::Quit {
            self.counts.idle_commands += 1;
            if self.counts.idle_commands > self.config.limits.idle_commands {
                return Some(self.over(Limit::IdleCommands, out));
            }
        }
        match command {
            Command::Ehlo(name) => return self.hello(name, true, out),
            Command::Helo(name) => return self.hello(name, false, out),
            Command::StartTls => return self.start_tls(out),
            Command::Auth(auth) => return self.auth(auth, out),
            Command::XClient(said) => return self.xclient(said, out),
            Command::Mail(mail) => return self.mail(mail, out),
            Command::Rcpt(rcpt) => return self.rcpt(rcpt, out),
            Command::Data => return self.data(out),
            Command::Bdat(chunk) => return self.chunk(chunk, out),
            Command::Rset => {
                out.say(replies::ok());
                return self.reset(out);
            }
            Command::Noop => out.say(replies::ok()),
            Command::Help => out.say(replies::help()),
            Command::Vrfy => out.say(replies::cannot_verify()),
            Command::Expn => return self.bad(replies::not_implemented(), out),
            Command::Quit => return Some(self.close(replies::bye(), out)),
        }
        None
    }

    /// EHLO and HELO also do what RSET does (RFC 5321 §4.1.4).
    fn hello(&mut self, name: String, extended: bool, out: &mut Output) -> Option<Action> {
        let Config { hostname, limits, .. } = &*self.config;
        out.say(if extended { self.offer.ehlo(hostname, limits, self.now) } else { replies::helo(hostname) });
        self.hello = Some(Hello { name, extended });
        self.reset(out)
    }

    /// Ends the transaction, if there is one; what chunks have brought of its content goes.
    fn reset(&mut self, out: &mut Output) -> Option<Action> {
        self.given_up = false;
        let transaction = self.transaction.take();
        transaction.and_then(|transaction| transaction.receiving)?;
        out.content = Vec::new();
        Some(Action::Discard)
    }

    /// Answers the next command outside a transaction with 421, and ends the session with that.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Ends the session because the server goes away.
    pub fn shut_down(&mut self, out: &mut Output) -> Action {
        self.close(replies::shutting_down(), out)
    }

    /// Ends the session because the client took too long.
    pub fn time_out(&mut self, out: &mut Output) -> Action {
        self.close(replies::timed_out(), out)
    }

    /// Ends the session with a reply.
    pub fn end(&mut self, reply: Reply, out: &mut Output) -> Action {
        self.close(reply, out)
    }

    /// The transaction under way, until its content has ended.
    pub fn envelope(&self) -> Option<&Envelope> {
        self.transaction.as_deref().map(|transaction| &transaction.envelope)
    }

    /// What the client called itself, and whether by EHLO.
    pub fn client(&self) -> (&str, bool) {
        self.hello.as_ref().map_or(("", false), |hello| (&hello.name, hello.extended))
    }

    /// How many lines have been read; it grows with each command, good or bad.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many octets of incomplete commands are held.
    pub fn held(&self) -> usize {
        self.splitter.held()
    }

    /// Ends the session for a limit against abuse.
    pub(crate) fn over(&mut self, limit: Limit, out: &mut Output) -> Action {
        out.over = Some(limit);
        self.close(limit.reply(), out)
    }

    fn bad(&mut self, reply: Reply, out: &mut Output) -> Option<Action> {
        self.counts.bad_commands += 1;
        if self.counts.bad_commands >= self.config.limits.bad_commands {
            return Some(self.close(replies::too_many_errors(), out));
        }
        out.say(reply);
        None
    }

    fn close(&mut self, reply: Reply, out: &mut Output) -> Action {
        self.phase = Phase::Closed;
        self.transaction = None;
        out.say(reply);
        Action::Close
    }
}

fn is_mail(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"MAIL "))
}

/// What a TLS handshake begins with (RFC 8446 §5.1). No command does.
const TLS_HANDSHAKE: u8 = 22;
