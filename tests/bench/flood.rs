//! What good clients get done beside a flood of connections over the limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::{Edge, Setup};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

use super::Options;
use super::sink::Sink;
use super::source::{Relay, send};

/// Where good clients connect from unless they say otherwise, and a stranger's address.
const GOOD: &str = "127.0.0.1/32";
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);

pub(crate) async fn measure(options: &Options, sink: &Sink) -> Result<String, String> {
    let setup = Setup::default().top(&format!("trusted_networks = [\"{GOOD}\"]"));
    let edge = Edge::start(&setup.route("*", &format!("smtp://{}", sink.address())));
    let relay = Relay { address: edge.smtp(), tls: None };
    let alone = rate(options, &relay).await?;
    let refused = Arc::new(AtomicU64::new(0));
    let flood = tokio::spawn(flood(edge.smtp(), Arc::clone(&refused)));
    let began = Instant::now();
    let beside = rate(options, &relay).await?;
    let took = began.elapsed();
    flood.abort();
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    let flooded = refused.load(Ordering::Relaxed) as f64 / took.as_secs_f64();
    Ok(format!(
        "flood sessions={} accepted/s={alone:.0} beside_flood/s={beside:.0} less={:.0}% flood_connections/s={flooded:.0}",
        options.sessions,
        100.0 * (1.0 - beside / alone)
    ))
}

async fn rate(options: &Options, relay: &Relay) -> Result<f64, String> {
    let began = Instant::now();
    send(relay, options.messages, options.sessions, options.octets, true).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    let rate = options.messages as f64 / began.elapsed().as_secs_f64();
    Ok(rate)
}

/// Connects as a stranger, twenty at a time every ten milliseconds, until it is stopped; over the rate they are turned away.
async fn flood(edge: SocketAddr, refused: Arc<AtomicU64>) {
    loop {
        let mut burst = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let refused = Arc::clone(&refused);
            burst.spawn(async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind((STRANGER, 0).into())?;
                let mut stream = socket.connect(edge).await?;
                let mut said = Vec::new();
                stream.read_to_end(&mut said).await?;
                refused.fetch_add(1, Ordering::Relaxed);
                Ok::<_, std::io::Error>(())
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        burst.abort_all();
    }
}
