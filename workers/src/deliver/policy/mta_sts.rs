//! MTA-STS (RFC 8461): the policies of domains, as long as they hold.
//!
//! A policy is kept in the directory, so that all workers know it and a process that starts anew does too: what protects is that it
//! outlives whatever an attacker does to the DNS or the web server (RFC 8461 §10.2).

mod cache;
mod fetch;
mod patterns;
mod record;
mod text;

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError};

use lru::LruCache;
use shared::mail::{Domain, Timestamp};
use shared::port::{Clock, Directory, ResolveError, Resolver};
use tokio::sync::Mutex;

pub(super) use cache::Cached;
pub use text::StsMode;

use super::observe::ResultType;
use crate::deliver::https::Https;
use crate::limits::policy::{STS_DOMAINS_KEPT, STS_LOOK_AGAIN, STS_REFRESH, STS_RETRY};

/// What is known of domains.
pub(super) struct MtaSts {
    https: Https,
    /// The TCP port of the web servers of policies.
    port: u16,
    resolver: Arc<dyn Resolver>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    /// Each under a lock of its own, so that a domain's policy is fetched once for all who wait for it.
    domains: std::sync::Mutex<LruCache<Domain, Arc<Mutex<Known>>>>,
}

/// What this process knows of one domain.
#[derive(Default)]
struct Known {
    cached: Option<Arc<Cached>>,
    /// When the directory was asked last.
    looked_at: Option<Timestamp>,
    /// When a fetch failed last, and how.
    failed: Option<(Timestamp, ResultType)>,
}

/// What a look for a policy came to.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    /// The policy that holds; that of mode `none` is none.
    pub(super) policy: Option<Arc<Cached>>,
    /// Why the one that the domain names could not be had.
    pub(super) failed: Option<ResultType>,
}

impl MtaSts {
    pub(super) fn new(
        https: Https,
        port: u16,
        resolver: Arc<dyn Resolver>,
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let most = NonZeroUsize::new(STS_DOMAINS_KEPT).unwrap_or(NonZeroUsize::MIN);
        let domains = std::sync::Mutex::new(LruCache::new(most));
        Self { https, port, resolver, directory, clock, domains }
    }

    /// The policy of `domain` that holds now.
    pub(super) async fn discover(&self, domain: &Domain) -> Discovered {
        let known = self.known(domain);
        let mut known = known.lock().await;
        let now = self.clock.now();
        self.look_up(domain, &mut known, now, STS_LOOK_AGAIN).await;
        let id = match self.resolver.txt(&format!("_mta-sts.{domain}")).await {
            Ok(answer) => record::id(&answer.records),
            // RFC 8461 §3.1: no record does not end a policy that is known. Nor is there a policy where none can be had: whoever
            // can forge the record can keep it back as well, and the RFC asks for no proof of its absence
            Err(ResolveError::NoSuchName { .. } | ResolveError::Temporary(_) | ResolveError::Bogus(_)) => {
                None
            }
        };
        let failed = match id {
            Some(id) if !known.is_current(&id, now) => self.renew(domain, &id, &mut known, now).await,
            _ => None,
        };
        let policy = known.live(now).filter(|cached| cached.policy.mode != StsMode::None);
        Discovered { policy, failed }
    }

    /// Fetches the policy that the domain names by `id`, unless another worker has, or it failed a moment ago. Where it cannot be had,
    /// the one that is known stays (RFC 8461 §3.3, §5.1).
    async fn renew(
        &self,
        domain: &Domain,
        id: &str,
        known: &mut Known,
        now: Timestamp,
    ) -> Option<ResultType> {
        if let Some((at, how)) = known.failed.filter(|(at, _)| now.since(*at) < STS_RETRY) {
            tracing::debug!(%domain, %at, "the MTA-STS policy is not fetched again yet");
            return Some(how);
        }
        self.look_up(domain, known, now, std::time::Duration::ZERO).await;
        if known.is_current(id, now) {
            return None;
        }
        match fetch::policy(&self.https, &self.clock, domain, self.port).await {
            Ok(policy) => {
                let cached = Cached { id: id.to_owned(), fetched_at: now, policy };
                cached.keep(self.directory.as_ref(), domain).await;
                (known.cached, known.failed) = (Some(Arc::new(cached)), None);
                None
            }
            Err(error) => {
                tracing::warn!(%domain, cause = shared::port::chain(&error), "the MTA-STS policy cannot be had");
                known.failed = Some((now, error.result_type()));
                Some(error.result_type())
            }
        }
    }

    /// Takes what the directory has, where it was not asked for as long as `pause`.
    async fn look_up(&self, domain: &Domain, known: &mut Known, now: Timestamp, pause: std::time::Duration) {
        let is_due = known.looked_at.is_none_or(|at| now.since(at) >= pause);
        if known.live(now).is_some() && pause > std::time::Duration::ZERO || !is_due {
            return;
        }
        match Cached::find(self.directory.as_ref(), domain).await {
            Ok(found) => {
                known.looked_at = Some(now);
                let newer = found.filter(|found| {
                    known.cached.as_ref().is_none_or(|cached| cached.fetched_at < found.fetched_at)
                });
                if let Some(found) = newer {
                    known.cached = Some(Arc::new(found));
                }
            }
            Err(cause) => {
                tracing::warn!(%domain, cause = cause.chain(), "the MTA-STS policy cannot be looked up");
            }
        }
    }

    fn known(&self, domain: &Domain) -> Arc<Mutex<Known>> {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(domains.get_or_insert(domain.clone(), Arc::default))
    }
}

impl Known {
    /// The policy, as long as it holds.
    fn live(&self, now: Timestamp) -> Option<Arc<Cached>> {
        self.cached.clone().filter(|cached| now < cached.expires_at())
    }

    /// Whether the policy is the one that the domain names, and was fetched lately.
    fn is_current(&self, id: &str, now: Timestamp) -> bool {
        self.live(now).is_some_and(|cached| cached.id == id && now.since(cached.fetched_at) < STS_REFRESH)
    }
}
