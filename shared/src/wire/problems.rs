//! Mistakes, gathered so that all of them are told at once.

use super::{Problem, Store, WireError};
use crate::port::chain;

#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// `value`, or what is wrong with the store.
    pub(super) fn take<T>(&mut self, store: Store, value: Result<T, Vec<String>>) -> Option<T> {
        value.map_err(|messages| messages.into_iter().for_each(|message| self.add(store, message))).ok()
    }

    pub(super) fn add(&mut self, store: Store, message: String) {
        self.0.push(Problem { key: store.key(), message, forbidden: false });
    }

    /// Adds what the operating system says, unless another store has told it.
    pub(super) fn add_once(&mut self, store: Store, error: &std::io::Error) {
        let message = error.to_string();
        if self.0.iter().all(|known| known.message != message) {
            let forbidden = error.kind() == std::io::ErrorKind::PermissionDenied;
            self.0.push(Problem { key: store.key(), message, forbidden });
        }
    }

    /// Nothing, where there is no mistake.
    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError { problems: self.0 }) }
    }
}

/// An error as a mistake tells it.
pub(super) fn told(error: impl std::error::Error) -> Vec<String> {
    vec![chain(&error)]
}
