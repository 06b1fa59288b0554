//! The embedded stores, a deliver worker, a sweep, and a remote that counts what it takes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use shared::job::{DeliverJob, Delivery, Job, PrepareJob};
use shared::mail::{ContentFacts, Domain, Hold, Mailbox, MessageId, Reply, TenantId};
use shared::pack::encode;
use shared::port::{Attempt, BATCH_MAX, Clock, Counters, Deliveries, Depth, Outgoing, Queue};
use shared::testkit::{Faults, Faulty, ManualClock, SeededIds, TempStores, samples};
use tokio::sync::mpsc::Sender;
use workers::deliver::shaping::{LiveRules, Rules, Shaper, ShaperPorts};
use workers::deliver::{
    Deliver, DeliverPorts, DeliverSettings, Hop, Meaning, Outcome, RecipientOutcome, Reminders,
    RetrySettings, Route, Routes, Rule, Site, SuppressionSettings, Suppressions, Transport, Tried,
};
use workers::prepare::{Prepare, PreparePorts, PrepareSettings};
use workers::sweep::{Sweep, SweepPorts, SweepReport, SweepSettings};
use workers::{Stage, Verdict};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// One site wants one message an hour.
const RULES: &str =
    "built_in = false\n[[rule]]\nname = \"slow\"\nsite = \"slow.example\"\nmessage_rate = \"1/h\"\n";

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) remote: Arc<Remote>,
    /// Of the state and of the outbound queue.
    pub(crate) faults: Arc<Faults>,
    pub(crate) outbound: Arc<dyn Queue>,
    pub(crate) deliveries: Arc<dyn Deliveries>,
    pub(crate) stage: Arc<Deliver>,
    stores: TempStores,
    pause: Duration,
}

impl World {
    /// A world whose remote defers the first attempt at everything; the next one is `pause` later, to the millisecond.
    pub(crate) async fn deferring_for(pause: Duration) -> Self {
        let clock = Arc::new(ManualClock::default());
        let stores = TempStores::open(clock.clone()).await;
        let remote = Arc::new(Remote::new(clock.clone()));
        Self::on(stores, clock, remote, pause)
    }

    /// The same stores and remote as another process finds them, after this one was killed.
    pub(crate) async fn restarted(self) -> Self {
        let Self { clock, remote, mut stores, pause, .. } = self;
        stores.stores = stores.again(clock.clone()).await.unwrap();
        drop(stores.stores.take_over().await.unwrap());
        Self::on(stores, clock, remote, pause)
    }

    fn on(stores: TempStores, clock: Arc<ManualClock>, remote: Arc<Remote>, pause: Duration) -> Self {
        let faults = Faults::new(1);
        let outbound: Arc<dyn Queue> = Faulty::new(stores.stores.outbound.clone(), &faults);
        let deliveries: Arc<dyn Deliveries> = Faulty::new(stores.stores.deliveries.clone(), &faults);
        let retry = RetrySettings { schedule: vec![pause], jitter: 0.0, ..RetrySettings::default() };
        let settings =
            DeliverSettings { routes: Routes::new(Route::Mx), retry, ..DeliverSettings::default() };
        let ports = DeliverPorts {
            spool: stores.stores.spool.clone(),
            inbound: stores.stores.inbound.clone(),
            outbound: outbound.clone(),
            deliveries: deliveries.clone(),
            suppressions: Arc::new(Suppressions::new(
                SuppressionSettings::default(),
                stores.stores.directory.clone(),
                clock.clone(),
            )),
            directory: stores.stores.directory.clone(),
            reminders: Reminders::new(stores.stores.reminders.clone(), clock.clone()),
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(1)),
        };
        let shaper = ShaperPorts {
            counters: Faulty::<dyn Counters>::new(stores.stores.counters.clone(), &faults),
            deliveries: deliveries.clone(),
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(2)),
        };
        let rules = LiveRules::fixed(Rules::read(Some(RULES)).unwrap());
        let stage = Deliver::new(settings, ports, remote.clone());
        let stage = Arc::new(stage.shaped_by(Arc::new(Shaper::new(rules, shaper))));
        Self { clock, remote, faults, outbound, deliveries, stage, stores, pause }
    }

    /// Puts a pack with one message to `to` that is held for `hold`, as ingress does.
    pub(crate) async fn accept_held(&self, to: &[&str], hold: Duration) -> MessageId {
        let mut message = samples::message("sender@example.com", to);
        message.received_at = self.clock.now();
        message.envelope.options.hold = Some(Hold::For(u32::try_from(hold.as_secs()).unwrap()));
        let pack = samples::pack_id().held(self.clock.now() + hold);
        let content =
            (message, ContentFacts::default(), Bytes::from_static(b"Subject: later\r\n\r\nbody\r\n"));
        let parts = encode(pack, self.clock.now(), vec![content]);
        self.stores.stores.spool.put(pack, parts).await.unwrap();
        MessageId { pack, n: 0 }
    }

    /// Gives the job of the message's pack to a new prepare stage.
    pub(crate) async fn prepare(&self, message: MessageId) -> Verdict {
        let stores = &self.stores.stores;
        let ports = PreparePorts {
            spool: stores.spool.clone(),
            outbound: self.outbound.clone(),
            deliveries: self.deliveries.clone(),
            directory: stores.directory.clone(),
            keys: stores.keys.clone(),
            return_paths: None,
            clock: self.clock.clone(),
        };
        Prepare::new(PrepareSettings::default(), ports).run(&PrepareJob { pack: message.pack }.encode()).await
    }

    /// Whether the message's bytes are in the spool still.
    pub(crate) async fn has_pack(&self, message: MessageId) -> bool {
        self.stores.stores.spool.get(message.pack, 0..1).await.unwrap().is_some()
    }

    /// Puts a first attempt at `address` into the outbound queue.
    pub(crate) async fn send(&self, address: &str) {
        self.put(DeliverJob::new(vec![samples::delivery(&[address])], false).encode()).await;
    }

    pub(crate) async fn put(&self, body: String) {
        let job = Outgoing { body, delay: Duration::ZERO, tenant: TenantId::default(), priority: 0 };
        assert!(self.outbound.send(vec![job]).await.unwrap().iter().all(Result::is_ok));
    }

    /// Works off what is visible in the outbound queue; gives the bodies of the jobs.
    pub(crate) async fn work(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let received = self.outbound.receive(BATCH_MAX, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return bodies;
            }
            for one in received {
                match self.stage.run(&one.body).await {
                    Verdict::Done => self.outbound.ack(&one.receipt).await.unwrap(),
                    Verdict::Again { after } => self.outbound.release(&one.receipt, after).await.unwrap(),
                }
                bodies.push(one.body);
            }
        }
    }

    /// Takes every visible job out of the queue; nobody works it off.
    pub(crate) async fn lose(&self) -> usize {
        let received = self.outbound.receive(BATCH_MAX, Duration::ZERO).await.unwrap();
        for one in &received {
            self.outbound.ack(&one.receipt).await.unwrap();
        }
        received.len()
    }

    pub(crate) fn sweeper(&self, settings: SweepSettings) -> Sweep {
        let ports = SweepPorts {
            spool: self.stores.stores.spool.clone(),
            outbound: self.outbound.clone(),
            deliveries: self.deliveries.clone(),
            directory: self.stores.stores.directory.clone(),
            reminders: Reminders::new(self.stores.stores.reminders.clone(), self.clock.clone()),
            clock: self.clock.clone(),
        };
        Sweep::new(settings, ports)
    }

    /// Sweeps once; tells how many deliveries went to the queue.
    pub(crate) async fn sweep(&self) -> usize {
        let SweepReport { sent, errors, .. } = self.sweeper(SweepSettings::default()).run_once().await;
        assert_eq!(errors, Vec::<String>::new());
        sent
    }

    pub(crate) async fn depth(&self) -> Depth {
        self.outbound.depth().await.unwrap()
    }
}

/// A server that defers the first attempt at each delivery and takes the next.
pub(crate) struct Remote {
    clock: Arc<ManualClock>,
    attempts: AtomicUsize,
    taken: Mutex<HashMap<Mailbox, usize>>,
}

impl Remote {
    fn new(clock: Arc<ManualClock>) -> Self {
        Self { clock, attempts: AtomicUsize::new(0), taken: Mutex::default() }
    }

    /// How many attempts were made at it.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    /// How often it said 250, for each recipient.
    pub(crate) fn taken(&self) -> Vec<usize> {
        self.taken.lock().unwrap().values().copied().collect()
    }
}

#[async_trait]
impl Transport for Remote {
    async fn site(&self, _: Rule<'_>, domain: &Domain) -> Result<Option<Site>, String> {
        Ok(Some(Site::of_hosts([domain.as_str()])))
    }

    async fn attempt(&self, rule: Rule<'_>, deliveries: Vec<Delivery>, tried: &Sender<Tried>) {
        for delivery in deliveries {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            let (outcome, reply) = match delivery.attempt {
                1 => (Outcome::Deferred, samples::busy()),
                _ => (Outcome::Delivered, samples::accepted()),
            };
            let outcomes = delivery.recipients.iter().map(|recipient| {
                let address = recipient.address.clone();
                if outcome == Outcome::Delivered {
                    *self.taken.lock().unwrap().entry(address.clone()).or_default() += 1;
                }
                let reply = reply.clone();
                let meaning = Meaning::default();
                RecipientOutcome { address, outcome, reply, spoken: true, meaning, hop: Hop::End }
            });
            let outcomes = outcomes.collect();
            let attempt = attempt(&delivery, rule.route, self.clock.as_ref(), reply);
            tried.send(Tried { delivery, attempt, outcomes }).await.unwrap();
        }
    }
}

fn attempt(delivery: &Delivery, route: &Route, clock: &dyn Clock, reply: Reply) -> Attempt {
    Attempt {
        number: delivery.attempt,
        began_at: clock.now(),
        ended_at: clock.now(),
        route: route.to_string(),
        host: None,
        peer: None,
        tls: None,
        source: None,
        reply,
    }
}
