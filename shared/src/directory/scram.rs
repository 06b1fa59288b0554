//! How a secret is made, and how it is verified without being kept (RFC 5802 §3, RFC 7677).

use std::borrow::Cow;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use thiserror::Error;

use super::{ScramVerifier, Secret};
use crate::limits::{SALT_OCTETS, SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX, SECRET_OCTETS};
use crate::port::Ids;

/// Crockford's alphabet, in small letters: none that is taken for another, and nothing that a shell or SASLprep would touch.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A secret or a number of rounds that no verifier can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// Empty, or with characters that SASLprep prohibits.
    #[error("the secret is empty or has characters that no secret may have; use printable ones")]
    Prohibited,
    /// None, or more than a server would do.
    #[error("these are no rounds of PBKDF2; use 4096 to 1000000")]
    Iterations,
}

/// The text as SASL compares it (SASLprep, RFC 4013); `None` where it is empty or has what that prohibits.
pub fn saslprep(text: &str) -> Option<Cow<'_, str>> {
    let prepared = stringprep::saslprep(text).ok()?;
    (!prepared.is_empty()).then_some(prepared)
}

impl Secret {
    /// A new secret: 160 random bits, as 32 letters and digits.
    pub fn generate(ids: &dyn Ids) -> Self {
        let octets: [u8; SECRET_OCTETS] = ids.octets();
        let mut text = String::with_capacity(octets.len() * 8 / 5);
        for five in octets.chunks(5) {
            let bits = five.iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
            let letter =
                |place: u32| char::from(LETTERS[usize::try_from(bits >> (5 * place) & 31).unwrap_or(0)]);
            text.extend((0..8).rev().map(letter));
        }
        Self(text)
    }
}

impl ScramVerifier {
    /// The verifier of a new secret, with a salt of its own.
    pub fn generate(secret: &Secret, ids: &dyn Ids) -> Result<Self, SecretError> {
        Self::of(&secret.0, &ids.octets::<SALT_OCTETS>(), SCRAM_ITERATIONS)
    }

    /// The verifier of `secret` (RFC 5802 §3: StoredKey and ServerKey, by SHA-256).
    pub fn of(secret: &str, salt: &[u8], iterations: u32) -> Result<Self, SecretError> {
        let rounds = rounds(iterations).ok_or(SecretError::Iterations)?;
        let secret = saslprep(secret).ok_or(SecretError::Prohibited)?;
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, secret.as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        Ok(Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().to_vec(),
            server_key: hmac::sign(&salted, b"Server Key").as_ref().to_vec(),
        })
    }

    /// Whether this is the verifier of `secret`. It takes as long whatever the answer is.
    pub fn proves(&self, secret: &str) -> bool {
        let other = Self::of(secret, &self.salt, self.iterations);
        other.is_ok_and(|other| {
            constant_time::verify_slices_are_equal(&other.stored_key, &self.stored_key).is_ok()
        })
    }
}

fn rounds(iterations: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(iterations).filter(|rounds| rounds.get() <= SCRAM_ITERATIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemIds;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    /// The exchange of RFC 7677 §3: with its keys, the client's proof and the server's signature come out as printed there.
    #[test]
    fn a_verifier_has_the_keys_that_rfc_7677_computes_with() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = ScramVerifier::of("pencil", &salt, 4096).unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let sign = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        let signature = BASE64_STANDARD.encode(sign(&verifier.server_key));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = BASE64_STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = sign(&verifier.stored_key);
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest::digest(&digest::SHA256, &client_key).as_ref(), verifier.stored_key);
    }

    #[test]
    fn a_verifier_proves_its_own_secret_and_no_other() {
        let secret = Secret::generate(&SystemIds::default());
        let verifier = ScramVerifier::generate(&secret, &SystemIds::default()).unwrap();
        assert!(verifier.proves(&secret.0) && !verifier.proves("pencil") && !verifier.proves(""));
        let other = ScramVerifier::generate(&secret, &SystemIds::default()).unwrap();
        assert_ne!(other.salt, verifier.salt);
        let broken = ScramVerifier { iterations: 0, ..verifier };
        assert!(!broken.proves(&secret.0));
    }

    #[test]
    fn secrets_are_160_bits_of_plain_letters() {
        let secrets: Vec<Secret> = (0..50).map(|_| Secret::generate(&SystemIds::default())).collect();
        for (at, secret) in secrets.iter().enumerate() {
            assert!(secret.0.len() == 32 && secret.0.bytes().all(|letter| LETTERS.contains(&letter)));
            assert!(!secrets[..at].contains(secret));
        }
        let each_place_varies = (0..32).all(|at| {
            let letter = |secret: &Secret| secret.0.as_bytes()[at];
            secrets.iter().any(|secret| letter(secret) != letter(&secrets[0]))
        });
        assert!(each_place_varies);
    }

    #[test]
    fn secrets_are_compared_as_saslprep_sees_them() {
        // a soft hyphen maps to nothing, and the sign of a Roman nine to its letters (RFC 4013 §3)
        assert_eq!(saslprep("I\u{AD}X").as_deref(), Some("IX"));
        assert!(ScramVerifier::of("IX", b"salt", 4096).unwrap().proves("\u{2168}"));
        assert_eq!(ScramVerifier::of("a\u{7}", b"salt", 4096).unwrap_err(), SecretError::Prohibited);
        assert_eq!(ScramVerifier::of("a", b"salt", 0).unwrap_err(), SecretError::Iterations);
    }
}
