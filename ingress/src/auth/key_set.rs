//! The keys of one issuer, kept and rotated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use shared::mail::Timestamp;
use shared::port::{Clock, chain};
use tokio::sync::OwnedMutexGuard;

use super::fetch::Fetch;
use super::{KeySource, telemetry};
use crate::limits::{KEY_SET_AGE_MAX, KEY_SET_KEPT_MAX, KEY_SET_PAUSE, KEYS_MAX};

/// A key that signatures are checked with.
pub(super) struct Key {
    /// What tokens call it.
    id: Option<String>,
    /// What it may be used with.
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl Key {
    /// Whether a token of this header may have been signed with it.
    pub(super) fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && (id.is_none() || self.id.as_deref() == id)
    }
}

/// An issuer's keys: asked for when a token comes, again when they are old or lack the key that a token names, and kept for
/// a while where the issuer does not answer.
pub(super) struct KeySet {
    source: KeySource,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// Whoever has it asks the issuer.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Option<(Arc<[Key]>, Timestamp)>,
    tried: Option<Timestamp>,
}

impl Held {
    fn wants_more(&self, id: Option<&str>, now: Timestamp) -> bool {
        if self.tried.is_some_and(|tried| now.since(tried) < KEY_SET_PAUSE && tried <= now) {
            return false;
        }
        self.has(id).is_none_or(|read| now.since(read) >= KEY_SET_AGE_MAX)
    }

    /// When the keys were read, if the one of this name is among them.
    fn has(&self, id: Option<&str>) -> Option<Timestamp> {
        let (keys, read) = self.keys.as_ref()?;
        let is_there = id.is_none() || keys.iter().any(|key| key.id.as_deref() == id);
        is_there.then_some(*read)
    }
}

impl KeySet {
    pub(super) fn new(source: KeySource, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { source, fetch, clock, held: Mutex::default(), asking: Arc::default() }
    }

    /// The keys, with the one named `id` if there is one; `None` where they cannot be had.
    pub(super) async fn keys(self: &Arc<Self>, id: Option<&str>) -> Option<Arc<[Key]>> {
        let now = self.clock.now();
        if self.lock().wants_more(id, now) {
            let old_is_enough = self.lock().has(id).is_some();
            let turn = match Arc::clone(&self.asking).try_lock_owned() {
                Ok(turn) => Some(turn),
                Err(_) if old_is_enough => None,
                Err(_) => Some(Arc::clone(&self.asking).lock_owned().await),
            };
            if let Some(turn) = turn {
                self.ask_to_the_end(id, turn).await;
            }
        }
        let (keys, read) = self.lock().keys.clone()?;
        (now.since(read) < KEY_SET_KEPT_MAX).then_some(keys)
    }

    /// Asks whether or not the client waits for it: the others would not be answered before the next try is allowed.
    async fn ask_to_the_end(self: &Arc<Self>, id: Option<&str>, turn: OwnedMutexGuard<()>) {
        let (set, id) = (Arc::clone(self), id.map(str::to_owned));
        let asked = tokio::spawn(async move {
            set.ask(id.as_deref()).await;
            drop(turn);
        });
        if let Err(error) = asked.await {
            tracing::error!(%error, "asking for an issuer's keys broke off");
        }
    }

    /// Asks the issuer, unless somebody else just has.
    async fn ask(&self, id: Option<&str>) {
        let now = self.clock.now();
        if !self.lock().wants_more(id, now) {
            return;
        }
        let read = match self.fetch.fetch(&self.source).await {
            Ok(text) => read(&text).ok_or_else(|| "it is no set of keys".to_owned()),
            Err(error) => Err(chain(&error)),
        };
        telemetry::key_set(read.is_ok());
        self.lock().tried = Some(now);
        match read {
            Ok(keys) => self.lock().keys = Some((keys, now)),
            Err(error) => tracing::warn!(source = %self.source, error, "an issuer's keys cannot be had"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of a set that can be used; the others, of later kinds or for other ends, are left out (RFC 7517 §5).
fn read(text: &[u8]) -> Option<Arc<[Key]>> {
    let set: Value = serde_json::from_slice(text).ok()?;
    let keys = set.get("keys")?.as_array()?.iter();
    let keys: Vec<Key> = keys.filter_map(key).take(KEYS_MAX).collect();
    (!keys.is_empty()).then(|| keys.into())
}

fn key(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let verifies = |operations: &Vec<_>| operations.contains(&KeyOperations::Verify);
    if !jwk.common.key_operations.as_ref().is_none_or(verifies) {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        // a shared secret among them: a key that everybody can read signs nothing
        _ => return None,
    };
    if let Some(only) = jwk.common.key_algorithm {
        algorithms.retain(|algorithm| named(*algorithm) == Some(only));
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (!algorithms.is_empty()).then_some(Key { id: jwk.common.key_id, algorithms, key })
}

fn named(algorithm: Algorithm) -> Option<KeyAlgorithm> {
    match algorithm {
        Algorithm::RS256 => Some(KeyAlgorithm::RS256),
        Algorithm::PS256 => Some(KeyAlgorithm::PS256),
        Algorithm::ES256 => Some(KeyAlgorithm::ES256),
        Algorithm::EdDSA => Some(KeyAlgorithm::EdDSA),
        _ => None,
    }
}
