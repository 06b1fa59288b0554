//! Files that are there whole or not at all, whatever becomes of the process that writes them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::limits::embedded::LEFTOVER_AGE;
use crate::mail::Timestamp;
use crate::port::{PortError, PortResult};

/// Mail and keys are their owner's business.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Runs file system work off the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    // work that was begun runs to its end even if nobody waits for it; only a panic or the runtime's end gets here
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(PortError::unknown(what, error)))
}

/// Makes sure that a folder is there, and durably so, its parents included. An error names the folder that could not be made.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    make_folder(parent)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !folder.is_dir() => {
            let text = match error.kind() {
                ErrorKind::AlreadyExists => format!("{} is there and is not a folder", folder.display()),
                _ => format!("{} cannot be made: {error}", folder.display()),
            };
            return Err(io::Error::new(error.kind(), text));
        }
        _ => {}
    }
    sync_folder(parent)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Asks the file system to lay the folders that are made in `folder` far from each other, as their files have nothing to do with each
/// other. ext4 gives a file an inode of its folder's group, and without a journal passes over every inode there that was
/// freed within minutes: in one group with the packs of all shards, that was a third of all CPU. What does not know the flag goes without.
pub(super) fn spread_folders_of(folder: &Path) {
    let Ok(folder) = File::open(folder) else { return };
    if let Ok(flags) = ioctl_getflags(&folder) {
        let _ = ioctl_setflags(&folder, flags | IFlags::TOPDIR);
    }
}

/// Makes an empty file for its owner alone, where there is none; tells whether it did.
pub(super) fn make_empty(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file being written where nobody looks for it. Dropped unpublished, it is removed.
pub(super) struct NewFile {
    path: PathBuf,
    file: File,
}

impl NewFile {
    /// Creates a file in `folder`, which must be of the file system that the file is to be published in.
    pub(super) fn create(folder: &Path, name: &str) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let process = std::process::id();
        loop {
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{name}.{process}.{n}"));
            let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path);
            match file {
                Ok(file) => return Ok(Self { path, file }),
                // left by a dead process that had our number
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Adds octets at the end, without bringing them together first.
    pub(super) fn write(&mut self, parts: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            match self.file.write_vectored(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the octets durable, and only then the name `target`; `false` where that name was taken, which stays as it is.
    pub(super) fn publish(self, what: &'static str, target: &Path) -> PortResult<bool> {
        // After a failed fsync the octets may be anything (and a second fsync would not tell), but nobody can see them.
        self.file.sync_all().map_err(|error| PortError::refused(what, error))?;
        // a link, as a rename would replace what is there
        let new = match fs::hard_link(&self.path, target) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) if certainly_not_done(&error) => return Err(PortError::refused(what, error)),
            Err(error) => return Err(PortError::unknown(what, error)),
        };
        // Also for a name that was there: whoever made it may not have come to this line. If it fails, the
        // name is seen now and perhaps not after a loss of power; taking it back could fail in the same way.
        sync_folder(target.parent().unwrap_or(target)).map_err(|error| PortError::unknown(what, error))?;
        Ok(new)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // what cannot be removed is removed by age, at the next start
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the kernel turned a change of a folder down before it touched anything.
pub(super) fn certainly_not_done(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::TooManyLinks
            | ErrorKind::CrossesDevices
            | ErrorKind::InvalidFilename
            | ErrorKind::Unsupported
    )
}

/// Removes a file; tells whether it was there.
pub(super) fn remove(what: &'static str, path: &Path) -> PortResult<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if certainly_not_done(&error) => Err(PortError::refused(what, error)),
        Err(error) => Err(PortError::unknown(what, error)),
    }
}

/// Removes what writers that died have left in `folder` and the folders in it.
pub(super) fn remove_leftovers(folder: &Path, now: Timestamp) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_leftovers(&file.path(), now)?;
            continue;
        }
        let written_at = file.metadata().and_then(|found| found.modified());
        if written_at.is_ok_and(|at| timestamp(at) < now - LEFTOVER_AGE) {
            // another process may be removing the same file
            let _ = fs::remove_file(file.path());
        }
    }
    Ok(())
}

/// A file's time as ours.
pub(super) fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::from_millis(0) + at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Our time as a file's.
pub(super) fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + at.since(Timestamp::from_millis(0))
}
