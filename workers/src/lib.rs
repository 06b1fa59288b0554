//! The stages behind the queues: prepare, deliver, sweep; and the loop that feeds them.

pub mod deliver;
pub mod dkim;
pub mod limits;
pub mod poll;
pub mod prepare;
mod stage;
pub mod sweep;

#[cfg(test)]
mod testing;

pub use stage::{Stage, Verdict};
