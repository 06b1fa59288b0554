//! One message being received: in memory while it is short, then streamed to the spool piece by piece.

use bytes::Bytes;
use shared::mail::{ContentFacts, MessageId, PackId, TenantId};
use shared::pack::{NewMessage, StreamedPack};
use shared::port::{PortError, PortResult};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use crate::commit::is_durable;
use crate::edge::Edge;
use crate::limits::{GROWTH_OCTETS_MAX, ROOM_OCTETS_MIN};
use crate::smtp::Setback;

/// Memory and pack of a message being received. Dropped, it leaves nothing behind but what the spool's upkeep removes.
#[derive(Default)]
pub(crate) struct Receiving {
    memory: Option<OwnedSemaphorePermit>,
    streaming: Option<Box<Streaming>>,
}

struct Streaming {
    id: PackId,
    pack: StreamedPack,
    priority: i8,
    tenant: TenantId,
}

impl Receiving {
    /// How many more octets there is memory for, where `held` octets are held.
    pub(crate) fn room(&self, held: usize) -> usize {
        self.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits).saturating_sub(held)
    }

    /// Gets memory to go on with; waits for it where there is none.
    pub(crate) async fn make_room(&mut self, edge: &Edge, held: usize) -> Result<(), Setback> {
        if self.room(held) >= ROOM_OCTETS_MIN {
            return Ok(());
        }
        let has = self.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let step = usize::try_from(edge.limits.memory_step_octets).unwrap_or(usize::MAX).max(ROOM_OCTETS_MIN);
        self.acquire(edge, has.min(GROWTH_OCTETS_MAX).max(step)).await
    }

    async fn acquire(&mut self, edge: &Edge, octets: usize) -> Result<(), Setback> {
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let permit = match edge.memory.clone().try_acquire_many_owned(octets) {
            Ok(permit) => permit,
            Err(_) => Box::pin(wait_for_memory(edge, octets)).await?,
        };
        match &mut self.memory {
            Some(memory) => memory.merge(permit),
            None => self.memory = Some(permit),
        }
        Ok(())
    }

    /// Whether what is held must go to the spool before more is read.
    pub(crate) fn is_full(&self, edge: &Edge, held: usize) -> bool {
        let max = edge.limits.in_memory_octets;
        held > max || (self.is_streaming() && held == max)
    }

    /// Whether part of the message has gone to the spool.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.is_some()
    }

    /// Passes `content` on to the spool and leaves it empty. `message` tells what the message is; it is asked once.
    pub(crate) async fn stream(
        &mut self,
        edge: &Edge,
        content: &mut Vec<u8>,
        message: impl FnOnce() -> NewMessage,
    ) -> Result<(), Setback> {
        if self.streaming.is_none() {
            let wanted = usize::try_from(edge.limits.streamed_memory_octets).unwrap_or(usize::MAX);
            let has = self.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            if wanted > has {
                self.acquire(edge, wanted - has).await?;
            }
            self.streaming = Some(Box::new(Streaming::begin(edge, message()).await?));
        }
        if let Some(streaming) = &mut self.streaming {
            streaming.write(edge, std::mem::take(content).into()).await?;
        }
        Ok(())
    }

    /// Makes the message durable; `content` is what has not gone to the spool yet.
    pub(crate) async fn commit(
        mut self,
        edge: &Edge,
        message: NewMessage,
        facts: ContentFacts,
        mut content: Vec<u8>,
    ) -> Result<MessageId, Setback> {
        if self.streaming.is_none() && content.len() <= edge.limits.in_memory_octets {
            return edge.committer.commit(message, facts, content.into(), self.memory).await;
        }
        Box::pin(async move {
            let written = self.stream(edge, &mut content, || message).await;
            match (written, self.streaming.take()) {
                (Ok(()), Some(streaming)) => streaming.commit(edge, facts).await,
                (Err(setback), streaming) => {
                    abort(edge, streaming).await;
                    Err(setback)
                }
                (Ok(()), None) => Err(Setback::NotDurable),
            }
        })
        .await
    }

    /// Gives the message up: its memory, and what the spool has of it.
    pub(crate) async fn give_up(&mut self, edge: &Edge) {
        self.memory = None;
        if self.streaming.is_some() {
            Box::pin(abort(edge, self.streaming.take())).await;
        }
    }
}

async fn wait_for_memory(edge: &Edge, octets: u32) -> Result<OwnedSemaphorePermit, Setback> {
    let memory = edge.memory.clone().acquire_many_owned(octets);
    match edge.ports.clock.timeout(edge.limits.memory_wait, memory).await {
        Some(Ok(permit)) => Ok(permit),
        Some(Err(_)) | None => Err(Setback::NoMemory),
    }
}

/// Where the spool has stopped answering, its upkeep removes the pack: nobody waits for it here.
async fn abort(edge: &Edge, streaming: Option<Box<Streaming>>) {
    let Some(streaming) = streaming else { return };
    let Streaming { id, pack, .. } = *streaming;
    let aborted = edge.ports.clock.timeout(edge.limits.commit_timeout, pack.abort()).await;
    if let Err(error) = aborted.unwrap_or_else(|| Err(too_slow())) {
        warn!(pack_id = %id, error = error.chain(), "a pack given up could not be removed; upkeep will");
    }
}

impl Streaming {
    async fn begin(edge: &Edge, message: NewMessage) -> Result<Self, Setback> {
        let now = edge.ports.clock.now();
        let id = edge.ports.ids.pack(now);
        let id = message.held_until().map_or(id, |until| id.held(until));
        let (priority, tenant) = (message.envelope.options.priority, message.tenant.clone());
        let begun = StreamedPack::begin(&*edge.ports.spool, id, now, message);
        match edge.ports.clock.timeout(edge.limits.commit_timeout, begun).await {
            Some(Ok(pack)) => Ok(Self { id, pack, priority, tenant }),
            Some(Err(error)) => Err(failed(id, &error)),
            None => Err(failed(id, &too_slow())),
        }
    }

    async fn write(&mut self, edge: &Edge, bytes: Bytes) -> Result<(), Setback> {
        match edge.ports.clock.timeout(edge.limits.commit_timeout, self.pack.write(bytes)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(failed(self.id, &error)),
            None => Err(failed(self.id, &too_slow())),
        }
    }

    /// The pack first, then its job: see [`crate::commit`].
    async fn commit(self, edge: &Edge, facts: ContentFacts) -> Result<MessageId, Setback> {
        let Self { id, pack, priority, tenant } = self;
        let clock = &edge.ports.clock;
        let began = clock.now();
        let durable = async {
            pack.finish(facts).await?;
            edge.committer.send_job(id, priority, tenant).await
        };
        let outcome: Option<PortResult<()>> = clock.timeout(edge.limits.commit_timeout, durable).await;
        let ok = is_durable(id, outcome);
        edge.telemetry.commit(1, clock.now().since(began), ok);
        if ok { Ok(MessageId { pack: id, n: 0 }) } else { Err(Setback::NotDurable) }
    }
}

fn too_slow() -> PortError {
    PortError::unknown("the write of a pack", "it took too long")
}

fn failed(pack: PackId, error: &PortError) -> Setback {
    warn!(pack_id = %pack, error = error.chain(), "a message could not be streamed to the spool");
    Setback::NotDurable
}
