use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// The DNS. Names are given and returned without a trailing dot, in lower case; CNAMEs are followed.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// MX records, in no order (RFC 5321 §5.1). A null MX (RFC 7505) has the empty exchange.
    async fn mx(&self, name: &str) -> Resolved<MxHost>;
    /// A records.
    async fn a(&self, name: &str) -> Resolved<Ipv4Addr>;
    /// AAAA records.
    async fn aaaa(&self, name: &str) -> Resolved<Ipv6Addr>;
    /// TXT records, the strings of each joined.
    async fn txt(&self, name: &str) -> Resolved<Vec<u8>>;
    /// TLSA records (RFC 6698).
    async fn tlsa(&self, name: &str) -> Resolved<Tlsa>;
    /// PTR names of an address.
    async fn ptr(&self, ip: IpAddr) -> Resolved<String>;
}

/// What a lookup came to.
pub type Resolved<T> = Result<Answer<T>, ResolveError>;

/// The records of a name; empty where the name is there and has none of the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The name that has them: the one asked for, or the one that its CNAMEs lead to.
    pub name: String,
    /// The records.
    pub records: Vec<T>,
    /// Whether DNSSEC proves the answer, its emptiness included.
    pub secure: bool,
    /// How long it may be kept.
    pub ttl: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The name does not exist (NXDOMAIN).
    #[error("the name does not exist")]
    NoSuchName {
        /// Whether DNSSEC proves that.
        secure: bool,
    },
    /// No server gave an answer that could be used: SERVFAIL, a timeout, no network. Worth another try.
    #[error("the name could not be looked up: {0}")]
    Temporary(String),
    /// The answer's DNSSEC signatures are wrong. Never to be used; worth another try later.
    #[error("the answer is bogus: {0}")]
    Bogus(String),
}

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    /// Lower is tried first.
    pub preference: u16,
    /// The host; empty for `.`.
    pub exchange: String,
}

/// A TLSA record (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}
