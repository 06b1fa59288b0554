//! Verifying (RFC 6376 §6), of whole messages in memory: what tests need. It judges the signature alone: expiry, `t=` flags of
//! keys and policies on weak keys are the caller's.

use aws_lc_rs::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::mail::header::{Field, fields, split};

use super::{BodyHash, Canonicalization};

/// What a signature came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// It is right.
    Pass,
    /// It cannot be evaluated, and why.
    Malformed(&'static str),
    /// The domain publishes no such key.
    NoKey,
    /// The body is not the one that was signed.
    BodyChanged,
    /// The header is not the one that was signed, or another key signed it.
    SignatureWrong,
}

/// Verifies each DKIM-Signature of `message`, from the top: `<selector>._domainkey.<domain>` and what it came to.
/// `record` gives the TXT record of such a name.
pub fn verify(message: &[u8], record: impl Fn(&str) -> Option<String>) -> Vec<(String, Verification)> {
    let (section, body) = split(message);
    let all: Vec<Field<'_>> = fields(section).flatten().collect();
    let signatures = all.iter().filter(|field| field.is("DKIM-Signature"));
    signatures
        .map(|field| match Signature::parse(field.value) {
            Ok(signature) => {
                let name = format!("{}._domainkey.{}", signature.selector, signature.domain);
                let verdict = signature.judge(field, &all, body, record(&name).as_deref());
                (name, verdict)
            }
            Err(wrong) => (String::new(), Verification::Malformed(wrong)),
        })
        .collect()
}

struct Signature {
    domain: String,
    selector: String,
    ed25519: bool,
    header_form: Canonicalization,
    body_form: Canonicalization,
    names: Vec<String>,
    body_hash: Vec<u8>,
    signature: Vec<u8>,
    /// The field's value with nothing in b=.
    unsigned: Vec<u8>,
}

impl Signature {
    fn parse(value: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(value).map_err(|_| "the signature is not text")?;
        let find = |name: &str| tags(text).find(|tag| tag.name == name);
        let need = |name: &str| find(name).map(|tag| tag.bare());
        if need("v").as_deref() != Some("1") {
            return Err("v= is not 1");
        }
        if find("l").is_some() {
            return Err("l= is not supported");
        }
        let (header_form, body_form) = forms(need("c").as_deref().unwrap_or("simple/simple"))?;
        let b = find("b").ok_or("there is no b=")?;
        let names = need("h").ok_or("there is no h=")?.split(':').map(str::to_owned).collect::<Vec<_>>();
        if !names.iter().any(|name| name.eq_ignore_ascii_case("from")) {
            return Err("h= has no from");
        }
        Ok(Self {
            domain: need("d").ok_or("there is no d=")?,
            selector: need("s").ok_or("there is no s=")?,
            ed25519: match need("a").as_deref() {
                Some("rsa-sha256") => false,
                Some("ed25519-sha256") => true,
                _ => return Err("a= names no known algorithm"),
            },
            header_form,
            body_form,
            names,
            body_hash: decode(&need("bh").ok_or("there is no bh=")?)?,
            signature: decode(&b.bare())?,
            unsigned: [&value[..b.start], &value[b.start + b.value.len()..]].concat(),
        })
    }

    fn judge(&self, own: &Field<'_>, all: &[Field<'_>], body: &[u8], record: Option<&str>) -> Verification {
        let Some(record) = record else { return Verification::NoKey };
        let Some(key) = tags(record).find(|tag| tag.name == "p").map(|tag| decode(&tag.bare())) else {
            return Verification::NoKey;
        };
        let Ok(key) = key else { return Verification::Malformed("p= is not base64") };
        let mut hash = BodyHash::new(self.body_form);
        hash.update(body);
        if hash.finish()[..] != self.body_hash[..] {
            return Verification::BodyChanged;
        }
        let text = self.signed_text(own, all);
        let verified = if self.ed25519 {
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
            UnparsedPublicKey::new(&ED25519, key).verify(hash.as_ref(), &self.signature)
        } else {
            // RFC 8301 §3.2: a verifier takes keys from 1024 bits
            UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key)
                .verify(&text, &self.signature)
        };
        verified.map_or(Verification::SignatureWrong, |()| Verification::Pass)
    }

    fn signed_text(&self, own: &Field<'_>, all: &[Field<'_>]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut left: Vec<&Field<'_>> = all.iter().collect();
        for name in &self.names {
            // from the bottom up, each field once (§5.4.2)
            if let Some(at) = left.iter().rposition(|field| field.is(name)) {
                let field = left.remove(at);
                self.header_form.field(field.name, field.value, &mut text);
            }
        }
        self.header_form.field(own.name, &self.unsigned, &mut text);
        text.truncate(text.len() - 2);
        text
    }
}

fn forms(text: &str) -> Result<(Canonicalization, Canonicalization), &'static str> {
    let form = |name| match name {
        "simple" => Ok(Canonicalization::Simple),
        "relaxed" => Ok(Canonicalization::Relaxed),
        _ => Err("c= names no known form"),
    };
    let (header, body) = text.split_once('/').unwrap_or((text, "simple"));
    Ok((form(header)?, form(body)?))
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).map_err(|_| "a tag is not base64")
}

/// A tag of a tag list (§3.2).
struct Tag<'a> {
    name: &'a str,
    value: &'a str,
    /// Where in the list the value begins.
    start: usize,
}

impl Tag<'_> {
    /// The value without white space; no tag that is read here may have any.
    fn bare(&self) -> String {
        self.value.split_ascii_whitespace().collect()
    }
}

fn tags(list: &str) -> impl Iterator<Item = Tag<'_>> {
    let mut at = 0;
    list.split(';').filter_map(move |part| {
        let begin = at;
        at += part.len() + 1;
        let (name, value) = part.split_once('=')?;
        Some(Tag { name: name.trim(), value, start: begin + name.len() + 1 })
    })
}

#[cfg(test)]
mod tests {
    use shared::port::{KeyAlgorithm, SigningKey};

    use super::*;
    use crate::dkim::key::Pair;

    /// The message of RFC 8463 appendix A.3, its lines ended by LF.
    const SIGNED: &str = "\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.

";
    /// The key of RFC 8463 appendix A.1, as PKCS #8: the seed of RFC 8032 §7.1 behind its fixed beginning.
    const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

    fn record(name: &str) -> Option<String> {
        let key = match name {
            "brisbane._domainkey.football.example.com" => {
                "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
            }
            "test._domainkey.football.example.com" => {
                "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id\
                 Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lx\
                 j+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
            }
            _ => return None,
        };
        Some(key.to_owned())
    }

    fn verdicts(message: &str) -> Vec<Verification> {
        let message = message.replace('\n', "\r\n");
        verify(message.as_bytes(), record).into_iter().map(|(_, verdict)| verdict).collect()
    }

    #[test]
    fn both_signatures_of_rfc_8463_appendix_a_pass() {
        assert_eq!(verdicts(SIGNED), [Verification::Pass, Verification::Pass]);
    }

    #[test]
    fn the_ed25519_signature_of_rfc_8463_appendix_a_can_be_made_again() {
        let message = SIGNED.replace('\n', "\r\n");
        let (section, _) = split(message.as_bytes());
        let all: Vec<Field<'_>> = fields(section).flatten().collect();
        let published = Signature::parse(all[0].value).unwrap();
        let pkcs8 = [&PKCS8[..], &STANDARD.decode(SEED).unwrap()].concat();
        let pair = Pair::read(&SigningKey { algorithm: KeyAlgorithm::Ed25519, pkcs8 }).unwrap();
        assert_eq!(pair.sign(&published.signed_text(&all[0], &all)), Some(published.signature));
    }

    #[test]
    fn a_signature_says_why_it_does_not_pass() {
        let change = |from: &str, to: &str| verdicts(&SIGNED.replace(from, to));
        assert_eq!(change("dinner", "supper"), [Verification::SignatureWrong, Verification::SignatureWrong]);
        assert_eq!(change("hungry", "thirsty"), [Verification::BodyChanged, Verification::BodyChanged]);
        assert_eq!(change("s=brisbane", "s=sydney")[0], Verification::NoKey);
        assert!(matches!(change("v=1; a=e", "v=2; a=e")[0], Verification::Malformed(_)));
        assert!(matches!(change("q=dns/txt; s=b", "l=3; s=b")[0], Verification::Malformed(_)));
    }
}
