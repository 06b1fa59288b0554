//! Turns store URLs into adapters: the only file that names them. A URL's scheme picks the adapter.

mod absent;
mod needs;
mod open;
mod plan;
mod problems;
mod secrets;
mod stores;
mod url;

pub use needs::{Needs, Store};
pub use secrets::{SecretUrls, check_secret};
pub use stores::{Stores, TakeOverError};

use std::fmt;
use std::path::Path;

/// Where each store is, as the section `[stores]` of the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrls {
    /// The spool.
    pub spool: String,
    /// The queue of packs to prepare. Parameters: `visibility` (such as `120s`) and `max_receives`.
    pub queue_inbound: String,
    /// The queue of deliveries to make. Parameters likewise.
    pub queue_outbound: String,
    /// Delivery state and claims.
    pub state: String,
    /// Credentials, domains, suppressions, routes.
    pub directory: String,
    /// Signing keys.
    pub keys: String,
    /// Counters.
    pub counters: String,
}

impl StoreUrls {
    /// The embedded default: everything below one folder.
    pub fn below(folder: &Path) -> Self {
        let file = |name: &str| format!("file:{}", folder.join(name).display());
        Self {
            spool: file("spool"),
            queue_inbound: file("spoolway.db"),
            queue_outbound: file("spoolway.db"),
            state: file("spoolway.db"),
            directory: file("spoolway.db"),
            keys: file("keys"),
            counters: file("spoolway.db"),
        }
    }

    /// Finds every mistake that can be found without making or changing anything.
    pub fn check(&self) -> Result<(), WireError> {
        self.check_needed(Needs::all())
    }

    /// The same for the stores in `needs`. The others may be anything.
    pub fn check_needed(&self, needs: Needs) -> Result<(), WireError> {
        plan::Plan::new(self, needs).map(drop)
    }

    /// Whether old packs are there until somebody deletes them; a bucket does that by itself.
    pub fn packs_need_a_sweep(&self) -> bool {
        url::keeps_packs_for_ever(&self.spool)
    }
}

/// All that is wrong with the store URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// One for each mistake; at least one.
    pub problems: Vec<Problem>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key of the setting, such as `stores.spool`.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Whether the operating system forbids it.
    pub forbidden: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for WireError {}

#[cfg(test)]
mod tests;
