//! What comes from the client: how much is read at once, for how long it is waited for, and what ends the wait.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use shared::mail::Timestamp;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use super::{Connection, Drain};
use crate::pace::Pace;
use crate::proxy;
use crate::smtp::Action;
use crate::{BareLf, Limits};

thread_local! {
    /// What every read of this thread goes into: a connection that waits holds no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What ended a wait for input.
pub(super) enum Event {
    Input(Action),
    End,
    /// A second PROXY header, which is one too many.
    ProxyHeader,
    TooSlow,
    TimedOut,
    Drain,
    ShutDown,
}

impl Connection {
    /// Goes on with the input that waits.
    pub(super) fn resume(&mut self) -> Action {
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
        let limits = &self.listener.config.limits;
        match &self.receiving {
            Some(receiving) if self.dialogue.session.is_in_content() => {
                if self.dialogue.session.is_discarding() {
                    return limits.content_read_octets.max(1);
                }
                let room = receiving.room(self.dialogue.out.content.len());
                // a bare LF becomes two octets
                let room = if self.listener.config.bare_lf == BareLf::Crlf { room / 2 } else { room };
                room.clamp(1, limits.content_read_octets.max(1))
            }
            Some(_) | None => limits.command_read_octets.max(1),
        }
    }

    pub(super) async fn read(&mut self, drain: &Drain) -> io::Result<Event> {
        let began = self.dialogue.edge.ports.clock.now();
        let patience = self.patience(began);
        let content = self.dialogue.session.content_so_far();
        if content.is_some_and(|octets| self.pace().is_too_slow(octets, self.content_waited)) {
            return Ok(Event::TooSlow);
        }
        let event = self.wait(patience, drain).await?;
        if content.is_some() {
            self.content_waited += self.dialogue.edge.ports.clock.now().since(began);
        }
        Ok(event)
    }

    fn pace(&self) -> Pace {
        Pace::new(&self.listener.config.limits)
    }

    async fn wait(&mut self, patience: Duration, drain: &Drain) -> io::Result<Event> {
        let max = self.read_max();
        let draining = self.draining;
        let begins = std::mem::take(&mut self.fresh) && self.listener.proxy;
        let Self { stream, dialogue, pending, .. } = self;
        let input = poll_fn(|cx| {
            // a command that comes after the drain began is the next command, although it and the drain may be seen at once
            if !draining && drain.soft.is_cancelled() {
                return Poll::Ready(Ok(Event::Drain));
            }
            let event = ready!(poll_input(stream, max, cx, |mut input| {
                if begins && proxy::begins_header(input) {
                    return Event::ProxyHeader;
                }
                let action = dialogue.advance(&mut input);
                pending.extend_from_slice(input);
                Event::Input(action)
            }))?;
            Poll::Ready(Ok(event.unwrap_or(Event::End)))
        });
        tokio::select! {
            biased;
            input = timeout(patience, input) => input.unwrap_or(Ok(Event::TimedOut)),
            () = drain.soft.cancelled(), if !draining => Ok(Event::Drain),
            () = drain.hard.cancelled(), if draining => Ok(Event::ShutDown),
        }
    }

    /// How long to wait for input. A command must be whole in its time, however steadily it drips.
    fn patience(&mut self, now: Timestamp) -> Duration {
        let limits = &self.listener.config.limits;
        let session = &mut self.dialogue.session;
        session.set_time(now);
        if session.is_in_content() {
            self.waiting_since = now;
            let left = limits.content_total_timeout.saturating_sub(now.since(self.content_since));
            return limits.content_timeout.min(left);
        }
        if self.receiving.is_none() {
            self.content_since = now;
        }
        if session.lines() != self.lines {
            self.lines = session.lines();
            self.waiting_since = now;
        }
        let patience = limits.command_timeout.saturating_sub(now.since(self.waiting_since));
        if self.draining && session.envelope().is_none() { patience.min(limits.drain_idle) } else { patience }
    }
}

/// Reads what still comes from a client that has had its last reply. To close a socket with input unread resets it, and may take that
/// reply along.
pub(super) async fn read_away<S: AsyncRead + Unpin>(stream: &mut S, limits: &Limits) -> io::Result<()> {
    let max = limits.content_read_octets.max(1);
    let rest = async {
        while poll_fn(|cx| poll_input(stream, max, cx, |_| ())).await?.is_some() {}
        Ok(())
    };
    timeout(limits.linger, rest).await.unwrap_or(Ok(()))
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
