//! The keys of the domains that are signed for, read once in a while and kept ready to sign.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shared::directory::{DomainEntry, EntryError};
use shared::mail::{Domain, Timestamp};
use shared::port::{Clock, Directory, EntryKind, KeyAlgorithm, Keys, PortResult};
use tracing::error;

use crate::dkim::Signer;
use crate::limits::prepare::{ABSENCE_KEPT_FOR, DOMAINS_KEPT_MAX, KEYS_KEPT_FOR};

/// Looks signers up, and remembers what it found.
pub(super) struct Signers {
    directory: Arc<dyn Directory>,
    keys: Arc<dyn Keys>,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<Domain, Kept>>,
}

struct Kept {
    until: Timestamp,
    signers: Option<Arc<[Signer]>>,
}

impl Signers {
    pub(super) fn new(directory: Arc<dyn Directory>, keys: Arc<dyn Keys>, clock: Arc<dyn Clock>) -> Self {
        Self { directory, keys, clock, kept: Mutex::new(HashMap::new()) }
    }

    /// The signers of a domain, at most one an algorithm, RSA last so that it stands lowest; `None` where the directory does not have the
    /// domain. A domain whose keys are missing or broken has fewer, perhaps none: that is an operator's mistake, told in the log
    /// each time it is found, and no reason to keep mail.
    pub(super) async fn find(&self, domain: &Domain) -> PortResult<Option<Arc<[Signer]>>> {
        let now = self.clock.now();
        if let Some(kept) = self.kept().get(domain).filter(|kept| now < kept.until) {
            return Ok(kept.signers.clone());
        }
        let signers = match self.directory.get(EntryKind::Domain, domain.as_str()).await? {
            Some(entry) => Some(self.load(domain, DomainEntry::try_from(entry)).await?),
            None => None,
        };
        let until = now + if signers.is_some() { KEYS_KEPT_FOR } else { ABSENCE_KEPT_FOR };
        let mut kept = self.kept();
        if kept.len() >= DOMAINS_KEPT_MAX {
            kept.retain(|_, kept| now < kept.until);
        }
        if kept.len() >= DOMAINS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(domain.clone(), Kept { until, signers: signers.clone() });
        Ok(signers)
    }

    async fn load(
        &self,
        domain: &Domain,
        entry: Result<DomainEntry, EntryError>,
    ) -> PortResult<Arc<[Signer]>> {
        let entry = match entry {
            Ok(entry) => entry,
            Err(wrong) => {
                error!(%domain, "{wrong}");
                return Ok(Arc::new([]));
            }
        };
        let mut signers = Vec::with_capacity(2);
        for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa] {
            let Some(selector) = entry.selectors.iter().find(|selector| selector.algorithm == algorithm)
            else {
                continue;
            };
            let selector = selector.selector.as_str();
            let Some(key) = self.keys.get(domain, selector).await?.filter(|key| key.algorithm == algorithm)
            else {
                error!(%domain, selector, "the signing key is not in the store of keys");
                continue;
            };
            match Signer::new(domain, selector, &key) {
                Ok(signer) => signers.push(signer),
                Err(wrong) => error!(%domain, selector, "{wrong}"),
            }
        }
        Ok(signers.into())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Domain, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
