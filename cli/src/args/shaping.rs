//! The command line of `spoolway shaping`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use shared::mail::Domain;

use super::Place;

#[derive(Debug, Args)]
pub(crate) struct ShapingArgs {
    #[command(subcommand)]
    pub(crate) action: ShapingAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShapingAction {
    /// Tell which rule gives which number for a domain, and until when its mail waits.
    #[command(after_help = "\
Examples:
  spoolway shaping explain example.org
  spoolway shaping explain example.org --tenant shop --config spoolway.toml

What is left of a rate is what no worker has taken yet; each takes some ahead.")]
    Explain {
        /// The domain of the recipients.
        domain: Domain,
        /// Also what holds for the mail of this tenant.
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell whether a file of rules is good.
    Check {
        /// The rules, in TOML.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
}
