use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use shared::directory::{Filter, OrderEntry};
use shared::job::{DeliverJob, Delivery, DeliveryKey, Job};
use shared::mail::{Domain, Mailbox, MessageId, PackId, ReversePath, Timestamp};
use shared::order::{Hand, Order, OrderId};
use shared::port::{Clock, Directory, Entry, EntryKind, RecipientStatus};
use shared::testkit::{ManualClock, SeededIds};
use tokio_util::sync::CancellationToken;

use super::{
    FakeCounters, FakeDeliveries, FakeDirectory, FakeQueue, FakeSpool, FakeTallies, FakeTransport, Gate,
    drive,
};
use crate::deliver::shaping::{LiveRules, Rules, Shaper, ShaperPorts};
use crate::deliver::{
    Deliver, DeliverPorts, DeliverSettings, Reminders, Route, Routes, SmartHost, SmartHostTls, SmartHosts,
    SuppressionSettings, Suppressions,
};
use crate::orders::apply;
use crate::sweep::{Sweep, SweepPorts, SweepSettings};
use crate::{Stage, Verdict};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const ORIGINAL: &[u8] =
    b"From: Ann <ann@sender.example>\r\nSubject: hello\r\nMessage-ID: <m1@sender.example>\r\n\r\nthe body\r\n";

/// The ports, and what tests ask of them together.
pub(crate) struct World {
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) inbound: Arc<FakeQueue>,
    pub(crate) outbound: Arc<FakeQueue>,
    pub(crate) spool: Arc<FakeSpool>,
    pub(crate) deliveries: Arc<FakeDeliveries>,
    pub(crate) directory: Arc<FakeDirectory>,
    pub(crate) tallies: Arc<FakeTallies>,
    pub(crate) transport: Arc<FakeTransport>,
    pub(crate) counters: Arc<FakeCounters>,
    /// The rules of shaping, where there is any.
    pub(crate) rules: Option<String>,
    pub(crate) drain: CancellationToken,
    pub(crate) workers: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        let gate = Arc::new(Gate::default());
        let clock = Arc::new(ManualClock::at(START));
        let time: Arc<dyn Clock> = clock.clone();
        let deliveries = Arc::new(FakeDeliveries::new(gate.clone()));
        let world = Self {
            inbound: Arc::new(FakeQueue::new(gate.clone(), time.clone())),
            outbound: Arc::new(FakeQueue::new(gate.clone(), time.clone())),
            spool: Arc::new(FakeSpool::new(gate.clone(), time.clone())),
            counters: Arc::new(FakeCounters::new(gate.clone())),
            rules: None,
            transport: Arc::new(FakeTransport::new(gate.clone(), time, deliveries.clone())),
            deliveries,
            directory: Arc::default(),
            tallies: Arc::new(FakeTallies::new(gate.clone())),
            gate,
            clock,
            drain: CancellationToken::new(),
            workers: AtomicU64::new(0),
        };
        let original = (world.now(), Bytes::from_static(ORIGINAL));
        world.spool.packs.lock().unwrap().insert(pack(), original);
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A worker that has just started.
    pub(crate) fn worker(&self) -> Deliver {
        self.worker_with(DeliverSettings::default().connections)
    }

    /// The same, with so many connections to have.
    pub(crate) fn worker_with(&self, connections: usize) -> Deliver {
        let mut routes = Routes::new(Route::Mx);
        routes.add("*.smart.example", "smtp://relay.example:25".parse().unwrap()).unwrap();
        let hostname = "edge.example".to_owned();
        let smart_hosts = vec![Arc::new(relay())];
        let settings = DeliverSettings { hostname, routes, smart_hosts, connections, ..Default::default() };
        // no two workers draw the same numbers
        let seed = 0x9e37_79b9_7f4a_7c15 ^ self.workers.fetch_add(2, Ordering::Relaxed);
        let ports = DeliverPorts {
            spool: self.spool.clone(),
            inbound: self.inbound.clone(),
            outbound: self.outbound.clone(),
            deliveries: self.deliveries.clone(),
            suppressions: Arc::new(self.suppressions(SuppressionSettings::default())),
            directory: self.directory.clone(),
            reminders: self.reminders(),
            clock: self.clock.clone(),
            ids: Arc::new(SeededIds::new(seed)),
        };
        let shaper = self.rules.is_some().then(|| self.shaper(seed));
        let worker = Deliver::new(settings, ports, self.transport.clone()).drained_by(self.drain.clone());
        match shaper {
            Some(shaper) => worker.shaped_by(shaper),
            None => worker,
        }
    }

    /// What a worker shapes its mail by.
    fn shaper(&self, seed: u64) -> Arc<Shaper> {
        let rules = self.rules.as_ref().map(|rules| format!("built_in = false\n{rules}"));
        let ports = ShaperPorts {
            counters: self.counters.clone(),
            deliveries: self.deliveries.clone(),
            clock: self.clock.clone(),
            ids: Arc::new(SeededIds::new(seed)),
        };
        let rules = Rules::read(rules.as_deref()).expect("the rules of a test are good");
        Arc::new(Shaper::new(LiveRules::fixed(rules), ports))
    }

    /// A world in which mail is shaped by these rules.
    pub(crate) fn shaped(rules: &str) -> Self {
        Self { rules: Some(rules.to_owned()), ..Self::new() }
    }

    pub(crate) fn suppressions(&self, settings: SuppressionSettings) -> Suppressions {
        Suppressions::new(settings, self.directory.clone(), self.clock.clone())
    }

    fn reminders(&self) -> Reminders {
        Reminders::new(self.tallies.clone(), self.clock.clone())
    }

    pub(crate) fn sweep(&self, settings: SweepSettings) -> Sweep {
        let ports = SweepPorts {
            spool: self.spool.clone(),
            outbound: self.outbound.clone(),
            deliveries: self.deliveries.clone(),
            directory: self.directory.clone(),
            reminders: self.reminders(),
            clock: self.clock.clone(),
        };
        Sweep::new(settings, ports)
    }

    /// Runs `body` on a new worker.
    pub(crate) async fn run(&self, body: &str) -> Verdict {
        drive(&self.clock, self.worker().run(body)).await
    }

    pub(crate) async fn run_job(&self, deliveries: Vec<Delivery>, check: bool) -> Verdict {
        self.run(&DeliverJob::new(deliveries, check).encode()).await
    }

    /// Runs a job until it is done, giving it the time it asks for.
    pub(crate) async fn run_until_done(&self, body: &str) {
        for _ in 0..20 {
            match self.run(body).await {
                Verdict::Done => return,
                Verdict::Again { after } => self.clock.advance(after),
            }
        }
        panic!("the job is never done");
    }

    /// Works off the outbound queue and sweeps, until every delivery that was recorded is settled and told of.
    pub(crate) async fn run_to_the_end(&self) {
        let sweep = self.sweep(SweepSettings::default());
        for _ in 0..20_000 {
            while let Some(body) = self.outbound.take() {
                self.run_until_done(&body).await;
            }
            let pending = self.deliveries.items.lock().unwrap().values().any(|item| item.due_at.is_some());
            let told = self.tallies.counts.lock().unwrap().is_empty();
            if !pending && told && self.outbound.len() == 0 {
                return;
            }
            self.clock.advance(Duration::from_secs(60));
            sweep.run_once().await;
        }
        panic!("something is never settled");
    }

    /// Lets a minute pass, and does what is due.
    pub(crate) async fn advance_and_run(&self) {
        self.clock.advance(Duration::from_secs(60));
        self.sweep(SweepSettings::default()).run_once().await;
        while let Some(body) = self.outbound.take() {
            self.run_until_done(&body).await;
        }
    }

    /// The actions that the DSNs tell of, a word a recipient, sorted.
    pub(crate) fn actions(&self) -> Vec<String> {
        let mut actions = Vec::new();
        for report in self.reports() {
            let text = String::from_utf8_lossy(&report).into_owned();
            let lines = text.lines().filter_map(|line| line.strip_prefix("Action: "));
            actions.extend(lines.map(str::to_owned));
        }
        actions.sort();
        actions
    }

    /// Gives an order, as an operator who goes away at once.
    pub(crate) async fn give(&self, hand: Hand, filter: Filter) -> OrderEntry {
        let at = self.now();
        let id = OrderId::new(at, self.workers.fetch_add(2, Ordering::Relaxed));
        let order = Order { id, hand, at, by: "ann".to_owned() };
        let kept_until = at + Duration::from_secs(10 * 24 * 3600);
        let entry = OrderEntry { order, filter, kept_until };
        self.directory.put(entry.entry()).await.unwrap();
        entry
    }

    /// Gives an order, and puts it on what waits.
    pub(crate) async fn give_and_apply(&self, hand: Hand, filter: Filter) {
        // of two orders, the later one is known to be later
        self.clock.advance(Duration::from_millis(1));
        let entry = self.give(hand, filter).await;
        apply(&*self.deliveries, &[entry], self.now(), |_| true).await.unwrap();
    }

    /// The orders that there are.
    pub(crate) async fn orders(&self) -> Vec<Entry> {
        self.directory.list(EntryKind::Order, None, 100).await.unwrap()
    }

    /// What became of each recipient of the delivery to `domain`.
    pub(crate) fn statuses(&self, domain: &str) -> Vec<RecipientStatus> {
        let state = self.deliveries.state(&key(domain)).expect("an attempt is on record");
        state.recipients.iter().map(|recipient| recipient.status).collect()
    }

    /// The packs that were put in: each is a DSN.
    pub(crate) fn reports(&self) -> Vec<Bytes> {
        let packs = self.spool.packs.lock().unwrap();
        packs.iter().filter(|(id, _)| **id != pack()).map(|(_, (_, bytes))| bytes.clone()).collect()
    }

    pub(crate) fn taken(&self, address: &str) -> usize {
        let address: Mailbox = address.parse().unwrap();
        self.transport.taken.lock().unwrap().get(&address).copied().unwrap_or(0)
    }
}

fn pack() -> PackId {
    PackId::derived(START, "original")
}

fn key(domain: &str) -> DeliveryKey {
    let message = MessageId { pack: pack(), n: 0 };
    DeliveryKey { message, domain: domain.parse::<Domain>().unwrap(), part: 0 }
}

/// The smart hosts `relay`, which an order may name.
fn relay() -> SmartHosts {
    let host = SmartHost { host: "relay.example".to_owned(), port: 587, weight: 1 };
    SmartHosts {
        name: "relay".to_owned(),
        hosts: vec![host],
        tls: SmartHostTls::Verify,
        implicit_tls: false,
        login: None,
    }
}

/// A first attempt at `names` of `domain`, by `ann@sender.example`.
pub(crate) fn delivery(domain: &str, names: &[&str]) -> Delivery {
    let mailbox = |name: &&str| format!("{name}@{domain}").parse::<Mailbox>().unwrap();
    Delivery {
        key: key(domain),
        offset: 0,
        length: ORIGINAL.len() as u64,
        prefix: "Received: from client by edge.example\r\n".to_owned(),
        from: ReversePath::Mailbox("ann@sender.example".parse().unwrap()),
        return_path: None,
        recipients: names.iter().map(|name| mailbox(name).into()).collect(),
        options: Default::default(),
        content: Default::default(),
        tenant: Default::default(),
        subject: "hello".to_owned(),
        signed: Vec::new(),
        unsigned: None,
        attempt: 1,
        accepted_at: START,
        expires_at: START + Duration::from_secs(5 * 24 * 3600),
        notices: Default::default(),
        route: None,
        postponed: 0,
        others: 0,
    }
}
