//! The vocabulary, ports and adapters that every part of Spoolway shares.
//!
//! Arrows inside: `mail ◀ job ◀ port ◀ adapters ◀ wire`. Only `wire` names adapters.

pub mod dns;
pub mod job;
pub mod mail;
pub mod pack;
pub mod port;
