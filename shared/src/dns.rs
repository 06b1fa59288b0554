//! The DNS through hickory-resolver: the adapter of [`Resolver`] for every deployment.
//!
//! It validates DNSSEC itself, from a trust anchor of its own (RFC 4033 §2, a validating stub resolver): what a server says of its
//! own validation (the AD bit) is somebody's word over a network, and some servers do not validate at all.

mod answer;
mod validation;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use thiserror::Error;

use validation::Resolvers;
pub use validation::Validation;

use crate::limits::dns::{ANSWER_TIMEOUT, ANSWERS_KEPT, RETRIES};
use crate::port::{MxHost, ResolveError, Resolved, Resolver, Tlsa};

/// Which servers to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Recursive servers; where there are none, those of the system (`/etc/resolv.conf`, and `/etc/hosts` for addresses).
    pub servers: Vec<SocketAddr>,
    /// Whether answers are validated.
    pub validation: Validation,
    /// A file of DNSKEY records in the form of zone files, from which answers are validated; the root's keys unless set.
    pub trust_anchors: Option<PathBuf>,
    /// How long one server has for one answer.
    pub timeout: Duration,
    /// How often a question is asked again.
    pub retries: usize,
    /// Answers that are kept while their TTL lasts.
    pub cache_entries: u64,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            validation: Validation::default(),
            trust_anchors: None,
            timeout: ANSWER_TIMEOUT,
            retries: RETRIES,
            cache_entries: ANSWERS_KEPT,
        }
    }
}

/// There is no resolver to be had; nothing was looked up yet.
#[derive(Debug, Error)]
pub enum DnsSetupError {
    /// Which servers to ask is not known.
    #[error("the system's DNS configuration cannot be read: name the servers to ask")]
    System(#[source] NetError),
    /// The file of trust anchors is of no use.
    #[error("the trust anchors in {path} cannot be read: {why}; write DNSKEY records as in a zone file", path = path.display())]
    TrustAnchors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The DNS as recursive servers tell it, with a cache.
pub struct Dns {
    resolvers: Resolvers,
}

impl Dns {
    /// The DNS by `settings`. Asks nothing yet.
    pub fn new(settings: &DnsSettings) -> Result<Self, DnsSetupError> {
        Ok(Self { resolvers: Resolvers::new(settings)? })
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
        let (resolver, validates) = self.resolvers.choose().await;
        answer::read(&name, resolver.lookup(name.clone(), kind).await, validates, pick)
    }
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
