//! The transports: deliveries and a route in, what each recipient's server said out.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use shared::job::Delivery;
use shared::mail::{ByMode, Domain, Reply, TenantId, Timestamp};
use shared::port::{Clock, Directory, Ids, Resolver, Secrets, Spool};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::mx::Targets;
use super::outcome::Failure;
use super::pending::{Pending, Reporter};
use super::policy::{NextHop, ObserveTls, TlsOverrides, TlsPolicies, Unobserved, Wish};
use super::pool::Pool;
use super::shaping::{Applied, Place, Shape, Shaper};
use super::smtp::{self, Desk, Packs, Secrecy, Way};
use super::{ClientLimits, Outcome, Route, Rule, Site, SmartHosts, Source, Sources, Transport, Tried};

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
    /// Where the MTA-STS policies of domains are kept.
    pub directory: Arc<dyn Directory>,
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
    tls: TlsPolicies,
    pool: Arc<Pool>,
    secrecy: Secrecy,
    inbox: Option<Arc<Inbox>>,
    shaper: Option<Arc<Shaper>>,
    cut: CancellationToken,
}

impl Transports {
    /// Transports that behave as `settings` say.
    pub fn new(settings: TransportSettings, ports: TransportPorts) -> Self {
        let inbox = settings.inbox.clone().map(|folder| Arc::new(Inbox::new(folder)));
        let tls = TlsPolicies::new(&settings, &ports);
        let pool = Pool::new(settings.limits.clone(), Arc::clone(&ports.clock));
        let secrecy = Secrecy::new(Arc::clone(&ports.secrets), Arc::clone(&ports.clock));
        let (settings, cut) = (Arc::new(settings), CancellationToken::new());
        Self { settings, ports, tls, pool, secrecy, inbox, shaper: None, cut }
    }

    /// The bounds of one connection and of one transaction are those of `shaper`, where they are narrower.
    #[must_use]
    pub fn shaped_by(mut self, shaper: Arc<Shaper>) -> Self {
        self.shaper = Some(shaper);
        self
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
    async fn site(&self, rule: Rule<'_>, domain: &Domain) -> Result<Option<Site>, String> {
        match rule.route {
            Route::Mx => Targets::site_of(&*self.ports.resolver, domain).await,
            Route::SmartHost { host, port } => Ok(Some(Site::of_route(&SmartHosts::only(host, *port)))),
            Route::SmartHosts(relay) => Ok(Some(Site::of_route(relay))),
            Route::Inbox | Route::Discard => Ok(None),
        }
    }

    fn source(&self, tenant: &TenantId) -> Option<Arc<Source>> {
        self.settings.sources.of(tenant).cloned()
    }

    fn kept(&self, site: &Site, source: Option<&Source>) -> Vec<Timestamp> {
        self.pool.kept_until(site, source.map(|source| source.name.as_str()))
    }

    async fn part(&self, site: &Site, source: Option<&Source>) {
        self.pool.part_with_one(site, source.map(|source| source.name.as_str())).await;
    }

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

/// What a message asks of TLS.
fn wish(delivery: &Delivery) -> Wish {
    match (delivery.options.require_tls, delivery.content.tls_not_required) {
        // RFC 8689 §5: the header field does not count beside the parameter
        (true, _) => Wish::Required,
        (false, false) => Wish::Usual,
        (false, true) => Wish::NotRequired,
    }
}

impl Transports {
    /// The settings, with the bounds that `shape` has for the site.
    fn shaped_settings(&self, shape: Option<&Shape>) -> Cow<'_, Arc<TransportSettings>> {
        let Some(shape) = shape else { return Cow::Borrowed(&self.settings) };
        let narrower = |own: usize, applied: &Option<Applied<u32>>| {
            let applied = applied.as_ref().and_then(|applied| usize::try_from(applied.value).ok());
            applied.map_or(own, |applied| own.min(applied))
        };
        let own = &self.settings.limits;
        let limits = ClientLimits {
            messages_per_connection: narrower(own.messages_per_connection, &shape.messages_per_connection),
            recipients_per_transaction: narrower(own.recipients_per_transaction, &shape.recipients),
            ..own.clone()
        };
        if limits == *own {
            return Cow::Borrowed(&self.settings);
        }
        Cow::Owned(Arc::new(TransportSettings { limits, ..(*self.settings).clone() }))
    }

    /// Sends those apart that cannot share a session: what is asked of TLS is of a message, the source of a tenant, and both of a session.
    async fn send_apart<'a>(
        &self,
        domain: &Domain,
        relay: Option<&SmartHosts>,
        queue: VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        type Terms<'t> = (Wish, Option<&'t Arc<Source>>);
        let mut parts: Vec<(Terms<'_>, VecDeque<Pending<'a>>)> = Vec::new();
        for pending in queue {
            let terms = (wish(&pending.delivery), self.settings.sources.of(&pending.delivery.tenant));
            match parts.iter_mut().find(|(known, _)| *known == terms) {
                Some((_, part)) => part.push_back(pending),
                None => parts.push((terms, VecDeque::from([pending]))),
            }
        }
        // what asks for most goes first
        parts.sort_by_key(|((wish, _), _)| *wish);
        for ((wish, source), queue) in parts {
            self.send(domain, relay, wish, source.map(|source| &**source), queue, desk).await;
        }
    }

    /// Takes `queue` to the hosts of `domain`, or to the smart hosts.
    async fn send<'a>(
        &self,
        domain: &Domain,
        relay: Option<&SmartHosts>,
        wish: Wish,
        source: Option<&Source>,
        queue: VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        let targets = match relay {
            Some(relay) => Ok(Targets::of_smart_hosts(&self.settings, &self.ports, relay)),
            None => Targets::of_domain(&self.settings, &self.ports, domain).await,
        };
        let targets = match targets {
            Ok(targets) => targets.reached_from(source),
            Err(failure) => return desk.reporter.fail(queue, &failure, None).await,
        };
        let hop = match relay {
            Some(relay) => NextHop::SmartHost(relay),
            None => NextHop::Mx { authentic: targets.are_authentic() },
        };
        let place = Place { domain, site: targets.site(), source };
        let shape = self.shaper.as_ref().map(|shaper| shaper.shape(&place, None));
        let settings = self.shaped_settings(shape.as_ref());
        let way = Way {
            settings: &settings,
            pool: &self.pool,
            is_bounded: shape.is_some_and(|shape| shape.connections.is_some()),
            tls: &self.tls.of(domain, hop, wish),
            secrecy: &self.secrecy,
            ids: &*self.ports.ids,
            source,
            relay,
        };
        // a future of many layers: on the heap, so that whoever waits for it stays small
        Box::pin(smtp::deliver(&way, targets, queue, desk)).await;
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
