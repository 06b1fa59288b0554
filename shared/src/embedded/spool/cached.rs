//! Reads that need not wait for the disk: what was written a moment ago lies in the kernel's memory, and to hand its read to
//! another thread costs more than the read.

use std::ops::Range;
use std::path::Path;

use crate::port::Piece;

/// A piece of the file, where path and octets are in memory; `None` where the disk would have to be asked, or nobody knows.
#[cfg(target_os = "linux")]
pub(super) fn read(path: &Path, range: &Range<u64>) -> Option<Piece> {
    use std::io::IoSliceMut;

    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
    use rustix::io::{ReadWriteFlags, preadv2};

    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
    let pack_length = u64::try_from(fstat(&file).ok()?.st_size).ok()?;
    let start = range.start.min(pack_length);
    let length = usize::try_from(range.end.min(pack_length).saturating_sub(start)).ok()?;
    let mut bytes = vec![0; length];
    if length > 0 {
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut bytes)], start, ReadWriteFlags::NOWAIT).ok()?;
        if read < length {
            return None;
        }
    }
    Some(Piece { bytes: bytes.into(), pack_length })
}

/// A piece of the file, where path and octets are in memory; other systems do not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn read(_: &Path, _: &Range<u64>) -> Option<Piece> {
    None
}
