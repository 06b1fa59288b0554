//! A session: greeting, EHLO or HELO, STARTTLS; and then as many transactions as it is good for.

use shared::mail::Domain;
use tokio_util::sync::CancellationToken;

use super::capabilities::Capabilities;
use super::connection::Connection;
use super::reply::RawReply;
use super::tls::{Assurance, Connector, Tls};
use crate::deliver::TransportSettings;
use crate::deliver::mx::Target;
use crate::deliver::outcome::{Failure, Step, judge};
use crate::deliver::pending::Peer;

/// A server that is ready for MAIL.
pub(crate) struct Session<'a> {
    pub(super) settings: &'a TransportSettings,
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
    /// The domains of the recipients so far, where the server bounds them.
    pub(super) domains: Vec<Domain>,
}

/// How far an opening came.
enum Opened<'a> {
    Ready(Box<Session<'a>>),
    /// TLS was offered and did not come about; the connection is gone.
    NoTls(Failure),
}

impl<'a> Session<'a> {
    /// Opens a session with `target`: under TLS where that works, and else in clear text unless more is required.
    pub(crate) async fn open(
        settings: &'a TransportSettings,
        (tls, assurance): (&Tls, Assurance),
        target: &Target,
        cut: &CancellationToken,
    ) -> Result<Self, Failure> {
        let connector = tls.connector(assurance).await?;
        match Self::greet(settings, Some((&connector, assurance)), target, cut).await? {
            Opened::Ready(session) => return Ok(*session),
            Opened::NoTls(failure) if assurance == Assurance::Required => return Err(failure),
            Opened::NoTls(_) => {}
        }
        match Self::greet(settings, None, target, cut).await? {
            Opened::Ready(session) => Ok(*session),
            Opened::NoTls(failure) => Err(failure),
        }
    }

    async fn greet(
        settings: &'a TransportSettings,
        tls: Option<(&Connector, Assurance)>,
        target: &Target,
        cut: &CancellationToken,
    ) -> Result<Opened<'a>, Failure> {
        let limits = &settings.limits;
        let connection = Connection::open(target, limits, cut).await?;
        let peer = Peer { target: target.clone(), tls: None };
        let mut session = Self::new(settings, connection, peer);
        session.awaited(Step::Greeting).await?;
        session.hello().await?;
        let Some((tls, assurance)) = tls else {
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
        match session.connection.secure(tls, target, limits).await {
            Ok((connection, description)) => {
                metrics::counter!("spoolway_deliver_tls_total", "result" => "secured").increment(1);
                session.connection = connection;
                session.peer.tls = Some(description);
            }
            Err(failure) => {
                metrics::counter!("spoolway_deliver_tls_total", "result" => "failed").increment(1);
                tracing::debug!(host = %target.host, peer = %target.address, ?failure, "no TLS");
                return Ok(Opened::NoTls(failure));
            }
        }
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

    fn new(settings: &'a TransportSettings, connection: Connection, peer: Peer) -> Self {
        Self {
            settings,
            connection,
            offered: Capabilities::default(),
            peer,
            begun: 0,
            ended: 0,
            dirty: false,
            quit: false,
            domains: Vec::new(),
        }
    }

    /// A session without TLS, unless that is required: then it is the `failure`.
    fn in_clear(self, assurance: Assurance, failure: Failure) -> Result<Opened<'a>, Failure> {
        match assurance {
            Assurance::Opportunistic => Ok(Opened::Ready(Box::new(self))),
            Assurance::Required => Err(failure),
        }
    }

    /// EHLO, or HELO with a server that does not know it (RFC 5321 §3.2, §4.1.1.1).
    async fn hello(&mut self) -> Result<(), Failure> {
        self.offered = Capabilities::default();
        let name = &self.settings.hostname;
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
    async fn say(&mut self, step: Step, command: &[u8]) -> Result<(), Failure> {
        tracing::debug!(commands = %command.escape_ascii(), "sent");
        self.connection.out.extend_from_slice(command);
        self.flush(step).await
    }

    /// Sends what was written.
    pub(super) async fn flush(&mut self, step: Step) -> Result<(), Failure> {
        let limits = &self.settings.limits;
        let limit = match step {
            Step::Content | Step::End => limits.block,
            Step::Greeting
            | Step::Hello
            | Step::StartTls
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
            Step::Hello | Step::StartTls | Step::Reset => limits.command,
            Step::Mail => limits.mail,
            Step::Recipient => limits.recipient,
            Step::Data => limits.data,
            Step::Content => limits.quit,
            Step::End => limits.end,
        };
        self.connection.reply(step, limit).await
    }

    /// Takes leave. The reply decides nothing, so it is not waited for long: but long enough that a server that answers does
    /// not find the connection reset.
    pub(super) async fn leave(mut self) {
        if !self.quit {
            self.connection.out.extend_from_slice(b"QUIT\r\n");
            if self.connection.flush(Step::Hello, self.settings.limits.quit).await.is_err() {
                return;
            }
        }
        let _ = self.connection.reply(Step::Hello, self.settings.limits.quit).await;
    }
}
