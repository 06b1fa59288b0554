//! Counts, first in memory and then with those of the other workers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use shared::mail::Timestamp;
use shared::port::{Clock, Count, Tallies, chain};
use tokio_util::sync::CancellationToken;

use super::observation::Seen;
use crate::deliver::{ObserveTls, TlsObservation};
use crate::limits::tls_report::{COUNTS_HELD_MAX, COUNTS_KEPT, FLUSH_PAUSE, HASH_DIGITS};

/// What a worker has seen of TLS. What it has not written yet is lost when the process is: reports are statistics.
pub struct TlsTally {
    tallies: Arc<dyn Tallies>,
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<(String, String), Counted>>,
}

#[derive(Clone)]
struct Counted {
    detail: String,
    n: u64,
}

/// The name of the book in which the day of `at` (UTC) is counted.
pub(super) fn book(at: Timestamp) -> String {
    format!("tls-report {}", day(at))
}

/// The day of `at` in UTC, such as `2026-11-25`.
pub(super) fn day(at: Timestamp) -> String {
    at.to_string().chars().take("2026-11-25".len()).collect()
}

impl TlsTally {
    /// A tally that writes to `tallies`.
    pub fn new(tallies: Arc<dyn Tallies>, clock: Arc<dyn Clock>) -> Self {
        Self { tallies, clock, held: Mutex::default() }
    }

    fn hold(&self, place: (String, String), counted: Counted) {
        let mut held = self.lock();
        if let Some(known) = held.get_mut(&place) {
            known.n += counted.n;
        } else if held.len() < COUNTS_HELD_MAX {
            held.insert(place, counted);
        }
    }

    /// Writes what was counted. What cannot be written is held for the next time; a count whose write is in doubt counts twice then.
    pub async fn flush(&self) {
        let held = std::mem::take(&mut *self.lock());
        let mut books: HashMap<String, Vec<Count>> = HashMap::new();
        for ((book, key), Counted { detail, n }) in held {
            books.entry(book).or_default().push(Count { key, detail, n });
        }
        for (book, counts) in books {
            let Err(cause) = self.tallies.add(&book, &counts, self.clock.now(), COUNTS_KEPT).await else {
                continue;
            };
            tracing::warn!(cause = chain(&cause), "what was seen of TLS could not be counted yet");
            for Count { key, detail, n } in counts {
                self.hold((book.clone(), key), Counted { detail, n });
            }
        }
    }

    /// Flushes every minute until `stop` is cancelled, and once more then.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let stopped = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = self.clock.sleep(FLUSH_PAUSE) => false,
            };
            self.flush().await;
            if stopped {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Counted>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where too many kinds are held already, a new one is not counted.
impl ObserveTls for TlsTally {
    fn observe(&self, observation: TlsObservation) {
        let seen = Seen::from(observation);
        let Ok(detail) = serde_json::to_string(&seen) else { return };
        let place = (book(self.clock.now()), key(&seen, &detail));
        self.hold(place, Counted { detail, n: 1 });
    }
}

/// Keys of one domain stand together, and in it those of one policy.
fn key(seen: &Seen, detail: &str) -> String {
    let policy = serde_json::to_string(&seen.policy).unwrap_or_default();
    format!("{} {} {}", seen.domain, hash(&policy), hash(detail))
}

fn hash(text: &str) -> String {
    let mut digits = String::with_capacity(HASH_DIGITS);
    for octet in &digest(&SHA256, text.as_bytes()).as_ref()[..HASH_DIGITS / 2] {
        let _ = write!(digits, "{octet:02x}");
    }
    digits
}
