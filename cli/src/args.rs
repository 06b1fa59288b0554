//! The command line.

mod credential;
mod queue;
mod recipient;
mod shaping;
mod suppress;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use shared::config::Setting as _;
use shared::mail::{Domain, Mailbox, MessageId, PackId, ReversePath};
use shared::telemetry::LogFilter;
use workers::deliver::Route;

use crate::exit::CODES;
use crate::settings::Role;

pub(crate) use credential::tenant;
pub(crate) use credential::{CredentialAction, CredentialArgs, CredentialName, NewCredential};
pub(crate) use queue::{FilterArgs, HandArgs, Lasting, Queue, QueueAction};
pub(crate) use recipient::{RecipientAction, RecipientArgs, RecipientNames};
pub(crate) use shaping::{ShapingAction, ShapingArgs};
pub(crate) use suppress::{BouncesAction, BouncesArgs, SuppressAction, SuppressArgs};

/// Where data lies unless something else is said.
pub(crate) const DATA: &str = "./.spoolway";
const SMTP: &str = "127.0.0.1:2525";

/// A serverless SMTP edge: takes mail, keeps it safe, signs it, delivers it, and can tell what became of it.
#[derive(Debug, Parser)]
#[command(name = "spoolway", version, after_help = CODES, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an edge for development: nothing to set up, no mail leaves this machine.
    Dev(Dev),
    /// Run an edge as a configuration says.
    Serve(Serve),
    /// Tell the whole story of a message.
    Trace(Trace),
    /// Show what waits to be delivered, and lay hands on it.
    Queue(Box<Queue>),
    /// Take back a message that is held and not released yet.
    Cancel(Cancel),
    /// Sign the mail of a domain.
    Domain(DomainArgs),
    /// Let apps authenticate, and say what they may send.
    Credential(CredentialArgs),
    /// Say whom mail from anybody is taken for.
    Recipient(RecipientArgs),
    /// Say whom mail is not sent to.
    Suppress(SuppressArgs),
    /// Look after the return paths that bounces come back to.
    Bounces(BouncesArgs),
    /// Tell how much goes to a destination at a time, and why mail waits.
    Shaping(ShapingArgs),
    /// Submit a file over SMTP.
    Send(Send),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spoolway dev
  spoolway dev --smtp 127.0.0.1:25 --data /tmp/mail
  spoolway dev --route '*=smtp://127.0.0.1:1025' --route 'example.org=discard'

A target is mx (the domain's own servers), smtp://host:port, inbox (files) or
discard. The most specific DOMAIN wins: a.example.org, *.example.org, then *.")]
pub(crate) struct Dev {
    /// Listen for SMTP here; a loopback address, because mail for anywhere is taken from anyone.
    #[arg(long, value_name = "ADDR", default_value = SMTP, value_parser = socket_address)]
    pub(crate) smtp: SocketAddr,
    /// Keep data in this folder.
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// How mail for a domain leaves [default: *=inbox].
    #[arg(long, value_name = "DOMAIN=TARGET")]
    pub(crate) route: Vec<RouteRule>,
    /// The name this edge goes by.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(crate) hostname: Domain,
    /// Answer GET /metrics and GET /health here.
    #[arg(long, value_name = "ADDR", value_parser = socket_address)]
    pub(crate) http: Option<SocketAddr>,
    /// What to log: a level, or directives such as info,ingress=debug.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogFilter,
    /// Say what is running as JSON, on one line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spoolway serve --config spoolway.toml
  spoolway serve --config spoolway.toml --check
  spoolway serve --config spoolway.toml --role prepare,deliver
  SPOOLWAY_HOSTNAME=mx.example.com spoolway serve

Every setting can also be given as an environment variable, which wins:
retry.lifetime is SPOOLWAY_RETRY_LIFETIME. spoolway.example.toml lists all.")]
pub(crate) struct Serve {
    /// The configuration; without it, the environment says everything.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Do only a part of what an edge does, in place of the setting roles: ingress, prepare, deliver, sweep.
    #[arg(long, value_name = "ROLES", value_delimiter = ',', value_parser = role)]
    pub(crate) role: Vec<Role>,
    /// Only tell whether the configuration is good.
    #[arg(long)]
    pub(crate) check: bool,
    /// With --check: answer as JSON. Else: say what is running as JSON, on one line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which edge is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The data folder of the edge [default: ./.spoolway].
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration of the edge.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spoolway trace 019aa4c3f1f07a3e8c6d2b1f0a9e8d7c-0
  spoolway trace 019aa4c3f1f07a3e8c6d2b1f0a9e8d7c-0 --json | jq .status")]
pub(crate) struct Trace {
    /// What 250 answered with: `queued as ID`.
    #[arg(value_name = "ID", value_parser = message_id)]
    pub(crate) id: MessageId,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spoolway cancel 019aa4c3f1f08a3e8c6d2b1f0a9e8d7c-0
  spoolway cancel 019aa4c3f1f08a3e8c6d2b1f0a9e8d7c-0 --config spoolway.toml

A message is held where its client asked for it (HOLDFOR or HOLDUNTIL, RFC
4865). Its sender is not told. Once it is released it is too late (exit code
65); in the first moments after its 250 it may be too early (exit code 75).")]
pub(crate) struct Cancel {
    /// What 250 answered with: `queued as ID`.
    #[arg(value_name = "ID", value_parser = message_id)]
    pub(crate) id: MessageId,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DomainArgs {
    #[command(subcommand)]
    pub(crate) action: DomainAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DomainAction {
    /// Make an RSA-2048 and an Ed25519 key for a domain, and print the DNS records to publish.
    #[command(after_help = "\
Examples:
  spoolway domain add example.com
  spoolway domain add example.com --selector mail --config spoolway.toml")]
    Add {
        /// The domain of the From addresses to sign.
        #[arg(value_parser = signed_domain)]
        name: Domain,
        /// Call the keys NAMEr (RSA) and NAMEe (Ed25519) [default: s and the date, as s20261121].
        #[arg(long, value_name = "NAME")]
        selector: Option<String>,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the domains that are signed for.
    List {
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the DNS records of a domain again.
    Show {
        /// The domain.
        name: Domain,
        #[command(flatten)]
        place: Place,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spoolway send --from a@example.com --to b@example.org --file message.eml
  printf 'Subject: hello\\n\\nIt works.\\n' |
    spoolway send --from a@example.com --to b@example.org --file - -v

The file is sent as it is, but for its line ends, which become CRLF.")]
pub(crate) struct Send {
    /// Who is told when the message cannot be delivered; <> for nobody.
    #[arg(long, value_name = "ADDRESS", value_parser = reverse_path)]
    pub(crate) from: ReversePath,
    /// Who gets it; may be given several times.
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<Mailbox>,
    /// The message with its headers; - reads standard input.
    #[arg(long, value_name = "PATH")]
    pub(crate) file: PathBuf,
    /// The server to submit it to.
    #[arg(long, value_name = "HOST:PORT", default_value = SMTP, value_parser = server)]
    pub(crate) server: String,
    /// Show the dialogue on standard error.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write it as IP:PORT, such as 127.0.0.1:2525 or [::1]:2525")
}

fn role(text: &str) -> Result<Role, String> {
    Role::read(text).ok_or_else(|| format!("use {}", Role::RIGHT))
}

/// A host and a port to look up and connect to.
fn server(text: &str) -> Result<String, &'static str> {
    let wrong = "write it as HOST:PORT, such as mail.example.com:25, 127.0.0.1:2525 or [::1]:2525";
    let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
    // in brackets, an address of IPv6; without them, nobody could tell its end from the port
    let host_is_good = if host.contains([':', '[']) {
        text.parse::<SocketAddr>().is_ok()
    } else {
        !host.is_empty() && !host.contains(char::is_whitespace)
    };
    let port_is_good = port.parse::<u16>().is_ok_and(|port| port != 0);
    if host_is_good && port_is_good { Ok(text.to_owned()) } else { Err(wrong) }
}

fn message_id(text: &str) -> Result<MessageId, String> {
    text.parse().map_err(|error: shared::mail::IdError| match text.parse::<PackId>() {
        Ok(pack) => format!("it is a pack, which holds messages; the first of them is {pack}-0"),
        Err(_) => error.to_string(),
    })
}

/// A domain that a From address can have and DNS records be published for.
fn signed_domain(text: &str) -> Result<Domain, String> {
    let domain = Domain::parse(text).map_err(|error| error.to_string())?;
    if domain.literal().is_some() || text.parse::<std::net::IpAddr>().is_ok() {
        return Err("it is an address; only a domain can be signed for".to_owned());
    }
    Ok(domain)
}

fn reverse_path(text: &str) -> Result<ReversePath, shared::mail::AddressError> {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    ReversePath::try_from(inner.to_owned())
}

/// `DOMAIN=TARGET`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteRule {
    pub(crate) pattern: String,
    pub(crate) route: Route,
}

impl std::str::FromStr for RouteRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, route) = text.split_once('=').ok_or("write it as DOMAIN=TARGET, such as *=inbox")?;
        let route = route.parse().map_err(|error: workers::deliver::RouteError| error.to_string())?;
        workers::deliver::Routes::new(Route::Inbox)
            .add(pattern, Route::Inbox)
            .map_err(|_| format!("`{pattern}` is no domain: use example.org, *.example.org or *"))?;
        Ok(Self { pattern: pattern.to_owned(), route })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Every text that is written as it is, with the command it belongs to.
    fn texts_after_help(command: &clap::Command) -> Vec<(String, String)> {
        let own = command.get_after_help().map(|text| (command.get_name().to_owned(), text.to_string()));
        own.into_iter().chain(command.get_subcommands().flat_map(texts_after_help)).collect()
    }

    #[test]
    fn texts_after_help_fit_on_80_columns() {
        let texts = texts_after_help(&Cli::command());
        assert!(texts.len() > 5, "{texts:?}");
        for (command, text) in texts {
            for line in text.lines() {
                assert!(line.chars().count() <= 78, "{command}: {line}");
            }
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for text in ["localhost:25", "mail.example.com:587", "127.0.0.1:2525", "[::1]:25"] {
            assert_eq!(server(text).as_deref(), Ok(text));
        }
        for text in [
            "bogus",
            "localhost",
            ":25",
            "localhost:",
            "localhost:x",
            "localhost:0",
            "h:65536",
            "::1:25",
            "[::1]",
            "a b:25",
        ] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pack_is_told_from_a_message() {
        let pack = "0193a0b0c0d07000800000000000abcd";
        assert!(message_id(&format!("{pack}-0")).is_ok());
        assert!(message_id(pack).unwrap_err().ends_with(&format!("{pack}-0")));
        assert!(message_id("hello").unwrap_err().contains("is not a message id"));
    }

    #[test]
    fn a_route_rule_says_what_is_wrong_with_it() {
        assert!("*=inbox".parse::<RouteRule>().is_ok());
        assert!("*.example.org=smtp://h:25".parse::<RouteRule>().is_ok());
        for (text, part) in
            [("inbox", "DOMAIN=TARGET"), ("*=nowhere", "smtp://host:port"), ("a b=mx", "no domain")]
        {
            let error = text.parse::<RouteRule>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_address_is_no_domain_to_sign_for() {
        assert!(signed_domain("example.com").is_ok());
        for text in ["127.0.0.1", "[127.0.0.1]", "[IPv6:::1]", "a b"] {
            assert!(signed_domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_is_written_as_two_brackets() {
        assert_eq!(reverse_path("<>"), Ok(ReversePath::Null));
        assert_eq!(reverse_path("<a@b.c>").unwrap().as_str(), "a@b.c");
        assert!(reverse_path("a@b.c> SIZE=1").is_err());
    }
}
