//! The directory's credentials, kept for a short while.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use shared::directory::CredentialEntry;
use shared::mail::Timestamp;
use shared::port::{Clock, Directory, EntryKind, PortError, PortResult};

use crate::limits::{CREDENTIAL_AGE_MAX, CREDENTIALS_KEPT_MAX, LOOKUP_TIMEOUT};

const LOOKUP: &str = "the lookup of a credential";

/// The credentials of the directory. What is known of a name, its absence as well, is believed for
/// [`CREDENTIAL_AGE_MAX`]: so long may a credential still work after it was revoked.
pub(crate) struct Credentials {
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    known: Mutex<LruCache<String, Known>>,
}

struct Known {
    entry: Option<Arc<CredentialEntry>>,
    read: Timestamp,
}

impl Credentials {
    pub(crate) fn new(directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        let kept = NonZeroUsize::new(CREDENTIALS_KEPT_MAX).unwrap_or(NonZeroUsize::MIN);
        Self { directory, clock, known: Mutex::new(LruCache::new(kept)) }
    }

    /// The credential of this name, unless there is none or it is revoked. [`PortError::Refused`]: it cannot be known now.
    pub(crate) async fn get(&self, name: &str) -> PortResult<Option<Arc<CredentialEntry>>> {
        let now = self.clock.now();
        if let Some(entry) = self.known(name, now) {
            return Ok(entry.filter(|entry| is_in_force(entry, now)));
        }
        let lookup = self.directory.get(EntryKind::Credential, name);
        let entry = match self.clock.timeout(LOOKUP_TIMEOUT, lookup).await {
            Some(entry) => entry?,
            None => return Err(PortError::refused(LOOKUP, "the directory does not answer")),
        };
        let entry = match entry.map(CredentialEntry::try_from).transpose() {
            Ok(entry) => entry.map(Arc::new),
            Err(error) => return Err(PortError::refused(LOOKUP, error)),
        };
        // its age is counted from before it was asked for: it may have changed since
        let known = Known { entry: entry.clone(), read: now };
        self.lock().put(name.to_owned(), known);
        Ok(entry.filter(|entry| is_in_force(entry, now)))
    }

    fn known(&self, name: &str, now: Timestamp) -> Option<Option<Arc<CredentialEntry>>> {
        let mut known = self.lock();
        let found = known.get(name)?;
        // a clock that was set back must not make it live longer
        let fresh = found.read <= now && now.since(found.read) < CREDENTIAL_AGE_MAX;
        fresh.then(|| found.entry.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_in_force(entry: &CredentialEntry, now: Timestamp) -> bool {
    entry.revoked.is_none_or(|revoked| revoked > now)
}
