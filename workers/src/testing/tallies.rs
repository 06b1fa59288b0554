use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::mail::Timestamp;
use shared::port::{Count, PortError, PortResult, Tallies};

use super::Gate;

/// Tallies, by the port's contract, that never forget.
pub(crate) struct FakeTallies {
    gate: Arc<Gate>,
    pub(crate) counts: Mutex<BTreeMap<(String, String), Count>>,
    /// Additions that fail before the next one works.
    pub(crate) failures: Mutex<u32>,
}

impl FakeTallies {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, counts: Mutex::default(), failures: Mutex::default() }
    }
}

#[async_trait]
impl Tallies for FakeTallies {
    async fn add(&self, book: &str, counts: &[Count], _: Timestamp, _: Duration) -> PortResult<()> {
        self.gate.cross().await;
        {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(PortError::refused("the adding to tallies", "told to fail"));
            }
        }
        for count in counts {
            let mut known = self.counts.lock().unwrap();
            let new = Count { n: 0, ..count.clone() };
            known.entry((book.to_owned(), count.key.clone())).or_insert(new).n += count.n;
        }
        self.gate.cross().await;
        Ok(())
    }

    async fn read(&self, book: &str, after: Option<&str>, limit: usize) -> PortResult<Vec<Count>> {
        self.gate.cross().await;
        let counts = self.counts.lock().unwrap();
        let of_book = counts.iter().filter(|((of, _), _)| of == book).map(|(_, count)| count);
        let behind = of_book.filter(|count| after.is_none_or(|after| count.key.as_str() > after));
        Ok(behind.take(limit).cloned().collect())
    }

    async fn clear(&self, book: &str, keys: &[String]) -> PortResult<()> {
        self.gate.cross().await;
        for key in keys {
            self.counts.lock().unwrap().remove(&(book.to_owned(), key.clone()));
        }
        self.gate.cross().await;
        Ok(())
    }
}
