//! Where a domain's mail is taken to: hosts by RFC 5321 §5.1 and RFC 7505, and their addresses.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use shared::mail::Domain;
use shared::port::{Answer, MxHost, ResolveError, Resolved};

use super::address::is_public;
use super::outcome::Failure;
use super::{TransportPorts, TransportSettings};

/// One address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The host's name; its address where it has no name.
    pub(super) host: String,
    /// Address and port.
    pub(super) address: SocketAddr,
}

/// The addresses to try, best first. Hosts are looked up when their turn comes, so that the second one costs
/// nothing where the first one works.
pub(super) struct Targets<'a> {
    settings: &'a TransportSettings,
    ports: &'a TransportPorts,
    port: u16,
    /// Whether private addresses are refused.
    guarded: bool,
    /// Whether the way from the domain to the hosts is proved: by DNSSEC, or because there is none, as the operator named the
    /// host. What else may prove it, such as MTA-STS (RFC 8461), belongs here.
    authentic: bool,
    hosts: VecDeque<String>,
    ready: VecDeque<Target>,
    left: usize,
    /// What a host without any address comes to.
    none: Failure,
    failure: Option<Failure>,
}

impl<'a> Targets<'a> {
    fn new(settings: &'a TransportSettings, ports: &'a TransportPorts, none: Failure) -> Self {
        Self {
            settings,
            ports,
            port: settings.port,
            guarded: !settings.allow_private_addresses,
            authentic: true,
            hosts: VecDeque::new(),
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
            let mut targets = Self::new(settings, ports, Failure::NoMailHost);
            targets.add_host(&ip.to_string(), vec![ip]);
            return Ok(targets);
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
        let mut targets = Self::new(settings, ports, none);
        targets.authentic = secure;
        targets.hosts = targets.by_preference(records, domain)?;
        Ok(targets)
    }

    /// A smart host, which the operator named and which may have any address.
    pub(super) fn of_smart_host(
        settings: &'a TransportSettings,
        ports: &'a TransportPorts,
        host: &str,
        port: u16,
    ) -> Self {
        let mut targets = Self { port, guarded: false, ..Self::new(settings, ports, Failure::NoSmartHost) };
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(ip) => targets.add_host(&ip.to_string(), vec![ip]),
            Err(_) => targets.hosts.push_back(host.to_owned()),
        }
        targets
    }

    /// Whether the hosts are those that the domain's owner, or the operator, named (RFC 8689 §4.2.1).
    pub(super) fn are_authentic(&self) -> bool {
        self.authentic
    }

    /// The next address, unless there is none or enough have been tried.
    pub(super) async fn next(&mut self) -> Option<Target> {
        while self.left > 0 {
            if let Some(target) = self.ready.pop_front() {
                self.left -= 1;
                return Some(target);
            }
            let host = self.hosts.pop_front()?;
            match self.look_up(&host).await {
                Ok(ips) => self.add_host(&host, ips),
                Err(failure) => self.note(failure),
            }
        }
        None
    }

    /// What counts at the end: `failure` of those that were tried, or what came of the hosts without an address.
    pub(super) fn conclude(self, failure: Option<Failure>) -> Failure {
        match (failure, self.failure) {
            (Some(tried), untried) => tried.or(untried),
            (None, Some(untried)) => untried,
            (None, None) => self.none,
        }
    }

    /// The hosts in the order of RFC 5321 §5.1: by preference, equal ones in random order. From this host's own preference on,
    /// they are left out: whoever passes mail only to better hosts than itself cannot make a loop.
    fn by_preference(&self, mut records: Vec<MxHost>, domain: &Domain) -> Result<VecDeque<String>, Failure> {
        if records.is_empty() {
            // RFC 5321 §5.1: the implicit MX
            records.push(MxHost { preference: 0, exchange: domain.as_str().to_owned() });
        }
        records.retain(|record| !record.exchange.is_empty());
        self.ports.ids.shuffle(&mut records);
        // stable, so that the shuffle stands among equals
        records.sort_by_key(|record| record.preference);
        let own = records.iter().find(|record| record.exchange.eq_ignore_ascii_case(&self.settings.hostname));
        if let Some(own) = own.map(|own| own.preference) {
            records.retain(|record| record.preference < own);
        }
        if records.is_empty() {
            return Err(Failure::LoopsBack);
        }
        records.truncate(self.settings.limits.hosts);
        Ok(records.into_iter().map(|record| record.exchange).collect())
    }

    /// Every address of `host`, of both families, in no order.
    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
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

    /// Queues the addresses of `host` that may be connected to: random within each family, and the families in turn.
    /// IPv4 goes first: receivers ask more of a sender's IPv6 address, such as a PTR record, than many senders have.
    fn add_host(&mut self, host: &str, mut ips: Vec<IpAddr>) {
        if self.guarded {
            ips.retain(|ip| is_public(*ip));
        }
        if ips.is_empty() {
            self.note(Failure::ForbiddenAddress);
        }
        self.ports.ids.shuffle(&mut ips);
        let (v4, v6): (VecDeque<IpAddr>, VecDeque<IpAddr>) = ips.into_iter().partition(IpAddr::is_ipv4);
        let mut families = [v4, v6];
        while families.iter().any(|family| !family.is_empty()) {
            for ip in families.iter_mut().filter_map(VecDeque::pop_front) {
                let address = SocketAddr::new(ip, self.port);
                self.ready.push_back(Target { host: host.to_owned(), address });
            }
        }
    }

    fn note(&mut self, failure: Failure) {
        self.failure = Some(failure.or(self.failure.take()));
    }
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
