//! Whether a secret is the one of a credential, and what stands in where there is no such credential.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use lru::LruCache;
use shared::directory::{CredentialEntry, DecoyKey, ScramVerifier};
use shared::limits::{SALT_OCTETS, SCRAM_ITERATIONS};
use shared::mail::Timestamp;
use shared::port::Clock;
use tokio::sync::Semaphore;

use crate::limits::{PROOF_AGE_MAX, PROOFS_KEPT_MAX, VERIFICATION_TIMEOUT, VERIFICATIONS_MAX};

type Tag = [u8; 32];

/// Verifies secrets. A name that is not there costs what a wrong secret costs.
pub(super) struct Secrets {
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    /// Secrets that were right, as tags that hold for one verifier alone, and since when.
    proved: Mutex<LruCache<Tag, Timestamp>>,
    turns: Arc<Semaphore>,
    #[cfg(test)]
    pub(super) derivations: std::sync::atomic::AtomicU64,
}

/// Too much is being verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

impl Secrets {
    /// `key` is the process's own: under it secrets that were right are remembered, and names stand in for what is not there until
    /// the edge has a [`DecoyKey`].
    pub(super) fn new(key: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            clock,
            proved: Mutex::new(LruCache::new(
                NonZeroUsize::new(PROOFS_KEPT_MAX).unwrap_or(NonZeroUsize::MIN),
            )),
            turns: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
            #[cfg(test)]
            derivations: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The verifier of a credential, or one that looks like it and proves nothing: its salt is the same whichever container is
    /// asked, where they share the `decoy` key.
    pub(super) fn verifier(
        &self,
        name: &str,
        entry: Option<&CredentialEntry>,
        decoy: Option<&DecoyKey>,
    ) -> ScramVerifier {
        let salt = || match decoy {
            Some(DecoyKey(key)) => tag(&hmac::Key::new(hmac::HMAC_SHA256, key), "salt", &[name.as_bytes()]),
            None => self.tag("salt", &[name.as_bytes()]),
        };
        entry.and_then(|entry| entry.verifier.clone()).unwrap_or_else(|| ScramVerifier {
            salt: salt()[..SALT_OCTETS].to_vec(),
            iterations: SCRAM_ITERATIONS,
            stored_key: self.tag("stored key", &[name.as_bytes()]).to_vec(),
            server_key: self.tag("server key", &[name.as_bytes()]).to_vec(),
        })
    }

    /// Whether `secret` is the credential's. Where it was found to be a moment ago, nothing is derived.
    pub(super) async fn proves(
        &self,
        name: &str,
        secret: &str,
        entry: Option<&CredentialEntry>,
    ) -> Result<bool, Busy> {
        let verifier = self.verifier(name, entry, None);
        let parts = [name.as_bytes(), &verifier.salt, &verifier.stored_key, secret.as_bytes()];
        let tag = self.tag("proof", &parts);
        let now = self.clock.now();
        if self.is_proved(&tag, now) {
            return Ok(true);
        }
        if !self.derive(verifier, secret.to_owned()).await? {
            return Ok(false);
        }
        self.lock().put(tag, now);
        Ok(true)
    }

    /// Away from the sockets, a few at a time.
    async fn derive(&self, verifier: ScramVerifier, secret: String) -> Result<bool, Busy> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Some(Ok(turn)) = self.clock.timeout(VERIFICATION_TIMEOUT, turn).await else { return Err(Busy) };
        #[cfg(test)]
        self.derivations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let work = tokio::task::spawn_blocking(move || {
            // the turn is over when the work is, whether or not anybody still waits for it
            let _turn = turn;
            verifier.proves(&secret)
        });
        work.await.map_err(|_| Busy)
    }

    fn is_proved(&self, tag: &Tag, now: Timestamp) -> bool {
        let mut proved = self.lock();
        proved.get(tag).is_some_and(|since| *since <= now && now.since(*since) < PROOF_AGE_MAX)
    }

    /// A tag that only this process can make.
    fn tag(&self, what: &str, parts: &[&[u8]]) -> Tag {
        tag(&self.key, what, parts)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Tag, Timestamp>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No two lists of parts have the same octets under it.
fn tag(key: &hmac::Key, what: &str, parts: &[&[u8]]) -> Tag {
    let mut context = hmac::Context::with_key(key);
    for part in std::iter::once(&what.as_bytes()).chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut tag = Tag::default();
    tag.copy_from_slice(context.sign().as_ref());
    tag
}
