//! One client connection: a session, and the socket it speaks through.

mod dialogue;
mod opening;
mod reading;
mod stream;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use shared::mail::{ContentFacts, Envelope, Timestamp};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::limits::REPLIES_OCTETS_KEPT;
use crate::over_limit::Limit;
use crate::places::Place;
use crate::receive::Receiving;
use crate::server::ListenerConfig;
use crate::smtp::{Action, Setback};
use crate::tls::Acceptor;
use dialogue::Dialogue;
pub(crate) use opening::Opening;
use reading::{Event, read_away};
use stream::Stream;

/// When the server is to go away.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    /// Finish what is under way.
    pub(crate) soft: CancellationToken,
    /// End now.
    pub(crate) hard: CancellationToken,
}

/// A client connection.
pub(crate) struct Connection {
    stream: Stream,
    place: Place,
    dialogue: Dialogue,
    listener: Arc<ListenerConfig>,
    /// Input that waits for something that was asked before it.
    pending: Vec<u8>,
    receiving: Option<Receiving>,
    waiting_since: Timestamp,
    content_since: Timestamp,
    /// How long content was waited for.
    content_waited: Duration,
    /// Whether nothing has been read yet.
    fresh: bool,
    lines: u64,
    draining: bool,
}

impl Connection {
    fn new(stream: Stream, place: Place, dialogue: Dialogue, listener: Arc<ListenerConfig>) -> Self {
        let now = dialogue.edge.ports.clock.now();
        Self {
            stream,
            place,
            dialogue,
            listener,
            pending: Vec::new(),
            receiving: None,
            waiting_since: now,
            content_since: now,
            content_waited: Duration::ZERO,
            fresh: true,
            lines: 0,
            draining: false,
        }
    }

    /// Serves the client until it or the server has had enough.
    pub(crate) async fn run(mut self: Box<Self>, drain: Drain) {
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
                    Event::ProxyHeader => {
                        self.dialogue.tell(Limit::ProxyHeader);
                        return Ok(());
                    }
                    Event::TooSlow => session.over(Limit::ContentRate, out),
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
            if self.perform(action, drain).await?.is_break() {
                return Ok(());
            }
            if self.dialogue.session.envelope().is_none() {
                self.dialogue.envelope_memory = None;
            }
            // also between chunks, of which many small ones may come at once
            if self.receiving.is_some() {
                self.hold_content().await;
            }
        }
    }

    /// Does what the session asks for; tells whether that was its end.
    async fn perform(&mut self, action: Action, drain: &Drain) -> io::Result<ControlFlow<()>> {
        let answered = match action {
            Action::Read => None,
            Action::Flush => {
                self.flush().await?;
                None
            }
            Action::StartTls => return Box::pin(self.start_tls(drain)).await,
            Action::Authenticate(mechanism, initial) => {
                Box::pin(self.dialogue.authenticate(&mechanism, initial)).await
            }
            Action::Respond(response) => Box::pin(self.dialogue.respond(response)).await,
            Action::Relocate(said) => self.dialogue.relocate(*said, &mut self.place),
            Action::CheckSender(mail) => {
                Box::pin(self.dialogue.check_sender(*mail)).await;
                None
            }
            Action::CheckRecipient(rcpt, mailbox) => {
                Box::pin(self.dialogue.check_recipient(*rcpt, mailbox)).await
            }
            Action::Begin => {
                if self.dialogue.session.is_waited_for() {
                    self.flush().await?;
                }
                self.content_since = self.dialogue.edge.ports.clock.now();
                self.content_waited = Duration::ZERO;
                self.receiving = Some(Receiving::default());
                None
            }
            Action::Discard => {
                self.give_up().await;
                None
            }
            Action::Commit(envelope, facts) => {
                self.commit(envelope, facts).await;
                None
            }
            Action::Close => Some(Action::Close),
        };
        if answered.is_some() {
            self.close().await?;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What the client sent in clear text behind STARTTLS is thrown away: somebody else may have written it (RFC 3207 §4.2).
    async fn start_tls(&mut self, drain: &Drain) -> io::Result<ControlFlow<()>> {
        let acceptor = self.listener.acceptor.clone().filter(|_| self.has_room_for_tls());
        let Dialogue { session, out, .. } = &mut self.dialogue;
        session.ready_for_tls(acceptor.is_some(), out);
        let Some(acceptor) = acceptor else { return Ok(ControlFlow::Continue(())) };
        self.flush().await?;
        self.pending = Vec::new();
        self.give_up().await;
        self.shake_hands(&acceptor, drain).await
    }

    fn has_room_for_tls(&mut self) -> bool {
        self.place.add_tls().inspect_err(|over| self.dialogue.tell(over.limit)).is_ok()
    }

    async fn shake_hands(&mut self, acceptor: &Acceptor, drain: &Drain) -> io::Result<ControlFlow<()>> {
        let Some(socket) = self.stream.take_plain() else { return Ok(ControlFlow::Break(())) };
        let (stream, facts) = tokio::select! {
            accepted = acceptor.accept(socket) => accepted?,
            () = drain.hard.cancelled() => return Ok(ControlFlow::Break(())),
        };
        self.stream = Stream::Tls(stream);
        self.dialogue.secured(facts);
        self.waiting_since = self.dialogue.edge.ports.clock.now();
        Ok(ControlFlow::Continue(()))
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.dialogue.report();
        let replies = &mut self.dialogue.out.replies;
        if replies.is_empty() {
            return Ok(());
        }
        let patience = self.listener.config.limits.reply_timeout;
        let written = async {
            self.stream.write_all(replies).await?;
            self.stream.flush().await
        };
        timeout(patience, written).await??;
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
            dialogue.settle_dns().await;
            let mut content = std::mem::take(&mut dialogue.out.content);
            if !receiving.is_streaming()
                && let Some(reply) = dialogue.author_refused(&content)
            {
                held = Err(Setback::Refused(Box::new(reply)));
            }
            let envelope = || dialogue.session.envelope().cloned();
            if held.is_ok()
                && let Some(envelope) = envelope()
            {
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
        dialogue.settle_dns().await;
        let content = std::mem::take(&mut dialogue.out.content);
        let (octets, recipients) = (dialogue.session.content_octets(), envelope.recipients.len());
        let message = dialogue.new_message(envelope);
        let mut receiving = self.receiving.take().unwrap_or_default();
        if !receiving.is_streaming()
            && let Some(reply) = dialogue.author_refused(&content)
        {
            receiving.give_up(&dialogue.edge).await;
            return dialogue.session.committed(Err(Setback::Refused(Box::new(reply))), &mut dialogue.out);
        }
        let outcome = receiving.commit(&dialogue.edge, message, facts, content).await;
        if let Ok(id) = outcome {
            dialogue.edge.telemetry.accepted(octets);
            info!(message_id = %id, octets, recipients, client = %dialogue.client, "accepted");
        }
        dialogue.session.committed(outcome, &mut dialogue.out);
        self.waiting_since = dialogue.edge.ports.clock.now();
    }

    /// Ends the connection.
    async fn close(&mut self) -> io::Result<()> {
        let refused = self.dialogue.report();
        self.flush().await?;
        let limits = &self.listener.config.limits;
        if !refused {
            // a client of TLS is told the end, or could not tell it from an attack (RFC 8446 §6.1)
            return match &mut self.stream {
                Stream::Tls(stream) => timeout(limits.linger, stream.shutdown()).await.unwrap_or(Ok(())),
                Stream::Plain(_) | Stream::Gone => Ok(()),
            };
        }
        self.stream.shutdown().await?;
        read_away(&mut self.stream, limits).await
    }
}
