//! The `spoolway` command: `dev`, `serve`, `trace`, `queue`, `cancel`, `domain`, `credential`, `recipient`, `suppress`, `bounces`, `shaping`, `send`; and `bootstrap`, its stages as Lambda functions.
//!
//! Each command is a function from what it needs (ports, settings, a stream) to what it writes. Only this file reads the process: its
//! arguments, its environment, its terminal. Only [`edge`] joins the parts.

mod args;
mod boot;
mod cancel;
mod credential;
mod descriptors;
mod dev;
mod domain;
mod edge;
mod exit;
mod function;
mod hands;
mod limits;
mod pending;
mod queue;
mod recipient;
#[cfg(test)]
mod samples;
mod screen;
mod send;
mod serve;
mod settings;
mod shaping;
mod signal;
mod suppress;
mod trace;

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use shared::config::PREFIX;
use shared::directory::{RecipientPattern, RecipientPatternError};
use shared::port::Clock as _;
use shared::system::SystemClock;
use shared::telemetry::{LogFormat, LogGuard, LogSettings};

use args::{
    Cli, Command, CredentialAction, CredentialName, DomainAction, Place, RecipientAction, RecipientNames,
    ShapingAction,
};
use edge::Stores;
use exit::{Exit, Failure, Outcome};
use screen::Screen;
use settings::{Log, Reader, Role, Settings};
use shared::wire::Needs;

/// Runs the command that the arguments of this process name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // help and version are errors to clap, and go to standard output
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    // rustls asks for the process's provider wherever none is named; a second install changes nothing
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                let _ = writeln!(io::stderr(), "spoolway: {}", failure.text);
            }
            failure.exit.into()
        }
    }
}

/// Runs the stage that the handler of this function names.
pub fn bootstrap() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let environment: HashMap<String, String> = environment().collect();
    match function::run(&environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            function::tell(&failure, &environment);
            failure.exit.into()
        }
    }
}

fn run(command: Command) -> Outcome {
    let (out, screen) = (&mut io::stdout().lock() as &mut dyn Write, screen());
    match command {
        Command::Dev(args) => {
            let settings = dev::settings(&args)?;
            dev::ensure_certificate(&settings.data, &settings.hostname, SystemClock.now())?;
            let _log = start_log(&settings.log)?;
            let program = std::env::args().next().unwrap_or_else(|| "spoolway".to_owned());
            boot::run(&settings, |running| {
                dev::announce(&settings, running, &program, args.json, screen, out)
            })
        }
        Command::Serve(args) => {
            let (config, known) = (args.config.as_deref(), with_roles(&args.role));
            let settings = serve::settings(config, Reader::Edge, known, args.check && args.json, out)?;
            if args.check {
                serve::check_tls(config, &settings, args.json, out)?;
                serve::check_secrets(config, &settings, args.json, out)?;
                serve::check_shaping(config, &settings, args.json, out)?;
                return serve::announce_good(args.json, out);
            }
            let _log = start_log(&settings.log)?;
            boot::run(&settings, |running| serve::announce(&settings, running, args.json, out))
        }
        Command::Trace(args) => beside_edge(&args.place, Needs::of(edge::TRACE), |stores| async move {
            let Stores { spool, deliveries, clock, place, .. } = stores;
            let ports = trace::Ports { spool, deliveries, now: clock.now(), place };
            trace::run(&ports, args.id, args.json, screen, out).await
        }),
        Command::Queue(args) => hands::run_queue(*args, screen, out),
        Command::Cancel(args) => beside_edge(&args.place, Needs::of(edge::CANCEL), |stores| async move {
            let Stores { spool, deliveries, clock, place, .. } = stores;
            let ports = trace::Ports { spool, deliveries, now: clock.now(), place };
            cancel::run(&ports, args.id, args.json, out).await
        }),
        Command::Domain(args) => run_domain(args.action, screen, out),
        Command::Credential(args) => run_credential(args.action, screen, out),
        Command::Recipient(args) => run_recipient(args.action, screen, out),
        Command::Suppress(args) => suppress::suppress(args.action, screen, out),
        Command::Bounces(args) => suppress::bounces(args.action, out),
        Command::Shaping(args) => run_shaping(args.action, screen, out),
        Command::Send(args) => {
            let content = read_content(&args.file)?;
            let submission = send::Submission { from: args.from, to: args.to, content };
            let mut errors = io::stderr();
            let shown = args.verbose.then_some(&mut errors as &mut dyn Write);
            send::run(&args.server, &submission, args.json, out, shown)
        }
    }
}

fn run_domain(action: DomainAction, screen: Screen, out: &mut dyn Write) -> Outcome {
    let needs = Needs::of(edge::DOMAIN);
    let ports = |stores: Stores| domain::Ports {
        directory: stores.directory,
        keys: stores.keys,
        ids: stores.ids,
        now: stores.clock.now(),
        generate: edge::generate_key,
    };
    match action {
        // keys may be wanted before the edge runs for the first time
        DomainAction::Add { name, selector, place, json } => {
            let settings = settings_of(&place, needs)?;
            with_stores(edge::set_up_stores(&settings, needs), |stores| async move {
                domain::add(&ports(stores), &name, selector.as_deref(), json, screen, out).await
            })
        }
        DomainAction::List { place, json } => beside_edge(&place, needs, |stores| async move {
            domain::list(&ports(stores), json, screen, out).await
        }),
        DomainAction::Show { name, place, json } => beside_edge(&place, needs, |stores| async move {
            domain::show(&ports(stores), &name, json, screen, out).await
        }),
    }
}

fn run_credential(action: CredentialAction, screen: Screen, out: &mut dyn Write) -> Outcome {
    let needs = Needs::of(edge::DIRECTORY);
    let ports = |stores: Stores| credential::Ports {
        directory: stores.directory,
        ids: stores.ids,
        now: stores.clock.now(),
    };
    match action {
        // a credential may be wanted before the edge runs for the first time
        CredentialAction::Add { new, place, json } => {
            let settings = settings_of(&place, needs)?;
            with_stores(edge::set_up_stores(&settings, needs), |stores| async move {
                credential::add(&ports(stores), new, json, screen, out).await
            })
        }
        CredentialAction::List { place, json } => beside_edge(&place, needs, |stores| async move {
            credential::list(&ports(stores), json, screen, out).await
        }),
        CredentialAction::Show(CredentialName { name, place, json }) => {
            beside_edge(&place, needs, |stores| async move {
                credential::show(&ports(stores), &name, json, screen, out).await
            })
        }
        CredentialAction::Rotate(CredentialName { name, place, json }) => {
            beside_edge(&place, needs, |stores| async move {
                credential::rotate(&ports(stores), &name, json, screen, out).await
            })
        }
        CredentialAction::Revoke(CredentialName { name, place, json }) => {
            beside_edge(&place, needs, |stores| async move {
                credential::revoke(&ports(stores), &name, json, out).await
            })
        }
        CredentialAction::Remove(CredentialName { name, place, json }) => {
            beside_edge(&place, needs, |stores| async move {
                credential::remove(&ports(stores), &name, json, out).await
            })
        }
    }
}

fn run_shaping(action: ShapingAction, screen: Screen, out: &mut dyn Write) -> Outcome {
    match action {
        ShapingAction::Explain { domain, tenant, place, json } => {
            let needs = Needs::of(edge::SHAPING);
            let settings = settings_of(&place, needs)?;
            beside_edge(&place, needs, |stores| async move {
                let whereto = edge::whereto(&settings, &stores, &domain, tenant.as_deref()).await?;
                let edge::Whereto { route, site, source, shaper } = whereto;
                let asked = shaping::Asked { domain, tenant, route, site, source };
                let ports = shaping::Ports { shaper, deliveries: stores.deliveries, now: stores.clock.now() };
                shaping::explain(&ports, &asked, json, screen, out).await
            })
        }
        ShapingAction::Check { file, json } => shaping::check(&file, json, out),
    }
}

fn run_recipient(action: RecipientAction, screen: Screen, out: &mut dyn Write) -> Outcome {
    let needs = Needs::of(edge::DIRECTORY);
    let ports = |stores: Stores| recipient::Ports { directory: stores.directory, now: stores.clock.now() };
    match action {
        RecipientAction::Add(RecipientNames { mut recipients, file, place, json }) => {
            recipients.extend(file.as_deref().map(read_recipients).transpose()?.unwrap_or_default());
            let settings = settings_of(&place, needs)?;
            with_stores(edge::set_up_stores(&settings, needs), |stores| async move {
                recipient::add(&ports(stores), &recipients, json, out).await
            })
        }
        RecipientAction::Remove(RecipientNames { mut recipients, file, place, json }) => {
            recipients.extend(file.as_deref().map(read_recipients).transpose()?.unwrap_or_default());
            beside_edge(&place, needs, |stores| async move {
                recipient::remove(&ports(stores), &recipients, json, out).await
            })
        }
        RecipientAction::List { domain, place, json } => beside_edge(&place, needs, |stores| async move {
            recipient::list(&ports(stores), &domain, json, screen, out).await
        }),
    }
}

/// One recipient a line; empty lines are none.
fn read_recipients(file: &Path) -> Outcome<Vec<RecipientPattern>> {
    let text = String::from_utf8_lossy(&read_content(file)?).into_owned();
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let read = |(at, line): (usize, &str)| {
        let wrong = |error| Failure::new(Exit::Data, format!("{}, line {}: {error}", file.display(), at + 1));
        line.parse().map_err(|error: RecipientPatternError| wrong(error))
    };
    lines.map(read).collect()
}

/// The environment, with the roles of the command line in place of those it may name.
fn with_roles(roles: &[Role]) -> HashMap<String, String> {
    let mut known: HashMap<String, String> = environment().collect();
    if !roles.is_empty() {
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        known.insert(format!("{PREFIX}ROLES"), names.join(","));
    }
    known
}

/// Runs `work` with these stores of an edge, which may be running or not. Makes nothing that is not there.
fn beside_edge<F: Future<Output = Outcome>>(
    place: &Place,
    needs: Needs,
    work: impl FnOnce(Stores) -> F,
) -> Outcome {
    let settings = settings_of(place, needs)?;
    // a configuration may put every store elsewhere; each says for itself what it misses
    if place.config.is_none()
        && needs.iter().any(|store| settings.stores.url(store).is_none())
        && let Err(error) = std::fs::read_dir(&settings.data)
    {
        let data = settings.data.display();
        return Err(match error.kind() {
            io::ErrorKind::NotFound => Failure::new(
                Exit::NoInput,
                format!(
                    "there is no data folder {data}; name the edge's own with --data DIR or --config FILE"
                ),
            ),
            _ => Failure::io(data, &error),
        });
    }
    with_stores(edge::open_stores(&settings, needs), work)
}

/// The settings of the edge that is meant: those of its configuration, or of its environment alone, as `serve` would read them. A
/// folder on the command line wins, and a name is not asked for.
fn settings_of(place: &Place, needs: Needs) -> Outcome<Settings> {
    let reader = Reader::Command(needs);
    if let Some(config) = &place.config {
        return serve::settings(Some(config), reader, environment(), false, &mut io::sink());
    }
    let mut known: HashMap<String, String> = environment().collect();
    if let Some(data) = place.data.as_deref() {
        // taken for another folder, it would be made anew beside the one that is meant
        let text = data.to_str().ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{} is not UTF-8: rename the data folder", data.display()))
        })?;
        known.insert(format!("{PREFIX}DATA"), text.to_owned());
    }
    known.entry(format!("{PREFIX}HOSTNAME")).or_insert_with(|| dev::localhost().to_string());
    serve::settings(None, reader, known, false, &mut io::sink())
}

/// Runs `work` with the stores that `open` gives.
fn with_stores<F: Future<Output = Outcome>>(
    open: impl Future<Output = Outcome<Stores>>,
    work: impl FnOnce(Stores) -> F,
) -> Outcome {
    let _log = start_log(&Log { filter: "warn".parse().unwrap_or_default(), ..Log::default() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("the runtime does not start", &error))?;
    runtime.block_on(async { work(open.await?).await })
}

fn read_content(file: &Path) -> Outcome<Vec<u8>> {
    let failed = |error: io::Error| Failure::io(file.display(), &error);
    if file != Path::new("-") {
        return std::fs::read(file).map_err(failed);
    }
    let mut content = Vec::new();
    io::stdin().lock().read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// The environment as text; what is not UTF-8 in it is no setting of ours, or a wrong one.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Whether `NO_COLOR` asks for none (<https://no-color.org>).
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn screen() -> Screen {
    if !io::stdout().is_terminal() {
        return Screen::default();
    }
    let width = terminal_size::terminal_size().map(|(terminal_size::Width(width), _)| usize::from(width));
    Screen { colour: !no_color(), width }
}

fn start_log(log: &Log) -> Outcome<LogGuard> {
    let terminal = io::stderr().is_terminal();
    let format = log.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let settings = LogSettings { format, filter: log.filter.clone(), colour: terminal && !no_color() };
    shared::telemetry::init(&settings).map_err(|error| Failure::io("the log does not start", &error))
}
