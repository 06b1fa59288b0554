use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortResult;
use crate::mail::Domain;

/// Private signing keys, by domain and selector. Only `prepare` may read them.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key, if there is one.
    async fn get(&self, domain: &Domain, selector: &str) -> PortResult<Option<SigningKey>>;

    /// Stores a key. One that is there already stays, and the answer is `false`: a published key is never overwritten.
    async fn put(&self, domain: &Domain, selector: &str, key: &SigningKey) -> PortResult<bool>;

    /// Deletes a key; tells whether it was there.
    async fn delete(&self, domain: &Domain, selector: &str) -> PortResult<bool>;
}

/// The algorithm of a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAlgorithm {
    /// `rsa-sha256` (RFC 6376 §3.3.2).
    Rsa,
    /// `ed25519-sha256` (RFC 8463).
    Ed25519,
}

/// A private key. It is never printed: `Debug` shows the algorithm only.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Which algorithm it is for.
    pub algorithm: KeyAlgorithm,
    /// PKCS #8, DER.
    pub pkcs8: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
