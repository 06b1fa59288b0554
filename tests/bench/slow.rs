//! How fast mail leaves where every answer takes its time: to one server over few connections, beside Postfix with the same limit; and to
//! many sites at once.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Dns, Edge, Postfix, Setup, Zone};

use super::sink::Sink;
use super::source::{self, Relay};
use super::{Options, process};

/// Connections out at a time, to the one server.
const CONNECTIONS: usize = 20;
/// How long nothing may arrive before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends to one server whose answers take `options.delay`.
pub(crate) async fn measure(options: &Options) -> Result<String, String> {
    let sink = Sink::slow((harness::loopback(), 0).into(), Duration::from_millis(options.delay)).await;
    let name = if options.postfix { "postfix" } else { "spoolway" };
    let recipients: Arc<[String]> = Arc::from(["user@example.org".to_owned()]);
    let told = if options.postfix {
        let limits = format!(
            "default_destination_concurrency_limit = {CONNECTIONS}\nsmtp_destination_concurrency_limit = {CONNECTIONS}\n\
             initial_destination_concurrency = {CONNECTIONS}\nsmtp_connection_cache_destinations = [{}]:{}\n",
            sink.address().ip(),
            sink.address().port()
        );
        let postfix = Postfix::start_with(sink.address(), &[], &limits);
        run(options, postfix.address(), postfix.pid(), &[&sink], recipients).await?
    } else {
        let setup = Setup::default().route("*", &format!("smtp://{}", sink.address()));
        let edge = Edge::start(&setup.section(&format!("[deliver]\nconnections = {CONNECTIONS}")));
        run(options, edge.smtp(), edge.pid(), &[&sink], recipients).await?
    };
    Ok(format!(
        "slow {name} {told} delay_ms={} connections={} connections_most={}",
        options.delay,
        sink.connections(),
        sink.connections_most()
    ))
}

/// Sends to as many sites, each a domain with an MX host at an address of its own, whose answers take twice `options.delay`.
pub(crate) async fn measure_sites(options: &Options, sites: usize) -> Result<String, String> {
    let delay = 2 * Duration::from_millis(options.delay);
    let first = Sink::slow((address(0), 0).into(), delay).await;
    let port = first.address().port();
    let mut sinks = vec![first];
    for site in 1..sites {
        sinks.push(Sink::slow((address(site), port).into(), delay).await);
    }
    let mut zone = Zone::default();
    for site in 0..sites {
        zone = zone
            .mx(&format!("site-{site}.example"), 10, &format!("mx.site-{site}.example"))
            .address(&format!("mx.site-{site}.example"), address(site));
    }
    let dns = Dns::serve(zone);
    let setup = Setup::default().route("*", "mx").section(&dns.section());
    let edge =
        Edge::start(&setup.section(&format!("[deliver]\nport = {port}\nallow_private_addresses = true")));
    let recipients: Vec<String> = (0..sites).map(|site| format!("user@site-{site}.example")).collect();
    let all: Vec<&Sink> = sinks.iter().collect();
    let told = run(options, edge.smtp(), edge.pid(), &all, recipients.into()).await?;
    let connections: usize = sinks.iter().map(Sink::connections).sum();
    Ok(format!("sites spoolway sites={sites} {told} delay_ms={} connections={connections}", options.delay))
}

/// The address of a site's host; none that anything else of the bench has.
fn address(site: usize) -> Ipv4Addr {
    let [.., high, low] = site.to_be_bytes();
    Ipv4Addr::new(127, 99, high, low)
}

/// From the first message that is offered to the last one in a sink.
async fn run(
    options: &Options,
    address: std::net::SocketAddr,
    pid: u32,
    sinks: &[&Sink],
    recipients: Arc<[String]>,
) -> Result<String, String> {
    let count = || sinks.iter().map(|sink| sink.count()).sum::<usize>();
    let relay = Relay { address, tls: None };
    let (cpu_before, began) = (process::cpu(pid), Instant::now());
    let messages = options.messages;
    source::send_to(&relay, messages, options.sessions, options.octets, true, recipients).await?;
    let accepted = began.elapsed();
    let mut last = (Instant::now(), 0);
    while count() < messages {
        if count() > last.1 {
            last = (Instant::now(), count());
        } else if last.0.elapsed() > PATIENCE {
            return Err(format!("only {} of {messages} messages reached the sink", last.1));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed().as_secs_f64();
    let cpu = process::cpu(pid) - cpu_before;
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    let all = messages as f64;
    Ok(format!(
        "messages={messages} accepted_s={:.1} seconds={took:.1} per_s={:.0} cpu_ms/msg={:.3}",
        accepted.as_secs_f64(),
        all / took,
        cpu.as_secs_f64() * 1000.0 / all
    ))
}
