//! Secrets as they are made, and what is kept of them (RFC 5802 §3, RFC 7677).

use std::num::NonZeroU32;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{digest, hmac, pbkdf2};
use thiserror::Error;

use super::{ScramVerifier, Secret};
use crate::limits::{SALT_OCTETS, SCRAM_ITERATIONS, SECRET_OCTETS};

/// The letters of base32 (RFC 4648 §6) in lower case: none of them is taken for another one.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The system gave no random octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the system gives no random octets; try again")]
pub struct NoRandomness;

impl Secret {
    /// A new secret of 160 bits: 32 letters and digits.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self(base32(&random::<SECRET_OCTETS>()?)))
    }
}

impl ScramVerifier {
    /// What to keep of `secret`, with a salt of its own.
    pub fn generate(secret: &Secret) -> Result<Self, NoRandomness> {
        Ok(Self::of(&secret.0, &random::<SALT_OCTETS>()?, SCRAM_ITERATIONS))
    }

    /// What to keep of `secret`, which must be as SASLprep leaves it; ASCII is.
    pub fn of(secret: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, secret.as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        Self {
            salt: salt.to_vec(),
            iterations: iterations.get(),
            stored_key: digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().to_vec(),
            server_key: hmac::sign(&salted, b"Server Key").as_ref().to_vec(),
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).map_err(|_| NoRandomness)?;
    Ok(octets)
}

/// Base32 without padding; the octets are a multiple of five.
fn base32(octets: &[u8]) -> String {
    let letters = octets.chunks_exact(5).flat_map(|five| {
        let bits = five.iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        (0..8).rev().map(move |n| char::from(BASE32[(bits >> (5 * n)) as usize % BASE32.len()]))
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// The exchange of RFC 7677 §3, for the user `user` with the secret `pencil`.
    #[test]
    fn a_verifier_verifies_the_example_of_rfc_7677() {
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = ScramVerifier::of("pencil", &salt, 4096.try_into().unwrap());
        let said = format!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
        );
        let sign = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), said.as_bytes());
        let server = sign(&verifier.server_key);
        assert_eq!(BASE64_STANDARD.encode(server.as_ref()), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");

        let proof = BASE64_STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let client = sign(&verifier.stored_key);
        let key: Vec<u8> = proof.iter().zip(client.as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest::digest(&digest::SHA256, &key).as_ref(), verifier.stored_key);
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(&[0xff; 10]), "7777777777777777");
    }

    #[test]
    fn every_secret_and_every_salt_is_another_one() {
        let (a, b) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert!(a.0.len() == 32 && a.0.bytes().all(|letter| BASE32.contains(&letter)));
        assert_ne!(a, b);
        let (one, other) = (ScramVerifier::generate(&a).unwrap(), ScramVerifier::generate(&a).unwrap());
        assert_ne!(one.salt, other.salt);
        assert_ne!(one.stored_key, other.stored_key);
        assert_eq!(format!("{a:?} {one:?}"), "Secret ScramVerifier { .. }");
    }
}
