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
