//! The contract of the tallies.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::Pair;
use super::samples::{NOW, unique};
use super::{Faults, Faulty, Fixture, Mode};
use crate::port::{Count, PortError, Tallies};

/// Checks the contract of [`Tallies`].
pub async fn tallies_suite(fixture: &dyn Fixture<dyn Tallies>) {
    counts_add_up_and_keep_their_first_detail(fixture).await;
    a_book_is_read_in_order_and_in_pages(fixture).await;
    what_is_cleared_is_counted_anew(fixture).await;
    nothing_is_lost_where_many_add(fixture).await;
    counts_outlive_their_handles(fixture).await;
}

const DAY: Duration = Duration::from_secs(86_400);

fn count(key: &str, n: u64) -> Count {
    Count { key: key.to_owned(), detail: format!("detail of {key}"), n }
}

async fn all(tallies: &Arc<dyn Tallies>, book: &str) -> Vec<(String, u64)> {
    let counts = tallies.read(book, None, 1000).await.expect("read");
    counts.into_iter().map(|count| (count.key, count.n)).collect()
}

async fn counts_add_up_and_keep_their_first_detail(fixture: &dyn Fixture<dyn Tallies>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let (book, other) = (unique("book"), unique("book"));
    assert_eq!(all(&a, &book).await, []);
    a.add(&book, &[count("x", 2), count("y", 1)], NOW, DAY).await.expect("add");
    b.add(&book, &[Count { detail: "another".to_owned(), ..count("x", 3) }], NOW, DAY).await.expect("add");
    b.add(&book, &[], NOW, DAY).await.expect("add");
    b.add(&other, &[count("x", 7)], NOW, DAY).await.expect("add");
    assert_eq!(b.read(&book, None, 9).await.expect("read"), [count("x", 5), count("y", 1)]);
    assert_eq!(all(&a, &other).await, [("x".to_owned(), 7)]);
}

async fn a_book_is_read_in_order_and_in_pages(fixture: &dyn Fixture<dyn Tallies>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let book = unique("book");
    let mut wanted: Vec<Count> = (0..25).map(|n| count(&format!("{:02} é", n * 7 % 25), n + 1)).collect();
    a.add(&book, &wanted, NOW, DAY).await.expect("add");
    wanted.sort_by(|one, other| one.key.cmp(&other.key));
    let mut read: Vec<Count> = Vec::new();
    loop {
        let after = read.last().map(|last| last.key.clone());
        let page = b.read(&book, after.as_deref(), 10).await.expect("read");
        assert!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, wanted);
}

async fn what_is_cleared_is_counted_anew(fixture: &dyn Fixture<dyn Tallies>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let book = unique("book");
    a.add(&book, &[count("x", 2), count("y", 1)], NOW, DAY).await.expect("add");
    b.clear(&book, &["x".to_owned(), "never there".to_owned()]).await.expect("clear");
    assert_eq!(all(&a, &book).await, [("y".to_owned(), 1)]);
    a.add(&book, &[count("x", 1)], NOW, DAY).await.expect("add");
    assert_eq!(all(&b, &book).await, [("x".to_owned(), 1), ("y".to_owned(), 1)]);
}

async fn nothing_is_lost_where_many_add(fixture: &dyn Fixture<dyn Tallies>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let book = unique("book");
    let adding = (0..30).map(|n| {
        let (tallies, book) = (Arc::clone(if n % 2 == 0 { &a } else { &b }), book.clone());
        tokio::spawn(async move { tallies.add(&book, &[count("x", 1)], NOW, DAY).await.expect("add") })
    });
    for adding in adding.collect::<Vec<_>>() {
        adding.await.expect("the task ends");
    }
    assert_eq!(all(&a, &book).await, [("x".to_owned(), 30)]);
}

async fn counts_outlive_their_handles(fixture: &dyn Fixture<dyn Tallies>) {
    let pair = Pair::open(fixture).await;
    let book = unique("book");
    pair.a.add(&book, &[count("x", 4)], NOW, DAY).await.expect("add");
    let (_store, tallies) = pair.reopen().await;
    assert_eq!(all(&tallies, &book).await, [("x".to_owned(), 4)]);
}

/// Checks that a sum is no less than what was certainly added, and no more than what may have been.
pub async fn tallies_under_faults(fixture: &dyn Fixture<dyn Tallies>, seed: u64) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let faults = Faults::new(seed);
    let tallies: Arc<dyn Tallies> = Faulty::<dyn Tallies>::new(a, &faults);
    faults.set(Mode::Random { probability: 0.3 });
    let book = unique("book");
    let (mut certain, mut doubtful) = (0, 0);
    for _ in 0..100 {
        match tallies.add(&book, &[count("x", 1)], NOW, DAY).await {
            Ok(()) => certain += 1,
            Err(PortError::Unknown { .. }) => doubtful += 1,
            Err(PortError::Refused { .. }) => {}
        }
    }
    assert!(faults.failed() > 0, "the seed draws no fault at all");
    let sum = all(&b, &book).await[0].1;
    assert!((certain..=certain + doubtful).contains(&sum), "{certain} {doubtful} {sum}");
}
