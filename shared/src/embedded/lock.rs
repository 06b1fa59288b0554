//! Who works the queues of a data folder: one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::limits::embedded::OWNER_OCTETS_MAX;

const FILE_NAME: &str = "edge.lock";

/// The right to work the queues of a data folder. The kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct EdgeLock {
    _file: File,
}

/// Why the lock was not given.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another spoolway ({owner}) works on {}: stop it, or use another data folder", folder.display())]
    Held {
        /// The folder.
        folder: PathBuf,
        /// The other process, as it names itself.
        owner: String,
    },
    /// The lock file could not be used.
    #[error("the lock of {} could not be taken", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

impl EdgeLock {
    /// Takes the lock of `folder`, which must be there, or tells who has it.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let failed = |cause| LockError::Io { folder: folder.to_owned(), cause };
        let path = folder.join(FILE_NAME);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = file.take(OWNER_OCTETS_MAX).read_to_string(&mut owner);
                return Err(LockError::Held { folder: folder.to_owned(), owner: owner.trim().to_owned() });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        // for the message above only, so it need not be durable
        let owner = format!("process {}\n", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        file.write_all(owner.as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_until_that_one_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let lock = EdgeLock::acquire(folder.path()).unwrap();
        let error = EdgeLock::acquire(folder.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        EdgeLock::acquire(folder.path()).unwrap();
    }
}
