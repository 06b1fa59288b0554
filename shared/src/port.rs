//! What Spoolway needs of the world, as narrow traits. Adapters implement them; nothing here names one.
//!
//! An expected outcome is a value. An error says what is known: see [`PortError`].

mod clock;
mod counters;
mod deliveries;
mod directory;
mod error;
mod ids;
mod keys;
mod merge;
mod notification;
mod obey;
mod queue;
mod resolver;
mod secrets;
mod spool;
mod tallies;

pub use clock::Clock;
pub use counters::{Counters, Mark, Taken, Window};
pub use deliveries::{
    Attempt, Cancel, Claim, DUE_SHARDS, Deliveries, DeliveryState, Feedback, FeedbackKind, Held, Next,
    Ordered, PendingCursor, Postponed, RecipientState, RecipientStatus, Record, Untried, Waiting, due_shard,
};
pub use directory::{Directory, Entry, EntryKind};
pub use error::{PortError, PortResult, chain};
pub use ids::Ids;
pub use keys::{KeyAlgorithm, Keys, SigningKey};
pub use notification::{Action, Notification, Telling};
pub use obey::Standing;
pub use queue::{BATCH_MAX, DELAY_MAX, Depth, Outgoing, Queue, Receipt, Received};
pub use resolver::{Answer, MxHost, ResolveError, Resolved, Resolver, Tlsa};
pub use secrets::{SecretText, Secrets};
pub use spool::{PackInfo, Piece, Spool, SpoolWriter};
pub use tallies::{Count, Tallies};
