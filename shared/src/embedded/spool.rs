//! The spool as a folder: `packs/<shard>/<pack id>`, written in `new/<shard>/`; what cannot be read lies in `corrupt/`.

mod cached;

use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::files::{
    NewFile, blocking, certainly_not_done, make_folder, remove, remove_leftovers, spread_folders_of,
    sync_folder, system_time, timestamp,
};
use crate::limits::embedded::HELD_BACK_OCTETS;
use crate::mail::{PackId, Timestamp};
use crate::port::{Clock, PackInfo, Piece, PortError, PortResult, Spool, SpoolWriter};

/// A spool in a folder of one file system.
pub struct FileSpool {
    folders: Arc<Folders>,
    clock: Arc<dyn Clock>,
}

struct Folders {
    packs: PathBuf,
    new: PathBuf,
    corrupt: PathBuf,
}

impl FileSpool {
    /// Opens the spool in `folder`, makes what is not there yet and removes what writers that died have left.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let spool = Self::open_existing(folder, clock);
        let Folders { packs, new, corrupt } = &*spool.folders;
        for folder in [packs, new, corrupt] {
            make_folder(folder)?;
        }
        spread_folders_of(new);
        // all shards now, so that a put has one folder to sync and not three
        for folder in [packs, new] {
            for shard in 0..=u8::MAX {
                match fs::create_dir(folder.join(format!("{shard:02x}"))) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
            sync_folder(folder)?;
        }
        remove_leftovers(new, spool.clock.now())?;
        Ok(spool)
    }

    /// The spool in `folder`, where nothing is made: one that is not there has no packs.
    pub fn open_existing(folder: &Path, clock: Arc<dyn Clock>) -> Self {
        let [packs, new, corrupt] = ["packs", "new", "corrupt"].map(|name| folder.join(name));
        Self { folders: Arc::new(Folders { packs, new, corrupt }), clock }
    }
}

impl Folders {
    fn shard(&self, id: PackId) -> PathBuf {
        self.packs.join(id.shard())
    }

    fn pack(&self, id: PackId) -> PathBuf {
        self.shard(id).join(id.to_string())
    }

    /// A file for a pack that is to be written.
    fn begin(&self, id: PackId) -> io::Result<NewFile> {
        NewFile::create(&self.new.join(id.shard()), &id.to_string())
    }
}

const PUT: &str = "the write of a pack";
const READ: &str = "the read of a pack";
const LIST: &str = "the listing of the packs";
const DELETE: &str = "the deletion of a pack";
const SET_ASIDE: &str = "setting a pack aside";
const PROBE: &str = "the probe of the spool";

#[async_trait]
impl Spool for FileSpool {
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()> {
        let (folders, now) = (Arc::clone(&self.folders), self.clock.now());
        blocking(PUT, move || {
            let begin = || {
                let mut file = folders.begin(id)?;
                file.write(&parts)?;
                Ok(file)
            };
            publish(begin().map_err(|error: io::Error| PortError::refused(PUT, error))?, &folders, id, now)
        })
        .await
    }

    async fn begin(&self, id: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        let (folders, clock) = (Arc::clone(&self.folders), Arc::clone(&self.clock));
        let file = blocking(PUT, move || {
            let file = folders.begin(id);
            Ok((file.map_err(|error| PortError::refused(PUT, error))?, folders))
        });
        let (file, folders) = file.await?;
        Ok(Box::new(FileWriter { id, folders, clock, file: Some(file), held: Vec::new(), held_octets: 0 }))
    }

    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        let path = self.folders.pack(id);
        if let Some(piece) = cached::read(&path, &range) {
            return Ok(Some(piece));
        }
        blocking(READ, move || read(&path, range).map_err(|error| PortError::refused(READ, error))).await
    }

    async fn delete(&self, id: PackId) -> PortResult<()> {
        let path = self.folders.pack(id);
        // No fsync: a pack that a loss of power brings back is deleted by its age again.
        blocking(DELETE, move || remove(DELETE, &path).map(drop)).await
    }

    async fn list(&self, after: Option<PackId>, limit: usize) -> PortResult<Vec<PackInfo>> {
        let folders = Arc::clone(&self.folders);
        blocking(LIST, move || {
            list(&folders.packs, after, limit).map_err(|error| PortError::refused(LIST, error))
        })
        .await
    }

    async fn set_aside(&self, id: PackId) -> PortResult<()> {
        let folders = Arc::clone(&self.folders);
        blocking(SET_ASIDE, move || set_aside(&folders, id)).await
    }

    async fn probe(&self) -> PortResult<()> {
        let folders = Arc::clone(&self.folders);
        blocking(PROBE, move || {
            let probe = || {
                let mut file = NewFile::create(&folders.new, "probe")?;
                file.write(&[Bytes::from_static(b"probe")])?;
                file.file().sync_all()
            };
            probe().map_err(|error: io::Error| PortError::refused(PROBE, error))
        })
        .await
    }
}

fn publish(file: NewFile, folders: &Folders, id: PackId, now: Timestamp) -> PortResult<()> {
    let times = FileTimes::new().set_modified(system_time(now));
    file.file().set_times(times).map_err(|error| PortError::refused(PUT, error))?;
    file.publish(PUT, &folders.pack(id)).map(drop)
}

fn read(path: &Path, range: Range<u64>) -> io::Result<Option<Piece>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let pack_length = file.metadata()?.len();
    let range = range.start.min(pack_length)..range.end.min(pack_length);
    let length = range.end.saturating_sub(range.start);
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    if length > 0 {
        file.seek(SeekFrom::Start(range.start))?;
        file.take(length).read_to_end(&mut bytes)?;
    }
    Ok(Some(Piece { bytes: bytes.into(), pack_length }))
}

/// Packs are listed by shard, and by id within one.
fn list(packs: &Path, after: Option<PackId>, limit: usize) -> io::Result<Vec<PackInfo>> {
    let mut found = Vec::new();
    let first = after.map_or(0, |after| u8::from_str_radix(&after.shard(), 16).unwrap_or(0));
    for shard in first..=u8::MAX {
        let folder = packs.join(format!("{shard:02x}"));
        let mut ids = ids_in(&folder)?;
        ids.retain(|id| shard > first || after.is_none_or(|after| *id > after));
        ids.sort_unstable();
        for id in ids {
            if found.len() >= limit {
                return Ok(found);
            }
            match fs::metadata(folder.join(id.to_string())) {
                Ok(file) => {
                    let written_at = timestamp(file.modified()?);
                    found.push(PackInfo { id, length: file.len(), written_at });
                }
                // deleted in the meantime
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

fn ids_in(folder: &Path) -> io::Result<Vec<PackId>> {
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = Vec::new();
    for file in files {
        // a file of another name is none of ours
        ids.extend(file?.file_name().to_str().and_then(|name| name.parse::<PackId>().ok()));
    }
    Ok(ids)
}

fn set_aside(folders: &Folders, id: PackId) -> PortResult<()> {
    let failed = |error: io::Error| {
        if certainly_not_done(&error) {
            PortError::refused(SET_ASIDE, error)
        } else {
            PortError::unknown(SET_ASIDE, error)
        }
    };
    let pack = folders.pack(id);
    // a link, as a rename would replace what was set aside under this name before
    for n in 0_u32.. {
        let aside = match n {
            0 => folders.corrupt.join(id.to_string()),
            n => folders.corrupt.join(format!("{id}.{n}")),
        };
        match fs::hard_link(&pack, aside) {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::NotFound && !pack.exists() => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
    // its second name must be durable before the first one goes
    sync_folder(&folders.corrupt).map_err(|error| PortError::unknown(SET_ASIDE, error))?;
    remove(SET_ASIDE, &pack)?;
    sync_folder(&folders.shard(id)).map_err(|error| PortError::unknown(SET_ASIDE, error))
}

struct FileWriter {
    id: PackId,
    folders: Arc<Folders>,
    clock: Arc<dyn Clock>,
    /// `None` once a write has failed, or was given up half way: the file has a hole then.
    file: Option<NewFile>,
    held: Vec<Bytes>,
    held_octets: usize,
}

impl FileWriter {
    async fn flush(&mut self) -> PortResult<NewFile> {
        let broken = || PortError::refused(PUT, "an earlier write of this pack failed");
        let (file, held) = (self.file.take(), std::mem::take(&mut self.held));
        self.held_octets = 0;
        let mut file = file.ok_or_else(broken)?;
        blocking(PUT, move || match file.write(&held) {
            Ok(()) => Ok(file),
            Err(error) => Err(PortError::refused(PUT, error)),
        })
        .await
    }
}

#[async_trait]
impl SpoolWriter for FileWriter {
    async fn write(&mut self, bytes: Bytes) -> PortResult<()> {
        self.held_octets += bytes.len();
        self.held.push(bytes);
        if self.held_octets >= HELD_BACK_OCTETS {
            self.file = Some(self.flush().await?);
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> PortResult<()> {
        let file = self.flush().await?;
        let (id, folders, now) = (self.id, Arc::clone(&self.folders), self.clock.now());
        blocking(PUT, move || publish(file, &folders, id, now)).await
    }

    async fn abort(mut self: Box<Self>) -> PortResult<()> {
        self.file = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
