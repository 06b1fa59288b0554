//! One certificate with its key: read from PEM, and checked.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use shared::mail::Timestamp;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What is wrong with a certificate, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// What is wrong, with the file or secret in which it is.
    pub wrong: String,
    /// What to do.
    pub right: String,
}

impl TlsProblem {
    pub(super) fn new(wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), right: right.into() }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.wrong, self.right)
    }
}

impl std::error::Error for TlsProblem {}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its DNS names, in lower case; a wildcard begins with `*.`.
    pub names: Vec<String>,
    /// When it ends.
    pub expires: Timestamp,
}

impl CertificateFacts {
    /// Whether it is good for `host` (RFC 9525 §6.3: a wildcard stands for one label).
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = host.split_once('.').map(|(_, rest)| rest);
        self.names
            .iter()
            .any(|name| *name == host || (wildcard.is_some() && name.strip_prefix("*.") == wildcard))
    }
}

/// The text of a chain and that of its key, with where each is from.
pub(super) struct Pem<'a> {
    pub(super) chain: (&'a str, &'a [u8]),
    pub(super) key: (&'a str, &'a [u8]),
}

/// A certificate that can be shown.
pub(super) struct Certificate {
    pub(super) facts: CertificateFacts,
    pub(super) certified: Arc<CertifiedKey>,
    /// Its `tls-server-end-point` (RFC 5929 §4.1); none where its signature has no one hash.
    pub(super) end_point: Option<Vec<u8>>,
}

impl Certificate {
    /// Reads chain and key. They must belong together, and be good at `now`.
    pub(super) fn read(pem: &Pem<'_>, now: Timestamp) -> Result<Self, TlsProblem> {
        let chain = certificates(pem.chain.0, pem.chain.1)?;
        let key = private_key(pem.key.0, pem.key.1)?;
        let source = pem.chain.0;
        let leaf = parse(source, &chain[0])?;
        let facts = facts(&leaf);
        let starts = moment(leaf.validity().not_before.timestamp());
        if now >= facts.expires {
            let wrong = format!("the certificate in {source} expired at {}", facts.expires);
            return Err(TlsProblem::new(wrong, "put a renewed one there"));
        }
        if now < starts {
            let wrong = format!("the certificate in {source} is not valid before {starts}");
            return Err(TlsProblem::new(wrong, "use it from then on, or set this machine's clock"));
        }
        if facts.names.is_empty() {
            let wrong = format!("the certificate in {source} has no DNS name (subjectAltName)");
            return Err(TlsProblem::new(wrong, "use one that was issued for a host name"));
        }
        let end_point = hash_of_signature(&leaf).map(|hash| digest(hash, &chain[0]).as_ref().to_vec());
        let key = any_supported_type(&key).map_err(|_| {
            let wrong = format!("the key in {} is of no kind that TLS uses", pem.key.0);
            TlsProblem::new(wrong, "use an RSA key of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519")
        })?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| mismatch(pem))?;
        Ok(Self { facts, certified: Arc::new(certified), end_point })
    }
}

fn mismatch(pem: &Pem<'_>) -> TlsProblem {
    let (chain, key) = (pem.chain.0, pem.key.0);
    let wrong = if chain == key {
        format!("the key in {key} does not belong to the first certificate there")
    } else {
        format!("the key in {key} does not belong to the first certificate in {chain}")
    };
    TlsProblem::new(wrong, "put the server's own certificate first, and the key that it was made with")
}

/// The certificates in a text; at least one.
pub(super) fn certificates(source: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let all = read.map_err(|error| {
        TlsProblem::new(
            format!("{source} is no PEM: {error}"),
            "use a file whose parts begin with `-----BEGIN CERTIFICATE-----`",
        )
    })?;
    if all.is_empty() {
        let wrong = format!("there is no certificate in {source}");
        return Err(TlsProblem::new(
            wrong,
            "use PEM with `-----BEGIN CERTIFICATE-----`, the server's own first",
        ));
    }
    Ok(all)
}

fn private_key(source: &str, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsProblem> {
    let read: Result<Vec<_>, _> = PrivateKeyDer::pem_slice_iter(text).collect();
    let right = "use PEM with one `-----BEGIN PRIVATE KEY-----`";
    // what the parser says could quote the key
    let mut keys = read.map_err(|_| TlsProblem::new(format!("the key in {source} is no PEM"), right))?;
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), more) => Err(TlsProblem::new(format!("there are {} keys in {source}", more + 1), right)),
        (None, _) if memchr::memmem::find(text, b"ENCRYPTED").is_some() => {
            let wrong = format!("the key in {source} is encrypted");
            Err(TlsProblem::new(
                wrong,
                "decrypt it (`openssl pkey`) into a file that only this user can read",
            ))
        }
        (None, _) => Err(TlsProblem::new(format!("there is no key in {source}"), right)),
    }
}

fn parse<'a>(source: &str, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, TlsProblem> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| {
        let wrong = format!("the first certificate in {source} cannot be read");
        TlsProblem::new(wrong, "put an X.509 certificate there")
    })
}

fn facts(leaf: &X509Certificate<'_>) -> CertificateFacts {
    let names = dns_names(leaf).map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect();
    CertificateFacts { names, expires: moment(leaf.validity().not_after.timestamp()) }
}

/// The DNS names among a certificate's alternative names.
pub(super) fn dns_names<'a>(certificate: &'a X509Certificate<'a>) -> impl Iterator<Item = &'a str> {
    alternative_names(certificate).iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    })
}

/// A certificate's alternative names (RFC 5280 §4.2.1.6).
pub(super) fn alternative_names<'a>(certificate: &'a X509Certificate<'a>) -> &'a [GeneralName<'a>] {
    let extension = certificate.subject_alternative_name().ok().flatten();
    extension.map_or(&[], |extension| extension.value.general_names.as_slice())
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

/// The hash of `tls-server-end-point`: that of the certificate's signature, and SHA-256 in place of MD5 and SHA-1 (RFC 5929 §4.1).
fn hash_of_signature(leaf: &X509Certificate<'_>) -> Option<&'static Algorithm> {
    match leaf.signature_algorithm.algorithm.to_id_string().as_str() {
        // MD5 and SHA-1 with RSA, SHA-1 with ECDSA; SHA-256 with either
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2" => Some(&SHA256),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(&SHA384),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(&SHA512),
        _ => None,
    }
}
