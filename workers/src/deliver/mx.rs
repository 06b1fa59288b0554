//! Where a domain's mail is taken to: hosts by RFC 5321 §5.1 and RFC 7505, and their addresses.

mod order;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use shared::mail::Domain;
use shared::port::{Answer, MxHost, ResolveError, Resolved, Resolver};

use self::order::{by_preference, by_weight, interleaved};
use super::address::is_public;
use super::outcome::Failure;
use super::{Site, SmartHosts, Source, TransportPorts, TransportSettings};

/// One address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The host's name; its address where it has no name.
    pub(super) host: String,
    /// Address and port.
    pub(super) address: SocketAddr,
}

/// A host whose addresses are not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    port: u16,
    /// Hosts of one rank are equals.
    rank: u32,
}

/// The addresses to try, best first, and those of equal hosts together. Hosts are looked up when their turn comes, so that the second
/// one costs nothing where the first one works.
pub(super) struct Targets<'a> {
    ports: &'a TransportPorts,
    source: Option<&'a Source>,
    /// Whether private addresses are refused.
    guarded: bool,
    /// Whether the way from the domain to the hosts is proved: by DNSSEC, or because there is none, as the operator named the
    /// host. What else may prove it, such as MTA-STS (RFC 8461), belongs here.
    authentic: bool,
    site: Site,
    /// Every host, best first, to find connections that are there already.
    order: Vec<String>,
    hosts: VecDeque<Host>,
    /// The rank that addresses are given of.
    rank: u32,
    /// An address that worked already, and goes first.
    again: Option<Target>,
    ready: VecDeque<Target>,
    left: usize,
    /// What a host without any address comes to.
    none: Failure,
    failure: Option<Failure>,
}

impl<'a> Targets<'a> {
    fn new(settings: &'a TransportSettings, ports: &'a TransportPorts, site: Site, none: Failure) -> Self {
        Self {
            ports,
            source: None,
            guarded: !settings.allow_private_addresses,
            authentic: true,
            site,
            order: Vec::new(),
            hosts: VecDeque::new(),
            rank: 0,
            again: None,
            ready: VecDeque::new(),
            left: settings.limits.addresses,
            none,
            failure: None,
        }
    }

    /// The hosts that take mail for `domain`.
    pub(super) async fn of_domain(
        settings: &'a TransportSettings,
        ports: &'a TransportPorts,
        domain: &Domain,
    ) -> Result<Self, Failure> {
        if let Some(ip) = domain.literal() {
            // RFC 5321 §4.1.3: an address literal is the host
            let host = Host { name: ip.to_string(), port: settings.port, rank: 0 };
            let site = Site::of_hosts([&host.name]);
            return Ok(Self::new(settings, ports, site, Failure::NoMailHost).with_hosts(vec![host]));
        }
        let Answer { records, secure, .. } = match ports.resolver.mx(domain.as_str()).await {
            Ok(answer) => answer,
            Err(ResolveError::NoSuchName { .. }) => return Err(Failure::NoSuchDomain),
            Err(ResolveError::Temporary(why) | ResolveError::Bogus(why)) => {
                return Err(Failure::LookupFailed(why));
            }
        };
        // RFC 7505 §3; beside other records it has no meaning
        if !records.is_empty() && records.iter().all(|record| record.exchange.is_empty()) {
            return Err(Failure::NullMx);
        }
        let none = if records.is_empty() { Failure::NoMailHost } else { Failure::NoHostAddress };
        let site = site_of(&records, domain);
        let mut targets = Self::new(settings, ports, site, none);
        targets.authentic = secure;
        let records = by_preference(records, domain, settings, &*ports.ids)?;
        let host = |record: MxHost| Host {
            name: record.exchange,
            port: settings.port,
            rank: u32::from(record.preference),
        };
        Ok(targets.with_hosts(records.into_iter().map(host).collect()))
    }

    /// The site of the hosts that take mail for `domain`; `None` where there are none, and why
    /// where they cannot be told now.
    pub(super) async fn site_of(resolver: &dyn Resolver, domain: &Domain) -> Result<Option<Site>, String> {
        if let Some(ip) = domain.literal() {
            return Ok(Some(Site::of_hosts([ip.to_string()])));
        }
        let records = match resolver.mx(domain.as_str()).await {
            Ok(answer) => answer.records,
            Err(ResolveError::NoSuchName { .. }) => return Ok(None),
            Err(ResolveError::Temporary(why) | ResolveError::Bogus(why)) => return Err(why),
        };
        let is_null = !records.is_empty() && records.iter().all(|record| record.exchange.is_empty());
        Ok((!is_null).then(|| site_of(&records, domain)))
    }

    /// Smart hosts, which the operator named and which may have any address.
    pub(super) fn of_smart_hosts(
        settings: &'a TransportSettings,
        ports: &'a TransportPorts,
        route: &SmartHosts,
    ) -> Self {
        let site = Site::of_route(route);
        let targets = Self { guarded: false, ..Self::new(settings, ports, site, Failure::NoSmartHost) };
        let hosts = by_weight(&route.hosts, &*ports.ids).into_iter().zip(0..);
        // each has a rank of its own: who is drawn later is asked only where those before have failed
        let host = |(host, rank): (&super::SmartHost, u32)| Host {
            name: host.host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: host.port,
            rank,
        };
        targets.with_hosts(hosts.map(host).collect())
    }

    fn with_hosts(mut self, hosts: Vec<Host>) -> Self {
        self.order = hosts.iter().map(|host| host.name.clone()).collect();
        self.rank = hosts.first().map_or(0, |host| host.rank);
        self.hosts = hosts.into();
        self
    }

    /// The same, but for the addresses that cannot be connected to from `source`.
    pub(super) fn reached_from(mut self, source: Option<&'a Source>) -> Self {
        self.source = source;
        self
    }

    /// Whether the hosts are those that the domain's owner, or the operator, named (RFC 8689 §4.2.1).
    pub(super) fn are_authentic(&self) -> bool {
        self.authentic
    }

    /// The site of the hosts.
    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// The names of the hosts, best first.
    pub(super) fn hosts(&self) -> &[String] {
        &self.order
    }

    /// The next address of the hosts that are equally good, unless there is none or enough have been tried. Whoever stops waiting
    /// loses none.
    pub(super) async fn next(&mut self) -> Option<Target> {
        if let Some(target) = self.again.take() {
            return Some(target);
        }
        while self.left > 0 {
            if let Some(target) = self.ready.pop_front() {
                self.left -= 1;
                return Some(target);
            }
            let host = self.hosts.front().filter(|host| host.rank == self.rank)?.clone();
            let found = self.look_up(&host.name).await;
            self.hosts.pop_front();
            match found {
                Ok(ips) => self.add_addresses(&host, ips),
                Err(failure) => self.note(failure),
            }
        }
        None
    }

    /// Goes on to the hosts that are next best; `false` where there are none.
    pub(super) fn descend(&mut self) -> bool {
        let next = self.hosts.front().filter(|_| self.left > 0);
        next.inspect(|host| self.rank = host.rank).is_some()
    }

    /// Gives `target`, which has worked, before all others.
    pub(super) fn again(&mut self, target: Target) {
        self.again = Some(target);
    }

    /// Gives `targets`, of which nothing is known yet, once more.
    pub(super) fn put_back(&mut self, targets: impl IntoIterator<Item = Target>) {
        self.ready.extend(targets);
    }

    /// What counts at the end: `failure` of those that were tried, or what came of the hosts without an address.
    pub(super) fn conclude(self, failure: Option<Failure>) -> Failure {
        match (failure, self.failure) {
            (Some(tried), untried) => tried.or(untried),
            (None, Some(untried)) => untried,
            (None, None) => self.none,
        }
    }

    /// Every address of `host`, of both families, in no order.
    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let resolver = &self.ports.resolver;
        let (v4, v6) = futures::join!(resolver.a(host), resolver.aaaa(host));
        let mut failure = None;
        let mut ips = collect(v4, &mut failure);
        ips.extend(collect(v6, &mut failure));
        match failure {
            // half an answer is enough to go on with
            Some(failure) if ips.is_empty() => Err(failure),
            _ if ips.is_empty() => Err(self.none.clone()),
            _ => Ok(ips),
        }
    }

    /// Queues the addresses of `host` that may be connected to.
    fn add_addresses(&mut self, host: &Host, mut ips: Vec<IpAddr>) {
        if self.guarded {
            ips.retain(|ip| is_public(*ip));
        }
        if ips.is_empty() {
            self.note(Failure::ForbiddenAddress);
        } else if let Some(source) = self.source {
            ips.retain(|ip| source.reaches(*ip));
            if ips.is_empty() {
                let why = format!("source {} has no address of the host's family", source.name);
                self.note(Failure::Unreachable(why));
            }
        }
        self.ports.ids.shuffle(&mut ips);
        let target = |ip| Target { host: host.name.clone(), address: SocketAddr::new(ip, host.port) };
        self.ready.extend(interleaved(ips).map(target));
    }

    fn note(&mut self, failure: Failure) {
        self.failure = Some(failure.or(self.failure.take()));
    }
}

/// The site of a domain: of all its hosts, those too that are never asked.
fn site_of(records: &[MxHost], domain: &Domain) -> Site {
    let hosts = records.iter().map(|record| record.exchange.as_str()).filter(|host| !host.is_empty());
    if records.is_empty() { Site::of_hosts([domain.as_str()]) } else { Site::of_hosts(hosts) }
}

/// The addresses of an answer. A name that is not there has none; a lookup that failed is told.
fn collect<T: Into<IpAddr>>(resolved: Resolved<T>, failure: &mut Option<Failure>) -> Vec<IpAddr> {
    match resolved {
        Ok(Answer { records, .. }) => records.into_iter().map(Into::into).collect(),
        Err(ResolveError::NoSuchName { .. }) => Vec::new(),
        Err(ResolveError::Temporary(why) | ResolveError::Bogus(why)) => {
            *failure = Some(Failure::LookupFailed(why));
            Vec::new()
        }
    }
}
