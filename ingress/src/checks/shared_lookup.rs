//! One look at an address for all of its sessions, and what came of it for those that follow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use lru::LruCache;
use shared::mail::Timestamp;
use shared::port::{Clock, Resolver};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::debug;

use super::lookup::{Listing, listing, reverse};
use super::{ClientFacts, Reverse};
use crate::limits::{CHECKED_CLIENTS_KEPT, FACTS_KEPT_MAX, FACTS_KEPT_MIN};
use crate::telemetry::checked;
use crate::{CheckSettings, Dnsbl};

/// All looks at clients, those that are under way and those of a while ago.
pub(super) struct Lookups {
    pub(super) settings: CheckSettings,
    pub(super) clock: Arc<dyn Clock>,
    resolver: Arc<dyn Resolver>,
    clients: Mutex<Clients>,
}

struct Clients {
    /// No more than there are sessions.
    running: HashMap<IpAddr, Weak<Running>>,
    known: LruCache<IpAddr, Known>,
}

struct Known {
    facts: ClientFacts,
    until: Timestamp,
}

/// A look at a client.
pub(super) enum Lookup {
    Known(ClientFacts),
    Running(Arc<Running>),
}

/// A look that is under way. It ends with the last session that waits for it.
pub(super) struct Running {
    progress: watch::Receiver<Progress>,
    task: AbortHandle,
    client: IpAddr,
    lookups: Arc<Lookups>,
}

/// What is known so far.
struct Progress {
    reverse: Reverse,
    /// By the block lists, in the order of the settings.
    listings: Vec<Listing>,
    done: bool,
}

/// The answer to one of the questions, and how long it may be kept.
enum Found {
    Reverse(Reverse, Duration),
    Listing(usize, Listing, Duration),
}

impl Lookups {
    pub(super) fn new(settings: CheckSettings, resolver: Arc<dyn Resolver>, clock: Arc<dyn Clock>) -> Self {
        let clients = Clients { running: HashMap::new(), known: LruCache::sparse(CHECKED_CLIENTS_KEPT) };
        Self { settings, clock, resolver, clients: Mutex::new(clients) }
    }

    pub(super) fn begin(self: &Arc<Self>, client: IpAddr) -> Lookup {
        let now = self.clock.now();
        let mut clients = self.clients();
        if let Some(known) = clients.known.get(&client).filter(|known| now < known.until) {
            return Lookup::Known(known.facts.clone());
        }
        if let Some(running) = clients.running.get(&client).and_then(Weak::upgrade) {
            return Lookup::Running(running);
        }
        let progress = Progress {
            reverse: Reverse::Unknown,
            listings: vec![Listing::Unknown; self.settings.dnsbls.len()],
            done: false,
        };
        let (sender, progress) = watch::channel(progress);
        let lookups = Arc::clone(self);
        let task = tokio::spawn(async move { lookups.run(client, &sender).await }).abort_handle();
        let running = Arc::new(Running { progress, task, client, lookups: Arc::clone(self) });
        clients.running.insert(client, Arc::downgrade(&running));
        Lookup::Running(running)
    }

    async fn run(&self, client: IpAddr, progress: &watch::Sender<Progress>) {
        // a session that came last has its whole time too, if it came in that of the first
        let limit = 2 * self.settings.timeout;
        let asked = self.clock.timeout(limit, self.ask(client, progress)).await;
        let kept = asked.unwrap_or(FACTS_KEPT_MIN).clamp(FACTS_KEPT_MIN, FACTS_KEPT_MAX);
        let facts = facts(&progress.borrow(), &self.settings);
        debug!(%client, ?facts, "looked up");
        self.count(&progress.borrow());
        {
            let mut clients = self.clients();
            clients.known.put(client, Known { facts, until: self.clock.now() + kept });
            clients.running.remove(&client);
        }
        progress.send_modify(|progress| progress.done = true);
    }

    /// Asks all questions at once; tells how long the answers may be kept.
    async fn ask(&self, client: IpAddr, progress: &watch::Sender<Progress>) -> Duration {
        let resolver = &*self.resolver;
        let mut questions: FuturesUnordered<BoxFuture<'_, Found>> = FuturesUnordered::new();
        questions.push(Box::pin(async move {
            let (found, kept) = reverse(resolver, client).await;
            Found::Reverse(found, kept)
        }));
        for (at, dnsbl) in self.settings.dnsbls.iter().enumerate() {
            questions.push(Box::pin(async move {
                let (found, kept) = listing(resolver, dnsbl, client).await;
                Found::Listing(at, found, kept)
            }));
        }
        let mut least = FACTS_KEPT_MAX;
        while let Some(found) = questions.next().await {
            progress.send_modify(|progress| match found {
                Found::Reverse(found, kept) => {
                    progress.reverse = found;
                    least = least.min(kept);
                }
                Found::Listing(at, found, kept) => {
                    progress.listings[at] = found;
                    least = least.min(kept);
                }
            });
        }
        least
    }

    fn count(&self, progress: &Progress) {
        let result = match progress.reverse {
            Reverse::Confirmed(_) => "confirmed",
            Reverse::Unconfirmed => "unconfirmed",
            Reverse::None => "none",
            Reverse::Unknown => "unknown",
        };
        checked("reverse_dns", result).increment(1);
        for (dnsbl, listing) in self.settings.dnsbls.iter().zip(&progress.listings) {
            let result = match listing {
                Listing::Listed => "listed",
                Listing::NotListed => "not_listed",
                Listing::Unknown => "unknown",
            };
            checked(dnsbl.zone.as_str(), result).increment(1);
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup {
    /// Returns once nothing more will be known.
    pub(super) async fn done(&self) {
        if let Self::Running(running) = self {
            let mut progress = running.progress.clone();
            // an error says that the task is gone, and with it what more could be known
            let _ = progress.wait_for(|progress| progress.done).await.is_ok();
        }
    }

    /// What is known now.
    pub(super) fn facts(&self) -> ClientFacts {
        match self {
            Self::Known(facts) => facts.clone(),
            Self::Running(running) => facts(&running.progress.borrow(), &running.lookups.settings),
        }
    }
}

fn facts(progress: &Progress, settings: &CheckSettings) -> ClientFacts {
    let answers = settings.dnsbls.iter().zip(&progress.listings);
    let listed = answers.filter(|(_, listing)| **listing == Listing::Listed);
    let zone = |(dnsbl, _): (&Dnsbl, _)| dnsbl.zone.as_str().to_owned();
    ClientFacts { reverse: progress.reverse.clone(), listed: listed.map(zone).collect() }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        let mut clients = self.lookups.clients();
        // another may have begun in the meantime
        if clients.running.get(&self.client).is_some_and(|running| running.strong_count() == 0) {
            clients.running.remove(&self.client);
        }
    }
}
