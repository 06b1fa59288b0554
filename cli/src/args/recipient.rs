//! The command line of `spoolway recipient`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use shared::directory::RecipientPattern;
use shared::mail::Domain;

use super::Place;

#[derive(Debug, Args)]
pub(crate) struct RecipientArgs {
    #[command(subcommand)]
    pub(crate) action: RecipientAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecipientAction {
    /// Take mail for these.
    #[command(after_help = "\
Examples:
  spoolway recipient add app@example.com 'sales-*@example.com'
  spoolway recipient add '*@example.net'
  spoolway recipient add --file recipients.txt

A * stands for any letters; local parts are compared without regard to case.
A file has one recipient a line.")]
    Add(RecipientNames),
    /// Take mail for these no longer.
    Remove(RecipientNames),
    /// List the recipients of a domain.
    List {
        /// The domain.
        domain: Domain,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Recipients, by name or in a file.
#[derive(Debug, Args)]
pub(crate) struct RecipientNames {
    /// Addresses and patterns.
    #[arg(value_name = "RECIPIENT", required_unless_present = "file")]
    pub(crate) recipients: Vec<RecipientPattern>,
    /// Read more of them from this file; - reads standard input.
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
