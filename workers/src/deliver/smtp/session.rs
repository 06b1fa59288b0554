//! A session: greeting, EHLO or HELO, STARTTLS, AUTH; and then as many transactions as it is good for.

mod start_tls;

use std::sync::Arc;

use shared::mail::Domain;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Way;
use super::capabilities::Capabilities;
use super::connection::Connection;
use super::reply::RawReply;
use crate::deliver::TransportSettings;
use crate::deliver::mx::Target;
use crate::deliver::outcome::{Failure, Step, judge};
use crate::deliver::pending::Peer;
use crate::deliver::policy::HostPolicy;
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
    /// What was asked of it when it was opened.
    pub(super) policy: HostPolicy,
    /// The name that we go by here.
    hello: String,
    _slot: Slot,
    /// The domains of the recipients so far, where the server bounds them.
    pub(super) domains: Vec<Domain>,
}

impl Session {
    /// The server greets, and knows us.
    async fn greet(mut self) -> Result<Self, Failure> {
        self.awaited(Step::Greeting).await?;
        self.hello().await?;
        Ok(self)
    }

    fn new(
        way: &Way<'_>,
        policy: &HostPolicy,
        cut: &CancellationToken,
        target: &Target,
        tcp: TcpStream,
    ) -> Self {
        let connection = Connection::new(tcp, &way.settings.limits, cut);
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
            policy: policy.clone(),
            hello: own.unwrap_or(&way.settings.hostname).clone(),
            _slot: way.pool.open(),
        }
    }

    /// Its server.
    pub(crate) fn target(&self) -> &Target {
        &self.peer.target
    }

    /// Whether it is as sure of its server as `policy` asks for.
    pub(crate) fn satisfies(&self, policy: &HostPolicy) -> bool {
        self.policy.is_as_good_as(policy)
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

    /// Goes on after a rest, for a call that ends with `cut` and whose bounds are those of `way`.
    pub(super) fn wake(&mut self, way: &Way<'_>, cut: &CancellationToken) {
        self.settings = Arc::clone(way.settings);
        self.connection.cut_by(cut);
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
