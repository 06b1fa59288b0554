use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::system::SystemClock;
use crate::testkit::ManualClock;
use crate::testkit::samples::pack_id;

fn spool() -> (tempfile::TempDir, FileSpool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = FileSpool::open(folder.path(), Arc::new(SystemClock)).unwrap();
    (folder, spool)
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn being_written(spool: &Path) -> usize {
    let shards = fs::read_dir(spool.join("new")).unwrap();
    shards.map(|shard| count(&shard.unwrap().path())).sum()
}

#[tokio::test]
async fn a_pack_lies_in_its_shard_for_its_owner_alone_and_nothing_stays_in_new() {
    let (folder, spool) = spool();
    let id = pack_id();
    spool.put(id, vec![Bytes::from_static(b"pack")]).await.unwrap();
    spool.put(id, vec![Bytes::from_static(b"again")]).await.unwrap();
    let path = folder.path().join("packs").join(id.shard()).join(id.to_string());
    assert_eq!(fs::read(&path).unwrap(), b"pack");
    let modes = [&path, path.parent().unwrap().parent().unwrap()]
        .map(|path| fs::metadata(path).unwrap().permissions().mode() & 0o777);
    assert_eq!(modes, [0o600, 0o700]);
    assert_eq!(being_written(folder.path()), 0);
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_no_file() {
    let (folder, spool) = spool();
    let mut writer = spool.begin(pack_id()).await.unwrap();
    writer.write(Bytes::from(vec![0; HELD_BACK_OCTETS * 2])).await.unwrap();
    assert_eq!(being_written(folder.path()), 1);
    drop(writer);
    assert_eq!(being_written(folder.path()), 0);
}

#[tokio::test]
async fn what_is_set_aside_twice_is_kept_twice() {
    let (folder, spool) = spool();
    let id = pack_id();
    for text in ["one", "two"] {
        spool.put(id, vec![Bytes::from(text)]).await.unwrap();
        spool.set_aside(id).await.unwrap();
    }
    let aside = |name: String| fs::read_to_string(folder.path().join("corrupt").join(name)).unwrap();
    assert_eq!((aside(id.to_string()), aside(format!("{id}.1"))), ("one".to_owned(), "two".to_owned()));
}

#[tokio::test]
async fn leftovers_of_the_dead_go_at_the_next_opening_and_those_of_the_living_stay() {
    let (folder, spool) = spool();
    let writer = spool.begin(pack_id()).await.unwrap();
    let old = folder.path().join("new/0a/0193f6cd2c007000800000000000000a.1.0");
    fs::write(&old, "half a pack").unwrap();
    let long_ago = system_time(SystemClock.now() - std::time::Duration::from_secs(7200));
    File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    FileSpool::open(folder.path(), Arc::new(SystemClock)).unwrap();
    assert_eq!((old.exists(), being_written(folder.path())), (false, 1));
    writer.finish().await.unwrap();
}

#[tokio::test]
async fn a_pack_tells_when_it_was_written_by_the_clock_of_the_edge() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let spool = FileSpool::open(folder.path(), clock.clone()).unwrap();
    spool.put(pack_id(), vec![]).await.unwrap();
    assert_eq!(spool.list(None, 10).await.unwrap()[0].written_at, clock.now());
}

#[tokio::test]
async fn a_put_that_cannot_begin_is_refused_and_one_that_cannot_be_named_too() {
    let (folder, spool) = spool();
    let id = pack_id();
    fs::remove_dir(folder.path().join("packs").join(id.shard())).unwrap();
    let answer = spool.put(id, vec![Bytes::from_static(b"pack")]).await;
    assert!(matches!(answer, Err(PortError::Refused { .. })));
    assert_eq!(being_written(folder.path()), 0);
    fs::remove_dir_all(folder.path().join("new")).unwrap();
    assert!(matches!(spool.put(id, vec![]).await, Err(PortError::Refused { .. })));
    assert!(matches!(spool.begin(id).await, Err(PortError::Refused { .. })));
    assert!(matches!(spool.probe().await, Err(PortError::Refused { .. })));
}

#[tokio::test]
async fn a_spool_that_is_only_looked_at_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let spool = FileSpool::open_existing(&folder.path().join("spool"), Arc::new(SystemClock));
    assert!(spool.list(None, 10).await.unwrap().is_empty());
    assert_eq!(spool.get(pack_id(), 0..1).await.unwrap(), None);
    assert_eq!(count(folder.path()), 0);
}
