//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: what is said, without I/O.

use std::borrow::Cow;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shared::directory::saslprep;
use shared::limits::SCRAM_ITERATIONS_MAX;
use shared::port::SecretText;

use super::credentials;
use crate::deliver::outcome::Failure;
use crate::limits::SCRAM_ITERATIONS_MIN;

/// An exchange.
pub(super) struct Scram {
    nonce: String,
    first_bare: String,
    /// What the server must sign, once it is known.
    signature: Option<Vec<u8>>,
    proved: bool,
}

/// A server-first-message (RFC 5802 §7).
struct ServerFirst<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: NonZeroU32,
}

impl Scram {
    pub(super) fn new(name: &str, nonce: &[u8]) -> Self {
        let nonce = BASE64_STANDARD.encode(nonce);
        let name = saslprep(name).map_or(name.to_owned(), Cow::into_owned);
        let name = name.replace('=', "=3D").replace(',', "=2C");
        Self { first_bare: format!("n={name},r={nonce}"), nonce, signature: None, proved: false }
    }

    /// The client-first-message. We cannot bind to the channel, and say so (RFC 5802 §6).
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Whether the server has proved that it knows the secret too.
    pub(super) fn is_proved(&self) -> bool {
        self.proved
    }

    /// The answer to the server-first-message, and then to the server-final-message.
    pub(super) async fn answer(&mut self, message: &str, secret: &SecretText) -> Result<String, Failure> {
        let Some(signature) = &self.signature else { return self.prove(message, secret).await };
        let told = message.strip_prefix("v=").and_then(|told| BASE64_STANDARD.decode(told).ok());
        let right = |told: &Vec<u8>| constant_time::verify_slices_are_equal(told, signature).is_ok();
        if !told.as_ref().is_some_and(right) {
            return Err(credentials("the server did not prove that it knows the secret"));
        }
        self.proved = true;
        Ok(String::new())
    }

    async fn prove(&mut self, message: &str, secret: &SecretText) -> Result<String, Failure> {
        let ServerFirst { nonce, salt, rounds } = ServerFirst::read(message)
            .filter(|first| first.nonce.len() > self.nonce.len() && first.nonce.starts_with(&self.nonce))
            .ok_or_else(|| credentials("the server's challenge is none of SCRAM-SHA-256"))?;
        let secret = saslprep(secret.as_str())
            .ok_or_else(|| credentials("the secret is empty or has characters that no password has"))?
            .into_owned();
        let derive = move || {
            let mut salted = [0; digest::SHA256_OUTPUT_LEN];
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, secret.as_bytes(), &mut salted);
            salted
        };
        let salted = tokio::task::spawn_blocking(derive)
            .await
            .map_err(|_| credentials("the proof could not be computed"))?;
        // `biws` is `n,,`
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{message},{without_proof}", self.first_bare);
        let client_key = sign(&salted, "Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), &signed);
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(one, other)| one ^ other).collect();
        let server_key = sign(&salted, "Server Key");
        self.signature = Some(sign(server_key.as_ref(), &signed).as_ref().to_vec());
        Ok(format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)))
    }
}

impl<'a> ServerFirst<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut attributes = text.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = BASE64_STANDARD.decode(attributes.next()?.strip_prefix("s=")?).ok()?;
        let rounds: u32 = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
        // few rounds would let a false server guess the password from the proof (RFC 7677 §4); very many would keep us busy
        let bounds = SCRAM_ITERATIONS_MIN..=SCRAM_ITERATIONS_MAX;
        let rounds = NonZeroU32::new(rounds).filter(|rounds| bounds.contains(&rounds.get()))?;
        (!salt.is_empty()).then_some(Self { nonce, salt, rounds })
    }
}

fn sign(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn scram() -> Scram {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let first_bare = format!("n=user,r={nonce}");
        Scram { nonce, first_bare, signature: None, proved: false }
    }

    #[tokio::test]
    async fn the_exchange_of_rfc_7677_is_had_to_the_letter() {
        let (mut scram, secret) = (scram(), SecretText::new("pencil"));
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = scram.answer(CHALLENGE, &secret).await.unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(!scram.is_proved());
        let end = scram.answer("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &secret).await.unwrap();
        assert!(end.is_empty() && scram.is_proved());
    }

    #[tokio::test]
    async fn a_server_that_is_not_the_one_learns_nothing_to_guess_by() {
        let secret = SecretText::new("pencil");
        for (was, is) in [
            ("rOpr", "xOpr"),
            ("i=4096", "i=1"),
            ("i=4096", "i=2000000000"),
            ("s=W", "s=?"),
            ("r=", "m=1,r="),
        ] {
            let answer = scram().answer(&CHALLENGE.replace(was, is), &secret).await;
            assert!(matches!(answer, Err(Failure::Credentials(_))), "{is}");
        }
        let mut scram = scram();
        scram.answer(CHALLENGE, &secret).await.unwrap();
        for wrong in ["v=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "e=other-error", ""] {
            assert!(scram.answer(wrong, &secret).await.is_err() && !scram.is_proved(), "{wrong}");
        }
    }

    #[test]
    fn names_keep_their_commas_and_equals_signs() {
        assert!(Scram::new("a,b=c", b"n").first().starts_with("n,,n=a=2Cb=3Dc,r="));
    }
}
