//! The directory's credentials, kept for a short while.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lru::LruCache;
use shared::directory::CredentialEntry;
use shared::mail::Timestamp;
use shared::port::{Clock, Directory, EntryKind, PortError, PortResult};
use tokio::sync::OnceCell;

use super::lookup::{LOOKUP, look_up};
use crate::limits::{CREDENTIAL_AGE_MAX, CREDENTIALS_KEPT_MAX};

type Found = Option<Arc<CredentialEntry>>;

/// The credentials of the directory. What is known of a name, its absence as well, is believed for
/// [`CREDENTIAL_AGE_MAX`]: so long may a credential still work after it was revoked.
pub(crate) struct Credentials {
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    names: Arc<Mutex<Names>>,
}

struct Names {
    known: LruCache<String, Known>,
    /// No more than there are sessions.
    running: HashMap<String, Weak<Reading>>,
}

struct Known {
    found: Found,
    read: Timestamp,
}

/// One read of the directory, for all that ask for its name meanwhile. It ends with the last of them.
struct Reading {
    name: String,
    began: Timestamp,
    outcome: OnceCell<Result<Found, Arc<PortError>>>,
    names: Arc<Mutex<Names>>,
}

enum Lookup {
    Known(Found),
    Running(Arc<Reading>),
}

impl Credentials {
    pub(crate) fn new(directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        let kept = NonZeroUsize::new(CREDENTIALS_KEPT_MAX).unwrap_or(NonZeroUsize::MIN);
        let names = Names { known: LruCache::new(kept), running: HashMap::new() };
        Self { directory, clock, names: Arc::new(Mutex::new(names)) }
    }

    /// The credential of this name, unless there is none or it is revoked. [`PortError::Refused`]: it cannot be known now.
    pub(crate) async fn get(&self, name: &str) -> PortResult<Option<Arc<CredentialEntry>>> {
        let now = self.clock.now();
        let found = match self.look_up(name, now) {
            Lookup::Known(found) => found,
            Lookup::Running(reading) => {
                // where the session that reads goes away, the next one reads
                let outcome = reading.outcome.get_or_init(|| self.read(&reading)).await;
                outcome.clone().map_err(|error| PortError::refused(LOOKUP, error))?
            }
        };
        Ok(found.filter(|entry| is_in_force(entry, now)))
    }

    fn look_up(&self, name: &str, now: Timestamp) -> Lookup {
        let mut names = lock(&self.names);
        // a clock that was set back must not make it live longer
        let is_fresh = |known: &&Known| known.read <= now && now.since(known.read) < CREDENTIAL_AGE_MAX;
        if let Some(known) = names.known.get(name).filter(is_fresh) {
            return Lookup::Known(known.found.clone());
        }
        if let Some(reading) = names.running.get(name).and_then(Weak::upgrade) {
            return Lookup::Running(reading);
        }
        let reading = Arc::new(Reading {
            name: name.to_owned(),
            began: now,
            outcome: OnceCell::new(),
            names: Arc::clone(&self.names),
        });
        names.running.insert(name.to_owned(), Arc::downgrade(&reading));
        Lookup::Running(reading)
    }

    async fn read(&self, reading: &Reading) -> Result<Found, Arc<PortError>> {
        let found = self.ask(&reading.name).await;
        let mut names = lock(&self.names);
        names.running.remove(&reading.name);
        if let Ok(found) = &found {
            // its age is counted from before it was asked for: it may have changed since
            let known = Known { found: found.clone(), read: reading.began };
            names.known.put(reading.name.clone(), known);
        }
        found.map_err(Arc::new)
    }

    async fn ask(&self, name: &str) -> PortResult<Found> {
        let entry = look_up(&*self.directory, &self.clock, EntryKind::Credential, name).await?;
        let entry = entry.map(CredentialEntry::try_from).transpose();
        entry.map(|entry| entry.map(Arc::new)).map_err(|error| PortError::refused(LOOKUP, error))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut names = lock(&self.names);
        // another may have begun in the meantime
        if names.running.get(&self.name).is_some_and(|reading| reading.strong_count() == 0) {
            names.running.remove(&self.name);
        }
    }
}

fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_in_force(entry: &CredentialEntry, now: Timestamp) -> bool {
    entry.revoked.is_none_or(|revoked| revoked > now)
}
