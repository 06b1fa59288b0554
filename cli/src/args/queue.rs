//! The command line of `spoolway queue`.

use std::time::Duration;

use clap::{Args, Subcommand};
use shared::config::Setting as _;
use shared::directory::{AddressPattern, DomainPattern, WaitingStatus};
use shared::mail::MessageId;

use super::{Place, message_id};
use crate::limits::LIST_ROWS;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  spoolway queue
  spoolway queue --tenant shop --status deferred --older 4h
  spoolway queue --list --reason 'mailbox full' --json
  spoolway queue retry --domain example.org
  spoolway queue hold --domain example.org --for 2h
  spoolway queue bounce 019aa4c3f1f07a3e8c6d2b1f0a9e8d7c-0 --because twice
  spoolway queue reroute --tenant shop --route smtp://relay.example:25
  spoolway queue reroute --all --route smart_host:relay --config spoolway.toml

A hand takes effect within a minute, and the trace of each message tells of
it. It does for mail that is in a queue only, too, which no filter lists.")]
pub(crate) struct Queue {
    #[command(subcommand)]
    pub(crate) action: Option<QueueAction>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// List single deliveries, in place of a line for each destination.
    #[arg(long)]
    pub(crate) list: bool,
    /// With --list: at most so many.
    #[arg(long, value_name = "N", default_value_t = LIST_ROWS, requires = "list")]
    pub(crate) limit: usize,
    /// With --list: go on where a list has ended, by what it said last.
    #[arg(long, value_name = "PLACE", requires = "list")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueAction {
    /// Try mail now that waits for its next attempt.
    Retry(HandArgs),
    /// Do not try mail until it is released; it goes back to its sender when its time is up.
    Hold {
        #[command(flatten)]
        hand: HandArgs,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// End a hold, or take a bounce back that has not been made yet, and try the mail now.
    Release(HandArgs),
    /// Give mail up, and tell its senders.
    Bounce {
        #[command(flatten)]
        hand: HandArgs,
        #[command(flatten)]
        lasting: Lasting,
        /// What the sender is told.
        #[arg(long, value_name = "TEXT", default_value = "")]
        because: String,
    },
    /// Send mail by another route from its next attempt on.
    Reroute {
        #[command(flatten)]
        hand: HandArgs,
        #[command(flatten)]
        lasting: Lasting,
        /// As in the configuration: mx, smtp://host:port, smart_host:NAME, inbox or discard.
        #[arg(long, value_name = "ROUTE")]
        route: String,
    },
    /// List the orders that are in force.
    Orders {
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// End an order for mail that is yet to come; mail that it was for already stays as it is.
    Revoke {
        /// As orders lists it.
        order: String,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which mail, and how.
#[derive(Debug, Args)]
pub(crate) struct HandArgs {
    /// Messages, by what 250 answered with: `queued as ID`.
    #[arg(value_name = "ID", value_parser = message_id)]
    pub(crate) ids: Vec<MessageId>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Mean all mail that waits.
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    /// Only tell what it would be done to.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask on a terminal, however many messages it is.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Lasting {
    /// Do the same to mail that is accepted in this time; a hold ends with it.
    #[arg(long = "for", value_name = "TIME", value_parser = time, conflicts_with = "ids")]
    pub(crate) lasting: Option<Duration>,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    /// Mail of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// Mail to this domain; *.example.org is for those below it.
    #[arg(long, visible_alias = "destination", value_name = "DOMAIN")]
    pub(crate) domain: Option<DomainPattern>,
    /// Mail of this sender: user@example.org, @example.org, or <> for nobody.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<AddressPattern>,
    /// Mail to this recipient, or to anybody @example.org.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Option<AddressPattern>,
    /// Mail that was accepted longer ago than this.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) older: Option<Duration>,
    /// Mail that is due.
    #[arg(long)]
    pub(crate) due: bool,
    /// Mail that is held, that is deferred after an attempt, or that waits for its first one.
    #[arg(long, value_name = "held|deferred|waiting", value_parser = status)]
    pub(crate) status: Option<WaitingStatus>,
    /// Mail whose last reply, or what it waits for, has this text in it, or whose failure has this class.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

impl FilterArgs {
    /// Whether nothing is named.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { tenant, domain, from, to, older, due, status, reason } = self;
        tenant.is_none()
            && domain.is_none()
            && from.is_none()
            && to.is_none()
            && older.is_none()
            && !due
            && status.is_none()
            && reason.is_none()
    }
}

fn time(text: &str) -> Result<Duration, String> {
    Duration::read(text).ok_or_else(|| format!("use {}", Duration::RIGHT))
}

fn status(text: &str) -> Result<WaitingStatus, &'static str> {
    match text {
        "held" => Ok(WaitingStatus::Held),
        "deferred" => Ok(WaitingStatus::Deferred),
        "waiting" => Ok(WaitingStatus::Waiting),
        _ => Err("use held, deferred or waiting"),
    }
}
