//! The DNS as a zone file's text.

pub(super) mod zone;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::limits::dns::CNAMES_MAX;
use crate::port::{Answer, MxHost, ResolveError, Resolved, Resolver, Tlsa};
use zone::{Data, Zone};

/// A zone text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} of the zone: {message}")]
pub struct ZoneError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A resolver that knows what a zone file says. A name that is neither there nor above one that is does not exist.
///
/// The text is that of RFC 1035 §5 on single lines, with `$ORIGIN` and `$TTL`, and A, AAAA, MX, TXT, TLSA, PTR and CNAME records. An
/// address in place of a PTR record's owner stands for its name in `in-addr.arpa` or `ip6.arpa`. Four more directives mark names:
/// `$SECURE example.org` (it and all below it is proven by DNSSEC), `$SERVFAIL name`, `$BOGUS name`, and `$SILENT name`, a question
/// for which is never answered (that one name).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use shared::port::Resolver;
/// let dns = shared::testkit::ZoneResolver::parse("
///     $ORIGIN example.org.
///     @        MX    10 mx
///     mx 300   A     192.0.2.1
///     $SERVFAIL broken.example.org
/// ").unwrap();
/// assert_eq!(dns.mx("example.org").await.unwrap().records[0].exchange, "mx.example.org");
/// assert!(dns.a("broken.example.org").await.is_err());
/// # }
/// ```
pub struct ZoneResolver {
    zone: Mutex<Zone>,
    lookups: Mutex<Vec<String>>,
}

impl ZoneResolver {
    /// Reads a zone.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        Ok(Self { zone: Mutex::new(Zone::parse(text)?), lookups: Mutex::default() })
    }

    /// Puts another zone in the place of this one.
    pub fn replace(&self, text: &str) -> Result<(), ZoneError> {
        *self.zone() = Zone::parse(text)?;
        Ok(())
    }

    /// What was asked so far: `MX example.org`, in its order.
    pub fn lookups(&self) -> Vec<String> {
        self.lookups.lock().expect("nothing panics while it is held").clone()
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.zone.lock().expect("nothing panics while it is held")
    }

    async fn look_up<T>(
        &self,
        kind: &str,
        name: &str,
        pick: impl Fn(&Data) -> Option<T> + Send,
    ) -> Resolved<T> {
        let asked = format!("{kind} {name}");
        self.lookups.lock().expect("nothing panics while it is held").push(asked.clone());
        let is_silent = self.zone().silent.contains(&name.trim_end_matches('.').to_ascii_lowercase());
        if is_silent {
            std::future::pending::<()>().await;
        }
        self.answer(&asked, name, pick)
    }

    fn answer<T>(&self, asked: &str, name: &str, pick: impl Fn(&Data) -> Option<T>) -> Resolved<T> {
        let zone = self.zone();
        let mut name = name.trim_end_matches('.').to_ascii_lowercase();
        let mut secure = true;
        for _ in 0..CNAMES_MAX {
            if zone.servfail.contains(&name) {
                return Err(ResolveError::Temporary(format!(
                    "{asked}: the zone marks {name} with $SERVFAIL"
                )));
            }
            if zone.bogus.contains(&name) {
                return Err(ResolveError::Bogus(format!("{asked}: the zone marks {name} with $BOGUS")));
            }
            secure &= zone.is_secure(&name);
            if !zone.exists(&name) {
                return Err(ResolveError::NoSuchName { secure });
            }
            let records = zone.at(&name);
            let found = records.iter().filter_map(|record| Some((pick(&record.data)?, record.ttl)));
            let (found, ttls): (Vec<T>, Vec<Duration>) = found.unzip();
            let alias = records.iter().find_map(|record| match &record.data {
                Data::Cname(target) => Some(target.clone()),
                _ => None,
            });
            match alias {
                Some(target) if found.is_empty() => name = target,
                _ => {
                    let ttl = ttls.into_iter().min().unwrap_or(zone::TTL);
                    return Ok(Answer { name, records: found, secure, ttl });
                }
            }
        }
        Err(ResolveError::Temporary(format!("{asked}: over {CNAMES_MAX} CNAMEs")))
    }
}

#[async_trait]
impl Resolver for ZoneResolver {
    async fn mx(&self, name: &str) -> Resolved<MxHost> {
        self.look_up("MX", name, |data| match data {
            Data::Mx(host) => Some(host.clone()),
            _ => None,
        })
        .await
    }

    async fn a(&self, name: &str) -> Resolved<Ipv4Addr> {
        self.look_up("A", name, |data| match data {
            Data::A(ip) => Some(*ip),
            _ => None,
        })
        .await
    }

    async fn aaaa(&self, name: &str) -> Resolved<Ipv6Addr> {
        self.look_up("AAAA", name, |data| match data {
            Data::Aaaa(ip) => Some(*ip),
            _ => None,
        })
        .await
    }

    async fn txt(&self, name: &str) -> Resolved<Vec<u8>> {
        self.look_up("TXT", name, |data| match data {
            Data::Txt(text) => Some(text.clone()),
            _ => None,
        })
        .await
    }

    async fn tlsa(&self, name: &str) -> Resolved<Tlsa> {
        self.look_up("TLSA", name, |data| match data {
            Data::Tlsa(tlsa) => Some(tlsa.clone()),
            _ => None,
        })
        .await
    }

    async fn ptr(&self, ip: IpAddr) -> Resolved<String> {
        self.look_up("PTR", &zone::reverse_name(ip), |data| match data {
            Data::Ptr(name) => Some(name.clone()),
            _ => None,
        })
        .await
    }
}

#[cfg(test)]
mod tests;
