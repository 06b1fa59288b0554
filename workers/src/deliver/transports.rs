//! The transports: deliveries and a route in, what each recipient's server said out.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use shared::job::Delivery;
use shared::mail::{ByMode, Domain, Reply, Timestamp};
use shared::port::{Answer, Clock, Ids, Resolver, Spool};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::mx::Targets;
use super::outcome::Failure;
use super::pending::{Pending, Reporter};
use super::shaping::{Place, Shaper, Source};
use super::smtp::tls::{Assurance, Tls};
use super::smtp::{self, Desk, Packs};
use super::{ClientLimits, Outcome, Route, Rule, Site, Transport, Tried};

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
}

/// Every way a message can leave. Clones share what they hold.
#[derive(Clone)]
pub struct Transports {
    settings: Arc<TransportSettings>,
    ports: TransportPorts,
    tls: Tls,
    inbox: Option<Arc<Inbox>>,
    shaper: Option<Arc<Shaper>>,
    cut: CancellationToken,
}

impl Transports {
    /// Transports that behave as `settings` say.
    pub fn new(settings: TransportSettings, ports: TransportPorts) -> Self {
        let inbox = settings.inbox.clone().map(|folder| Arc::new(Inbox::new(folder)));
        let tls = Tls::new(settings.trust.clone());
        let (settings, cut) = (Arc::new(settings), CancellationToken::new());
        Self { settings, ports, tls, inbox, shaper: None, cut }
    }

    /// The bounds of one connection and of one transaction are those of `shaper`, where they are narrower.
    #[must_use]
    pub fn shaped_by(mut self, shaper: Arc<Shaper>) -> Self {
        self.shaper = Some(shaper);
        self
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
    async fn site(&self, rule: Rule<'_>, domain: &Domain) -> Option<Site> {
        match rule.route {
            Route::Mx => self.mx_site(domain).await,
            Route::SmartHost { .. } | Route::Inbox | Route::Discard => Site::of_route(rule.route),
        }
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
        };
        let queue = deliveries.into_iter().map(|delivery| Pending::new(delivery, now));
        let (late, queue): (VecDeque<_>, VecDeque<_>) =
            queue.partition(|pending: &Pending<'_>| is_late(&pending.delivery, now));
        desk.reporter.fail(late, &Failure::DeliverByPassed, None).await;
        match rule.route {
            Route::Mx | Route::SmartHost { .. } => {
                // REQUIRETLS is of a message, and TLS of a session
                let (required, plain): (VecDeque<_>, VecDeque<_>) =
                    queue.into_iter().partition(|pending| pending.delivery.options.require_tls);
                let settings = self.shaped_settings(rule, &domain).await;
                for (assurance, queue) in [(Assurance::Required, required), (Assurance::Opportunistic, plain)]
                {
                    self.send(&settings, (rule.route, &domain), assurance, queue, &mut desk).await;
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

impl Transports {
    /// The hosts that the MX records of `domain` name, or it itself where there are none (RFC 5321 §5.1).
    async fn mx_site(&self, domain: &Domain) -> Option<Site> {
        if let Some(ip) = domain.literal() {
            return Some(Site::of_mx_hosts([ip.to_string()]));
        }
        let Answer { records, .. } = self.ports.resolver.mx(domain.as_str()).await.ok()?;
        if records.is_empty() {
            return Some(Site::of_mx_hosts([domain.as_str()]));
        }
        // a null MX is no host (RFC 7505)
        let hosts: Vec<&str> = records.iter().map(|record| record.exchange.as_str()).collect();
        hosts.iter().all(|host| !host.is_empty()).then(|| Site::of_mx_hosts(hosts))
    }

    /// The settings, with the bounds that shaping has for the site.
    async fn shaped_settings(&self, rule: Rule<'_>, domain: &Domain) -> Cow<'_, TransportSettings> {
        let Some(shaper) = &self.shaper else { return Cow::Borrowed(&self.settings) };
        let Some(site) = self.site(rule, domain).await else { return Cow::Borrowed(&self.settings) };
        let shape = shaper.shape(&Place { domain, site: &site, source: &Source::default() }, None);
        let narrower = |own: usize, applied: Option<super::shaping::Applied<u32>>| {
            let applied = applied.and_then(|applied| usize::try_from(applied.value).ok());
            applied.map_or(own, |applied| own.min(applied))
        };
        let own = &self.settings.limits;
        let limits = ClientLimits {
            messages_per_connection: narrower(own.messages_per_connection, shape.messages_per_connection),
            recipients_per_transaction: narrower(own.recipients_per_transaction, shape.recipients),
            ..own.clone()
        };
        if limits == *own {
            return Cow::Borrowed(&self.settings);
        }
        Cow::Owned(TransportSettings { limits, ..(*self.settings).clone() })
    }

    /// Takes `queue` to the hosts of `domain`, or to the smart host.
    async fn send<'a>(
        &self,
        settings: &TransportSettings,
        (route, domain): (&Route, &Domain),
        assurance: Assurance,
        queue: VecDeque<Pending<'a>>,
        desk: &mut Desk<'a>,
    ) {
        if queue.is_empty() {
            return;
        }
        let targets = match route {
            Route::SmartHost { host, port } => Ok(Targets::of_smart_host(settings, &self.ports, host, *port)),
            Route::Mx | Route::Inbox | Route::Discard => {
                Targets::of_domain(settings, &self.ports, domain).await
            }
        };
        match targets {
            Ok(targets) if assurance == Assurance::Required && !targets.are_authentic() => {
                let why = "DNSSEC does not prove the MX records of the recipient's domain".to_owned();
                desk.reporter.fail(queue, &Failure::NeedsRequireTls(why), None).await;
            }
            // a future of many layers: on the heap, so that whoever waits for it stays small
            Ok(targets) => {
                Box::pin(smtp::deliver(settings, (&self.tls, assurance), targets, queue, desk)).await;
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
