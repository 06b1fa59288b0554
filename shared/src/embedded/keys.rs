//! Signing keys as files: `<domain>/<selector>.pem`, PKCS #8 in PEM, readable by their owner alone.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;

use super::files::{self, NewFile, blocking, make_folder, sync_folder};
use crate::limits::embedded::KEY_OCTETS_MAX;
use crate::mail::Domain;
use crate::pkcs8::{algorithm, check_selector, from_pem, to_pem};
use crate::port::{Clock, Keys, PortError, PortResult, SigningKey};

const GET: &str = "the read of a signing key";
const PUT: &str = "the write of a signing key";
const DELETE: &str = "the deletion of a signing key";

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
        // above all nothing that leaves the folder
        check_selector(what, selector)?;
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

#[cfg(test)]
mod tests;
