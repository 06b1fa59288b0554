//! The contract of the counters.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::Pair;
use super::samples::{NOW, unique};
use super::{Faults, Faulty, Fixture, Mode};
use crate::port::{Counters, Mark, PortError, Taken, Window};

/// Checks the contract of [`Counters`].
pub async fn counters_suite(fixture: &dyn Fixture<dyn Counters>) {
    tokens_are_taken_all_or_none(fixture).await;
    a_window_ends_with_its_period(fixture).await;
    names_and_periods_are_counted_apart(fixture).await;
    the_limit_is_the_one_of_the_call(fixture).await;
    takers_that_compete_never_get_more_than_there_is(fixture).await;
    counts_outlive_their_handles(fixture).await;
    a_mark_is_there_until_its_time_or_the_next_one(fixture).await;
    marks_outlive_their_handles_and_are_no_windows(fixture).await;
}

const MINUTE: Duration = Duration::from_secs(60);

fn window(limit: u64) -> Window {
    Window { name: unique("window"), limit, period: MINUTE }
}

async fn tokens_are_taken_all_or_none(fixture: &dyn Fixture<dyn Counters>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let window = window(10);
    assert_eq!(a.take(&window, 4, NOW).await.expect("take"), Taken::Granted { left: 6 });
    assert_eq!(b.take(&window, 7, NOW).await.expect("take"), Taken::Exhausted { until: NOW + MINUTE });
    assert_eq!(b.take(&window, 0, NOW).await.expect("take"), Taken::Granted { left: 6 });
    assert_eq!(a.take(&window, 6, NOW).await.expect("take"), Taken::Granted { left: 0 });
    assert_eq!(b.take(&window, 1, NOW).await.expect("take"), Taken::Exhausted { until: NOW + MINUTE });
    assert!(matches!(a.take(&window, u64::MAX, NOW).await.expect("take"), Taken::Exhausted { .. }));
}

async fn a_window_ends_with_its_period(fixture: &dyn Fixture<dyn Counters>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let window = window(3);
    // periods are counted from the epoch, and this moment begins one
    assert_eq!(NOW.millis() % 60_000, 0);
    let last = NOW + Duration::from_millis(59_999);
    assert_eq!(a.take(&window, 3, last).await.expect("take"), Taken::Granted { left: 0 });
    assert_eq!(b.take(&window, 1, NOW).await.expect("take"), Taken::Exhausted { until: NOW + MINUTE });
    assert_eq!(b.take(&window, 1, NOW + MINUTE).await.expect("take"), Taken::Granted { left: 2 });
    // one whose clock is a little behind
    assert_eq!(a.take(&window, 1, last).await.expect("take"), Taken::Exhausted { until: NOW + MINUTE });
}

async fn names_and_periods_are_counted_apart(fixture: &dyn Fixture<dyn Counters>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let one = window(1);
    let other = window(1);
    let longer = Window { period: MINUTE * 60, ..one.clone() };
    for window in [&one, &other, &longer] {
        assert_eq!(a.take(window, 1, NOW).await.expect("take"), Taken::Granted { left: 0 });
        assert!(matches!(b.take(window, 1, NOW).await.expect("take"), Taken::Exhausted { .. }));
    }
}

async fn the_limit_is_the_one_of_the_call(fixture: &dyn Fixture<dyn Counters>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let small = window(2);
    let large = Window { limit: 5, ..small.clone() };
    assert_eq!(a.take(&large, 3, NOW).await.expect("take"), Taken::Granted { left: 2 });
    assert!(matches!(b.take(&small, 1, NOW).await.expect("take"), Taken::Exhausted { .. }));
    assert_eq!(b.take(&large, 2, NOW).await.expect("take"), Taken::Granted { left: 0 });
}

async fn takers_that_compete_never_get_more_than_there_is(fixture: &dyn Fixture<dyn Counters>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let window = window(25);
    let takers = (0..40).map(|n| {
        let (counters, window) = (Arc::clone(if n % 2 == 0 { &a } else { &b }), window.clone());
        tokio::spawn(async move { counters.take(&window, 1, NOW).await.expect("take") })
    });
    let mut granted = 0;
    for taker in takers.collect::<Vec<_>>() {
        granted += u32::from(matches!(taker.await.expect("the task ends"), Taken::Granted { .. }));
    }
    assert_eq!(granted, 25);
}

async fn counts_outlive_their_handles(fixture: &dyn Fixture<dyn Counters>) {
    let pair = Pair::open(fixture).await;
    let window = window(1);
    pair.a.take(&window, 1, NOW).await.expect("take");
    let (_store, counters) = pair.reopen().await;
    assert!(matches!(counters.take(&window, 1, NOW).await.expect("take"), Taken::Exhausted { .. }));
}

async fn a_mark_is_there_until_its_time_or_the_next_one(fixture: &dyn Fixture<dyn Counters>) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let mark = Mark { name: unique("mark"), value: "why: \"überall\"\n".to_owned(), until: NOW + MINUTE };
    assert_eq!(b.marked(&mark.name, NOW).await.expect("marked"), None);
    a.mark(&mark).await.expect("mark");
    assert_eq!(b.marked(&mark.name, NOW).await.expect("marked"), Some(mark.clone()));
    assert_eq!(b.marked(&unique("mark"), NOW).await.expect("marked"), None);
    let shorter = Mark { value: String::new(), until: NOW + MINUTE / 2, ..mark.clone() };
    b.mark(&shorter).await.expect("mark");
    assert_eq!(
        a.marked(&mark.name, NOW).await.expect("marked"),
        Some(shorter.clone()),
        "the last one counts"
    );
    assert_eq!(a.marked(&mark.name, shorter.until).await.expect("marked"), None, "it ends with its time");
    let long = Mark { value: "x".repeat(crate::limits::MARK_OCTETS_MAX + 1), ..mark };
    assert!(matches!(a.mark(&long).await, Err(PortError::Refused { .. })));
}

async fn marks_outlive_their_handles_and_are_no_windows(fixture: &dyn Fixture<dyn Counters>) {
    let pair = Pair::open(fixture).await;
    let window = window(1);
    let mark = Mark { name: window.name.clone(), value: "1".to_owned(), until: NOW + MINUTE };
    pair.a.mark(&mark).await.expect("mark");
    let (_store, counters) = pair.reopen().await;
    assert_eq!(counters.take(&window, 1, NOW).await.expect("take"), Taken::Granted { left: 0 });
    assert_eq!(counters.marked(&mark.name, NOW).await.expect("marked"), Some(mark));
}

/// Checks that what is left is no more than what was certainly taken leaves, and no less than what may have been.
pub async fn counters_under_faults(fixture: &dyn Fixture<dyn Counters>, seed: u64) {
    let Pair { a, b, store: _store } = Pair::open(fixture).await;
    let faults = Faults::new(seed);
    let counters: Arc<dyn Counters> = Faulty::<dyn Counters>::new(a, &faults);
    faults.set(Mode::Random { probability: 0.3 });
    let window = window(1000);
    let (mut certain, mut doubtful) = (0, 0);
    for _ in 0..100 {
        match counters.take(&window, 2, NOW).await {
            Ok(_) => certain += 2,
            Err(PortError::Unknown { .. }) => doubtful += 2,
            Err(PortError::Refused { .. }) => {}
        }
    }
    assert!(faults.failed() > 0, "the seed draws no fault at all");
    let Taken::Granted { left } = b.take(&window, 0, NOW).await.expect("take") else {
        panic!("100 takes of 2 do not exhaust 1,000");
    };
    assert!((certain..=certain + doubtful).contains(&(1000 - left)));
}
