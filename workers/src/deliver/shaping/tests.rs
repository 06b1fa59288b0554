use std::sync::Arc;

use futures::future::BoxFuture;
use shared::mail::Domain;
use shared::testkit::{Faults, Faulty, ManualClock, SeededIds, TempStores, samples};

use super::super::{SmartHosts, Source};
use super::*;

mod admissions;
mod backoffs;
mod kept;
mod precedence;
mod readings;
mod reloads;
mod spreading;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A permit that there is always one more of.
const FREE: &(dyn Fn() -> BoxFuture<'static, ()> + Sync) = &|| Box::pin(async {});

/// A destination as tests name it.
#[derive(Clone)]
struct To {
    domain: Domain,
    site: Site,
    source: Option<Source>,
}

impl To {
    fn new(domain: &str, hosts: &[&str]) -> Self {
        Self { domain: domain.parse().unwrap(), site: Site::of_hosts(hosts), source: None }
    }

    fn place(&self) -> Place<'_> {
        Place { domain: &self.domain, site: &self.site, source: self.source.as_ref() }
    }
}

/// A source with one address.
fn pool(name: &str, address: &str) -> Source {
    let addresses = vec![address.parse().unwrap()];
    Source { name: name.to_owned(), addresses, helo: None, tenants: Vec::new() }
}

/// Workers that share stores, each with handles of its own, under rules of no others than the test's.
struct World {
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
    workers: Vec<Arc<Shaper>>,
    stores: TempStores,
    rules: String,
}

impl World {
    async fn new(workers: usize, rules: &str) -> Self {
        let clock = Arc::new(ManualClock::default());
        let stores = TempStores::open(clock.clone()).await;
        let rules = format!("built_in = false\n{rules}");
        let mut world = Self { clock, faults: Faults::new(0), workers: Vec::new(), stores, rules };
        for _ in 0..workers {
            let worker = world.worker().await;
            world.workers.push(worker);
        }
        world
    }

    /// One more worker, as a process that has just started.
    async fn worker(&self) -> Arc<Shaper> {
        let stores = self.stores.again(self.clock.clone()).await.unwrap();
        let ports = ShaperPorts {
            counters: Faulty::<dyn Counters>::new(stores.counters, &self.faults),
            deliveries: Faulty::<dyn Deliveries>::new(stores.deliveries, &self.faults),
            clock: self.clock.clone(),
            ids: Arc::new(SeededIds::new(self.workers.len() as u64 + 1)),
        };
        let rules = Rules::read(Some(&self.rules)).expect("the rules of a test are good");
        Arc::new(Shaper::new(LiveRules::fixed(rules), ports))
    }
}

fn mail(count: usize, tenant: &str) -> Vec<Delivery> {
    let one = |_| Delivery { tenant: TenantId(tenant.to_owned()), ..samples::delivery(&["user@a.example"]) };
    (0..count).map(one).collect()
}

/// What a worker does with so many deliveries, if no time passes: how many go, with their connection, and what the others wait for.
async fn admit(worker: &Shaper, to: &To, load: Vec<Delivery>) -> (usize, Option<Slot>, Vec<(usize, Wait)>) {
    // without patience
    let mut patience = worker.patience(0, &TenantId::default());
    patience.spend(crate::limits::shaping::WAIT_MAX);
    let (mut gone, mut connection, mut waits) = (0, None, Vec::new());
    let mut load = load;
    while !load.is_empty() {
        let admission = worker.admit(&to.place(), load, &mut patience, FREE).await;
        gone += admission.go.len();
        connection = admission.connection.or(connection);
        waits.extend(admission.put_off.into_iter().map(|off| (off.deliveries.len(), off.wait)));
        load = admission.later;
        if connection.is_some() && !load.is_empty() {
            // the same group goes on over the same connection
            waits.push((load.len(), waits_unknown()));
            break;
        }
    }
    (gone, connection, waits)
}

fn waits_unknown() -> Wait {
    Wait {
        key: String::new(),
        reason: Reason::MessageRate,
        text: "left for later".to_owned(),
        until: samples::NOW,
        interval: Duration::ZERO,
        whole: false,
    }
}
