//! The contract of the directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::Pair;
use super::samples::unique;
use super::{Faults, Faulty, Fixture, Mode};
use crate::port::{Directory, Entry, EntryKind, PortError};

/// Checks the contract of [`Directory`].
pub async fn directory_suite(fixture: &dyn Fixture<dyn Directory>) {
    an_entry_is_seen_through_every_handle(fixture).await;
    an_entry_takes_the_place_of_one_with_its_kind_and_name(fixture).await;
    entries_are_listed_by_name_page_by_page(fixture).await;
    a_deletion_tells_whether_there_was_an_entry(fixture).await;
    entries_outlive_their_handles(fixture).await;
}

const KINDS: [EntryKind; 6] = [
    EntryKind::Credential,
    EntryKind::Domain,
    EntryKind::Recipient,
    EntryKind::Suppression,
    EntryKind::Route,
    EntryKind::Fleet,
];

fn entry(kind: EntryKind, name: &str, value: Value) -> Entry {
    Entry { kind, name: name.to_owned(), value }
}

async fn an_entry_is_seen_through_every_handle(fixture: &dyn Fixture<dyn Directory>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let value = json!({"text": "\u{fc} \"x\"", "list": [1, null, true], "nested": {"a": 1.5}});
    for kind in KINDS {
        assert_eq!(b.get(kind, "name").await.expect("get"), None);
        let written = entry(kind, "name", value.clone());
        a.put(written.clone()).await.expect("put");
        assert_eq!(b.get(kind, "name").await.expect("get"), Some(written));
    }
    let largest = entry(EntryKind::Domain, &"n".repeat(512), json!("v".repeat(64 * 1024 - 2)));
    a.put(largest.clone()).await.expect("an entry of the largest size");
    assert_eq!(b.get(largest.kind, &largest.name).await.expect("get"), Some(largest));
    for wrong in [
        entry(EntryKind::Domain, &"n".repeat(513), json!(1)),
        entry(EntryKind::Domain, "wide", json!("v".repeat(64 * 1024))),
    ] {
        let answer = a.put(wrong.clone()).await;
        assert!(matches!(answer, Err(PortError::Refused { .. })), "an entry that is too large");
        assert_eq!(b.get(wrong.kind, &wrong.name).await.expect("get"), None);
    }
}

async fn an_entry_takes_the_place_of_one_with_its_kind_and_name(fixture: &dyn Fixture<dyn Directory>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    a.put(entry(EntryKind::Domain, "name", json!(1))).await.expect("put");
    a.put(entry(EntryKind::Route, "name", json!("other kind"))).await.expect("put");
    b.put(entry(EntryKind::Domain, "name", json!(2))).await.expect("put");
    let found = a.get(EntryKind::Domain, "name").await.expect("get").expect("it is there");
    assert_eq!(found.value, json!(2));
    let other = a.get(EntryKind::Route, "name").await.expect("get").expect("it is there");
    assert_eq!(other.value, json!("other kind"));
}

async fn entries_are_listed_by_name_page_by_page(fixture: &dyn Fixture<dyn Directory>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    // spaces come first, as the names of recipients have it
    let names = ["a", "a  *", "a !", "a b", "a-b", "a.b", "aa", "b", "c-1", "c-10", "c-2"];
    for name in names.iter().rev() {
        a.put(entry(EntryKind::Domain, name, json!(name))).await.expect("put");
        a.put(entry(EntryKind::Route, &format!("r{name}"), json!(0))).await.expect("put");
    }
    let mut found: Vec<Entry> = Vec::new();
    loop {
        let after = found.last().map(|last| last.name.as_str());
        let page = b.list(EntryKind::Domain, after, 3).await.expect("list");
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), names);
    assert!(found.iter().all(|entry| entry.value == json!(entry.name) && entry.kind == EntryKind::Domain));
    assert!(b.list(EntryKind::Credential, None, 3).await.expect("list").is_empty());
}

async fn a_deletion_tells_whether_there_was_an_entry(fixture: &dyn Fixture<dyn Directory>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    a.put(entry(EntryKind::Suppression, "x@example.org", json!({}))).await.expect("put");
    assert!(!b.delete(EntryKind::Route, "x@example.org").await.expect("delete"));
    assert!(b.delete(EntryKind::Suppression, "x@example.org").await.expect("delete"));
    assert!(!a.delete(EntryKind::Suppression, "x@example.org").await.expect("delete"));
    assert_eq!(a.get(EntryKind::Suppression, "x@example.org").await.expect("get"), None);
}

async fn entries_outlive_their_handles(fixture: &dyn Fixture<dyn Directory>) {
    let pair = Pair::open(fixture).await;
    pair.a.put(entry(EntryKind::Route, "lasting", json!(1))).await.expect("put");
    let (_store, directory) = pair.reopen().await;
    assert!(directory.get(EntryKind::Route, "lasting").await.expect("get").is_some());
}

/// Checks that an entry is always one of those that may have been written since the last write that was answered.
pub async fn directory_under_faults(fixture: &dyn Fixture<dyn Directory>, seed: u64) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let faults = Faults::new(seed);
    let directory: Arc<dyn Directory> = Faulty::<dyn Directory>::new(a, &faults);
    faults.set(Mode::Random { probability: 0.3 });
    // for each name, what may be there
    let mut possible: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
    let names: Vec<String> = (0..5).map(|_| unique("name")).collect();
    for n in 0..150_u64 {
        let name = &names[usize::try_from(n % 5).unwrap_or(0)];
        let (new, answer) = if n % 7 == 6 {
            (None, directory.delete(EntryKind::Domain, name).await.map(drop))
        } else {
            (Some(n), directory.put(entry(EntryKind::Domain, name, json!(n))).await)
        };
        let known = possible.entry(name.clone()).or_insert_with(|| vec![None]);
        match answer {
            Ok(()) => *known = vec![new],
            Err(PortError::Unknown { .. }) => known.push(new),
            Err(PortError::Refused { .. }) => {}
        }
        let found = b.get(EntryKind::Domain, name).await.expect("get").and_then(|entry| entry.value.as_u64());
        assert!(known.contains(&found), "{found:?} is there, and only {known:?} can be");
    }
    assert!(faults.failed() > 0, "the seed draws no fault at all");
}
