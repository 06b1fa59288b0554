//! The seams to the deliver stage: what it is made of, and what runs beside it.

use std::sync::Arc;

use shared::config::Mistake;
use shared::mail::{Domain, TenantId};
use shared::port::Resolver;
use shared::return_path::ReturnPaths;
use shared::wire::SecretUrls;
use tokio_util::sync::CancellationToken;
use workers::deliver::shaping::{LiveRules, OwnRules, Shaper, ShaperPorts};
use workers::deliver::{
    BouncePorts, Bounces, Deliver, DeliverPorts, DeliverSettings, Login, Observer, Reminders, Route, Routes,
    SecretSource, Site, Source, Sources, Suppressions, Transport, TransportPorts, TransportSettings,
    Transports, check_secret_file,
};
use workers::poll::{PollSettings, Poller};
use workers::tls_report::TlsTally;

use super::join::{part, resolver};
use super::{Part, Stores};
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::{Role, Settings};
use crate::signal::Hangups;

/// The poller of deliver, and what runs beside it.
pub(super) fn poll(settings: &Settings, stores: &Stores, resolver: &Arc<dyn Resolver>) -> Outcome<Part> {
    let tally = tls_tally(settings, stores);
    let shaper = shaper(settings, stores)?;
    let ports = deliver_ports(settings, stores);
    let transports = transports(settings, stores, resolver, tally.as_ref()).shaped_by(Arc::clone(&shaper));
    let transports = Arc::new(transports);
    let kept = Arc::clone(&transports);
    let transport = bounces(settings, stores, &ports)(transports);
    let in_file = matches!(settings.shaping_rules, OwnRules::File(_));
    let hangups = in_file.then(Hangups::listen).transpose()?;
    let settings = deliver_settings(settings)?;
    let (outbound, clock, ids) =
        (Arc::clone(&stores.outbound), Arc::clone(&stores.clock), Arc::clone(&stores.ids));
    Ok(part(move |drain: CancellationToken| async move {
        let stage = Deliver::new(settings, ports, transport).drained_by(drain.clone());
        let stage = Arc::new(stage.shaped_by(Arc::clone(&shaper)));
        let poller = Poller::new(outbound, stage, clock, ids, PollSettings::default());
        let drained = CancellationToken::new();
        let poll = async {
            poller.run(drain).await;
            kept.close_kept().await;
            shaper.rest().await;
            drained.cancel();
        };
        let count = async {
            if let Some(tally) = tally {
                tally.run(drained.clone()).await;
            }
        };
        let watch = async {
            if let Some(hangups) = hangups {
                tokio::join!(shaper.watch(drained.clone()), hangups.watch(&drained, || shaper.reload()));
            }
        };
        tokio::join!(poll, count, watch);
    }))
}

/// The rules of shaping, where they are used; or all that is wrong with the operator's own.
pub(crate) fn check_shaping(settings: &Settings) -> Result<(), Vec<Mistake>> {
    if !settings.roles.has(Role::Deliver) {
        return Ok(());
    }
    rules(settings).map(drop)
}

/// Whether the secrets of smart hosts that lie in files can be read, where they are used; or which cannot.
pub(crate) async fn check_secrets(settings: &Settings) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let delivers = settings.roles.has(Role::Deliver);
    for (at, hosts) in settings.smart_hosts.iter().enumerate().filter(|_| delivers) {
        if let Some(Login { secret: SecretSource::File(file), .. }) = &hosts.login
            && let Err(wrong) = check_secret_file(file).await
        {
            let right = "name a file that this user may read, whose one line is the secret".to_owned();
            mistakes.push(Mistake { key: format!("smart_host[{}].auth.secret", at + 1), wrong, right });
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn rules(settings: &Settings) -> Result<LiveRules, Vec<Mistake>> {
    let own = match &settings.shaping_rules {
        OwnRules::Text(_) => "shaping.rules_text",
        OwnRules::None | OwnRules::File(_) => "shaping.rules",
    };
    let of_key = |Mistake { key, wrong, right }: Mistake| {
        let (key, wrong) = (own.to_owned(), format!("{key}: {wrong}"));
        Mistake { key, wrong, right }
    };
    let loaded = LiveRules::load(settings.shaping_rules.clone());
    loaded.map_err(|mistakes| mistakes.into_iter().map(of_key).collect())
}

/// What admits mail to sites, with the operator's rules.
pub(super) fn shaper(settings: &Settings, stores: &Stores) -> Outcome<Arc<Shaper>> {
    let rules = rules(settings).map_err(|mistakes| super::refused("shaping", &mistakes))?;
    let ports = ShaperPorts {
        counters: Arc::clone(&stores.counters),
        deliveries: Arc::clone(&stores.deliveries),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
    };
    Ok(Arc::new(Shaper::new(rules, ports)))
}

/// Where mail goes.
pub(crate) struct Whereto {
    /// By which route, as a configuration writes it.
    pub(crate) route: String,
    /// To which site, where there is one that can be told now.
    pub(crate) site: Option<Site>,
    /// From which source, if the operator names one.
    pub(crate) source: Option<Arc<Source>>,
    /// What admits it there.
    pub(crate) shaper: Arc<Shaper>,
}

/// Where mail of `tenant` for `domain` goes.
pub(crate) async fn whereto(
    settings: &Settings,
    stores: &Stores,
    domain: &Domain,
    tenant: Option<&str>,
) -> Outcome<Whereto> {
    let shaper = shaper(settings, stores)?;
    let transports = transports(settings, stores, &resolver(settings)?, None);
    let routes = deliver_settings(settings)?.routes;
    let rule = routes.find(domain);
    let tenant = tenant.map_or_else(TenantId::default, |tenant| TenantId(tenant.to_owned()));
    // what the DNS does not tell now is told as no site
    let (site, source) = (transports.site(rule, domain).await.unwrap_or(None), transports.source(&tenant));
    Ok(Whereto { route: rule.route.to_string(), site, source, shaper })
}

pub(super) fn deliver_settings(settings: &Settings) -> Outcome<DeliverSettings> {
    let mut routes = Routes::new(Route::Mx);
    for (pattern, route) in &settings.routes {
        let wrong = |_| Failure::new(Exit::Config, format!("routes: `{pattern}` is no domain"));
        routes.add(pattern, route.clone()).map_err(wrong)?;
    }
    Ok(DeliverSettings {
        hostname: settings.hostname.to_string(),
        routes,
        smart_hosts: settings.smart_hosts.clone(),
        retry: settings.retry.clone(),
        retain: settings.stores.memory,
        connections: settings.deliver.connections,
        ..DeliverSettings::default()
    })
}

pub(super) fn deliver_ports(settings: &Settings, stores: &Stores) -> DeliverPorts {
    let (directory, clock) = (Arc::clone(&stores.directory), Arc::clone(&stores.clock));
    DeliverPorts {
        suppressions: Arc::new(Suppressions::new(settings.suppression.clone(), directory, clock)),
        spool: Arc::clone(&stores.spool),
        inbound: Arc::clone(&stores.inbound),
        outbound: Arc::clone(&stores.outbound),
        deliveries: Arc::clone(&stores.deliveries),
        directory: Arc::clone(&stores.directory),
        reminders: reminders(stores),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
    }
}

/// What senders are to be told.
pub(super) fn reminders(stores: &Stores) -> Reminders {
    Reminders::new(Arc::clone(&stores.reminders), Arc::clone(&stores.clock))
}

/// The return paths of the edge, where it has any.
pub(super) fn return_paths(settings: &Settings, stores: &Stores) -> Option<Arc<ReturnPaths>> {
    let domain = settings.bounces.clone()?;
    let (directory, clock) = (Arc::clone(&stores.directory), Arc::clone(&stores.clock));
    Some(Arc::new(ReturnPaths::new(domain, directory, clock)))
}

/// Makes the first key of return paths where there is none and this process may: where it may not, an operator does.
pub(super) async fn ensure_return_paths(settings: &Settings, stores: &Stores) {
    if !(settings.roles.has(Role::Prepare) || settings.roles.has(Role::Ingress)) {
        return;
    }
    let Some(paths) = return_paths(settings, stores) else { return };
    if let Err(error) = paths.ensure_key(&*stores.ids).await {
        tracing::warn!(
            cause = error.chain(),
            "no key for return paths could be made: run spoolway bounces rotate"
        );
    }
}

/// What puts the reading of bounces in front of the transports, where there are return paths.
pub(super) fn bounces(
    settings: &Settings,
    stores: &Stores,
    deliver: &DeliverPorts,
) -> impl Fn(Arc<dyn Transport>) -> Arc<dyn Transport> + Send + Sync + 'static {
    let ports = return_paths(settings, stores).map(|return_paths| BouncePorts {
        spool: Arc::clone(&deliver.spool),
        outbound: Arc::clone(&deliver.outbound),
        deliveries: Arc::clone(&deliver.deliveries),
        suppressions: Arc::clone(&deliver.suppressions),
        return_paths,
        clock: Arc::clone(&deliver.clock),
    });
    move |inner| match &ports {
        Some(ports) => Arc::new(Bounces::new(inner, ports.clone())),
        None => inner,
    }
}

pub(super) fn transports(
    settings: &Settings,
    stores: &Stores,
    resolver: &Arc<dyn Resolver>,
    tally: Option<&Arc<TlsTally>>,
) -> Transports {
    let ports = TransportPorts {
        spool: Arc::clone(&stores.spool),
        resolver: Arc::clone(resolver),
        directory: Arc::clone(&stores.directory),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
        secrets: Arc::new(SecretUrls::default()),
    };
    let settings = TransportSettings {
        hostname: settings.hostname.to_string(),
        port: settings.deliver.port,
        allow_private_addresses: settings.deliver.allow_private_addresses,
        inbox: Some(settings.inbox.clone()),
        tls_overrides: settings.tls_policy.clone(),
        observer: tally.map_or_else(Observer::default, |tally| Observer(Arc::clone(tally) as _)),
        sources: Sources::new(settings.sources.clone()),
        limits: settings.deliver.limits(),
        ..TransportSettings::default()
    };
    Transports::new(settings, ports)
}

/// What counts TLS, where reports of it are made.
pub(super) fn tls_tally(settings: &Settings, stores: &Stores) -> Option<Arc<TlsTally>> {
    settings.tls_reports.as_ref()?;
    Some(Arc::new(TlsTally::new(Arc::clone(&stores.tallies), Arc::clone(&stores.clock))))
}
