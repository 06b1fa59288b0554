//! The state of one SMTP session (RFC 5321 §4.1.4): octets in, replies and actions out.

use std::sync::Arc;

use shared::mail::{ContentFacts, Envelope, Mailbox, MessageId, Recipient, Reply, ReplyClass};

use super::command::{Command, CommandError, ForwardPath, Mail};
use super::data::{BareLf, Decoder};
use super::line::{Line, Splitter};
use super::replies;
use crate::Limits;

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
    /// Decide on a recipient and call [`Session::recipient`].
    CheckRecipient(Mailbox),
    /// Write the replies; content comes next.
    Begin,
    /// The content has ended and is to be thrown away; the client has been told why.
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

/// Why a message that is in order cannot be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// There is no memory for it.
    NoMemory,
    /// It is not known to be durable.
    NotDurable,
}

/// One session. Its replies and actions depend on the octets alone, not on how they are cut into pieces.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    splitter: Splitter,
    hello: Option<Hello>,
    transaction: Option<Box<Envelope>>,
    phase: Phase,
    bad_commands: u32,
    /// Whether the last MAIL was refused. With PIPELINING its RCPTs and DATA are on their way already, and no mistakes of the client
    /// (RFC 2920 §3.1).
    mail_refused: bool,
    lines: u64,
    content_octets: u64,
    draining: bool,
}

#[derive(Debug)]
struct Hello {
    name: String,
    extended: bool,
}

#[derive(Debug)]
enum Phase {
    Commands,
    Content(Box<Content>),
    Closed,
}

#[derive(Debug)]
struct Content {
    decoder: Decoder,
    setback: Option<Setback>,
}

impl Session {
    /// A session that begins: the greeting is the first reply.
    pub fn begin(config: Arc<Config>, out: &mut Output) -> Self {
        out.say(replies::greeting(&config.hostname));
        Self {
            splitter: Splitter::new(config.limits.command_line_octets),
            config,
            hello: None,
            transaction: None,
            phase: Phase::Commands,
            bad_commands: 0,
            mail_refused: false,
            lines: 0,
            content_octets: 0,
            draining: false,
        }
    }

    /// Takes from the front of `input` what can be dealt with before the caller has to do something.
    pub fn step(&mut self, input: &mut &[u8], out: &mut Output) -> Action {
        loop {
            match self.phase {
                Phase::Closed => return Action::Close,
                Phase::Content(_) => return self.content(input, out),
                Phase::Commands => {}
            }
            if out.replies.len() >= self.config.limits.replies_octets {
                return Action::Flush;
            }
            if self.splitter.is_at_start() && input.first() == Some(&TLS_HANDSHAKE) {
                return self.close(replies::not_smtp(), out);
            }
            let parsed = match self.splitter.next(input) {
                None => return Action::Read,
                Some(Line::TooLong) => Err(replies::line_too_long()),
                Some(Line::Bare) => Err(replies::bare_line_end()),
                Some(Line::Text(line)) => match Command::parse(line, self.config.limits.path_octets) {
                    Err(CommandError::Http) => return self.close(replies::not_smtp(), out),
                    parsed => {
                        self.mail_refused |= parsed.is_err() && is_mail(line);
                        parsed.map_err(replies::command_error)
                    }
                },
            };
            self.lines += 1;
            let action = match parsed {
                Ok(command) => self.command(command, out),
                Err(reply) => self.bad(reply, out),
            };
            if let Some(action) = action {
                return action;
            }
        }
    }

    fn command(&mut self, command: Command, out: &mut Output) -> Option<Action> {
        if self.draining && self.transaction.is_none() && command != Command::Quit {
            return Some(self.close(replies::shutting_down(), out));
        }
        match command {
            Command::Ehlo(name) => self.hello(name, true, out),
            Command::Helo(name) => self.hello(name, false, out),
            Command::Mail(mail) => return self.mail(mail, out),
            Command::Rcpt(path) => return self.rcpt(path, out),
            Command::Data => return self.data(out),
            Command::Rset => {
                (self.transaction, self.mail_refused) = (None, false);
                out.say(replies::ok());
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
    fn hello(&mut self, name: String, extended: bool, out: &mut Output) {
        (self.transaction, self.mail_refused) = (None, false);
        self.hello = Some(Hello { name, extended });
        let Config { hostname, limits, .. } = &*self.config;
        out.say(if extended {
            replies::ehlo(hostname, limits.message_octets)
        } else {
            replies::helo(hostname)
        });
    }

    fn mail(&mut self, mail: Mail, out: &mut Output) -> Option<Action> {
        let action = self.begin_transaction(mail, out);
        self.mail_refused = self.transaction.is_none();
        action
    }

    fn begin_transaction(&mut self, mail: Mail, out: &mut Output) -> Option<Action> {
        let Some(hello) = &self.hello else {
            return self.bad(replies::out_of_order("send EHLO first"), out);
        };
        if self.transaction.is_some() {
            return self.bad(replies::out_of_order("a transaction is open, send RSET first"), out);
        }
        if mail.extended && !hello.extended {
            return self.bad(replies::not_extended(), out);
        }
        if mail.size.is_some_and(|size| size > self.config.limits.message_octets) {
            out.say(replies::too_large());
            return None;
        }
        self.transaction =
            Some(Box::new(Envelope { from: mail.from, recipients: Vec::new(), options: mail.options }));
        out.say(replies::sender_ok());
        None
    }

    fn rcpt(&mut self, path: ForwardPath, out: &mut Output) -> Option<Action> {
        let Some(envelope) = &self.transaction else {
            return self.without_mail(out);
        };
        let mailbox = match path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            ForwardPath::Postmaster => {
                match Mailbox::parse(&format!("postmaster@{}", self.config.hostname)) {
                    Ok(mailbox) => mailbox,
                    Err(_) => return self.bad(replies::command_error(CommandError::Recipient), out),
                }
            }
        };
        if !envelope.options.smtputf8 && !mailbox.is_ascii() {
            out.say(replies::no_utf8());
            return None;
        }
        if envelope.recipients.iter().any(|recipient| recipient.address == mailbox) {
            out.say(replies::recipient_ok());
            return None;
        }
        if envelope.recipients.len() >= self.config.limits.recipients {
            out.say(replies::too_many_recipients());
            return None;
        }
        Some(Action::CheckRecipient(mailbox))
    }

    /// Answers [`Action::CheckRecipient`].
    pub fn recipient(&mut self, mailbox: Mailbox, verdict: Verdict, out: &mut Output) {
        match (verdict, &mut self.transaction) {
            (Verdict::Accept, Some(envelope)) => {
                envelope.recipients.push(Recipient::from(mailbox));
                out.say(replies::recipient_ok());
            }
            (Verdict::Refuse(reply), _) => out.say(reply),
            (Verdict::Accept, None) => out.say(replies::out_of_order("send MAIL first")),
        }
    }

    fn data(&mut self, out: &mut Output) -> Option<Action> {
        let Some(envelope) = &self.transaction else {
            return self.without_mail(out);
        };
        if envelope.recipients.is_empty() {
            out.say(replies::no_recipients());
            return None;
        }
        let decoder = Decoder::new(self.config.bare_lf, &self.config.limits);
        self.phase = Phase::Content(Box::new(Content { decoder, setback: None }));
        out.say(replies::begin_content());
        Some(Action::Begin)
    }

    fn content(&mut self, input: &mut &[u8], out: &mut Output) -> Action {
        let Phase::Content(content) = &mut self.phase else { return Action::Read };
        let ended = content.decoder.decode(input, &mut out.content);
        if content.decoder.fault().is_some() || content.setback.is_some() {
            out.content = Vec::new();
        }
        if !ended {
            return Action::Read;
        }
        // what is wrong with the message itself will be wrong next time too, so it comes before what ails us
        let refusal =
            content.decoder.fault().map(replies::fault).or_else(|| content.setback.map(replies::setback));
        let facts = content.decoder.facts();
        self.content_octets = content.decoder.octets();
        self.phase = Phase::Commands;
        match (refusal, self.transaction.take()) {
            (Some(refusal), _) => {
                out.say(refusal);
                Action::Discard
            }
            (None, Some(envelope)) => Action::Commit(*envelope, facts),
            (None, None) => Action::Discard,
        }
    }

    /// Answers [`Action::Commit`]: the message is durable under this id, or it is not known to be.
    pub fn committed(&mut self, outcome: Result<MessageId, Setback>, out: &mut Output) {
        match outcome {
            Ok(id) => {
                self.bad_commands = 0;
                out.say(replies::queued(id));
            }
            Err(setback) => out.say(replies::setback(setback)),
        }
    }

    /// Has the message being received read to its end, thrown away and refused for `setback`.
    pub fn refuse_content(&mut self, setback: Setback) {
        if let Phase::Content(content) = &mut self.phase {
            content.setback.get_or_insert(setback);
        }
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

    /// Whether content comes next and not a command.
    pub fn is_in_content(&self) -> bool {
        matches!(self.phase, Phase::Content(_))
    }

    /// Whether the content being received will be thrown away.
    pub fn is_discarding(&self) -> bool {
        match &self.phase {
            Phase::Content(content) => content.setback.is_some() || content.decoder.fault().is_some(),
            Phase::Commands | Phase::Closed => false,
        }
    }

    /// The transaction under way, until its content has ended.
    pub fn envelope(&self) -> Option<&Envelope> {
        self.transaction.as_deref()
    }

    /// What the client called itself, and whether by EHLO.
    pub fn client(&self) -> (&str, bool) {
        self.hello.as_ref().map_or(("", false), |hello| (&hello.name, hello.extended))
    }

    /// How many octets the message that ended last has.
    pub fn content_octets(&self) -> u64 {
        self.content_octets
    }

    /// How many lines have been read; it grows with each command, good or bad.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many octets of incomplete commands are held.
    pub fn held(&self) -> usize {
        self.splitter.held()
    }

    /// RCPT or DATA where no transaction is open.
    fn without_mail(&mut self, out: &mut Output) -> Option<Action> {
        let reply = replies::out_of_order("send MAIL first");
        if self.mail_refused {
            out.say(reply);
            return None;
        }
        self.bad(reply, out)
    }

    fn bad(&mut self, reply: Reply, out: &mut Output) -> Option<Action> {
        self.bad_commands += 1;
        if self.bad_commands >= self.config.limits.bad_commands {
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
