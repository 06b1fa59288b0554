//! Signing keys as files: `<domain>/<selector>.pem`, PKCS #8 in PEM, readable by their owner alone.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::files::{self, NewFile, blocking, make_folder, sync_folder};
use crate::limits::embedded::{KEY_OCTETS_MAX, SELECTOR_OCTETS_MAX};
use crate::mail::Domain;
use crate::port::{Clock, KeyAlgorithm, Keys, PortError, PortResult, SigningKey};

const GET: &str = "the read of a signing key";
const PUT: &str = "the write of a signing key";
const DELETE: &str = "the deletion of a signing key";

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// Mode bits of group and others.
const OTHERS: u32 = 0o077;

/// Signing keys in a folder.
pub struct FileKeys {
    folder: PathBuf,
    new: PathBuf,
}

impl FileKeys {
    /// Opens the keys in `folder`, makes it where it is not there, and removes what writers that died have left.
    pub fn open(folder: &Path, clock: &dyn Clock) -> io::Result<Self> {
        let keys = Self::open_existing(folder);
        make_folder(&keys.folder)?;
        make_folder(&keys.new)?;
        files::remove_leftovers(&keys.new, clock.now())?;
        Ok(keys)
    }

    /// The keys in `folder`, where nothing is made: a folder that is not there has none.
    pub fn open_existing(folder: &Path) -> Self {
        // no domain begins with a dot
        Self { folder: folder.to_owned(), new: folder.join(".new") }
    }

    fn path(&self, what: &'static str, domain: &Domain, selector: &str) -> PortResult<PathBuf> {
        // RFC 6376 §3.1: labels with dots between them; here above all nothing that leaves the folder
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if selector.len() > SELECTOR_OCTETS_MAX || !selector.split('.').all(is_label) {
            return Err(PortError::refused(
                what,
                "a selector is made of letters, digits, - and _, with dots between",
            ));
        }
        Ok(self.folder.join(domain.as_str()).join(format!("{}.pem", selector.to_ascii_lowercase())))
    }
}

#[async_trait]
impl Keys for FileKeys {
    async fn get(&self, domain: &Domain, selector: &str) -> PortResult<Option<SigningKey>> {
        let path = self.path(GET, domain, selector)?;
        blocking(GET, move || read(&path).map_err(|error| PortError::refused(GET, error))).await
    }

    async fn put(&self, domain: &Domain, selector: &str, key: &SigningKey) -> PortResult<bool> {
        let path = self.path(PUT, domain, selector)?;
        if algorithm(&key.pkcs8) != Some(key.algorithm) {
            return Err(PortError::refused(
                PUT,
                "the key is not PKCS #8 of the algorithm it is said to be for",
            ));
        }
        let (new, pem) = (self.new.clone(), Bytes::from(to_pem(&key.pkcs8)));
        blocking(PUT, move || {
            let begin = || {
                path.parent().map_or(Ok(()), make_folder)?;
                let mut file = NewFile::create(&new, "key")?;
                file.write(&[pem])?;
                Ok(file)
            };
            let file = begin().map_err(|error: io::Error| PortError::refused(PUT, error))?;
            file.publish(PUT, &path)
        })
        .await
    }

    async fn delete(&self, domain: &Domain, selector: &str) -> PortResult<bool> {
        let path = self.path(DELETE, domain, selector)?;
        blocking(DELETE, move || {
            let removed = files::remove(DELETE, &path)?;
            match path.parent().map_or(Ok(()), sync_folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(PortError::unknown(DELETE, error)),
                _ => Ok(removed),
            }
        })
        .await
    }
}

fn read(path: &Path) -> io::Result<Option<SigningKey>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.permissions().mode() & OTHERS != 0 {
        let path = path.display();
        let message = format!(
            "others than its owner can read {path}: run chmod 600 on it, and replace the key if they did"
        );
        return Err(io::Error::new(ErrorKind::PermissionDenied, message));
    }
    let mut pem = String::new();
    file.take(KEY_OCTETS_MAX).read_to_string(&mut pem)?;
    let wrong = || format!("{} is no PKCS #8 PEM file of an RSA or Ed25519 key", path.display());
    let pkcs8 = from_pem(&pem).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, wrong()))?;
    let algorithm = algorithm(&pkcs8).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, wrong()))?;
    Ok(Some(SigningKey { algorithm, pkcs8 }))
}

fn to_pem(pkcs8: &[u8]) -> String {
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

fn from_pem(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let base64: String = body.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    STANDARD.decode(base64).ok()
}

/// The algorithm that a `PrivateKeyInfo` names (RFC 5958 §2): `SEQUENCE { INTEGER version, SEQUENCE { OID …`.
fn algorithm(pkcs8: &[u8]) -> Option<KeyAlgorithm> {
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

#[cfg(test)]
mod tests;
