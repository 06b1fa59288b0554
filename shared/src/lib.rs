//! The vocabulary, ports and adapters that every part of Spoolway shares.
//!
//! Arrows inside: `mail ◀ job ◀ port ◀ adapters ◀ wire`. Only `wire` names adapters.

pub mod aws;
pub mod config;
pub mod directory;
pub mod dns;
pub mod embedded;
pub mod job;
pub mod lease;
pub mod limits;
pub mod mail;
pub mod order;
pub mod pack;
mod pkcs8;
pub mod port;
pub mod return_path;
pub mod system;
pub mod telemetry;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod wire;
