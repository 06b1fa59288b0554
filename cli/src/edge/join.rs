//! The seams to the parts: each component gets its share of the settings and its ports here.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use ingress::tls::TlsProblem;
use ingress::{Server, Tls};
use shared::config::Mistake;
use shared::dns::Dns;
use shared::port::{Clock, KeyAlgorithm, Resolver, SigningKey, chain};
use shared::system::{SystemClock, SystemIds};
use shared::wire::{self, Needs, SecretUrls, StoreUrls, WireError};
use tokio_util::sync::CancellationToken;
use workers::deliver::TrustAnchors;
use workers::poll::{PollSettings, Poller};
use workers::prepare::{Prepare, PreparePorts, PrepareSettings};
use workers::sweep::{PackRetention, Sweep, SweepPorts, SweepSettings};
use workers::tls_report::{HttpsPost, Reports, ReportsPorts, ReportsSettings};

use super::needs::{needs, sweeps_packs};
use super::{Part, Stores, cannot_listen, deliver};
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::PREPARE_JOBS_MAX;
use crate::settings::{BareLf, Kind, ListenerTls, Reader, Role, Settings};
use crate::signal::Hangups;

/// Every mistake in the URLs of these stores that can be found without opening them.
pub(crate) fn check_stores(settings: &Settings, needs: Needs) -> Vec<Mistake> {
    urls(settings).check_needed(needs).map_or_else(|error| mistakes(&error), |()| Vec::new())
}

/// Opens these stores of an edge that may be running, and makes none.
pub(crate) async fn open_stores(settings: &Settings, needs: Needs) -> Outcome<Stores> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = wire::Stores::open_existing_needed(&urls(settings), needs, Arc::clone(&clock)).await;
    Ok(joined(settings, &stores.map_err(|error| cannot_open(&error, Exit::NoInput))?, clock))
}

/// Opens these stores of an edge that may be running or may never have run, made where they are not there.
pub(crate) async fn set_up_stores(settings: &Settings, needs: Needs) -> Outcome<Stores> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = wire::Stores::open_needed(&urls(settings), needs, Arc::clone(&clock)).await;
    Ok(joined(settings, &stores.map_err(|error| cannot_open(&error, Exit::Io))?, clock))
}

/// Opens the stores that the roles need, made where they are not there, with the right to work their queues.
pub(super) async fn make_stores(settings: &Settings) -> Outcome<(Stores, Box<dyn Send>)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let needs = needs(settings, Reader::Edge);
    let stores = wire::Stores::open_needed(&urls(settings), needs, Arc::clone(&clock)).await;
    let stores = stores.map_err(|error| cannot_open(&error, Exit::Io))?;
    let locks = stores.take_over().await.map_err(|error| Failure::new(Exit::Unavailable, chain(&error)))?;
    Ok((joined(settings, &stores, clock), Box::new(locks)))
}

fn joined(settings: &Settings, stores: &wire::Stores, clock: Arc<dyn Clock>) -> Stores {
    let stores = stores.clone();
    Stores {
        place: settings.stores.state.clone().unwrap_or_else(|| settings.data.display().to_string()),
        spool: stores.spool,
        inbound: stores.inbound,
        outbound: stores.outbound,
        deliveries: stores.deliveries,
        reminders: stores.reminders,
        directory: stores.directory,
        counters: stores.counters,
        tallies: stores.tallies,
        keys: stores.keys,
        clock,
        ids: Arc::new(SystemIds::default()),
    }
}

pub(super) fn urls(settings: &Settings) -> StoreUrls {
    let below = StoreUrls::below(&settings.data);
    let stores = settings.stores.clone();
    StoreUrls {
        spool: stores.spool.unwrap_or(below.spool),
        queue_inbound: stores.queue_inbound.unwrap_or(below.queue_inbound),
        queue_outbound: stores.queue_outbound.unwrap_or(below.queue_outbound),
        state: stores.state.unwrap_or(below.state),
        directory: stores.directory.unwrap_or(below.directory),
        keys: stores.keys.unwrap_or(below.keys),
        counters: stores.counters.unwrap_or(below.counters),
    }
}

fn mistakes(error: &WireError) -> Vec<Mistake> {
    let mistake = |problem: &wire::Problem| {
        let (wrong, right) =
            problem.message.split_once(": ").unwrap_or((&problem.message, "use file:<path>"));
        Mistake { key: problem.key.to_owned(), wrong: wrong.to_owned(), right: right.to_owned() }
    };
    error.problems.iter().map(mistake).collect()
}

fn cannot_open(error: &WireError, exit: Exit) -> Failure {
    let exit = if error.problems.iter().all(|problem| problem.forbidden) { Exit::Forbidden } else { exit };
    Failure::new(exit, error.to_string())
}

/// Makes a signing key: its private half, and its public half in base64.
pub(crate) fn generate_key(algorithm: KeyAlgorithm) -> Outcome<(SigningKey, String)> {
    let (key, public) =
        workers::dkim::generate(algorithm).map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;
    Ok((key, public.base64()))
}

/// The certificates of the ingress, loaded, where it has any; or all that is wrong with them.
pub(crate) async fn tls(settings: &Settings) -> Result<Option<Tls>, Vec<Mistake>> {
    let Some(tls) = settings.tls.clone().filter(|_| settings.roles.has(Role::Ingress)) else {
        return Ok(None);
    };
    let secrets = Arc::new(SecretUrls::default());
    let loaded = Tls::load(tls, settings.hostname.as_str(), secrets, Arc::new(SystemClock)).await;
    let mistake = |TlsProblem { wrong, right }| Mistake { key: "tls".to_owned(), wrong, right };
    loaded.map(Some).map_err(|error| error.problems.into_iter().map(mistake).collect())
}

/// The DNS, for all parts of a process: they share what it remembers.
pub(super) fn resolver(settings: &Settings) -> Outcome<Arc<dyn Resolver>> {
    let dns = Dns::new(&settings.dns).map_err(|error| Failure::new(Exit::Config, chain(&error)))?;
    Ok(Arc::new(dns))
}

/// The SMTP server, listening.
pub(super) async fn ingress(
    settings: &Settings,
    tls: Option<Tls>,
    stores: &Stores,
    resolver: &Arc<dyn Resolver>,
) -> Outcome<(Vec<SocketAddr>, Part)> {
    let ports = ingress::Ports {
        spool: Arc::clone(&stores.spool),
        inbound: Arc::clone(&stores.inbound),
        resolver: Arc::clone(resolver),
        directory: Arc::clone(&stores.directory),
        counters: Arc::clone(&stores.counters),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
    };
    let hangups = tls.is_some().then(Hangups::listen).transpose()?;
    let server = Server::bind(ingress_settings(settings, tls.clone()), ports).await;
    let server = server.map_err(|error| cannot_listen(error.address, &error.source))?;
    let addresses = server.addresses();
    let serve = part(|drain: CancellationToken| async move {
        let served = drain.child_token();
        let serve = async {
            server.serve(drain).await;
            served.cancel();
        };
        let watch = async {
            if let Some((tls, hangups)) = tls.zip(hangups) {
                tokio::join!(tls.watch(served.clone()), hangups.watch(&served, || tls.reload()));
            }
        };
        tokio::join!(serve, watch);
    });
    Ok((addresses, serve))
}

fn ingress_settings(settings: &Settings, tls: Option<Tls>) -> ingress::Settings {
    let listener = |listener: &crate::settings::Listener| ingress::Listener {
        address: listener.address,
        kind: match listener.kind {
            Kind::Submission => ingress::ListenerKind::Submission,
            Kind::Mx => ingress::ListenerKind::Mx,
        },
        bare_lf: match listener.bare_lf {
            BareLf::Refuse => ingress::BareLf::Refuse,
            BareLf::Crlf => ingress::BareLf::Crlf,
        },
        tls: match listener.tls {
            ListenerTls::Off => ingress::ListenerTls::Off,
            ListenerTls::StartTls => ingress::ListenerTls::StartTls,
            ListenerTls::Implicit => ingress::ListenerTls::Implicit,
        },
        proxy: listener.proxy_protocol,
    };
    ingress::Settings {
        hostname: settings.hostname.to_string(),
        listeners: settings.listeners.iter().map(listener).collect(),
        trusted_networks: settings.trusted_networks.clone(),
        relay_domains: settings.relay_domains.clone(),
        bounces: settings.bounces.clone(),
        tls,
        proxy_networks: settings.proxy_networks.clone(),
        xclient_networks: settings.xclient_networks.clone(),
        checks: settings.checks.clone(),
        auth: settings.auth.clone(),
        limits: settings.limits.clone(),
    }
}

/// The pollers of prepare and deliver, and the sweep: those that the roles ask for, each with its name.
pub(super) fn workers(
    settings: &Settings,
    stores: &Stores,
    resolver: &Arc<dyn Resolver>,
) -> Outcome<Vec<(&'static str, Part)>> {
    let mut workers = Vec::new();
    for role in settings.roles.iter() {
        let part = match role {
            Role::Ingress => continue,
            Role::Prepare => poll_prepare(settings, stores),
            Role::Deliver => deliver::poll(settings, stores, resolver)?,
            Role::Sweep => {
                let sweep = sweep(settings, Reader::Edge, stores, resolver);
                part(|drain| async move { sweep.run(drain).await })
            }
        };
        workers.push((role.as_str(), part));
    }
    Ok(workers)
}

fn poll_prepare(settings: &Settings, stores: &Stores) -> Part {
    let poll = PollSettings { concurrency: PREPARE_JOBS_MAX, ..PollSettings::default() };
    let (clock, ids) = (Arc::clone(&stores.clock), Arc::clone(&stores.ids));
    let stage = Arc::new(prepare(settings, stores));
    let poller = Poller::new(Arc::clone(&stores.inbound), stage, clock, ids, poll);
    part(|drain| poller.run(drain))
}

pub(super) fn part<F: Future<Output = ()> + Send + 'static>(
    run: impl FnOnce(CancellationToken) -> F + Send + 'static,
) -> Part {
    Box::new(move |drain| Box::pin(run(drain)))
}

/// The prepare stage.
pub(super) fn prepare(settings: &Settings, stores: &Stores) -> Prepare {
    Prepare::new(prepare_settings(settings, stores), prepare_ports(settings, stores))
}

fn prepare_settings(settings: &Settings, stores: &Stores) -> PrepareSettings {
    PrepareSettings {
        hostname: settings.hostname.to_string(),
        lifetime: settings.retry.lifetime,
        retain: settings.stores.memory,
        holder: format!("prepare-{:016x}", stores.ids.random()),
        ..PrepareSettings::default()
    }
}

fn prepare_ports(settings: &Settings, stores: &Stores) -> PreparePorts {
    PreparePorts {
        spool: Arc::clone(&stores.spool),
        outbound: Arc::clone(&stores.outbound),
        deliveries: Arc::clone(&stores.deliveries),
        directory: Arc::clone(&stores.directory),
        keys: Arc::clone(&stores.keys),
        return_paths: deliver::return_paths(settings, stores),
        clock: Arc::clone(&stores.clock),
    }
}

fn tls_reports(settings: &Settings, stores: &Stores, resolver: &Arc<dyn Resolver>) -> Option<Reports> {
    let crate::settings::TlsReports { from, organization } = settings.tls_reports.clone()?;
    let hostname = settings.hostname.to_string();
    let ports = ReportsPorts {
        tallies: Arc::clone(&stores.tallies),
        deliveries: Arc::clone(&stores.deliveries),
        resolver: Arc::clone(resolver),
        spool: Arc::clone(&stores.spool),
        inbound: Arc::clone(&stores.inbound),
        post: Arc::new(HttpsPost::new(TrustAnchors::System, Arc::clone(resolver), Arc::clone(&stores.clock))),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
    };
    let organization = organization.unwrap_or_else(|| hostname.clone());
    Some(Reports::new(ReportsSettings { from, organization, hostname }, ports))
}

pub(super) fn sweep(
    settings: &Settings,
    reader: Reader,
    stores: &Stores,
    resolver: &Arc<dyn Resolver>,
) -> Sweep {
    let packs = PackRetention { keep: settings.stores.retention, ..PackRetention::default() };
    let ports = SweepPorts {
        spool: Arc::clone(&stores.spool),
        outbound: Arc::clone(&stores.outbound),
        deliveries: Arc::clone(&stores.deliveries),
        directory: Arc::clone(&stores.directory),
        reminders: deliver::reminders(stores),
        clock: Arc::clone(&stores.clock),
    };
    let packs = sweeps_packs(settings, reader).then_some(packs);
    let sweep = Sweep::new(SweepSettings { packs, ..SweepSettings::default() }, ports);
    match tls_reports(settings, stores, resolver) {
        Some(reports) => sweep.reporting(reports),
        None => sweep,
    }
}

#[cfg(test)]
mod tests;
