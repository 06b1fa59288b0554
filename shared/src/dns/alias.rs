//! CNAMEs that are followed one by one: what is at the end is as secure as the weakest link, and kept as long as the shortest.

use std::time::Duration;

use crate::port::{Answer, ResolveError, Resolved};

/// The links so far.
#[derive(Debug, Default)]
pub(super) struct Links {
    insecure: bool,
    ttl: Option<Duration>,
}

impl Links {
    /// Adds the answer that a name is an alias.
    pub(super) fn add<T>(&mut self, alias: &Answer<T>) {
        self.insecure |= !alias.secure;
        self.ttl = Some(self.ttl.map_or(alias.ttl, |ttl| ttl.min(alias.ttl)));
    }

    /// What was found behind them.
    pub(super) fn lead_to<T>(&self, found: Resolved<T>) -> Resolved<T> {
        match found {
            Ok(answer) => Ok(Answer {
                secure: answer.secure && !self.insecure,
                ttl: self.ttl.map_or(answer.ttl, |ttl| ttl.min(answer.ttl)),
                ..answer
            }),
            Err(ResolveError::NoSuchName { secure }) => {
                Err(ResolveError::NoSuchName { secure: secure && !self.insecure })
            }
            Err(error) => Err(error),
        }
    }
}
