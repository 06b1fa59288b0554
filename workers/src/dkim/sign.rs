//! Signing (RFC 6376 §5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::mail::header::{Field, fields};
use shared::mail::{Domain, Timestamp};
use shared::port::{KeyAlgorithm, SigningKey};
use thiserror::Error;

use super::Canonicalization::Relaxed;
use super::key::{KeyError, Pair};
use crate::limits::{SIGNATURE_LINE_OCTETS_MAX, SIGNED_FIELDS_MAX};

/// Signed once more than they are there, so that none can be added (RFC 6376 §8.15).
const OVERSIGNED: [&str; 10] = [
    "from",
    "subject",
    "to",
    "cc",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "reply-to",
];
/// Signed where they are there (RFC 6376 §5.4.1; the last two by RFC 8058 §4).
const SIGNED: [&str; 11] = [
    "sender",
    "in-reply-to",
    "references",
    "list-id",
    "list-help",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

/// The message has more than [`SIGNED_FIELDS_MAX`] fields of the kinds that are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there are over {SIGNED_FIELDS_MAX} header fields to sign")]
pub struct TooManyFields;

/// The cryptographic library did not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key did not sign")]
pub struct SignError;

/// The header fields that signatures of one message cover, in canonical form: hashed by each signature anew.
pub struct SignedFields {
    names: Vec<&'static str>,
    canonical: Vec<u8>,
}

impl SignedFields {
    /// Picks from `sections`, which stand above each other from the top, what is to be signed: every From, Subject, To, Cc, Date, Message-ID,
    /// Reply-To and MIME field and one more of each that is not there; every Sender, threading and List field.
    pub fn pick(sections: &[&[u8]]) -> Result<Self, TooManyFields> {
        let all: Vec<Field<'_>> = sections.iter().flat_map(|section| fields(section)).flatten().collect();
        let mut picked = Self { names: Vec::with_capacity(16), canonical: Vec::with_capacity(1024) };
        for (name, oversigned) in
            OVERSIGNED.iter().map(|name| (*name, true)).chain(SIGNED.iter().map(|name| (*name, false)))
        {
            // of several, the lowest is signed first (§5.4.2)
            for field in all.iter().rev().filter(|field| field.is(name)) {
                picked.names.push(name);
                Relaxed.field(field.name, field.value, &mut picked.canonical);
            }
            if oversigned {
                picked.names.push(name);
            }
            if picked.names.len() > SIGNED_FIELDS_MAX {
                return Err(TooManyFields);
            }
        }
        Ok(picked)
    }
}

/// A key of a domain, ready to sign.
pub struct Signer {
    domain: String,
    selector: String,
    algorithm: KeyAlgorithm,
    pair: Pair,
}

impl Signer {
    /// Reads the key that is published under `selector` of `domain`.
    pub fn new(domain: &Domain, selector: &str, key: &SigningKey) -> Result<Self, KeyError> {
        Ok(Self {
            domain: domain.as_str().to_owned(),
            selector: selector.to_owned(),
            algorithm: key.algorithm,
            pair: Pair::read(key)?,
        })
    }

    /// Where the public key is published: `<selector>._domainkey.<domain>`.
    pub fn name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// Adds a DKIM-Signature field to `out`, ended by CRLF. The same arguments always give the same field.
    pub fn sign(
        &self,
        picked: &SignedFields,
        body_hash: &[u8; 32],
        at: Timestamp,
        out: &mut String,
    ) -> Result<(), SignError> {
        let algorithm = match self.algorithm {
            KeyAlgorithm::Rsa => "rsa-sha256",
            KeyAlgorithm::Ed25519 => "ed25519-sha256",
        };
        let begin = out.len();
        let mut line = Folded { out, column: 0 };
        line.text("DKIM-Signature: v=1;");
        line.word(&format!("a={algorithm};"));
        line.word("c=relaxed/relaxed;");
        line.word(&format!("d={};", self.domain));
        line.word(&format!("s={};", self.selector));
        line.word(&format!("t={};", at.millis().max(0) / 1000));
        let mut names = picked.names.iter().peekable();
        let mut tag = "h=";
        while let Some(name) = names.next() {
            let end = if names.peek().is_some() { ':' } else { ';' };
            let part = format!("{tag}{name}{end}");
            if tag.is_empty() {
                line.part(&part);
            } else {
                line.word(&part);
            }
            tag = "";
        }
        line.word(&format!("bh={};", STANDARD.encode(body_hash)));
        line.word("b=");
        let value = &line.out.as_bytes()[begin + "DKIM-Signature:".len()..];
        let mut text = picked.canonical.clone();
        Relaxed.field(b"dkim-signature", value, &mut text);
        // the field that is being made is hashed last, with nothing in b= and without its CRLF (§3.7)
        text.truncate(text.len() - 2);
        let Some(signature) = self.pair.sign(&text) else {
            out.truncate(begin);
            return Err(SignError);
        };
        line.base64(&STANDARD.encode(signature));
        out.push_str("\r\n");
        Ok(())
    }
}

/// A field that is folded as it is written (RFC 5322 §2.2.3).
struct Folded<'a> {
    out: &'a mut String,
    column: usize,
}

impl Folded<'_> {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.len();
    }

    fn fold(&mut self) {
        self.out.push_str("\r\n ");
        self.column = 1;
    }

    /// A text behind a space.
    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > SIGNATURE_LINE_OCTETS_MAX {
            self.fold();
        } else {
            self.text(" ");
        }
        self.text(word);
    }

    /// A text that follows without a space.
    fn part(&mut self, part: &str) {
        if self.column + part.len() > SIGNATURE_LINE_OCTETS_MAX {
            self.fold();
        }
        self.text(part);
    }

    /// A text that may be folded anywhere.
    fn base64(&mut self, mut text: &str) {
        while !text.is_empty() {
            if self.column >= SIGNATURE_LINE_OCTETS_MAX {
                self.fold();
            }
            let (now, later) = text.split_at(text.len().min(SIGNATURE_LINE_OCTETS_MAX - self.column));
            self.text(now);
            text = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::{BodyHash, Verification, generate, verify};

    fn signer(algorithm: KeyAlgorithm, domain: &str) -> (Signer, String) {
        let (key, public) = generate(algorithm).unwrap();
        (Signer::new(&domain.parse().unwrap(), "s1", &key).unwrap(), public.dns_record())
    }

    fn sign(signer: &Signer, section: &str, body: &str) -> String {
        let mut hash = BodyHash::new(Relaxed);
        hash.update(body.as_bytes());
        let mut out = String::new();
        let picked = SignedFields::pick(&[section.as_bytes()]).unwrap();
        signer.sign(&picked, &hash.finish(), Timestamp::from_millis(1_700_000_000_999), &mut out).unwrap();
        out
    }

    const SECTION: &str =
        "From: a@example.com\r\nTO : b@example.net\r\nSubject: x\r\n\ty\r\nList-Id: <l>\r\nX-Any: 1\r\n";

    #[test]
    fn what_is_signed_passes_and_what_is_changed_behind_it_does_not() {
        for algorithm in [KeyAlgorithm::Rsa, KeyAlgorithm::Ed25519] {
            let (signer, record) = signer(algorithm, "example.com");
            let field = sign(&signer, SECTION, "body  \r\n\r\n");
            let judge = |header: &str, body: &str| {
                let message = format!("{field}{header}\r\n{body}");
                let mut told = verify(message.as_bytes(), |name| {
                    (name == "s1._domainkey.example.com").then(|| record.clone())
                });
                assert_eq!(told.len(), 1);
                told.remove(0).1
            };
            assert_eq!(judge(SECTION, "body\r\n"), Verification::Pass);
            assert_eq!(judge(&format!("Received: x\r\n{SECTION}X-More: 2\r\n"), "body"), Verification::Pass);
            assert_eq!(judge(SECTION, "other\r\n"), Verification::BodyChanged);
            for name in [
                "From",
                "Subject",
                "To",
                "Cc",
                "Date",
                "Message-ID",
                "MIME-Version",
                "Content-Type",
                "Reply-To",
            ] {
                for section in [format!("{name}: z\r\n{SECTION}"), format!("{SECTION}{name}: z\r\n")] {
                    assert_eq!(judge(&section, "body\r\n"), Verification::SignatureWrong, "{section}");
                }
            }
            assert_eq!(judge(&SECTION.replace("List-Id: <l>\r\n", ""), "body"), Verification::SignatureWrong);
        }
    }

    #[test]
    fn a_signature_is_folded_and_always_the_same() {
        let domain = format!("{}.example", vec!["a".repeat(60); 3].join("."));
        for algorithm in [KeyAlgorithm::Rsa, KeyAlgorithm::Ed25519] {
            let (signer, _) = signer(algorithm, &domain);
            let field = sign(&signer, SECTION, "body");
            assert_eq!(field, sign(&signer, SECTION, "body\r\n"));
            for line in field.strip_suffix("\r\n").unwrap().split("\r\n") {
                assert!(line.len() < 78 || line.contains(&domain), "{line}");
            }
            assert!(
                field.contains("t=1700000000;") && !field.contains("i=") && !field.contains("l="),
                "{field}"
            );
            assert!(field.contains(" h=from:from:subject:subject:to:to:cc:date:"), "{field}");
            assert_eq!(signer.name(), format!("s1._domainkey.{domain}"));
        }
    }

    #[test]
    fn a_header_of_countless_fields_is_not_signed() {
        let section = "To: a@example.com\r\n".repeat(SIGNED_FIELDS_MAX + 1);
        assert_eq!(SignedFields::pick(&[section.as_bytes()]).err(), Some(TooManyFields));
    }
}
