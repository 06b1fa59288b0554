//! The contract of the spool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::fixture::{Belief, Pair};
use super::samples::pack_id;
use super::{Faults, Faulty, Fixture, Mode};
use crate::mail::PackId;
use crate::port::{Clock, PackInfo, PortResult, Spool};
use crate::system::SystemClock;

/// Checks the contract of [`Spool`].
pub async fn spool_suite(fixture: &dyn Fixture<dyn Spool>) {
    a_pack_is_seen_whole_through_every_handle(fixture).await;
    a_range_gives_what_the_pack_has_of_it(fixture).await;
    a_pack_that_is_there_stays_as_it_is(fixture).await;
    of_writers_that_race_one_wins_and_none_fails(fixture).await;
    a_streamed_pack_is_seen_only_when_it_is_finished(fixture).await;
    a_pack_given_up_leaves_nothing(fixture).await;
    readers_see_a_whole_pack_or_none(fixture).await;
    packs_are_listed_once_each_page_by_page(fixture).await;
    a_deleted_pack_is_gone_and_may_be_deleted_again(fixture).await;
    a_pack_set_aside_is_out_of_the_way(fixture).await;
    a_pack_whose_messages_are_held_is_a_pack_like_any_other(fixture).await;
    a_probe_leaves_nothing(fixture).await;
    packs_outlive_their_handles(fixture).await;
}

fn parts(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
}

async fn whole(spool: &dyn Spool, id: PackId) -> Option<Bytes> {
    let piece = spool.get(id, 0..u64::MAX).await.expect("a sound spool can be read")?;
    assert_eq!(piece.bytes.len() as u64, piece.pack_length);
    Some(piece.bytes)
}

async fn put(spool: &dyn Spool, text: &str) -> PackId {
    let id = pack_id();
    spool.put(id, parts(&[text])).await.expect("a sound spool takes a pack");
    id
}

/// All packs, three a page.
async fn listing(spool: &dyn Spool) -> Vec<PackInfo> {
    let mut found: Vec<PackInfo> = Vec::new();
    loop {
        let page =
            spool.list(found.last().map(|last| last.id), 3).await.expect("a sound spool can be listed");
        assert!(page.len() <= 3, "a page is no longer than was asked for");
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

async fn a_pack_is_seen_whole_through_every_handle(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let id = pack_id();
    assert_eq!(whole(&*b, id).await, None);
    a.put(id, parts(&["head", "", "body", "tail"])).await.expect("put");
    for handle in [&a, &b] {
        assert_eq!(whole(&**handle, id).await.as_deref(), Some(&b"headbodytail"[..]));
    }
    let empty = pack_id();
    a.put(empty, Vec::new()).await.expect("put");
    assert_eq!(whole(&*b, empty).await.as_deref(), Some(&b""[..]));
    // more parts than one system call takes
    let many = pack_id();
    a.put(many, vec![Bytes::from_static(b"0123456789"); 3000]).await.expect("put");
    assert_eq!(whole(&*b, many).await.map(|bytes| bytes == b"0123456789".repeat(3000)), Some(true));
}

async fn a_range_gives_what_the_pack_has_of_it(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let id = put(&*a, "0123456789").await;
    for (range, expected) in [
        (0..10, "0123456789"),
        (0..1, "0"),
        (3..7, "3456"),
        (9..10, "9"),
        (7..1000, "789"),
        (4..4, ""),
        (10..11, ""),
        (500..600, ""),
    ] {
        let piece = b.get(id, range.clone()).await.expect("get").expect("the pack is there");
        assert_eq!((&piece.bytes[..], piece.pack_length), (expected.as_bytes(), 10), "{range:?}");
    }
    assert_eq!(b.get(pack_id(), 0..1).await.expect("get"), None);
}

async fn a_pack_that_is_there_stays_as_it_is(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let id = put(&*a, "first").await;
    b.put(id, parts(&["second"])).await.expect("a pack that is there is no error");
    let mut writer = b.begin(id).await.expect("begin");
    writer.write(Bytes::from_static(b"third")).await.expect("write");
    writer.finish().await.expect("a pack that is there is no error");
    assert_eq!(whole(&*b, id).await.as_deref(), Some(&b"first"[..]));
}

async fn of_writers_that_race_one_wins_and_none_fails(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    for _ in 0..4 {
        let id = pack_id();
        let one = tokio::spawn({
            let a = Arc::clone(&a);
            async move { a.put(id, parts(&["one"])).await }
        });
        b.put(id, parts(&["two"])).await.expect("put");
        one.await.expect("the task ends").expect("put");
        let winner = whole(&*a, id).await.expect("one of them is there");
        assert!(&winner[..] == b"one" || &winner[..] == b"two");
        assert_eq!(whole(&*b, id).await, Some(winner));
    }
}

async fn a_streamed_pack_is_seen_only_when_it_is_finished(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let id = pack_id();
    let mut writer = a.begin(id).await.expect("begin");
    let mut expected = Vec::new();
    // over two of the largest pieces that a writer may hold back
    for n in 0..11_u8 {
        let piece = Bytes::from(vec![n; 1024 * 1024 + usize::from(n)]);
        expected.extend_from_slice(&piece);
        writer.write(piece).await.expect("write");
        assert_eq!(b.get(id, 0..1).await.expect("get"), None);
    }
    assert!(listing(&*b).await.is_empty());
    writer.finish().await.expect("finish");
    assert!(whole(&*b, id).await.expect("the pack is there") == expected, "the octets are those written");
}

async fn a_pack_given_up_leaves_nothing(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let id = pack_id();
    for give_up in [true, false] {
        let mut writer = a.begin(id).await.expect("begin");
        writer.write(Bytes::from(vec![7; 6 * 1024 * 1024])).await.expect("write");
        if give_up {
            writer.abort().await.expect("abort");
        }
    }
    assert_eq!(whole(&*b, id).await, None);
    assert!(listing(&*b).await.is_empty());
    b.put(id, parts(&["after all"])).await.expect("an id that was given up can be used");
    assert_eq!(whole(&*a, id).await.as_deref(), Some(&b"after all"[..]));
}

async fn readers_see_a_whole_pack_or_none(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let ids: Vec<PackId> = (0..16).map(|_| pack_id()).collect();
    let content = Bytes::from(vec![42; 300_000]);
    let writer = tokio::spawn({
        let (ids, content) = (ids.clone(), content.clone());
        async move {
            for id in ids {
                a.put(id, vec![content.slice(..100), content.slice(100..)]).await.expect("put");
            }
        }
    });
    for id in ids {
        while whole(&*b, id).await.is_none_or(|found| found != content) {
            assert_eq!(whole(&*b, id).await.filter(|found| *found != content), None, "half a pack");
            tokio::task::yield_now().await;
        }
    }
    writer.await.expect("the task ends");
}

async fn packs_are_listed_once_each_page_by_page(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    assert!(b.list(None, 10).await.expect("list").is_empty());
    let before = SystemClock.now();
    let mut lengths = BTreeMap::new();
    for n in 0..20 {
        let text = "x".repeat(n);
        lengths.insert(put(&*a, &text).await, text.len() as u64);
    }
    let listed = listing(&*b).await;
    let found: BTreeMap<_, _> = listed.iter().map(|info| (info.id, info.length)).collect();
    assert_eq!((listed.len(), found), (lengths.len(), lengths));
    let order = |listing: &[PackInfo]| listing.iter().map(|info| info.id).collect::<Vec<_>>();
    assert_eq!(order(&listing(&*a).await), order(&listed), "the order is the same for each call");
    for info in listed {
        // the clock of a store may differ from ours
        assert!(
            info.written_at.since(before).as_secs() < 900 && before.since(info.written_at).as_secs() < 900
        );
    }
}

async fn a_deleted_pack_is_gone_and_may_be_deleted_again(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (id, other) = (put(&*a, "goes").await, put(&*a, "stays").await);
    for _ in 0..2 {
        b.delete(id).await.expect("delete");
        assert_eq!(whole(&*a, id).await, None);
    }
    assert_eq!(listing(&*a).await.iter().map(|info| info.id).collect::<Vec<_>>(), [other]);
}

async fn a_pack_set_aside_is_out_of_the_way(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let id = put(&*a, "corrupt").await;
    for _ in 0..2 {
        b.set_aside(id).await.expect("set aside");
        assert_eq!(whole(&*a, id).await, None);
        assert!(listing(&*a).await.is_empty());
    }
    // the same id, corrupt once more
    a.put(id, parts(&["corrupt as well"])).await.expect("put");
    a.set_aside(id).await.expect("set aside");
    assert_eq!(whole(&*b, id).await, None);
}

async fn a_pack_whose_messages_are_held_is_a_pack_like_any_other(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let held = |days: u64| pack_id().held(SystemClock.now() + Duration::from_secs(days * 86_400));
    let (mut ids, mut plain) = (vec![held(30), held(1)], Vec::new());
    for id in &ids {
        a.put(*id, parts(&["0123456789"])).await.expect("put");
        a.put(*id, parts(&["second"])).await.expect("a pack that is there is no error");
    }
    for _ in 0..3 {
        plain.push(put(&*a, "plain").await);
    }
    let streamed = held(2);
    let mut writer = a.begin(streamed).await.expect("begin");
    for _ in 0..6 {
        writer.write(Bytes::from(vec![7; 1024 * 1024])).await.expect("write");
    }
    writer.finish().await.expect("finish");
    assert_eq!(whole(&*b, streamed).await.map(|bytes| bytes.len()), Some(6 * 1024 * 1024));
    let piece = b.get(ids[0], 3..7).await.expect("get").expect("the pack is there");
    assert_eq!((&piece.bytes[..], piece.pack_length), (&b"3456"[..], 10));
    assert_eq!(b.get(held(30), 0..1).await.expect("get"), None);

    ids.push(streamed);
    let all: BTreeSet<PackId> = ids.iter().chain(&plain).copied().collect();
    let listed = listing(&*b).await;
    assert_eq!((listed.len(), listed.iter().map(|info| info.id).collect::<BTreeSet<_>>()), (6, all));
    b.set_aside(ids[0]).await.expect("set aside");
    b.delete(streamed).await.expect("delete");
    let left: BTreeSet<PackId> = [ids[1]].into_iter().chain(plain).collect();
    assert_eq!(listing(&*a).await.iter().map(|info| info.id).collect::<BTreeSet<_>>(), left);
    assert_eq!(whole(&*a, ids[0]).await, None);
}

async fn a_probe_leaves_nothing(fixture: &dyn Fixture<dyn Spool>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    a.probe().await.expect("a sound spool is healthy");
    assert!(listing(&*b).await.is_empty());
}

async fn packs_outlive_their_handles(fixture: &dyn Fixture<dyn Spool>) {
    let pair = Pair::open(fixture).await;
    let id = put(&*pair.a, "lasting").await;
    let unfinished = pack_id();
    let mut writer = pair.a.begin(unfinished).await.expect("begin");
    writer.write(Bytes::from_static(b"half")).await.expect("write");
    drop(writer);
    let (_store, spool) = pair.reopen().await;
    assert_eq!(whole(&*spool, id).await.as_deref(), Some(&b"lasting"[..]));
    assert_eq!(whole(&*spool, unfinished).await, None);
}

/// Checks that packs which were said to be there are, whole; that those which were refused are not; and that
/// nothing else is.
pub async fn spool_under_faults(fixture: &dyn Fixture<dyn Spool>, seed: u64) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let faults = Faults::new(seed);
    let spool: Arc<dyn Spool> = Faulty::<dyn Spool>::new(a, &faults);
    faults.set(Mode::Random { probability: 0.3 });
    let mut beliefs = BTreeMap::new();
    for n in 0..120_usize {
        let (id, content) = (pack_id(), Bytes::from(vec![b'x'; n * 100]));
        let answer = match n % 3 {
            0 => streamed(&*spool, id, &content).await,
            _ => spool.put(id, vec![content.clone()]).await,
        };
        beliefs.insert(id, (Belief::of(&answer), content));
        if let Ok(Some(piece)) = spool.get(id, 0..u64::MAX).await {
            assert_eq!(piece.bytes.len(), n * 100, "a fault cuts no pack short");
        }
    }
    assert!(faults.failed() > 0, "the seed draws no fault at all");
    for (id, (belief, content)) in &beliefs {
        let found = whole(&*b, *id).await;
        belief.check("a pack", found.is_some());
        assert!(found.is_none_or(|found| found == *content), "a pack is there whole or not at all");
    }
    assert!(listing(&*b).await.iter().all(|info| beliefs.contains_key(&info.id)));
}

async fn streamed(spool: &dyn Spool, id: PackId, content: &Bytes) -> PortResult<()> {
    // nothing is visible before the finish, so up to then every failure is a certain one
    let begun = async {
        let mut writer = spool.begin(id).await?;
        for piece in content.chunks(1000) {
            writer.write(Bytes::copy_from_slice(piece)).await?;
        }
        PortResult::Ok(writer)
    };
    match begun.await {
        Ok(writer) => writer.finish().await,
        Err(error) => Err(crate::port::PortError::refused("the write of a pack", error)),
    }
}
