//! Signing keys as text, the same in every store: PKCS #8 in PEM (RFC 5958, RFC 7468), under a selector (RFC 6376 §3.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::limits::SELECTOR_OCTETS_MAX;
use crate::port::{KeyAlgorithm, PortError, PortResult};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Refuses a selector that is not made of labels with dots between them.
pub(crate) fn check_selector(what: &'static str, selector: &str) -> PortResult<()> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if selector.len() > SELECTOR_OCTETS_MAX || !selector.split('.').all(is_label) {
        let right = "a selector is made of letters, digits, - and _, with dots between";
        return Err(PortError::refused(what, right));
    }
    Ok(())
}

pub(crate) fn to_pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    let mut pem = format!("{BEGIN}\n");
    // RFC 7468 §2: lines of 64 characters
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(END);
    pem.push('\n');
    pem
}

pub(crate) fn from_pem(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let base64: String = body.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    STANDARD.decode(base64).ok()
}

/// The algorithm that a `PrivateKeyInfo` names (RFC 5958 §2): `SEQUENCE { INTEGER version, SEQUENCE { OID …`.
pub(crate) fn algorithm(pkcs8: &[u8]) -> Option<KeyAlgorithm> {
    let rest = sequence(pkcs8)?.strip_prefix(&[0x02, 0x01])?;
    let oid = sequence(rest.get(1..)?)?;
    // rsaEncryption 1.2.840.113549.1.1.1 (RFC 8017 §A.1), id-Ed25519 1.3.101.112 (RFC 8410 §3)
    if oid.starts_with(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]) {
        Some(KeyAlgorithm::Rsa)
    } else if oid.starts_with(&[0x06, 0x03, 0x2b, 0x65, 0x70]) {
        Some(KeyAlgorithm::Ed25519)
    } else {
        None
    }
}

/// What is in the sequence that `der` begins with, and what follows it.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (length, rest) = der.strip_prefix(&[0x30])?.split_first()?;
    match length {
        0..=0x7f => Some(rest),
        0x81..=0x84 => rest.get(usize::from(length & 0x7f)..),
        _ => None,
    }
}
