//! The sweep: what is due goes to the queue, what is old goes away.

mod orders;
mod packs;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use shared::job::Delivery;
use shared::port::{Clock, DUE_SHARDS, Deliveries, Directory, PortError, Queue, Spool};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::packs::PackWalk;
use crate::deliver::{Reminders, job_order, send_jobs, to_jobs};
use crate::limits::{
    FORGET_PAGE, FORGET_PAGES_MAX, PACK_RETAIN, PACK_WALK_PAUSE, REMIND_PAUSE, SWEEP_BACKLOG_MAX,
    SWEEP_LEASE, SWEEP_PAGE, SWEEP_PAUSE, SWEEP_SHARDS_MAX,
};
use crate::tls_report::Reports;

/// How the sweep works.
#[derive(Debug, Clone)]
pub struct SweepSettings {
    /// Time between two sweeps.
    pub pause: Duration,
    /// How long a delivery that was sent is not sent again.
    pub lease: Duration,
    /// Due deliveries taken from one shard at a time.
    pub page: usize,
    /// Shards asked at a time.
    pub shards: usize,
    /// Visible jobs in the outbound queue with which no more than a page of each shard is leased until the next sweep.
    pub backlog: u64,
    /// Which packs are deleted; `None` where the store does that by itself.
    pub packs: Option<PackRetention>,
}

/// Which packs are deleted, and how often they are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRetention {
    /// How long a pack is kept: longer than any message is tried.
    pub keep: Duration,
    /// Time between two walks through all packs, and in front of the first one: what was stopped for long shall send what it
    /// has before it deletes.
    pub pause: Duration,
}

impl Default for PackRetention {
    fn default() -> Self {
        Self { keep: PACK_RETAIN, pause: PACK_WALK_PAUSE }
    }
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self {
            pause: SWEEP_PAUSE,
            lease: SWEEP_LEASE,
            page: SWEEP_PAGE,
            shards: SWEEP_SHARDS_MAX,
            backlog: SWEEP_BACKLOG_MAX,
            packs: Some(PackRetention::default()),
        }
    }
}

/// What the sweep needs of the world.
#[derive(Clone)]
pub struct SweepPorts {
    /// Where packs grow old.
    pub spool: Arc<dyn Spool>,
    /// Takes the jobs.
    pub outbound: Arc<dyn Queue>,
    /// Knows what is due.
    pub deliveries: Arc<dyn Deliveries>,
    /// What operators have ordered.
    pub directory: Arc<dyn Directory>,
    /// What senders are to be told.
    pub reminders: Reminders,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What one sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Due deliveries that went to the queue.
    pub sent: usize,
    /// Deliveries that an order was put on.
    pub ordered: usize,
    /// Claims and items forgotten.
    pub forgotten: usize,
    /// Packs deleted.
    pub packs_deleted: usize,
    /// What failed; it is tried again by a later sweep.
    pub errors: Vec<String>,
}

/// The sweep. Any number may run at a time.
pub struct Sweep {
    settings: SweepSettings,
    ports: SweepPorts,
    walk: Mutex<PackWalk>,
    reports: Option<Reports>,
}

impl Sweep {
    /// A sweep whose first walk through the packs is one pause away.
    pub fn new(settings: SweepSettings, ports: SweepPorts) -> Self {
        let pause = settings.packs.map_or(Duration::ZERO, |packs| packs.pause);
        let walk = Mutex::new(PackWalk::new(ports.clock.now() + pause));
        Self { settings, ports, walk, reports: None }
    }

    /// The same, which looks after the TLS reports too.
    #[must_use]
    pub fn reporting(mut self, reports: Reports) -> Self {
        self.reports = Some(reports);
        self
    }

    /// Sweeps every [`SweepSettings::pause`], until `drain` is cancelled; a sweep under way ends at its next step. Beside that, TLS reports
    /// are told, so that what is due does not wait for the servers that take them; and what senders are to be told is looked for more
    /// often.
    pub async fn run(&self, drain: CancellationToken) {
        let clock = &self.ports.clock;
        let sweeping = async {
            loop {
                let SweepReport { sent, ordered, forgotten, packs_deleted, errors } = self.sweep().await;
                if sent + ordered + forgotten + packs_deleted > 0 {
                    tracing::info!(sent, ordered, forgotten, packs_deleted, errors = errors.len(), "swept");
                }
                clock.sleep(self.settings.pause).await;
            }
        };
        let reporting = async {
            let Some(reports) = &self.reports else { return };
            loop {
                reports.run_once().await;
                clock.sleep(self.settings.pause).await;
            }
        };
        let reminding = async {
            loop {
                self.remind().await;
                clock.sleep(REMIND_PAUSE).await;
            }
        };
        let all = async { tokio::join!(sweeping, reporting, reminding) };
        // each may be dropped anywhere: what was leased and not sent is due again after the lease
        tokio::select! {
            biased;
            () = drain.cancelled() => {}
            ((), (), ()) = all => {}
        }
    }

    /// One sweep, with what senders are to be told, and then the TLS reports, if they are due.
    pub async fn run_once(&self) -> SweepReport {
        let (mut report, errors) = tokio::join!(self.sweep(), self.remind());
        report.errors.extend(errors);
        if let Some(reports) = &self.reports {
            reports.run_once().await;
        }
        report
    }

    /// Sends everything that is due, puts new orders on what they are for, then clears away some of what is old. What fails is in the
    /// report, and does not keep the rest from being done.
    async fn sweep(&self) -> SweepReport {
        let mut report = SweepReport::default();
        self.send_due(&mut report).await;
        // whoever gave an order has mostly done this: what is due does not wait for it
        orders::settle(&self.ports, &mut report).await;
        if report.ordered > 0 {
            self.send_due(&mut report).await;
        }
        self.forget(&mut report).await;
        if let Some(retention) = self.settings.packs {
            self.walk.lock().await.go_on(&self.ports, retention, &mut report).await;
        }
        metrics::counter!("spoolway_sweep_sent_total").increment(report.sent as u64);
        metrics::counter!("spoolway_sweep_errors_total").increment(report.errors.len() as u64);
        report
    }

    /// Takes a page of each shard, sends them by destination, and goes on until no shard has more or the queue has enough: one page goes in
    /// any case, as what one tenant has queued must not hold up all others. The due times stay: who dies between lease and send leaves
    /// the deliveries to become due again.
    async fn send_due(&self, report: &mut SweepReport) {
        let mut shards: Vec<u8> = (0..DUE_SHARDS).collect();
        let mut first = true;
        while !shards.is_empty() {
            match self.room(report).await {
                Some(room) if room || first => first = false,
                Some(_) | None => break,
            }
            let asked = futures::stream::iter(shards.drain(..));
            let answers = asked.map(|shard| async move { (shard, self.lease(shard).await) });
            let answers = answers.buffer_unordered(self.settings.shards.max(1)).collect::<Vec<_>>().await;
            let mut due = Vec::new();
            for (shard, answer) in answers {
                match answer {
                    Ok(page) => {
                        if page.len() >= self.settings.page.max(1) {
                            shards.push(shard);
                        }
                        due.extend(page);
                    }
                    Err(cause) => report.failed("due deliveries could not be leased", &cause),
                }
            }
            due.sort_by(|a, b| job_order(a).cmp(&job_order(b)));
            let jobs = to_jobs(due).into_iter().map(|job| (job, Duration::ZERO)).collect();
            let (sent, errors) = send_jobs(&*self.ports.outbound, jobs).await;
            report.sent += sent;
            for cause in errors {
                report.failed("due deliveries could not be sent", &cause);
            }
        }
    }

    /// Has senders told what there is to be told; what failed is tried again by a later sweep.
    async fn remind(&self) -> Vec<String> {
        let mut report = SweepReport::default();
        for cause in self.ports.reminders.send_due(&*self.ports.outbound).await {
            report.failed("what senders are to be told could not be looked for", &cause);
        }
        metrics::counter!("spoolway_sweep_errors_total").increment(report.errors.len() as u64);
        report.errors
    }

    /// Asked before more is leased: what a queue cannot take now stays due, and is nobody's for the time of a lease otherwise.
    /// `None` where the queue does not answer.
    async fn room(&self, report: &mut SweepReport) -> Option<bool> {
        match self.ports.outbound.depth().await {
            Ok(depth) if depth.ready < self.settings.backlog => Some(true),
            Ok(depth) => {
                tracing::warn!(
                    ready = depth.ready,
                    "the outbound queue is full; of what is due, a page of each shard goes"
                );
                Some(false)
            }
            Err(cause) => {
                report.failed("the outbound queue did not answer; what is due waits", &cause);
                None
            }
        }
    }

    async fn lease(&self, shard: u8) -> Result<Vec<Delivery>, PortError> {
        let now = self.ports.clock.now();
        self.ports.deliveries.due(shard, now, self.settings.lease, self.settings.page.max(1)).await
    }

    async fn forget(&self, report: &mut SweepReport) {
        for _ in 0..FORGET_PAGES_MAX {
            match self.ports.deliveries.forget(self.ports.clock.now(), FORGET_PAGE).await {
                Ok(forgotten) => {
                    report.forgotten += forgotten;
                    if forgotten < FORGET_PAGE {
                        return;
                    }
                }
                Err(cause) => return report.failed("old state could not be forgotten", &cause),
            }
        }
    }
}

impl SweepReport {
    fn failed(&mut self, what: &'static str, cause: &PortError) {
        let cause = cause.chain();
        tracing::error!(cause, "{what}");
        self.errors.push(format!("{what}: {cause}"));
    }
}

#[cfg(test)]
mod tests;
