//! A session: greeting, EHLO or HELO, STARTTLS, AUTH; and then as many transactions as it is good for.

use std::sync::Arc;

use shared::mail::Domain;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Way;
use super::capabilities::Capabilities;
use super::connection::Connection;
use super::dial::Dialer;
use super::reply::RawReply;
use super::tls::{Assurance, Connector};
use crate::deliver::TransportSettings;
use crate::deliver::mx::Target;
use crate::deliver::outcome::{Failure, Step, judge};
use crate::deliver::pending::Peer;
use crate::deliver::pool::Slot;

/// A server that is ready for MAIL.
pub(crate) struct Session {
    pub(super) settings: Arc<TransportSettings>,
    pub(super) connection: Connection,
    pub(super) offered: Capabilities,
    pub(super) peer: Peer,
    /// Transactions begun.
    pub(super) begun: usize,
    /// Transactions that came to an end the server told.
    pub(super) ended: usize,
    /// Whether the server still holds an envelope that must be taken back before the next MAIL.
    pub(super) dirty: bool,
    /// Whether QUIT has been said.
    pub(super) quit: bool,
    /// Whether it was kept, and nothing that it was asked since has been answered: it may have been gone all the while.
    pub(super) unheard: bool,
    /// The name that we go by here.
    hello: String,
    _slot: Slot,
    /// The domains of the recipients so far, where the server bounds them.
    pub(super) domains: Vec<Domain>,
}

/// How far an opening came.
enum Opened {
    Ready(Box<Session>),
    /// TLS was offered and did not come about; the connection is gone.
    NoTls(Failure),
}

impl Session {
    /// Opens a session over `tcp`, a connection to `target`: under TLS where that works, and else in clear text, over another connection,
    /// unless more is required.
    pub(crate) async fn open(
        way: &Way<'_>,
        dialer: &Dialer<'_>,
        target: &Target,
        tcp: TcpStream,
    ) -> Result<Self, Failure> {
        let assurance = way.assurance;
        let connector = way.tls.connector(assurance).await?;
        let tls = (assurance != Assurance::Clear).then_some(&connector);
        let opened = match Self::greet(way, tls, dialer.cut, target, tcp).await? {
            Opened::NoTls(failure) if assurance != Assurance::Opportunistic || way.is_tls_from_start() => {
                return Err(blame(assurance, failure));
            }
            Opened::NoTls(_) => {
                let tcp = dialer.connect(target).await?;
                Self::greet(way, None, dialer.cut, target, tcp).await?
            }
            ready @ Opened::Ready(_) => ready,
        };
        match opened {
            Opened::Ready(mut session) => {
                if let Some(login) = way.relay.and_then(|relay| relay.login.as_ref()) {
                    session.authenticate(login, way).await?;
                }
                Ok(*session)
            }
            Opened::NoTls(failure) => Err(failure),
        }
    }

    async fn greet(
        way: &Way<'_>,
        tls: Option<&Connector>,
        cut: &CancellationToken,
        target: &Target,
        tcp: TcpStream,
    ) -> Result<Opened, Failure> {
        let limits = &way.settings.limits;
        let assurance = way.assurance;
        let mut session = Self::new(way, Connection::new(tcp, limits, cut), target);
        let implicit = way.is_tls_from_start();
        if let (true, Some(tls)) = (implicit, tls) {
            session = match session.secure(tls, target).await {
                Ok(session) => session,
                Err(failure) => return Ok(Opened::NoTls(failure)),
            };
        }
        session.awaited(Step::Greeting).await?;
        session.hello().await?;
        let Some(tls) = tls.filter(|_| !implicit) else {
            return Ok(Opened::Ready(Box::new(session)));
        };
        if !session.offered.starttls {
            return session
                .in_clear(assurance, Failure::NeedsRequireTls("the server offers no TLS".to_owned()));
        }
        session.say(Step::StartTls, b"STARTTLS\r\n").await?;
        let reply = session.reply(Step::StartTls).await?;
        if let Some(reply) = judge(Step::StartTls, reply, limits.reply_text_octets)? {
            // RFC 3207 §4: a server that has no TLS right now goes on without
            metrics::counter!("spoolway_deliver_tls_total", "result" => "refused").increment(1);
            return session.in_clear(assurance, Failure::Refused(Step::StartTls, reply));
        }
        let mut session = match session.secure(tls, target).await {
            Ok(session) => session,
            Err(failure) => return Ok(Opened::NoTls(failure)),
        };
        // what was offered in clear text no longer counts (RFC 3207 §4.2)
        match session.hello().await {
            Ok(()) if assurance == Assurance::Required && !session.offered.require_tls => {
                Err(Failure::NeedsRequireTls("the server does not offer it".to_owned()))
            }
            Ok(()) => Ok(Opened::Ready(Box::new(session))),
            // in TLS 1.3 a server may turn the handshake down after the client thinks it done (RFC 8446 §2)
            Err(failure @ Failure::Lost(_)) => Ok(Opened::NoTls(failure)),
            Err(failure) => Err(failure),
        }
    }

    /// The same session under TLS.
    async fn secure(self, tls: &Connector, target: &Target) -> Result<Self, Failure> {
        match self.connection.secure(tls, target, &self.settings.limits).await {
            Ok((connection, description)) => {
                metrics::counter!("spoolway_deliver_tls_total", "result" => "secured").increment(1);
                let peer = Peer { tls: Some(description), ..self.peer };
                Ok(Self { connection, peer, ..self })
            }
            Err(failure) => {
                metrics::counter!("spoolway_deliver_tls_total", "result" => "failed").increment(1);
                tracing::debug!(host = %target.host, peer = %target.address, ?failure, "no TLS");
                Err(failure)
            }
        }
    }

    fn new(way: &Way<'_>, connection: Connection, target: &Target) -> Self {
        let source = way.source.map(|source| source.name.clone()).zip(connection.local());
        let own = way.source.and_then(|source| source.helo.as_ref());
        Self {
            settings: Arc::clone(way.settings),
            connection,
            offered: Capabilities::default(),
            peer: Peer { target: target.clone(), tls: None, source },
            begun: 0,
            ended: 0,
            dirty: false,
            quit: false,
            domains: Vec::new(),
            unheard: false,
            hello: own.unwrap_or(&way.settings.hostname).clone(),
            _slot: way.pool.open(),
        }
    }

    /// The name of its server.
    pub(crate) fn host(&self) -> &str {
        &self.peer.target.host
    }

    /// Whether it is in order, and nothing has come that was not asked for.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.connection.is_quiet()
    }

    /// Whether it may be kept for another message.
    pub(super) fn is_worth_keeping(&self) -> bool {
        !self.quit && !self.settings.limits.keep.is_zero() && self.has_room()
    }

    /// Makes ready to wait for the next message.
    pub(crate) fn rest(&mut self) {
        (self.ended, self.unheard) = (0, true);
        self.connection.shrink();
    }

    /// Goes on after a rest, for a call that ends with `cut`.
    pub(super) fn wake(&mut self, cut: &CancellationToken) {
        self.connection.cut_by(cut);
    }

    /// A session without TLS, unless that is required: then it is the `failure`.
    fn in_clear(self, assurance: Assurance, failure: Failure) -> Result<Opened, Failure> {
        match assurance {
            Assurance::Clear | Assurance::Opportunistic => Ok(Opened::Ready(Box::new(self))),
            Assurance::Encrypted | Assurance::Verified | Assurance::Required => {
                Err(blame(assurance, failure))
            }
        }
    }

    /// EHLO, or HELO with a server that does not know it (RFC 5321 §3.2, §4.1.1.1).
    async fn hello(&mut self) -> Result<(), Failure> {
        self.offered = Capabilities::default();
        let name = self.hello.clone();
        self.say(Step::Hello, format!("EHLO {name}\r\n").as_bytes()).await?;
        let reply = self.reply(Step::Hello).await?;
        match reply.code {
            200..300 => {
                self.offered = Capabilities::parse(&reply.text);
                Ok(())
            }
            500..600 => {
                self.say(Step::Hello, format!("HELO {name}\r\n").as_bytes()).await?;
                self.awaited(Step::Hello).await
            }
            _ => self.settle(Step::Hello, reply),
        }
    }

    /// The reply to `step`, which the connection cannot do without.
    async fn awaited(&mut self, step: Step) -> Result<(), Failure> {
        let reply = self.reply(step).await?;
        self.settle(step, reply)
    }

    fn settle(&self, step: Step, reply: RawReply) -> Result<(), Failure> {
        match judge(step, reply, self.settings.limits.reply_text_octets)? {
            None => Ok(()),
            Some(reply) => Err(Failure::Refused(step, reply)),
        }
    }

    /// Sends a command by itself.
    pub(super) async fn say_secret(&mut self, step: Step, command: &[u8]) -> Result<(), Failure> {
        self.connection.out.extend_from_slice(command);
        self.flush(step).await
    }

    /// The same, and shows it in the log.
    async fn say(&mut self, step: Step, command: &[u8]) -> Result<(), Failure> {
        tracing::debug!(commands = %command.escape_ascii(), "sent");
        self.say_secret(step, command).await
    }

    /// Sends what was written.
    pub(super) async fn flush(&mut self, step: Step) -> Result<(), Failure> {
        let limits = &self.settings.limits;
        let limit = match step {
            Step::Content | Step::End => limits.block,
            Step::Greeting
            | Step::Hello
            | Step::StartTls
            | Step::Auth
            | Step::Reset
            | Step::Mail
            | Step::Recipient
            | Step::Data => limits.command,
        };
        self.connection.flush(step, limit).await
    }

    /// The reply to `step`, within the time that RFC 5321 §4.5.3.2 gives it.
    pub(super) async fn reply(&mut self, step: Step) -> Result<RawReply, Failure> {
        let limits = &self.settings.limits;
        let limit = match step {
            Step::Greeting => limits.greeting,
            Step::Hello | Step::StartTls | Step::Auth | Step::Reset => limits.command,
            Step::Mail => limits.mail,
            Step::Recipient => limits.recipient,
            Step::Data => limits.data,
            Step::Content => limits.quit,
            Step::End => limits.end,
        };
        let reply = self.connection.reply(step, limit).await?;
        // with 421 a server closes (RFC 5321 §3.8), whatever it was asked
        self.unheard &= reply.code == 421;
        Ok(reply)
    }

    /// Takes leave. The reply decides nothing, so it is not waited for long: but long enough that a server that answers does
    /// not find the connection reset.
    pub(crate) async fn leave(mut self) {
        if !self.quit {
            self.connection.out.extend_from_slice(b"QUIT\r\n");
            if self.connection.flush(Step::Hello, self.settings.limits.quit).await.is_err() {
                return;
            }
        }
        let _ = self.connection.reply(Step::Hello, self.settings.limits.quit).await;
    }
}

/// What is wrong with a server's TLS, as a fault that a message has, or as the operator's who asked for it and can put it right.
fn blame(assurance: Assurance, failure: Failure) -> Failure {
    match failure {
        Failure::NeedsRequireTls(why) if assurance != Assurance::Required => Failure::Handshake(why),
        failure => failure,
    }
}
