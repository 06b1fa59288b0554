//! The key that an edge's containers share for names that are not there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::directory::DecoyKey;
use shared::mail::Timestamp;
use shared::port::{Clock, Directory, EntryKind, PortError, PortResult};

use super::lookup::{LOOKUP, look_up};
use crate::limits::CREDENTIAL_AGE_MAX;

/// The directory's [`DecoyKey`]. It never changes once it is there, and so is read once.
pub(super) struct Decoys {
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    key: Option<DecoyKey>,
    asked: Option<Timestamp>,
}

impl Decoys {
    pub(super) fn new(directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        Self { directory, clock, known: Mutex::default() }
    }

    /// The key; `None` before there is any credential. [`PortError::Refused`]: it cannot be known now.
    pub(super) async fn key(&self) -> PortResult<Option<DecoyKey>> {
        let now = self.clock.now();
        {
            let known = self.lock();
            let is_fresh = known.asked.is_some_and(|at| at <= now && now.since(at) < CREDENTIAL_AGE_MAX);
            if known.key.is_some() || is_fresh {
                return Ok(known.key.clone());
            }
        }
        let entry = look_up(&*self.directory, &self.clock, EntryKind::Fleet, DecoyKey::NAME).await?;
        let key = entry.map(DecoyKey::try_from).transpose();
        let key = key.map_err(|error| PortError::refused(LOOKUP, error))?;
        *self.lock() = Known { key: key.clone(), asked: Some(now) };
        Ok(key)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
