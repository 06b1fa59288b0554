//! The stages behind the queues: prepare, deliver, sweep; and the loop that feeds them.

pub mod deliver;
pub mod limits;
pub mod poll;
mod stage;
pub mod sweep;

#[cfg(test)]
mod testing;

pub use stage::{Stage, Verdict};
