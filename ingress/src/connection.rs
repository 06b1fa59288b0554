//! One client connection: a session, and the socket it speaks through.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use shared::mail::{Client, ContentFacts, Envelope, Mailbox, TenantId, Timestamp};
use shared::pack::NewMessage;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::BareLf;
use crate::edge::Edge;
use crate::limits::{RECIPIENT_OCTETS, RECIPIENTS_UNCOUNTED, REPLIES_OCTETS_KEPT};
use crate::policy;
use crate::receive::Receiving;
use crate::smtp::{Action, Config, Output, Session, Verdict};

thread_local! {
    /// What every read of this thread goes into: a connection that waits holds no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// When the server is to go away.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    /// Finish what is under way.
    pub(crate) soft: CancellationToken,
    /// End now.
    pub(crate) hard: CancellationToken,
}

/// A client connection.
pub(crate) struct Connection<S> {
    stream: S,
    dialogue: Dialogue,
    config: Arc<Config>,
    /// Input that waits for something that was asked before it.
    pending: Vec<u8>,
    receiving: Option<Receiving>,
    waiting_since: Timestamp,
    content_since: Timestamp,
    lines: u64,
    draining: bool,
}

/// The session with what answers its questions at once.
struct Dialogue {
    session: Session,
    out: Output,
    edge: Arc<Edge>,
    client: IpAddr,
    trusted: bool,
    /// For the recipients of a long envelope, as long as there is one.
    envelope_memory: Option<OwnedSemaphorePermit>,
}

/// What ended a wait for input.
enum Event {
    Input(Action),
    End,
    TimedOut,
    Drain,
    ShutDown,
}

impl Dialogue {
    fn advance(&mut self, input: &mut &[u8]) -> Action {
        loop {
            match self.session.step(input, &mut self.out) {
                Action::CheckRecipient(mailbox) => {
                    let verdict = if !self.edge.policy.may_relay(self.trusted, &mailbox) {
                        Verdict::Refuse(policy::relay_denied())
                    } else if !self.hold_recipient(&mailbox) {
                        Verdict::Refuse(policy::no_room())
                    } else {
                        Verdict::Accept
                    };
                    debug!(client = %self.client, recipient = %mailbox, ?verdict, "recipient decided on");
                    self.session.recipient(mailbox, verdict, &mut self.out);
                }
                action => return action,
            }
        }
    }

    /// Takes memory for one more recipient, out of what all messages have; tells whether there is any. Of the first few recipients
    /// nothing is counted: what nearly every message has costs nothing here.
    fn hold_recipient(&mut self, mailbox: &Mailbox) -> bool {
        let held = self.session.envelope().map_or(0, |envelope| envelope.recipients.len());
        if held == 0 {
            self.envelope_memory = None;
        }
        if held < RECIPIENTS_UNCOUNTED {
            return true;
        }
        // the address, its domain once more, and what stands around them
        let octets =
            u32::try_from(2 * mailbox.as_str().len()).unwrap_or(u32::MAX).saturating_add(RECIPIENT_OCTETS);
        let Ok(memory) = Arc::clone(&self.edge.memory).try_acquire_many_owned(octets) else { return false };
        match &mut self.envelope_memory {
            Some(held) => held.merge(memory),
            None => self.envelope_memory = Some(memory),
        }
        true
    }

    fn new_message(&self, envelope: Envelope) -> NewMessage {
        let (helo, esmtp) = self.session.client();
        NewMessage {
            received_at: self.edge.ports.clock.now(),
            envelope,
            client: Client {
                ip: self.client,
                helo: helo.to_owned(),
                esmtp,
                tls: None,
                credential: None,
                submission: self.trusted,
                dns: Default::default(),
            },
            tenant: TenantId::default(),
        }
    }

    /// Counts and logs what was refused since the last time, and tells whether anything was.
    fn report(&mut self) -> bool {
        let any = !self.out.refused.is_empty();
        for reply in std::mem::take(&mut self.out.refused) {
            self.edge.telemetry.refused(&reply);
            info!(client = %self.client, code = reply.code(), status = %reply.status(), reason = reply.text(), "refused");
        }
        any
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S, client: IpAddr, config: Arc<Config>, edge: Arc<Edge>) -> Self {
        let mut out = Output::default();
        let now = edge.ports.clock.now();
        let session = Session::begin(Arc::clone(&config), &mut out);
        let trusted = edge.policy.trusts(client);
        Self {
            stream,
            dialogue: Dialogue {
                session,
                out,
                edge,
                client: client.to_canonical(),
                trusted,
                envelope_memory: None,
            },
            config,
            pending: Vec::new(),
            receiving: None,
            waiting_since: now,
            content_since: now,
            lines: 0,
            draining: false,
        }
    }

    /// Serves the client until it or the server has had enough.
    pub(crate) async fn run(mut self, drain: Drain) {
        if let Err(error) = self.converse(&drain).await {
            debug!(client = %self.dialogue.client, %error, "connection lost");
        }
        self.give_up().await;
    }

    async fn converse(&mut self, drain: &Drain) -> io::Result<()> {
        loop {
            let action = if self.pending.is_empty() {
                self.flush().await?;
                let event = self.read(drain).await?;
                let Dialogue { session, out, .. } = &mut self.dialogue;
                match event {
                    Event::Input(action) => action,
                    Event::End => return Ok(()),
                    Event::TimedOut if self.draining => session.shut_down(out),
                    Event::TimedOut => session.time_out(out),
                    Event::ShutDown => session.shut_down(out),
                    Event::Drain => {
                        self.draining = true;
                        session.drain();
                        Action::Read
                    }
                }
            } else {
                self.resume()
            };
            match action {
                // a recipient has been decided on already
                Action::Read | Action::CheckRecipient(_) => {}
                Action::Flush => self.flush().await?,
                Action::Begin => {
                    self.flush().await?;
                    self.content_since = self.dialogue.edge.ports.clock.now();
                    self.receiving = Some(Receiving::default());
                }
                Action::Discard => self.give_up().await,
                Action::Commit(envelope, facts) => self.commit(envelope, facts).await,
                Action::Close => return self.close().await,
            }
            if self.dialogue.session.envelope().is_none() {
                self.dialogue.envelope_memory = None;
            }
            if self.dialogue.session.is_in_content() {
                self.hold_content().await;
            }
        }
    }

    /// Goes on with the input that waits.
    fn resume(&mut self) -> Action {
        let max = self.pending.len().min(self.read_max());
        let mut input = &self.pending[..max];
        let action = self.dialogue.advance(&mut input);
        let used = max - input.len();
        if used == self.pending.len() {
            self.pending = Vec::new();
        } else {
            self.pending.drain(..used);
        }
        action
    }

    /// How much input there is room for.
    fn read_max(&self) -> usize {
        let limits = &self.config.limits;
        match &self.receiving {
            Some(receiving) if self.dialogue.session.is_in_content() => {
                if self.dialogue.session.is_discarding() {
                    return limits.content_read_octets.max(1);
                }
                let room = receiving.room(self.dialogue.out.content.len());
                // a bare LF becomes two octets
                let room = if self.config.bare_lf == BareLf::Crlf { room / 2 } else { room };
                room.clamp(1, limits.content_read_octets.max(1))
            }
            Some(_) | None => limits.command_read_octets.max(1),
        }
    }

    async fn read(&mut self, drain: &Drain) -> io::Result<Event> {
        let patience = self.patience();
        let max = self.read_max();
        let draining = self.draining;
        let Self { stream, dialogue, pending, .. } = self;
        let input = poll_fn(|cx| {
            // a command that comes after the drain began is the next command, although it and the drain may be seen at once
            if !draining && drain.soft.is_cancelled() {
                return Poll::Ready(Ok(Event::Drain));
            }
            let action = ready!(poll_input(stream, max, cx, |mut input| {
                let action = dialogue.advance(&mut input);
                pending.extend_from_slice(input);
                action
            }))?;
            Poll::Ready(Ok(action.map_or(Event::End, Event::Input)))
        });
        tokio::select! {
            biased;
            input = timeout(patience, input) => input.unwrap_or(Ok(Event::TimedOut)),
            () = drain.soft.cancelled(), if !draining => Ok(Event::Drain),
            () = drain.hard.cancelled(), if draining => Ok(Event::ShutDown),
        }
    }

    /// How long to wait for input. A command must be whole in its time, however steadily it drips.
    fn patience(&mut self) -> Duration {
        let limits = &self.config.limits;
        let now = self.dialogue.edge.ports.clock.now();
        let session = &self.dialogue.session;
        if session.is_in_content() {
            self.waiting_since = now;
            let left = limits.content_total_timeout.saturating_sub(now.since(self.content_since));
            return limits.content_timeout.min(left);
        }
        if session.lines() != self.lines {
            self.lines = session.lines();
            self.waiting_since = now;
        }
        let patience = limits.command_timeout.saturating_sub(now.since(self.waiting_since));
        if self.draining && session.envelope().is_none() { patience.min(limits.drain_idle) } else { patience }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.dialogue.report();
        let replies = &mut self.dialogue.out.replies;
        if replies.is_empty() {
            return Ok(());
        }
        let written = async {
            self.stream.write_all(replies).await?;
            self.stream.flush().await
        };
        timeout(self.config.limits.reply_timeout, written).await??;
        if replies.capacity() > REPLIES_OCTETS_KEPT {
            *replies = Vec::new();
        } else {
            replies.clear();
        }
        Ok(())
    }

    /// Gets memory for the content to come, and passes on to the spool what is too much to hold.
    async fn hold_content(&mut self) {
        let Self { dialogue, receiving: Some(receiving), .. } = self else { return };
        if dialogue.session.is_discarding() {
            return receiving.give_up(&dialogue.edge).await;
        }
        let edge = Arc::clone(&dialogue.edge);
        let mut held = Ok(());
        if receiving.is_full(&edge, dialogue.out.content.len()) {
            let mut content = std::mem::take(&mut dialogue.out.content);
            let envelope = || dialogue.session.envelope().cloned();
            if let Some(envelope) = envelope() {
                held =
                    Box::pin(receiving.stream(&edge, &mut content, || dialogue.new_message(envelope))).await;
            }
        }
        if held.is_ok() {
            if receiving.is_streaming() && dialogue.out.content.capacity() == 0 {
                let limits = &edge.limits;
                dialogue.out.content.reserve_exact(limits.in_memory_octets + limits.content_read_octets);
            }
            held = receiving.make_room(&edge, dialogue.out.content.len()).await;
        }
        if let Err(setback) = held {
            dialogue.session.refuse_content(setback);
            dialogue.out.content = Vec::new();
            receiving.give_up(&edge).await;
        }
    }

    async fn give_up(&mut self) {
        self.dialogue.out.content = Vec::new();
        if let Some(mut receiving) = self.receiving.take() {
            receiving.give_up(&self.dialogue.edge).await;
        }
    }

    async fn commit(&mut self, envelope: Envelope, facts: ContentFacts) {
        let dialogue = &mut self.dialogue;
        let content = std::mem::take(&mut dialogue.out.content);
        let (octets, recipients) = (dialogue.session.content_octets(), envelope.recipients.len());
        let message = dialogue.new_message(envelope);
        let receiving = self.receiving.take().unwrap_or_default();
        let outcome = receiving.commit(&dialogue.edge, message, facts, content).await;
        if let Ok(id) = outcome {
            dialogue.edge.telemetry.accepted(octets);
            info!(message_id = %id, octets, recipients, client = %dialogue.client, "accepted");
        }
        dialogue.session.committed(outcome, &mut dialogue.out);
        self.waiting_since = dialogue.edge.ports.clock.now();
    }

    /// Ends the connection. To close a socket with input unread resets it, and may take the last reply along.
    async fn close(&mut self) -> io::Result<()> {
        let refused = self.dialogue.report();
        self.flush().await?;
        if !refused {
            return Ok(());
        }
        let linger = self.config.limits.linger;
        let max = self.config.limits.content_read_octets.max(1);
        let stream = &mut self.stream;
        stream.shutdown().await?;
        let rest = async {
            while poll_fn(|cx| poll_input(stream, max, cx, |_| ())).await?.is_some() {}
            Ok(())
        };
        timeout(linger, rest).await.unwrap_or(Ok(()))
    }
}

/// Reads up to `max` octets and gives them to `take` where they lie; `None` at the end of the input.
fn poll_input<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    max: usize,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<Option<T>>> {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < max {
            scratch.resize(max, 0);
        }
        let mut buffer = ReadBuf::new(&mut scratch[..max]);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let input = buffer.filled();
        Poll::Ready(Ok(if input.is_empty() { None } else { Some(take(input)) }))
    })
}
