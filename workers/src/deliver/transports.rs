//! The transports: deliveries and a route in, what each recipient's server said out.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use shared::job::Delivery;
use shared::mail::{ByMode, Domain, Reply, Timestamp};
use shared::port::{Clock, Directory, Ids, Resolver, Spool};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::mx::Targets;
use super::outcome::Failure;
use super::pending::{Pending, Reporter};
use super::policy::{NextHop, ObserveTls, TlsOverrides, TlsPolicies, Unobserved, Wish};
use super::smtp::{self, Desk, Packs};
use super::{ClientLimits, Outcome, Route, Rule, Transport, Tried};

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
    /// What the operator says of TLS with destinations.
    pub tls_overrides: TlsOverrides,
    /// The TCP port of the web servers of MTA-STS policies.
    pub mta_sts_port: u16,
    /// Who is told what became of TLS.
    pub observer: Observer,
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

/// Who is told what became of TLS; nobody unless set.
#[derive(Clone)]
pub struct Observer(pub Arc<dyn ObserveTls>);

impl Default for Observer {
    fn default() -> Self {
        Self(Arc::new(Unobserved))
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            port: 25,
            allow_private_addresses: false,
            inbox: None,
            trust: TrustAnchors::default(),
            tls_overrides: TlsOverrides::default(),
            mta_sts_port: 443,
            observer: Observer::default(),
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
    /// Where the MTA-STS policies of domains are kept.
    pub directory: Arc<dyn Directory>,
    /// The time of day, for the attempts.
    pub clock: Arc<dyn Clock>,
    /// Chance, to spread load among equal hosts.
    pub ids: Arc<dyn Ids>,
}

/// Every way a message can leave. Clones share what they hold.
#[derive(Clone)]
pub struct Transports {
    settings: Arc<TransportSettings>,
    ports: TransportPorts,
    tls: TlsPolicies,
    inbox: Option<Arc<Inbox>>,
    cut: CancellationToken,
}

impl Transports {
    /// Transports that behave as `settings` say.
    pub fn new(settings: TransportSettings, ports: TransportPorts) -> Self {
        let inbox = settings.inbox.clone().map(|folder| Arc::new(Inbox::new(folder)));
        let tls = TlsPolicies::new(&settings, &ports);
        let (settings, cut) = (Arc::new(settings), CancellationToken::new());
        Self { settings, ports, tls, inbox, cut }
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
        };
        let queue = deliveries.into_iter().map(|delivery| Pending::new(delivery, now));
        let (late, queue): (VecDeque<_>, VecDeque<_>) =
            queue.partition(|pending: &Pending<'_>| is_late(&pending.delivery, now));
        desk.reporter.fail(late, &Failure::DeliverByPassed, None).await;
        match rule.route {
            Route::Mx | Route::SmartHost { .. } => {
                // what is asked of TLS is of a message, and TLS of a session
                for (wish, queue) in by_wish(queue) {
                    self.send(rule.route, &domain, wish, queue, &mut desk).await;
                }
            }
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

/// What each of `queue` asks of TLS; what asks for most goes first.
fn by_wish(queue: VecDeque<Pending<'_>>) -> [(Wish, VecDeque<Pending<'_>>); 3] {
    let (mut required, mut usual, mut not_required) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
    for pending in queue {
        let delivery = &pending.delivery;
        match (delivery.options.require_tls, delivery.content.tls_not_required) {
            // RFC 8689 §5: the header field does not count beside the parameter
            (true, _) => required.push_back(pending),
            (false, false) => usual.push_back(pending),
            (false, true) => not_required.push_back(pending),
        }
    }
    [(Wish::Required, required), (Wish::Usual, usual), (Wish::NotRequired, not_required)]
}

impl Transports {
    /// Takes `queue` to the hosts of `domain`, or to the smart host.
    async fn send<'a>(
        &self,
        route: &Route,
        domain: &Domain,
        wish: Wish,
        queue: VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        if queue.is_empty() {
            return;
        }
        let targets = match route {
            Route::SmartHost { host, port } => {
                Ok(Targets::of_smart_host(&self.settings, &self.ports, host, *port))
            }
            Route::Mx | Route::Inbox | Route::Discard => {
                Targets::of_domain(&self.settings, &self.ports, domain).await
            }
        };
        match targets {
            // a future of many layers: on the heap, so that whoever waits for it stays small
            Ok(targets) => {
                let hop = match route {
                    Route::SmartHost { .. } => NextHop::SmartHost,
                    Route::Mx | Route::Inbox | Route::Discard => {
                        NextHop::Mx { authentic: targets.are_authentic() }
                    }
                };
                let tls = self.tls.of(domain, hop, wish);
                Box::pin(smtp::deliver(&self.settings, &tls, targets, queue, desk)).await;
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
