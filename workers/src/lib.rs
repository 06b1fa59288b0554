//! The stages behind the queues: prepare, deliver, sweep; and the loop that feeds them.

pub mod deliver;
pub mod dkim;
pub mod limits;
pub mod prepare;
mod stage;

pub use stage::{Stage, Verdict};
