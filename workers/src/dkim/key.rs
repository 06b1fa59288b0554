//! Signing keys: made, read, and published.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::port::{KeyAlgorithm, SigningKey};
use thiserror::Error;

/// Why a key cannot be made or used. It says nothing of the key itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The cryptographic library made none.
    #[error("no key could be made")]
    NotMade,
    /// Not PKCS #8, or not of its algorithm, or too weak.
    #[error("the key is not a PKCS #8 key of its algorithm; make a new one")]
    Malformed,
}

/// Makes a key: RSA with 2048 bits, or Ed25519.
pub fn generate(algorithm: KeyAlgorithm) -> Result<(SigningKey, PublicKey), KeyError> {
    let pkcs8 = match algorithm {
        KeyAlgorithm::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::NotMade)?;
            pair.as_der().map_err(|_| KeyError::NotMade)?.as_ref().to_vec()
        }
        KeyAlgorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NotMade)?;
            pair.to_pkcs8v1().map_err(|_| KeyError::NotMade)?.as_ref().to_vec()
        }
    };
    let key = SigningKey { algorithm, pkcs8 };
    let public = Pair::read(&key)?.public()?;
    Ok((key, public))
}

/// The public half of a signing key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// What the key is for.
    pub algorithm: KeyAlgorithm,
    /// For RSA a SubjectPublicKeyInfo in DER, as the world publishes it; for Ed25519 the 32 octets (RFC 8463 §4).
    pub data: Vec<u8>,
}

impl PublicKey {
    /// The public half of `key`.
    pub fn of(key: &SigningKey) -> Result<Self, KeyError> {
        Pair::read(key)?.public()
    }

    /// The key in base64.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.data)
    }

    /// The text of the TXT record at `<selector>._domainkey.<domain>` (RFC 6376 §3.6.1, RFC 8463 §4). It is one text;
    /// a zone file needs it cut into strings of at most 255 octets.
    pub fn dns_record(&self) -> String {
        let algorithm = match self.algorithm {
            KeyAlgorithm::Rsa => "rsa",
            KeyAlgorithm::Ed25519 => "ed25519",
        };
        format!("v=DKIM1; k={algorithm}; p={}", self.base64())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dns_record())
    }
}

/// A key that is ready to sign.
pub(super) enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Pair {
    pub(super) fn read(key: &SigningKey) -> Result<Self, KeyError> {
        match key.algorithm {
            KeyAlgorithm::Rsa => RsaKeyPair::from_pkcs8(&key.pkcs8).map(Box::new).map(Self::Rsa),
            KeyAlgorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(&key.pkcs8).map(Box::new).map(Self::Ed25519),
        }
        .map_err(|_| KeyError::Malformed)
    }

    fn public(&self) -> Result<PublicKey, KeyError> {
        Ok(match self {
            Self::Rsa(pair) => PublicKey {
                algorithm: KeyAlgorithm::Rsa,
                data: pair.public_key().as_der().map_err(|_| KeyError::NotMade)?.as_ref().to_vec(),
            },
            Self::Ed25519(pair) => {
                PublicKey { algorithm: KeyAlgorithm::Ed25519, data: pair.public_key().as_ref().to_vec() }
            }
        })
    }

    /// The signature of `text`; `None` where the library fails. Ed25519 signs the text's SHA-256 (RFC 8463 §3).
    pub(super) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ed25519(pair) => {
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text);
                Some(pair.try_sign(hash.as_ref()).ok()?.as_ref().to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_can_be_read_again_and_tells_its_record() {
        for (algorithm, begin, length) in [
            (KeyAlgorithm::Rsa, "v=DKIM1; k=rsa; p=MIIBIjAN", 294),
            (KeyAlgorithm::Ed25519, "v=DKIM1; k=ed25519; p=", 32),
        ] {
            let (key, public) = generate(algorithm).unwrap();
            assert_eq!(PublicKey::of(&key).unwrap(), public);
            assert_eq!(public.data.len(), length);
            assert!(public.dns_record().starts_with(begin), "{public:?}");
        }
    }

    #[test]
    fn a_key_of_another_algorithm_is_refused() {
        let (mut key, _) = generate(KeyAlgorithm::Ed25519).unwrap();
        key.algorithm = KeyAlgorithm::Rsa;
        assert_eq!(PublicKey::of(&key).unwrap_err(), KeyError::Malformed);
    }
}
