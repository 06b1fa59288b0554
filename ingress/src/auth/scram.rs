//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): what is said, without I/O.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shared::directory::ScramVerifier;

use super::Denial;

/// What a client says of channel binding (RFC 5802 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// `n`: it cannot.
    Unsupported,
    /// `y`: it can, and believes that the server cannot.
    NotOffered,
    /// `p`: it does, by this type.
    Used(String),
}

/// A client-first-message (RFC 5802 §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientFirst {
    pub(super) binding: Binding,
    pub(super) authzid: Option<String>,
    pub(super) name: String,
    nonce: String,
    gs2_header: String,
    bare: String,
}

impl ClientFirst {
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let (flag, rest) = text.split_once(',')?;
        let binding = match flag {
            "n" => Binding::Unsupported,
            "y" => Binding::NotOffered,
            _ => Binding::Used(flag.strip_prefix("p=").filter(|name| is_binding_name(name))?.to_owned()),
        };
        let (authzid, bare) = rest.split_once(',')?;
        let authzid = match authzid {
            "" => None,
            _ => Some(saslname(authzid.strip_prefix("a=")?)?),
        };
        // an extension that must be understood, `m=`, stands where the name is looked for (RFC 5802 §5.1)
        let mut attributes = bare.split(',');
        let name = saslname(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_printable(nonce))?.to_owned();
        let gs2_header = text[..text.len() - bare.len()].to_owned();
        Some(Self { binding, authzid, name, nonce, gs2_header, bare: bare.to_owned() })
    }
}

/// An exchange whose first message was read.
pub(super) struct Server {
    verifier: ScramVerifier,
    /// What `c=` must say: the GS2 header, and the channel's data where it is bound.
    bound: Vec<u8>,
    nonce: String,
    client_first_bare: String,
    server_first: String,
}

impl Server {
    /// `binding` is the data of the type that the client uses; `nonce` is the server's half.
    pub(super) fn new(
        first: ClientFirst,
        binding: Option<&[u8]>,
        nonce: &str,
        verifier: ScramVerifier,
    ) -> Self {
        let nonce = format!("{}{nonce}", first.nonce);
        let salt = BASE64_STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let bound = [first.gs2_header.as_bytes(), binding.unwrap_or_default()].concat();
        Self { verifier, bound, nonce, client_first_bare: first.bare, server_first }
    }

    /// The server-first-message.
    pub(super) fn challenge(&self) -> &str {
        &self.server_first
    }

    /// Checks the client-final-message; the server-final-message, where it is right.
    pub(super) fn verify(&self, message: &[u8]) -> Result<String, Denial> {
        let text = std::str::from_utf8(message).map_err(|_| Denial::Malformed)?;
        let ClientFinal { without_proof, bound, nonce, proof } =
            ClientFinal::read(text).ok_or(Denial::Malformed)?;
        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = sign(&self.verifier.stored_key, &auth_message);
        let client_key: Vec<u8> =
            proof.iter().zip(signature.as_ref()).map(|(one, other)| one ^ other).collect();
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let same = |one: &[u8], other: &[u8]| constant_time::verify_slices_are_equal(one, other).is_ok();
        let right = same(stored_key.as_ref(), &self.verifier.stored_key)
            & same(&bound, &self.bound)
            & same(nonce.as_bytes(), self.nonce.as_bytes());
        if !right {
            return Err(Denial::Wrong);
        }
        Ok(format!("v={}", BASE64_STANDARD.encode(sign(&self.verifier.server_key, &auth_message))))
    }
}

/// A client-final-message (RFC 5802 §7).
struct ClientFinal<'a> {
    without_proof: &'a str,
    bound: Vec<u8>,
    nonce: &'a str,
    proof: Vec<u8>,
}

impl<'a> ClientFinal<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let bound = BASE64_STANDARD.decode(attributes.next()?.strip_prefix("c=")?).ok()?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let proof = BASE64_STANDARD.decode(proof).ok()?;
        (proof.len() == digest::SHA256_OUTPUT_LEN).then_some(Self { without_proof, bound, nonce, proof })
    }
}

fn sign(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

/// A name as it was before its commas and equals signs were written `=2C` and `=3D` (RFC 5802 §5.1).
pub(super) fn saslname(written: &str) -> Option<String> {
    let mut parts = written.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match part.strip_prefix("2C") {
            Some(rest) => (',', rest),
            None => ('=', part.strip_prefix("3D")?),
        };
        name.push(sign);
        name.push_str(rest);
    }
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}

fn is_binding_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(&octet))
}

fn is_printable(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|octet| octet.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn server(first: &[u8]) -> Server {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = ScramVerifier::of("pencil", &salt, 4096).unwrap();
        let first = ClientFirst::read(first).unwrap();
        Server::new(first, None, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", verifier)
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_had_to_the_letter() {
        let server = server(FIRST);
        assert_eq!(
            server.challenge(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = server.verify(LAST.as_bytes()).unwrap();
        assert_eq!(last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn whatever_is_changed_in_the_last_message_is_found_out() {
        let server = server(FIRST);
        for (was, is) in [("dHzb", "dHzc"), ("biws", "eSws"), ("rOpr", "rOpR"), ("lF$k0", "lF$k1")] {
            assert_eq!(server.verify(LAST.replace(was, is).as_bytes()), Err(Denial::Wrong), "{is}");
        }
        let extended = LAST.replace(",p=", ",x=1,p=");
        assert_eq!(server.verify(extended.as_bytes()), Err(Denial::Wrong), "the proof is over what was sent");
        for broken in
            ["", "c=biws", &LAST[..LAST.len() - 5], &LAST.replace("c=", "d="), &LAST.replace("biws", "?")]
        {
            assert_eq!(server.verify(broken.as_bytes()), Err(Denial::Malformed), "{broken}");
        }
    }

    #[test]
    fn a_proof_over_another_nonce_is_none() {
        let server = server(FIRST);
        let without_proof = LAST.rsplit_once(",p=").unwrap().0.replace("lF$k0", "lF$k1");
        let message = format!("{},{},{without_proof}", server.client_first_bare, server.server_first);
        let (mut salted, salt) = ([0; 32], &server.verifier.salt);
        let rounds = std::num::NonZeroU32::new(4096).unwrap();
        let algorithm = aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256;
        aws_lc_rs::pbkdf2::derive(algorithm, rounds, salt, b"pencil", &mut salted);
        let client_key = sign(&salted, "Client Key");
        let signature = sign(&server.verifier.stored_key, &message);
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(one, other)| one ^ other).collect();
        let last = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof));
        assert_eq!(server.verify(last.as_bytes()), Err(Denial::Wrong));
    }

    #[test]
    fn names_may_have_commas_and_equals_signs() {
        let first = ClientFirst::read(b"y,a=o=3Dther,n=a=2Cb=3Dc,r=x,later=1").unwrap();
        assert_eq!((first.name.as_str(), first.authzid.as_deref()), ("a,b=c", Some("o=ther")));
        assert_eq!((first.binding, first.gs2_header.as_str()), (Binding::NotOffered, "y,a=o=3Dther,"));
        let used = ClientFirst::read(b"p=tls-exporter,,n=a,r=x").unwrap();
        assert_eq!(used.binding, Binding::Used("tls-exporter".to_owned()));
    }

    #[test]
    fn what_is_no_first_message_is_refused() {
        for wrong in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=a",
            "n,,n=a,",
            "n,,n=,r=x",
            "n,,r=x,n=a",
            "n,,m=1,n=a,r=x",
            "q,,n=a,r=x",
            "p=,,n=a,r=x",
            "n,b=c,n=a,r=x",
            "n,a=,n=a,r=x",
            "n,,n=a=2D,r=x",
            "n,,n=a\0,r=x",
            "n,,n=a,r=",
            "n,,n=a,r=x y",
        ] {
            assert_eq!(ClientFirst::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(ClientFirst::read(b"n,,n=\xff,r=x"), None);
    }
}
