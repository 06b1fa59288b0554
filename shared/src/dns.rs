//! The DNS through hickory-resolver: the adapter of [`Resolver`] for every deployment.
//!
//! It validates DNSSEC itself, from a trust anchor of its own (RFC 4033 §2, a validating stub resolver): what a server says of its
//! own validation (the AD bit) is somebody's word over a network, and some servers do not validate at all.

mod alias;
mod answer;
mod validation;
mod wildcard;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use thiserror::Error;

use alias::Links;
use validation::Resolvers;
pub use validation::Validation;

use crate::limits::dns::{ANSWER_TIMEOUT, ANSWERS_KEPT, CNAMES_MAX, RETRIES};
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
        let mut links = Links::default();
        for _ in 0..=CNAMES_MAX {
            let found = self.ask(&name, kind, &pick).await;
            let own = answer::text(&name);
            let why = match found {
                // hickory takes a denial behind an alias for bogus, or does not look at the proof of the alias; it is asked for each
                // link by itself, and validates each
                Err(ResolveError::Bogus(why)) => why,
                Ok(empty) if empty.secure && empty.records.is_empty() && empty.name != own => {
                    "the alias cannot be had".to_owned()
                }
                found => return links.lead_to(found),
            };
            let alias = self.ask(&name, RecordType::CNAME, |data| match data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            });
            match alias.await {
                Ok(alias) if !alias.records.is_empty() => {
                    links.add(&alias);
                    name.clone_from(&alias.records[0]);
                }
                Ok(_) | Err(_) => return Err(ResolveError::Bogus(why)),
            }
        }
        Err(ResolveError::Temporary(format!("there are more than {CNAMES_MAX} CNAMEs")))
    }

    async fn ask<T>(&self, name: &Name, kind: RecordType, pick: impl Fn(&RData) -> Option<T>) -> Resolved<T> {
        let (resolver, validates) = self.resolvers.choose().await;
        match answer::read(name, resolver.lookup(name.clone(), kind).await, validates, &pick) {
            Err(ResolveError::Bogus(_)) if validates => {
                answer::read_again(name, self.resolvers.ask_again(name, kind).await, pick)
            }
            found => found,
        }
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
