//! What comes back: mail to the return paths that submissions left with, and complaints.
//!
//! It comes in by a listener like any other mail, and what it says is read here, in the place of a transport. Nothing of it is believed
//! but what a signed return path vouches for. A bounce changes nothing of what is on record about the delivery; it is noted beside it.
//!
//! - A DSN (RFC 3464) is noted with the delivery, suppresses the address where it says that the mailbox is gone, and goes on to the sender
//!   of the message, who would have got it without us.
//! - A complaint (RFC 5965) is noted, and suppresses the address.
//! - Anything else at a return path, such as the answer of somebody on holiday, goes on to the sender as it is. Anything else at the
//!   address for complaints is thrown away by a rule that says so.

mod fields;
mod report;
mod taken;

use std::sync::Arc;

use async_trait::async_trait;
use shared::job::Delivery;
use shared::mail::{Domain, Reply, TenantId, Timestamp};
use shared::port::{Clock, Deliveries, Queue, Spool};
use shared::return_path::{ReturnPath, ReturnPaths};
use tokio::sync::mpsc;

use super::outcome::Failure;
use super::pending::{Pending, Reporter};
use super::{Outcome, Rule, Site, Source, Suppressions, Transport, Tried};

/// What stands in the place of a route.
const ROUTE: &str = "bounces";

/// What reading bounces needs of the world.
#[derive(Clone)]
pub struct BouncePorts {
    /// Where they lie.
    pub spool: Arc<dyn Spool>,
    /// Takes those that go on to senders.
    pub outbound: Arc<dyn Queue>,
    /// Where they are noted.
    pub deliveries: Arc<dyn Deliveries>,
    /// Where addresses are suppressed.
    pub suppressions: Arc<Suppressions>,
    /// Who tells whether a return path is ours.
    pub return_paths: Arc<ReturnPaths>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A transport that reads bounces, in front of one for all other mail.
pub struct Bounces {
    inner: Arc<dyn Transport>,
    ports: BouncePorts,
}

/// What became of one of them.
enum Read {
    /// It was read, and what had to be done is done.
    Done(Reply),
    /// A rule throws it away.
    Discarded(Reply),
    /// Nobody has this address.
    NoSuchPath,
    /// It cannot be read now.
    Later(Reply),
    /// Its content cannot be had.
    Failed(Failure),
}

impl Bounces {
    /// Reads what is for the domain of the return paths, and leaves the rest to `inner`.
    pub fn new(inner: Arc<dyn Transport>, ports: BouncePorts) -> Self {
        Self { inner, ports }
    }

    /// Whether the delivery is to one address that is for programs. Its postmaster gets mail like any other.
    fn is_ours(&self, delivery: &Delivery) -> bool {
        let [to] = &delivery.recipients[..] else { return false };
        to.address.domain() == self.ports.return_paths.domain()
            && ReturnPath::is_for_programs(to.address.local_part())
    }

    async fn take(&self, delivery: Delivery, tried: &mpsc::Sender<Tried>) {
        let clock = &*self.ports.clock;
        let reporter = Reporter { tried, clock, route: ROUTE.to_owned() };
        let mut pending = Pending::new(delivery, clock.now());
        if !reporter.begin(&mut pending).await {
            return;
        }
        match self.read(&pending.delivery).await {
            Read::Done(reply) => pending.settle_here(Outcome::Delivered, &reply),
            Read::Discarded(reply) => pending.settle_here(Outcome::Discarded, &reply),
            Read::NoSuchPath => {
                let reply = Reply::new(550, (1, 1), "no such return path: it is not signed by this edge");
                pending.settle_here(Outcome::Bounced, &reply);
            }
            Read::Later(reply) => pending.settle_here(Outcome::Deferred, &reply),
            Read::Failed(failure) => pending.fail(&failure),
        }
        reporter.report(pending, None).await;
    }
}

#[async_trait]
impl Transport for Bounces {
    async fn site(&self, rule: Rule<'_>, domain: &Domain) -> Result<Option<Site>, String> {
        if domain == self.ports.return_paths.domain() {
            Ok(None)
        } else {
            self.inner.site(rule, domain).await
        }
    }

    fn source(&self, tenant: &TenantId) -> Option<Arc<Source>> {
        self.inner.source(tenant)
    }

    fn kept(&self, site: &Site, source: Option<&Source>) -> Vec<Timestamp> {
        self.inner.kept(site, source)
    }

    async fn part(&self, site: &Site, source: Option<&Source>) {
        self.inner.part(site, source).await;
    }

    async fn attempt(&self, rule: Rule<'_>, deliveries: Vec<Delivery>, tried: &mpsc::Sender<Tried>) {
        let (ours, others): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| self.is_ours(delivery));
        let read = async {
            for delivery in ours {
                self.take(delivery, tried).await;
            }
        };
        let send = async {
            if !others.is_empty() {
                self.inner.attempt(rule, others, tried).await;
            }
        };
        tokio::join!(read, send);
    }
}

#[cfg(test)]
mod tests;
