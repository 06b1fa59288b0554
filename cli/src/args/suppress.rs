//! The command lines of `spoolway suppress` and `spoolway bounces`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use shared::config::Setting as _;
use shared::directory::SuppressionReason;
use shared::mail::{Domain, Mailbox};

use super::Place;
use super::credential::tenant;

#[derive(Debug, Args)]
pub(crate) struct SuppressArgs {
    #[command(subcommand)]
    pub(crate) action: SuppressAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SuppressAction {
    /// Send a tenant's mail to these no longer.
    #[command(after_help = "\
Examples:
  spoolway suppress add ann@example.org
  spoolway suppress add ann@example.org --tenant shop --source 'she asked'
  spoolway suppress add ann@example.org --for 30d

Local parts are compared without regard to case. Mail to such an address ends
as suppressed at once, and its sender is told as of a bounce.")]
    Add {
        /// The addresses.
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<Mailbox>,
        #[command(flatten)]
        tenant: Tenant,
        /// Why: hard-bounce, complaint or manual.
        #[arg(long, value_name = "REASON", default_value_t = SuppressionReason::Manual)]
        reason: SuppressionReason,
        /// Who or what asked for it, for people.
        #[arg(long, value_name = "TEXT", default_value = "")]
        source: String,
        /// For how long, as 30d or 12h [default: for good].
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Send mail to these again.
    Remove {
        /// The addresses.
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<Mailbox>,
        #[command(flatten)]
        tenant: Tenant,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the suppressed addresses of a tenant.
    List {
        /// Only those at this domain.
        domain: Option<Domain>,
        #[command(flatten)]
        tenant: Tenant,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Suppress all that a file names.
    #[command(after_help = "\
Examples:
  spoolway suppress import bounced.txt --reason hard-bounce
  spoolway suppress export | spoolway suppress import - --config other.toml

A line is an address, or an object of JSON, or a row of CSV. A first line with
a column `address` or `email` names the columns: also tenant, reason, source,
since and expires. What a line leaves out is as the options say.")]
    Import {
        /// The file; - reads standard input.
        file: PathBuf,
        #[command(flatten)]
        tenant: Tenant,
        /// Why: hard-bounce, complaint or manual.
        #[arg(long, value_name = "REASON", default_value_t = SuppressionReason::Manual)]
        reason: SuppressionReason,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write all suppressions, or those of a tenant, as CSV that `import` reads.
    Export {
        /// Only those of this tenant.
        #[arg(long, value_name = "NAME", value_parser = tenant)]
        tenant: Option<String>,
        #[command(flatten)]
        place: Place,
        /// An object of JSON a line, in place of CSV.
        #[arg(long)]
        json: bool,
    },
}

/// Whose mail is meant.
#[derive(Debug, Args)]
pub(crate) struct Tenant {
    /// Whose mail.
    #[arg(long = "tenant", value_name = "NAME", default_value = "default", value_parser = tenant)]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct BouncesArgs {
    #[command(subcommand)]
    pub(crate) action: BouncesAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BouncesAction {
    /// Make a new key for return paths; those before it vouch for what comes back still.
    #[command(after_help = "\
The new key signs a minute later, so that every process has seen it by then.
The four latest keys are kept: what was signed with an older one is no return
path any more. An edge on stores in files makes its first key by itself.")]
    Rotate {
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::read(text).filter(|time| !time.is_zero()).ok_or_else(|| format!("use {}", Duration::RIGHT))
}
