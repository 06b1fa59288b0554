//! `spoolway dev`: an edge for development, which takes all mail from this machine and lets none leave it.

mod certificate;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use shared::mail::Domain;
use shared::telemetry::LogFormat;
use workers::deliver::Route;

use crate::args::Dev;
use crate::edge::Running;
use crate::exit::{Exit, Failure, Outcome};
use crate::screen::{Screen, Tone};
use crate::settings::{BareLf, Kind, Listener, ListenerTls, Log, Settings};

pub(crate) use certificate::ensure as ensure_certificate;

/// Where `send` submits to unless something else is said.
const SEND_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2525);

/// The name of an edge that is told none.
pub(crate) fn localhost() -> Domain {
    Domain::parse("localhost").expect("it is a domain")
}

/// What the flags say.
pub(crate) fn settings(args: &Dev) -> Outcome<Settings> {
    if !args.smtp.ip().is_loopback() {
        let text = format!(
            "--smtp {} is not a loopback address; `dev` takes mail for anywhere from anyone who can reach it, \
             and would be an open relay there. Use 127.0.0.1 or [::1], or `spoolway serve` with a configuration",
            args.smtp
        );
        return Err(Failure::new(Exit::Usage, text));
    }
    let mut routes = vec![("*".to_owned(), Route::Inbox)];
    for rule in &args.route {
        routes.retain(|(pattern, _)| *pattern != rule.pattern);
        routes.push((rule.pattern.clone(), rule.route.clone()));
    }
    Ok(Settings {
        listeners: vec![Listener {
            address: args.smtp,
            kind: Kind::Submission,
            bare_lf: BareLf::Refuse,
            tls: ListenerTls::StartTls,
            proxy_protocol: false,
        }],
        tls: Some(certificate::settings(&args.data)),
        routes,
        http: args.http,
        log: Log { format: Some(LogFormat::Text), filter: args.log_level.clone() },
        ..Settings::new(args.hostname.clone(), args.data.clone())
    })
}

/// Tells what is running and how to try it.
pub(crate) fn announce(
    settings: &Settings,
    running: &Running,
    program: &str,
    json: bool,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    if json {
        return running.write_json(&settings.data, out);
    }
    write_text(settings, running, program, screen, out)
}

fn write_text(
    settings: &Settings,
    running: &Running,
    program: &str,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let mut lines: Vec<(&str, String)> = Vec::new();
    lines.extend(
        running
            .smtp
            .iter()
            .map(|address| ("smtp", format!("{address}, mail for anywhere from this machine"))),
    );
    lines
        .extend(running.http.iter().map(|address| ("http", format!("http://{address}/metrics and /health"))));
    if settings.tls.is_some() {
        let (chain, _) = certificate::files(&settings.data);
        let text = format!("STARTTLS is offered, with a self-signed certificate: {}", chain.display());
        lines.push(("tls", text));
    }
    lines.push(("data", settings.data.display().to_string()));
    lines.extend(routes(settings).into_iter().map(|route| ("mail", route)));
    writeln!(out, "{}\n", screen.tint(Tone::Heading, "Spoolway is ready."))?;
    let mut before = "";
    for (name, text) in lines {
        let shown = if name == before { "" } else { name };
        writeln!(out, "  {}{text}", screen.tint(Tone::Quiet, &format!("{shown:<7}")))?;
        before = name;
    }
    writeln!(out, "\nTo send a message, paste this in another terminal:\n")?;
    writeln!(out, "  {}\n", send_line(running, program))?;
    writeln!(out, "{}\n", screen.tint(Tone::Quiet, "Ctrl-C ends it; what is accepted is kept."))?;
    Ok(out.flush()?)
}

/// How mail leaves, a line a rule, the most specific first.
fn routes(settings: &Settings) -> Vec<String> {
    let mut routes: Vec<&(String, Route)> = settings.routes.iter().collect();
    let depth = |pattern: &str| pattern.trim_start_matches(['*', '.']).len();
    routes.sort_by_key(|(pattern, _)| (std::cmp::Reverse(depth(pattern)), pattern.starts_with('*')));
    let width = routes.iter().map(|(pattern, _)| pattern.chars().count()).max().unwrap_or(0);
    let line = |(pattern, route): &(String, Route)| {
        let what = match route {
            Route::Mx => "leaves by the domain's own servers (mx)".to_owned(),
            Route::SmartHost { .. } | Route::SmartHosts(_) => format!("leaves by {route}"),
            Route::Inbox => format!("stays here, as files in {}", settings.inbox.display()),
            Route::Discard => "is thrown away".to_owned(),
        };
        format!("{pattern:<width$}  {what}")
    };
    routes.into_iter().map(line).collect()
}

/// A line for a shell that sends a message by this very program.
fn send_line(running: &Running, program: &str) -> String {
    let server = match running.smtp.first() {
        Some(address) if *address != SEND_DEFAULT => format!(" --server {address}"),
        _ => String::new(),
    };
    let headers = r"From: you@example.com\nTo: me@example.org\nSubject: Hello\n\nIt works.\n";
    let program = quoted(program);
    format!(
        "printf '{headers}' |\n    {program} send --from you@example.com --to me@example.org --file -{server}"
    )
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%:".contains(&byte);
    if !text.is_empty() && text.bytes().all(bare) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Running {
    /// What is running, for a program that started this one: one line.
    pub(crate) fn write_json(&self, data: &Path, out: &mut dyn Write) -> Outcome {
        let document = serde_json::json!({ "smtp": self.smtp, "http": self.http, "data": data });
        writeln!(out, "{document}")?;
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn dev(flags: &[&str]) -> Dev {
        let cli = Cli::try_parse_from(["spoolway", "dev"].iter().chain(flags)).unwrap();
        match cli.command {
            Command::Dev(args) => args,
            _ => unreachable!("it says dev"),
        }
    }

    fn banner(flags: &[&str], json: bool) -> String {
        let settings = settings(&dev(flags)).unwrap();
        let running =
            Running { smtp: settings.listeners.iter().map(|own| own.address).collect(), http: settings.http };
        let mut out = Vec::new();
        announce(&settings, &running, "target/release/spoolway", json, Screen::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_leaves_the_machine_unless_a_route_says_so() {
        let settings = settings(&dev(&[])).unwrap();
        assert_eq!(settings.routes, [("*".to_owned(), Route::Inbox)]);
        assert_eq!(settings.trusted_networks, crate::settings::loopback());
        assert_eq!(settings.listeners[0].address, SEND_DEFAULT);
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused() {
        for address in ["0.0.0.0:2525", "192.0.2.1:25", "[::]:25"] {
            let failure = settings(&dev(&["--smtp", address])).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.text.contains("open relay"), "{failure:?}");
        }
        assert!(settings(&dev(&["--smtp", "[::1]:2525"])).is_ok());
    }

    #[test]
    fn the_banner_tells_where_everything_is_and_how_to_try_it() {
        assert_eq!(
            banner(&[], false),
            r"Spoolway is ready.

  smtp   127.0.0.1:2525, mail for anywhere from this machine
  tls    STARTTLS is offered, with a self-signed certificate: ./.spoolway/tls/dev.crt
  data   ./.spoolway
  mail   *  stays here, as files in ./.spoolway/inbox

To send a message, paste this in another terminal:

  printf 'From: you@example.com\nTo: me@example.org\nSubject: Hello\n\nIt works.\n' |
    target/release/spoolway send --from you@example.com --to me@example.org --file -

Ctrl-C ends it; what is accepted is kept.

"
        );
    }

    #[test]
    fn the_banner_lists_routes_from_the_most_specific() {
        let flags =
            ["--route", "*=discard", "--route", "example.org=mx", "--route", "*.example.org=smtp://h:25"];
        let text =
            banner(&[&flags[..], &["--smtp", "127.0.0.1:2600", "--http", "127.0.0.1:9025"]].concat(), false);
        assert!(
            text.contains(
                "  smtp   127.0.0.1:2600, mail for anywhere from this machine
  http   http://127.0.0.1:9025/metrics and /health
  tls    STARTTLS is offered, with a self-signed certificate: ./.spoolway/tls/dev.crt
  data   ./.spoolway
  mail   example.org    leaves by the domain's own servers (mx)
         *.example.org  leaves by smtp://h:25
         *              is thrown away
"
            ),
            "{text}"
        );
        assert!(text.contains("--file - --server 127.0.0.1:2600\n"), "{text}");
    }

    #[test]
    fn a_program_reads_what_is_running_from_one_line() {
        let text = banner(&[], true);
        assert_eq!(text, "{\"data\":\"./.spoolway\",\"http\":null,\"smtp\":[\"127.0.0.1:2525\"]}\n");
    }

    #[test]
    fn a_program_with_a_space_in_its_name_is_quoted() {
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(quoted("./target/debug/spoolway"), "./target/debug/spoolway");
    }
}
