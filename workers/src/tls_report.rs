//! SMTP TLS reporting (RFC 8460): what TLS with each domain's servers came to is counted, and once a day told to those who ask for it in
//! the DNS.
//!
//! Arrows inside: `observation` ◀ `tally` (counts in memory, and then in the tallies) ◀ `daily` (which reads a day's back, and has it
//! told) ▶ `report` (the JSON), `rua` (who wants it), `mail` and `post` (the two ways to them).

mod daily;
mod mail;
mod observation;
mod post;
mod report;
mod rua;
mod tally;

use shared::mail::Mailbox;

pub use daily::{Reports, ReportsPorts};
pub use post::{HttpsPost, Post, PostError};
pub use tally::TlsTally;

/// Whom reports are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportsSettings {
    /// The address that reports come from and answers go to. Its domain signs them, where it has a key.
    pub from: Mailbox,
    /// The organization's name.
    pub organization: String,
    /// The name of this edge.
    pub hostname: String,
}
