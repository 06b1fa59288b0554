//! The stage: a job of deliveries in; attempts, outcomes, retries and DSNs out.

mod claims;
mod groups;
mod ordered;
mod recorder;
mod shaped;
mod told;
mod withheld;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use shared::job::{DeliverJob, Delivery, Job};
use shared::port::{Claim, Clock, Deliveries, Directory, Ids, Queue, Spool};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Sender};
use tokio_util::sync::CancellationToken;

use self::claims::Todo;
use self::groups::{Group, Groups};
use self::recorder::Recorded;
use self::shaped::Sites;
use self::withheld::{Parts, Withheld};
use super::permits::Permits;
use super::shaping::Shaper;
use super::{Reminders, RetrySettings, Route, Routes, SmartHosts, Suppressions, Transport, Tried};
use crate::limits::{CONNECTIONS_MAX, FAILED_PAUSE, HELD_PAUSE, LEASE, ORDERED_PAUSE, RECORDS_MAX, RETAIN};
use crate::orders::Orders;
use crate::{Stage, Verdict};

/// How the stage works.
#[derive(Debug, Clone)]
pub struct DeliverSettings {
    /// Our name, in DSNs.
    pub hostname: String,
    /// A name for this worker in its claims, for a person to read; what makes a claim unique is added to it.
    pub holder: String,
    /// How long a claim holds unless it is renewed.
    pub lease: Duration,
    /// How mail leaves.
    pub routes: Routes,
    /// The smart hosts that an order may name.
    pub smart_hosts: Vec<Arc<SmartHosts>>,
    /// When deferred mail is tried again.
    pub retry: RetrySettings,
    /// How long what is settled is remembered. A job that a queue delivers again after that is done again.
    pub retain: Duration,
    /// Most groups of deliveries under way at a time, over all jobs; a group takes one connection.
    pub connections: usize,
}

/// By default mail stays on the machine: nothing leaves by accident.
impl Default for DeliverSettings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            holder: "deliver".to_owned(),
            lease: LEASE,
            routes: Routes::new(Route::Inbox),
            smart_hosts: Vec::new(),
            retry: RetrySettings::default(),
            retain: RETAIN,
            connections: CONNECTIONS_MAX,
        }
    }
}

/// What the stage needs of the world.
#[derive(Clone)]
pub struct DeliverPorts {
    /// Where the originals of DSNs lie, and DSNs are put.
    pub spool: Arc<dyn Spool>,
    /// Takes the jobs of DSNs.
    pub inbound: Arc<dyn Queue>,
    /// Takes the retries that are soon.
    pub outbound: Arc<dyn Queue>,
    /// Claims and outcomes.
    pub deliveries: Arc<dyn Deliveries>,
    /// What operators have ordered.
    pub directory: Arc<dyn Directory>,
    /// What senders are to be told.
    pub reminders: Reminders,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whom mail is not sent to.
    pub suppressions: Arc<Suppressions>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
}

/// The deliver stage.
pub struct Deliver {
    settings: DeliverSettings,
    ports: DeliverPorts,
    transport: Arc<dyn Transport>,
    connections: Permits,
    orders: Orders,
    shaper: Option<Arc<Shaper>>,
    /// Sites that are looked up at a time: who waits for a connection has none yet that would bound it.
    lookups: Semaphore,
    drain: CancellationToken,
}

/// One run of one job.
struct Run {
    job: String,
    holder: String,
    /// Cancelled where no further message is to be begun: at a drain, or when the claim was lost. See `record_all`.
    stop: CancellationToken,
    /// Cancelled, and `stop` with it, where an order came for what is not begun.
    ordered: CancellationToken,
    /// Whether each delivery has a claim of its own.
    own_claims: bool,
    /// The recipients that were taken out of its deliveries.
    withheld: Parts,
    /// The sites of its destinations, as far as they are known.
    sites: Sites,
}

impl Deliver {
    /// A stage that sends by `transport`.
    pub fn new(settings: DeliverSettings, ports: DeliverPorts, transport: Arc<dyn Transport>) -> Self {
        let connections = Permits::new(settings.connections.max(1));
        let lookups = Semaphore::new(settings.connections.max(1));
        let orders = Orders::new(Arc::clone(&ports.directory), Arc::clone(&ports.clock));
        let drain = CancellationToken::new();
        Self { settings, ports, transport, connections, orders, shaper: None, lookups, drain }
    }

    /// Deliveries are tried when `shaper` admits them, and put off until then.
    #[must_use]
    pub fn shaped_by(mut self, shaper: Arc<Shaper>) -> Self {
        self.shaper = Some(shaper);
        self
    }

    /// Once `drain` is cancelled, messages under way are finished, and those not begun go back to the queue.
    #[must_use]
    pub fn drained_by(mut self, drain: CancellationToken) -> Self {
        self.drain = drain;
        self
    }

    async fn work(&self, run: &mut Run, job: DeliverJob, again: bool) -> Verdict {
        let Ok(todo) = self.todo(run, job, again).await else {
            self.abandon(run, &[]).await;
            return Verdict::Again { after: FAILED_PAUSE };
        };
        let Todo { mut deliveries, settled_here, held, claimed, others_until, failed, watch } = todo;
        let expected = deliveries.len() + settled_here.len();
        let Ok(Withheld { whole, parts }) = self.withhold(run, &mut deliveries).await else {
            self.abandon(run, &claimed).await;
            return Verdict::Again { after: FAILED_PAUSE };
        };
        (run.own_claims, run.withheld) = (!claimed.is_empty(), parts);
        let run = &*run;
        let work = async {
            let (tried_to, tried) = mpsc::channel(RECORDS_MAX);
            let routes = ordered::routes(&deliveries, &self.settings.smart_hosts);
            let (groups, loads) = Groups::new(&self.settings.routes, &routes, deliveries);
            let sending = async {
                ordered::settle(settled_here, &*self.ports.clock, &tried_to).await;
                self.send(run, &groups, loads, whole, tried_to).await
            };
            let (put_off, recorded) = tokio::join!(sending, self.record_all(run, tried));
            recorded.and(put_off)
        };
        let recorded = tokio::select! {
            biased;
            recorded = work => recorded,
            () = self.renew(run, &claimed, &watch) => Recorded::default(),
        };
        if recorded.count == expected && others_until.is_none() && !failed {
            if held.is_empty() {
                self.finish(&run.job, &run.holder).await;
            } else {
                // what is held comes back by its due time, perhaps as this very job: it must not be one that is done
                self.abandon(run, &held).await;
            }
            return Verdict::Done;
        }
        let left: Vec<String> =
            claimed.into_iter().filter(|claim| !recorded.claims.contains(claim)).collect();
        self.abandon(run, &left).await;
        let after = match others_until {
            _ if self.drain.is_cancelled() => Duration::ZERO,
            _ if run.ordered.is_cancelled() => ORDERED_PAUSE,
            Some(until) if recorded.count == expected => self.until(until),
            Some(_) | None => FAILED_PAUSE,
        };
        tracing::warn!(
            job = run.job,
            expected,
            recorded = recorded.count,
            "the job is not done; it is given back"
        );
        Verdict::Again { after }
    }

    /// Hands each group to the transport, as many at a time as there are connections to have, the most urgent first. Tells what was put
    /// off.
    async fn send(
        &self,
        run: &Run,
        groups: &Groups<'_>,
        loads: Vec<Vec<Delivery>>,
        not_tried: Vec<Tried>,
        tried: Sender<Tried>,
    ) -> Recorded {
        for one in not_tried {
            // once the run is stopped, whoever has the job next finds the same
            let _ = tried.send(one).await;
        }
        let sending = groups.iter().zip(loads).map(|(group, load)| self.send_group(run, group, load, &tried));
        let sending = sending.collect::<FuturesUnordered<_>>();
        sending.fold(Recorded::default(), |all, one| std::future::ready(all.and(one))).await
    }

    async fn send_group(
        &self,
        run: &Run,
        group: &Group<'_>,
        load: Vec<Delivery>,
        tried: &Sender<Tried>,
    ) -> Recorded {
        if let Some(shaper) = &self.shaper {
            match self.site(run, group, &load).await {
                Ok(Some((domain, site))) => {
                    let place = (&domain, &site);
                    // a future of many layers: on the heap, so that whoever waits for it stays small
                    return Box::pin(self.send_shaped(run, group, place, shaper, load, tried)).await;
                }
                Ok(None) => {}
                Err(why) => {
                    self.defer_unknown(group.rule, load, why, tried).await;
                    return Recorded::default();
                }
            }
        }
        self.attempt(run, group, load, tried).await;
        Recorded::default()
    }

    /// Tries `load` as soon as there is a connection to have.
    async fn attempt(&self, run: &Run, group: &Group<'_>, load: Vec<Delivery>, tried: &Sender<Tried>) {
        let _permit = tokio::select! {
            biased;
            () = run.stop.cancelled() => return,
            permit = self.connections.acquire(group.priority, &group.tenant) => permit,
        };
        self.transport.attempt(group.rule, load, tried).await;
    }

    fn until(&self, until: shared::mail::Timestamp) -> Duration {
        until.since(self.ports.clock.now()).clamp(HELD_PAUSE.0, HELD_PAUSE.1)
    }
}

#[async_trait]
impl Stage for Deliver {
    fn name(&self) -> &'static str {
        "deliver"
    }

    async fn run(&self, body: &str) -> Verdict {
        if self.drain.is_cancelled() {
            return Verdict::Again { after: Duration::ZERO };
        }
        let job = match DeliverJob::decode(body) {
            Ok(job) => job,
            Err(cause) => {
                tracing::error!(%cause, "a deliver job cannot be read; it goes to the dead-letter queue in time");
                return Verdict::Again { after: FAILED_PAUSE };
            }
        };
        if let Some(tell) = &job.tell {
            self.tell_sender(tell).await;
            return Verdict::Done;
        }
        let mut run = Run {
            job: job.id.as_str().to_owned(),
            // two runs in one process are two holders: a queue may deliver a job twice
            holder: format!("{} {:016x}", self.settings.holder, self.ports.ids.random()),
            stop: self.drain.child_token(),
            ordered: CancellationToken::new(),
            own_claims: false,
            withheld: Parts::default(),
            sites: Sites::default(),
        };
        match self.claim(&run.job, &run.holder).await {
            Ok(Claim::Taken { again }) => self.work(&mut run, job, again).await,
            Ok(Claim::Held { until }) => Verdict::Again { after: self.until(until) },
            Ok(Claim::Finished) => Verdict::Done,
            Err(cause) => {
                tracing::error!(job = run.job, cause = cause.chain(), "the job could not be claimed");
                self.abandon(&run, &[]).await;
                Verdict::Again { after: FAILED_PAUSE }
            }
        }
    }
}

#[cfg(test)]
mod tests;
