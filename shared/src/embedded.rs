//! The embedded default: files and SQLite on one machine, with nothing to install.
//!
//! What is `Ok` here outlives a killed process always, and a loss of power wherever the port asks for that.

mod claims;
mod counters;
mod database;
mod deliveries;
mod directory;
mod files;
mod keys;
mod lock;
mod queue;
mod spool;
mod tallies;

pub use counters::SqliteCounters;
pub use database::{Database, OpenError};
pub use deliveries::SqliteDeliveries;
pub use directory::SqliteDirectory;
pub(crate) use files::make_folder;
pub use keys::FileKeys;
pub use lock::{EdgeLock, LockError};
pub use queue::{QueueSettings, SqliteQueue};
pub use spool::FileSpool;
pub use tallies::SqliteTallies;
