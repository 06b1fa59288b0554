//! A session: greeting, EHLO or HELO, STARTTLS; and then as many transactions as it is good for.

mod start_tls;

use shared::mail::Domain;
use tokio_util::sync::CancellationToken;

use super::capabilities::Capabilities;
use super::connection::Connection;
use super::reply::RawReply;
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

impl<'a> Session<'a> {
    /// A session in clear text with `target`, which knows us.
    async fn greet(
        settings: &'a TransportSettings,
        target: &Target,
        cut: &CancellationToken,
    ) -> Result<Self, Failure> {
        let connection = Connection::open(target, &settings.limits, cut).await?;
        let peer = Peer { target: target.clone(), tls: None };
        let mut session = Self::new(settings, connection, peer);
        session.awaited(Step::Greeting).await?;
        session.hello().await?;
        Ok(session)
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
