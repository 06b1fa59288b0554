//! The transports: deliveries and a route in, what each recipient's server said out.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use shared::job::Delivery;
use shared::mail::{ByMode, Domain, Reply, Timestamp};
use shared::port::{Clock, Ids, Resolver, Secrets, Spool};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::mx::Targets;
use super::outcome::Failure;
use super::pending::{Pending, Reporter};
use super::pool::Pool;
use super::smtp::tls::{Assurance, Tls};
use super::smtp::{self, Desk, Packs, Secrecy, Way};
use super::{
    ClientLimits, Outcome, Route, Rule, SmartHostTls, SmartHosts, Source, Sources, Transport, Tried,
};

/// How the transports behave.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// The name said in EHLO, and by which this machine is known among MX hosts.
    pub hostname: String,
    /// The TCP port of MX hosts and address literals.
    pub port: u16,
    /// Whether addresses that the DNS names, or an address literal, may be private, loopback and the like.
    pub allow_private_addresses: bool,
    /// The folder of the inbox route.
    pub inbox: Option<PathBuf>,
    /// Who vouches for the certificates of servers, where they are verified.
    pub trust: TrustAnchors,
    /// From where the mail of which tenants leaves; wherever the system chooses, where no source is theirs.
    pub sources: Sources,
    /// Times, sizes and counts.
    pub limits: ClientLimits,
}

/// Whose word on a server's name is taken.
#[derive(Debug, Clone, Default)]
pub enum TrustAnchors {
    /// Those whom this system trusts.
    #[default]
    System,
    /// These and no others.
    These(Vec<CertificateDer<'static>>),
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            port: 25,
            allow_private_addresses: false,
            inbox: None,
            trust: TrustAnchors::default(),
            sources: Sources::default(),
            limits: ClientLimits::default(),
        }
    }
}

/// What the transports need of the world.
#[derive(Clone)]
pub struct TransportPorts {
    /// Where the messages lie.
    pub spool: Arc<dyn Spool>,
    /// Who knows the hosts of a domain.
    pub resolver: Arc<dyn Resolver>,
    /// The time of day, for the attempts.
    pub clock: Arc<dyn Clock>,
    /// Chance, to spread load among equal hosts.
    pub ids: Arc<dyn Ids>,
    /// Who keeps the secrets of smart hosts that are in no file.
    pub secrets: Arc<dyn Secrets>,
}

/// Every way a message can leave. Clones share what they hold.
#[derive(Clone)]
pub struct Transports {
    settings: Arc<TransportSettings>,
    ports: TransportPorts,
    tls: Tls,
    pool: Arc<Pool>,
    secrecy: Secrecy,
    inbox: Option<Arc<Inbox>>,
    cut: CancellationToken,
}

impl Transports {
    /// Transports that behave as `settings` say.
    pub fn new(settings: TransportSettings, ports: TransportPorts) -> Self {
        let inbox = settings.inbox.clone().map(|folder| Arc::new(Inbox::new(folder)));
        let tls = Tls::new(settings.trust.clone());
        let pool = Pool::new(settings.limits.clone(), Arc::clone(&ports.clock));
        let secrecy = Secrecy::new(Arc::clone(&ports.secrets), Arc::clone(&ports.clock));
        let (settings, cut) = (Arc::new(settings), CancellationToken::new());
        Self { settings, ports, tls, pool, secrecy, inbox, cut }
    }

    /// Takes leave of every server that a connection is kept to, and returns when that is done: before the process ends or is frozen. It
    /// can be used again after that.
    pub async fn close_kept(&self) {
        self.pool.close().await;
    }

    /// Once `cut` is cancelled, no server is waited for any more: each has taken too long, and what was under way comes to what it
    /// comes to then. For a process that must end before a server that may take ten minutes to answer the final dot.
    #[must_use]
    pub fn cut_by(mut self, cut: CancellationToken) -> Self {
        self.cut = cut;
        self
    }
}

#[async_trait]
impl Transport for Transports {
    async fn attempt(&self, rule: Rule<'_>, deliveries: Vec<Delivery>, tried: &mpsc::Sender<Tried>) {
        let Some(domain) = deliveries.first().map(|delivery| delivery.key.domain.clone()) else { return };
        let clock = self.ports.clock.as_ref();
        let now = clock.now();
        let mut desk = Desk {
            packs: Packs::new(self.ports.spool.clone()),
            reporter: Reporter { tried, clock, route: rule.route.to_string() },
            until: now + self.settings.limits.call,
            cut: self.cut.clone(),
            flight: VecDeque::new(),
        };
        let queue = deliveries.into_iter().map(|delivery| Pending::new(delivery, now));
        let (late, queue): (VecDeque<_>, VecDeque<_>) =
            queue.partition(|pending: &Pending<'_>| is_late(&pending.delivery, now));
        desk.reporter.fail(late, &Failure::DeliverByPassed, None).await;
        match rule.route {
            Route::Mx => self.send_apart(&domain, None, queue, &mut desk).await,
            Route::SmartHost { host, port } => {
                let relay = SmartHosts::only(host, *port);
                self.send_apart(&domain, Some(&relay), queue, &mut desk).await;
            }
            Route::SmartHosts(relay) => self.send_apart(&domain, Some(relay), queue, &mut desk).await,
            Route::Inbox => self.keep(queue, &mut desk).await,
            Route::Discard => discard(rule.pattern, queue, &desk).await,
        }
    }
}

/// Whether the time has passed after which the message is to be returned (RFC 2852 §4).
fn is_late(delivery: &Delivery, now: Timestamp) -> bool {
    let returned = delivery.options.deliver_by.is_some_and(|by| by.mode == ByMode::Return);
    returned && delivery.deliver_by().is_some_and(|by| by <= now)
}

impl Transports {
    /// Sends those apart that cannot share a session: REQUIRETLS is of a message, the source of a tenant, and both of a session.
    async fn send_apart<'a>(
        &self,
        domain: &Domain,
        relay: Option<&SmartHosts>,
        queue: VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        let usual = relay.map_or(Assurance::Opportunistic, |relay| match relay.tls {
            SmartHostTls::Verify => Assurance::Verified,
            SmartHostTls::Require => Assurance::Encrypted,
            SmartHostTls::May => Assurance::Opportunistic,
            SmartHostTls::Off => Assurance::Clear,
        });
        type Terms<'t> = (Assurance, Option<&'t Arc<Source>>);
        let mut parts: Vec<(Terms<'_>, VecDeque<Pending<'a>>)> = Vec::new();
        for pending in queue {
            let assurance = if pending.delivery.options.require_tls { Assurance::Required } else { usual };
            let terms = (assurance, self.settings.sources.of(&pending.delivery.tenant));
            match parts.iter_mut().find(|(known, _)| *known == terms) {
                Some((_, part)) => part.push_back(pending),
                None => parts.push((terms, VecDeque::from([pending]))),
            }
        }
        // what asks for most goes first
        parts.sort_by_key(|((assurance, _), _)| *assurance != Assurance::Required);
        for ((assurance, source), queue) in parts {
            let way = Way {
                settings: &self.settings,
                pool: &self.pool,
                tls: &self.tls,
                secrecy: &self.secrecy,
                ids: &*self.ports.ids,
                assurance,
                source: source.map(|source| &**source),
                relay,
            };
            self.send(&way, domain, queue, desk).await;
        }
    }

    /// Takes `queue` to the hosts of `domain`, or to the smart hosts.
    async fn send<'a>(
        &self,
        way: &Way<'_>,
        domain: &Domain,
        queue: VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        let targets = match way.relay {
            Some(relay) => Ok(Targets::of_smart_hosts(&self.settings, &self.ports, relay)),
            None => Targets::of_domain(&self.settings, &self.ports, domain).await,
        };
        match targets {
            Ok(targets) if way.assurance == Assurance::Required && !targets.are_authentic() => {
                let why = "DNSSEC does not prove the MX records of the recipient's domain".to_owned();
                desk.reporter.fail(queue, &Failure::NeedsRequireTls(why), None).await;
            }
            // a future of many layers: on the heap, so that whoever waits for it stays small
            Ok(targets) => {
                let targets = targets.reached_from(way.source);
                Box::pin(smtp::deliver(way, targets, queue, desk)).await;
            }
            Err(failure) => desk.reporter.fail(queue, &failure, None).await,
        }
    }

    async fn keep<'a>(&self, queue: VecDeque<Pending<'a>>, desk: &mut Desk<'a>) {
        for mut pending in queue {
            if !desk.reporter.begin(&mut pending).await {
                return;
            }
            let kept = match &self.inbox {
                Some(inbox) => inbox.keep(&pending.delivery, &mut desk.packs).await,
                None => Err(Failure::Inbox("no folder is set for it".to_owned())),
            };
            match kept {
                Ok(()) => {
                    let reply = Reply::new(250, (0, 0), "kept in the inbox");
                    pending.settle_here(Outcome::Delivered, &reply);
                }
                Err(failure) => pending.fail(&failure),
            }
            desk.reporter.report(pending, None).await;
        }
    }
}

async fn discard<'a>(pattern: &str, queue: VecDeque<Pending<'a>>, desk: &Desk<'a>) {
    let reply = Reply::new(250, (0, 0), format!("discarded by route \"{pattern}\""));
    for mut pending in queue {
        pending.settle_here(Outcome::Discarded, &reply);
        desk.reporter.report(pending, None).await;
    }
}
