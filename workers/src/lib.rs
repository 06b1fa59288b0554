//! The stages behind the queues: prepare, deliver, sweep; the loop that feeds them, and the function that a cloud service feeds.

pub mod deliver;
pub mod dkim;
mod fairness;
pub mod lambda;
pub mod limits;
pub mod orders;
pub mod poll;
pub mod prepare;
mod stage;
pub mod sweep;
pub mod tls_report;

#[cfg(test)]
mod testing;

pub use stage::{Stage, Verdict};
