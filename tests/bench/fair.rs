//! How long one message of a tenant waits behind all that another one has queued for a slow server.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::{Edge, Setup};

use super::Options;
use super::process::peak_resident_mib;
use super::sink::Sink;
use super::source::{Client, Relay, send};

/// How long the slow server takes for each of its replies.
const SLOW: Duration = Duration::from_millis(100);
/// Messages of the other tenant, one after the other.
const PROBES: usize = 10;

pub(crate) async fn measure(options: &Options) -> Result<String, String> {
    let (slow, quick) = (Sink::slow((harness::loopback(), 0).into(), SLOW).await, Sink::start().await);
    let setup = Setup::default().route("*", &format!("smtp://{}", slow.address()));
    let setup = setup.route("example.net", &format!("smtp://{}", quick.address()));
    let edge = Edge::start(&setup.section("[auth]\nwithout_tls = \"loopback\"\n"));
    let told = edge.json(&["credential", "add", "other", "--tenant", "other", "--from", "@example.com"]);
    let secret = told["secret"].as_str().unwrap_or_default();
    let login = format!("AUTH PLAIN {}\r\n", BASE64_STANDARD.encode(format!("\0other\0{secret}")));
    let relay = Relay { address: edge.smtp(), tls: None };
    send(&relay, options.messages, options.sessions, options.octets, true).await?;
    let mut waits = Vec::new();
    for probe in 1..=PROBES {
        let queued = options.messages.saturating_sub(slow.count());
        let wait = one(&relay, &login, &quick, probe, options.octets).await?;
        println!("queued={queued} seconds={:.3}", wait.as_secs_f64());
        waits.push(wait);
    }
    let longest = waits.iter().max().copied().unwrap_or_default();
    let queued = options.messages.saturating_sub(slow.count());
    Ok(format!(
        "fair messages={} still_queued={queued} probes={PROBES} longest_s={:.3} peak_rss_mib={}",
        options.messages,
        longest.as_secs_f64(),
        peak_resident_mib(edge.pid())
    ))
}

/// Sends a message of the other tenant, and waits until its server has it.
async fn one(
    relay: &Relay,
    login: &str,
    quick: &Sink,
    number: usize,
    octets: usize,
) -> Result<Duration, String> {
    let text = |error: std::io::Error| format!("a probe broke: {error}");
    let mut client = Client::connect(relay).await.map_err(text)?;
    client.command(login, '2').await.map_err(text)?;
    client.send_to("user@example.net", &super::source::content(octets)).await.map_err(text)?;
    let began = Instant::now();
    while quick.count() < number {
        if began.elapsed() > Duration::from_secs(600) {
            return Err("a probe was not delivered within ten minutes".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(began.elapsed())
}
