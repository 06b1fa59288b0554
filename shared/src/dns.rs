//! The DNS through hickory-resolver: the adapter of [`Resolver`] for every deployment.
//!
//! Answers are not validated yet, and so never [`secure`](crate::port::Answer::secure).

mod answer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use thiserror::Error;

use crate::limits::dns::{ANSWER_TIMEOUT, ANSWERS_KEPT, RETRIES};
use crate::port::{MxHost, ResolveError, Resolved, Resolver, Tlsa};

/// Which servers to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Recursive servers; where there are none, those of the system (`/etc/resolv.conf`, and `/etc/hosts` for addresses).
    pub servers: Vec<SocketAddr>,
    /// How long one server has for one answer.
    pub timeout: Duration,
    /// How often a question is asked again.
    pub retries: usize,
    /// Answers that are kept while their TTL lasts.
    pub cache_entries: u64,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: ANSWER_TIMEOUT, retries: RETRIES, cache_entries: ANSWERS_KEPT }
    }
}

/// There is no resolver to be had; nothing was looked up yet.
#[derive(Debug, Error)]
#[error("the system's DNS configuration cannot be read: name the servers to ask")]
pub struct DnsSetupError(#[source] NetError);

/// The DNS as recursive servers tell it, with a cache.
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// The DNS by `settings`. Asks nothing yet.
    pub fn new(settings: &DnsSettings) -> Result<Self, DnsSetupError> {
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(DnsSetupError)?
        } else {
            let servers = settings.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_name_servers(servers);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        };
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = settings.retries;
        options.cache_size = settings.cache_entries;
        options.edns0 = true;
        Ok(Self { resolver: builder.build().map_err(DnsSetupError)? })
    }

    async fn look_up<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Resolved<T> {
        // fully qualified, so that no search domain is ever appended
        let Ok(mut name) = Name::from_ascii(name) else {
            return Err(ResolveError::NoSuchName { secure: false });
        };
        name.set_fqdn(true);
        answer::read(self.resolver.lookup(name, kind).await, pick)
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

#[async_trait]
impl Resolver for Dns {
    async fn mx(&self, name: &str) -> Resolved<MxHost> {
        self.look_up(name, RecordType::MX, |data| match data {
            RData::MX(mx) => Some(MxHost { preference: mx.preference, exchange: answer::text(&mx.exchange) }),
            _ => None,
        })
        .await
    }

    async fn a(&self, name: &str) -> Resolved<Ipv4Addr> {
        self.look_up(name, RecordType::A, |data| match data {
            RData::A(ip) => Some(ip.0),
            _ => None,
        })
        .await
    }

    async fn aaaa(&self, name: &str) -> Resolved<Ipv6Addr> {
        self.look_up(name, RecordType::AAAA, |data| match data {
            RData::AAAA(ip) => Some(ip.0),
            _ => None,
        })
        .await
    }

    async fn txt(&self, name: &str) -> Resolved<Vec<u8>> {
        self.look_up(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    async fn tlsa(&self, name: &str) -> Resolved<Tlsa> {
        self.look_up(name, RecordType::TLSA, |data| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        })
        .await
    }

    async fn ptr(&self, ip: IpAddr) -> Resolved<String> {
        let name = Name::from(ip).to_ascii();
        self.look_up(&name, RecordType::PTR, |data| match data {
            RData::PTR(ptr) => Some(answer::text(&ptr.0)),
            _ => None,
        })
        .await
    }
}
