//! The parts of an edge, each by its share of the settings.

use std::net::SocketAddr;
use std::sync::Arc;

use ingress::Server;
use shared::dns::{Dns, DnsSettings};
use tokio_util::sync::CancellationToken;
use workers::deliver::{
    Deliver, DeliverPorts, DeliverSettings, DomainRetry, RetrySettings, Routes, TransportPorts,
    TransportSettings, Transports,
};
use workers::poll::{PollSettings, Poller};
use workers::prepare::{Prepare, PreparePorts, PrepareSettings};
use workers::sweep::{PackRetention, Sweep, SweepPorts, SweepSettings};

use super::{Part, Stores};
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::PREPARE_JOBS_MAX;
use crate::settings::{BareLf, Settings};

/// The SMTP server, listening.
pub(super) async fn ingress(settings: &Settings, stores: &Stores) -> Outcome<(Vec<SocketAddr>, Part)> {
    let listener = |own: &crate::settings::Listener| ingress::Listener {
        address: own.address,
        bare_lf: match own.bare_lf {
            BareLf::Refuse => ingress::BareLf::Refuse,
            BareLf::Crlf => ingress::BareLf::Crlf,
        },
    };
    let server = ingress::Settings {
        hostname: settings.hostname.to_string(),
        listeners: settings.listeners.iter().map(listener).collect(),
        trusted_networks: settings.trusted_networks.clone(),
        relay_domains: settings.relay_domains.clone(),
        limits: limits(settings),
    };
    let ports = ingress::Ports {
        spool: Arc::clone(&stores.spool),
        inbound: Arc::clone(&stores.inbound),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
    };
    let server = Server::bind(server, ports)
        .await
        .map_err(|error| super::cannot_listen(error.address, &error.source))?;
    let addresses = server.addresses();
    Ok((addresses, Box::new(move |drain| Box::pin(server.serve(drain)))))
}

fn limits(settings: &Settings) -> ingress::Limits {
    let own = &settings.limits;
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    ingress::Limits {
        message_octets: own.message_octets,
        recipients: size(own.recipients),
        connections: size(own.connections),
        command_timeout: own.command_timeout,
        content_timeout: own.content_timeout,
        memory_octets: own.memory_octets,
        pack_messages: size(own.pack_messages),
        pack_octets: size(own.pack_octets),
        commits_in_flight: size(own.commits_in_flight),
        ..ingress::Limits::default()
    }
}

/// The pollers of prepare and deliver, and the sweep.
pub(super) fn workers(settings: &Settings, stores: &Stores) -> Outcome<Vec<(&'static str, Part)>> {
    Ok(vec![
        ("prepare", prepare(settings, stores)),
        ("deliver", deliver(settings, stores)?),
        ("sweep", sweep(settings, stores)),
    ])
}

fn prepare(settings: &Settings, stores: &Stores) -> Part {
    let prepare = PrepareSettings {
        hostname: settings.hostname.to_string(),
        lifetime: settings.retry.lifetime,
        ..PrepareSettings::default()
    };
    let ports = PreparePorts {
        spool: Arc::clone(&stores.spool),
        outbound: Arc::clone(&stores.outbound),
        deliveries: Arc::clone(&stores.deliveries),
        directory: Arc::clone(&stores.directory),
        keys: Arc::clone(&stores.keys),
        clock: Arc::clone(&stores.clock),
    };
    let stage = Arc::new(Prepare::new(prepare, ports));
    let poll = PollSettings { concurrency: PREPARE_JOBS_MAX, ..PollSettings::default() };
    let poller = Poller::new(Arc::clone(&stores.inbound), stage, Arc::clone(&stores.clock), poll);
    Box::new(move |stop| Box::pin(poller.run(stop)))
}

fn deliver(settings: &Settings, stores: &Stores) -> Outcome<Part> {
    let transports = transports(settings, stores)?;
    let settings = DeliverSettings {
        hostname: settings.hostname.to_string(),
        routes: routes(settings),
        retry: retry(settings),
        retain: settings.stores.memory,
        connections: usize::try_from(settings.deliver.connections).unwrap_or(usize::MAX),
        ..DeliverSettings::default()
    };
    let ports = DeliverPorts {
        spool: Arc::clone(&stores.spool),
        inbound: Arc::clone(&stores.inbound),
        outbound: Arc::clone(&stores.outbound),
        deliveries: Arc::clone(&stores.deliveries),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
    };
    let (queue, clock) = (Arc::clone(&stores.outbound), Arc::clone(&stores.clock));
    Ok(Box::new(move |stop: CancellationToken| {
        let stage = Deliver::new(settings, ports, Arc::new(transports)).drained_by(stop.clone());
        Box::pin(Poller::new(queue, Arc::new(stage), clock, PollSettings::default()).run(stop))
    }))
}

fn transports(settings: &Settings, stores: &Stores) -> Outcome<Transports> {
    let dns = DnsSettings { servers: settings.dns_servers.clone(), ..DnsSettings::default() };
    let resolver =
        Dns::new(&dns).map_err(|error| Failure::new(Exit::Config, format!("dns.servers: {error}")))?;
    let own = TransportSettings {
        hostname: settings.hostname.to_string(),
        port: settings.deliver.port,
        allow_private_addresses: settings.deliver.allow_private_addresses,
        inbox: Some(settings.inbox.clone()),
        limits: settings.deliver.timeouts.limits(),
    };
    let ports = TransportPorts {
        spool: Arc::clone(&stores.spool),
        resolver: Arc::new(resolver),
        clock: Arc::clone(&stores.clock),
        ids: Arc::clone(&stores.ids),
    };
    Ok(Transports::new(own, ports))
}

fn routes(settings: &Settings) -> Routes {
    let mut routes = Routes::new(workers::deliver::Route::Mx);
    for (pattern, route) in &settings.routes {
        // the settings were read with each pattern tried
        let _ = routes.add(pattern, route.clone());
    }
    routes
}

fn retry(settings: &Settings) -> RetrySettings {
    let own = &settings.retry;
    let domain = |(domain, own): &(shared::mail::Domain, crate::settings::DomainRetry)| {
        (domain.clone(), DomainRetry { schedule: own.schedule.clone(), lifetime: own.lifetime })
    };
    RetrySettings {
        schedule: own.schedule.clone(),
        lifetime: own.lifetime,
        jitter: own.jitter,
        domains: own.domains.iter().map(domain).collect(),
    }
}

fn sweep(settings: &Settings, stores: &Stores) -> Part {
    let packs = PackRetention { keep: settings.stores.retention, ..PackRetention::default() };
    let own = SweepSettings { packs: Some(packs), ..SweepSettings::default() };
    let ports = SweepPorts {
        spool: Arc::clone(&stores.spool),
        outbound: Arc::clone(&stores.outbound),
        deliveries: Arc::clone(&stores.deliveries),
        clock: Arc::clone(&stores.clock),
    };
    let sweep = Sweep::new(own, ports);
    Box::new(move |stop| Box::pin(async move { sweep.run(stop).await }))
}
