//! The command line of `spoolway credential`.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};
use shared::config::{Octets, Setting as _};
use shared::directory::{Rate, SenderPattern};

use super::Place;
use crate::limits::{CREDENTIAL_NAME_OCTETS_MAX, TENANT_OCTETS_MAX};

#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    #[command(subcommand)]
    pub(crate) action: CredentialAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialAction {
    /// Make a credential and print its secret, this once.
    #[command(after_help = "\
Examples:
  spoolway credential add shop --from '@example.com'
  spoolway credential add shop --tenant shop --from '@example.com' \\
    --rate 100/s --quota 100000/day --recipients 50 --size 10MiB

A sender is one address, @example.com, @*.example.com (every domain below it)
or *. Both MAIL FROM and the From field must be one of those named.")]
    Add {
        #[command(flatten)]
        new: NewCredential,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the credentials.
    List {
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a credential, but for its secret, which is not kept.
    Show(CredentialName),
    /// Give a credential a new secret and print it, this once.
    Rotate(CredentialName),
    /// Make a credential useless within a minute, and keep it to be seen.
    Revoke(CredentialName),
    /// Delete a credential; it is useless within a minute.
    Remove(CredentialName),
}

/// A credential to be made.
#[derive(Debug, Args)]
pub(crate) struct NewCredential {
    /// What the app calls itself: its user name.
    #[arg(value_parser = credential_name)]
    pub(crate) name: String,
    /// Whom its messages are accounted to [default: default].
    #[arg(long, value_name = "NAME", value_parser = tenant)]
    pub(crate) tenant: Option<String>,
    /// What it may send as; may be given several times.
    #[arg(long, value_name = "SENDER", required = true)]
    pub(crate) from: Vec<SenderPattern>,
    /// How many messages in each second, minute or hour: 100/s, 5000/m, 20000/h.
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<Rate>,
    /// How many messages in a longer time: 100000/day.
    #[arg(long, value_name = "RATE")]
    pub(crate) quota: Option<Rate>,
    /// How many recipients a message may have.
    #[arg(long, value_name = "N")]
    pub(crate) recipients: Option<NonZeroUsize>,
    /// How large a message may be: 512KiB, 10MiB.
    #[arg(long, value_name = "SIZE", value_parser = octets)]
    pub(crate) size: Option<Octets>,
    /// Keep the secret itself too, which CRAM-MD5 cannot do without.
    #[arg(long)]
    pub(crate) cram_md5: bool,
}

/// A credential that is there.
#[derive(Debug, Args)]
pub(crate) struct CredentialName {
    /// The credential.
    #[arg(value_parser = credential_name)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A name that SASL takes as it stands, and that a terminal shows.
fn credential_name(text: &str) -> Result<String, &'static str> {
    let fits = (1..=CREDENTIAL_NAME_OCTETS_MAX).contains(&text.len())
        && text.bytes().all(|octet| octet.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("use up to 255 printable ASCII characters without spaces") }
}

/// A name that a queue can group messages by.
pub(crate) fn tenant(text: &str) -> Result<String, &'static str> {
    let fits = (1..=TENANT_OCTETS_MAX).contains(&text.len())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("use up to 64 letters, digits, dots, hyphens and underscores")
    }
}

fn octets(text: &str) -> Result<Octets, String> {
    Octets::read(text).filter(|octets| octets.0 > 0).ok_or_else(|| format!("use {}", Octets::RIGHT))
}
