//! How fast does the edge accept mail durably and pass it on, at what cost in CPU and memory? The same for a private Postfix.
//!
//! Everything runs on this machine's loopback: a source with some sessions, the relay, and a sink that takes all.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

mod cloud;
mod cold_start;
mod fair;
mod flood;
mod idle;
mod logins;
mod process;
mod sink;
mod slow;
mod source;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use harness::{Edge, Identity, Postfix, Setup, loopback};

/// Measures a relay between a source and a sink on this machine.
#[derive(Parser)]
struct Options {
    /// Messages to send.
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Sessions at a time.
    #[arg(long, default_value_t = 20)]
    sessions: usize,
    /// Octets of a message.
    #[arg(long, default_value_t = 4096)]
    octets: usize,
    /// Keep each connection for all messages of its session, in place of one connection a message.
    #[arg(long)]
    keep: bool,
    /// Say STARTTLS on each connection, with TLS 1.3 and a handshake of its own.
    #[arg(long)]
    tls: bool,
    /// Measure what 20 sessions send on kept connections, alone and beside a flood of connections over the limits.
    #[arg(long)]
    flood: bool,
    /// Measure logins by PLAIN, with secrets the edge has and has not just seen, and by SCRAM-SHA-256, a connection each.
    #[arg(long)]
    logins: bool,
    /// Measure how fast mail leaves to one server each of whose answers takes `--delay`, over 20 connections at most; with `--postfix`,
    /// for that.
    #[arg(long)]
    slow: bool,
    /// Measure how fast mail leaves to this many sites, `--delay` away each.
    #[arg(long, value_name = "SITES")]
    sites: Option<usize>,
    /// Milliseconds before each answer of `--slow`, and each way of `--sites`.
    #[arg(long, default_value_t = 100)]
    delay: u64,
    /// Measure how long one message of a tenant waits behind this many (100,000 with --messages) of another to a slow server.
    #[arg(long)]
    fair: bool,
    /// Measure Postfix in place of Spoolway (Debian's package; needs root).
    #[arg(long)]
    postfix: bool,
    /// Measure the memory of this many idle connections instead.
    #[arg(long, value_name = "CONNECTIONS")]
    idle: Option<usize>,
    /// Measure how long the functions take from their start to their first question for an event.
    #[arg(long)]
    cold_start: bool,
    /// Measure what the edge asks of AWS on an emulator, in dollars a million messages, and the CPU of its ingress.
    #[arg(long)]
    cloud: bool,
    /// With `--cloud`: mail leaves by MX records, under shaping, and not to a smart host.
    #[arg(long, requires = "cloud")]
    mx: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // the bench starts itself as the edge, so that one `cargo run` builds all it measures
    match std::env::args_os().next() {
        Some(name) if name == "spoolway" => return cli::main(),
        Some(name) if name == "bootstrap" => return cli::bootstrap(),
        _ => {}
    }
    let options = Options::parse();
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; use `cargo run --release -p spoolway-tests --bin bench`");
    }
    if options.cold_start {
        println!("{}", cold_start::measure());
        return ExitCode::SUCCESS;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    let report = runtime.block_on(async {
        if let Some(sites) = options.sites {
            return slow::measure_sites(&options, sites).await;
        }
        if options.slow {
            return slow::measure(&options).await;
        }
        let sink = sink::Sink::start().await;
        if options.cloud {
            return cloud::measure(&options, &sink).await;
        }
        if options.logins {
            return logins::measure(&options).await;
        }
        if options.fair {
            return fair::measure(&options).await;
        }
        if options.flood {
            return flood::measure(&options, &sink).await;
        }
        let identity = Identity::new(loopback());
        let tls = options.tls.then(|| identity.client());
        if options.postfix {
            let more = if options.tls { postfix_tls(&identity) } else { String::new() };
            let postfix = Postfix::start_with(sink.address(), &[], &more);
            let relay = source::Relay { address: postfix.address(), tls };
            measure(&options, relay, postfix.pid(), &sink).await
        } else {
            let setup = Setup::default().route("*", &format!("smtp://{}", sink.address()));
            let edge = Edge::start(&if options.tls { setup.section(&identity.section()) } else { setup });
            measure(&options, source::Relay { address: edge.smtp(), tls }, edge.pid(), &sink).await
        }
    });
    match report {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("bench: {wrong}");
            ExitCode::FAILURE
        }
    }
}

fn postfix_tls(identity: &Identity) -> String {
    format!(
        "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {}, {}\nsmtpd_tls_session_cache_database =\n",
        identity.key().display(),
        identity.chain().display()
    )
}

async fn measure(
    options: &Options,
    relay: source::Relay,
    pid: u32,
    sink: &sink::Sink,
) -> Result<String, String> {
    if let Some(connections) = options.idle {
        return idle::measure(&relay, pid, connections).await;
    }
    let cpu_before = process::cpu(pid);
    let began = Instant::now();
    source::send(&relay, options.messages, options.sessions, options.octets, options.keep).await?;
    let accepted = began.elapsed();
    let mut last = (Instant::now(), 0);
    while sink.count() < options.messages {
        if sink.count() > last.1 {
            last = (Instant::now(), sink.count());
        } else if last.0.elapsed() > Duration::from_secs(30) {
            return Err(format!("only {} of {} messages reached the sink", last.1, options.messages));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let relayed = began.elapsed();
    // the relay books the last deliveries after the sink has them
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cpu = process::cpu(pid) - cpu_before;
    Ok(report(options, accepted, relayed, cpu, process::peak_resident_mib(pid)))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
fn report(options: &Options, accepted: Duration, relayed: Duration, cpu: Duration, peak_mib: u64) -> String {
    let count = options.messages as f64;
    let name = if options.postfix { "postfix" } else { "spoolway" };
    let (accepted, relayed) = (count / accepted.as_secs_f64(), count / relayed.as_secs_f64());
    let cpu_ms = cpu.as_secs_f64() * 1000.0 / count;
    let Options { messages, sessions, octets, keep, tls, .. } = options;
    if options.json {
        return format!(
            "{{\"relay\":\"{name}\",\"messages\":{messages},\"sessions\":{sessions},\"octets\":{octets},\"keep\":{keep},\"tls\":{tls},\
             \"accepted_per_s\":{accepted:.0},\"relayed_per_s\":{relayed:.0},\"cpu_ms_per_message\":{cpu_ms:.3},\"peak_rss_mib\":{peak_mib}}}"
        );
    }
    format!(
        "{name:<8} messages={messages} sessions={sessions} octets={octets} keep={keep} tls={tls} accepted/s={accepted:.0} \
         relayed/s={relayed:.0} cpu_ms/msg={cpu_ms:.3} peak_rss_mib={peak_mib}"
    )
}
