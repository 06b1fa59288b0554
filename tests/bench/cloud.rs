//! What a message costs at AWS: requests by operation as the edge itself counts them, at list prices.
//!
//! The stages run as containers do, so that each request is one of this program. As functions they do the same, but that the service
//! receives and acknowledges for them, which costs the same requests; what functions cost beside is told apart.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use harness::{CloudEdge, Dns, Edge, Setup, Zone};

use super::{Options, process, sink::Sink, source};

/// Dollars a million, us-east-1, November 2026, before any free tier.
mod price {
    pub(super) const S3_WRITE: f64 = 5.00;
    pub(super) const S3_READ: f64 = 0.40;
    /// Each 64 KiB of a request; fair queues included.
    pub(super) const SQS: f64 = 0.50;
    pub(super) const DYNAMODB_WRITE: f64 = 0.625;
    pub(super) const DYNAMODB_READ: f64 = 0.125;
    pub(super) const LAMBDA_INVOCATION: f64 = 0.20;
    /// A million GB-seconds on arm64.
    pub(super) const LAMBDA_GB_SECONDS: f64 = 13.3334;
}

/// Memory of the functions, in GB, as the template has it.
const PREPARE_GB: f64 = 1.0;
const DELIVER_GB: f64 = 0.5;

type Samples = BTreeMap<String, f64>;

pub(crate) async fn measure(options: &Options, sink: &Sink) -> Result<String, String> {
    let host = "mx.example.org";
    let dns = Dns::serve(Zone::default().mx("example.org", 10, host).address(host, sink.address().ip()));
    let more = [
        ("SPOOLWAY_DNS_SERVERS", dns.server().to_string()),
        ("SPOOLWAY_DNS_VALIDATE", "never".to_owned()),
        ("SPOOLWAY_DELIVER_PORT", sink.address().port().to_string()),
        ("SPOOLWAY_DELIVER_ALLOW_PRIVATE_ADDRESSES", "true".to_owned()),
    ];
    let route = if options.mx { "*=mx".to_owned() } else { format!("*=smtp://{}", sink.address()) };
    let edge = CloudEdge::without_functions(&route);
    let (mut stages, stages_http) = edge.start_stages(&route, &more);
    let told = run(options, sink, edge.smtp(), edge.ingress_pid(), true).await.and_then(|(cpu, rate)| {
        let mut samples = scrape(edge.http())?;
        for (name, value) in scrape(stages_http)? {
            *samples.entry(name).or_default() += value;
        }
        Ok((cpu, rate, samples))
    });
    let _ = stages.kill();
    let _ = stages.wait();
    let (cloud_cpu, rate, samples) = told?;
    drop(edge);
    let ingress = Edge::start(&Setup::default().top("roles = [\"ingress\"]"));
    let (ingress_cpu, _) = run(options, sink, ingress.smtp(), ingress.pid(), false).await?;
    drop(ingress);
    let whole = Edge::start(&Setup::default().route("*", &format!("smtp://{}", sink.address())));
    let (whole_cpu, _) = run(options, sink, whole.smtp(), whole.pid(), true).await?;
    Ok(report(options, &samples, rate, [cloud_cpu, ingress_cpu, whole_cpu]))
}

/// Sends the messages; CPU milliseconds of `pid` a message, and messages accepted a second.
async fn run(
    options: &Options,
    sink: &Sink,
    relay: SocketAddr,
    pid: u32,
    relayed: bool,
) -> Result<(f64, f64), String> {
    let (before, sunk) = (process::cpu(pid), sink.count());
    let began = Instant::now();
    let relay = source::Relay { address: relay, tls: None };
    source::send(&relay, options.messages, options.sessions, options.octets, options.keep).await?;
    let rate = count(options.messages) / began.elapsed().as_secs_f64();
    let cpu = (process::cpu(pid) - before).as_secs_f64() * 1000.0 / count(options.messages);
    let mut last = (Instant::now(), 0);
    while relayed && sink.count() - sunk < options.messages {
        if sink.count() > last.1 {
            last = (Instant::now(), sink.count());
        } else if last.0.elapsed() > Duration::from_secs(60) {
            return Err(format!("only {} of {} messages reached the sink", last.1 - sunk, options.messages));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // the last outcomes are recorded after the sink has their messages
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok((cpu, rate))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
fn count(n: usize) -> f64 {
    n as f64
}

/// What a process tells at `/metrics`.
fn scrape(http: SocketAddr) -> Result<Samples, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(http)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = ask().map_err(|error| format!("{http}: {error}"))?;
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
}

fn label<'a>(sample: &'a str, name: &str) -> &'a str {
    let (_, rest) = sample.split_once(&format!("{name}=\"")).unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}

/// The sum of the samples of `metric` for which `wanted` holds.
fn sum(samples: &Samples, metric: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    samples.iter().filter(|(name, _)| name.starts_with(metric) && wanted(name)).map(|(_, value)| value).sum()
}

/// `cpu` is that of the ingress in front of AWS, of the same on this machine's disk, and of a whole edge there.
fn report(options: &Options, samples: &Samples, rate: f64, cpu: [f64; 3]) -> String {
    let messages = count(options.messages);
    let a_million = |n: f64| n / messages;
    let mut text = format!(
        "messages={} sessions={} octets={} accepted/s={rate:.0}\n\n{:<34}{:>10}{:>12}\n",
        options.messages, options.sessions, options.octets, "requests", "count", "a message"
    );
    for (name, value) in samples.iter().filter(|(name, _)| name.starts_with("spoolway_aws_requests_total")) {
        let operation = format!("{} {}", label(name, "service"), label(name, "operation"));
        let _ = writeln!(text, "{operation:<34}{value:>10.0}{:>12.4}", value / messages);
    }
    let octets = sum(samples, "spoolway_aws_request_octets_total", |_| true);
    let _ = writeln!(text, "{:<34}{octets:>10.0}{:>12.1}", "octets sent", octets / messages);
    let requests = |service: &'static str, wanted: fn(&str) -> bool| {
        sum(samples, "spoolway_aws_requests_total", |name| {
            label(name, "service").eq_ignore_ascii_case(service) && wanted(label(name, "operation"))
        })
    };
    let is_read = |operation: &str| operation.starts_with("Get") || operation.starts_with("Head");
    let s3_reads = requests("s3", is_read);
    let s3_writes = requests("s3", |_| true) - s3_reads;
    // a poll of an empty queue is time's, not a message's
    let sqs =
        sum(samples, "spoolway_aws_sqs_units_total", |name| label(name, "operation") != "ReceiveMessage");
    let received = sum(samples, "spoolway_jobs_received_total", |_| true);
    let units = |kind: &'static str| {
        sum(samples, "spoolway_aws_dynamodb_milliunits_total", |name| label(name, "kind") == kind) / 1000.0
    };
    let seconds =
        |stage: &'static str| sum(samples, "spoolway_jobs_seconds_sum", |name| label(name, "stage") == stage);
    let (prepare, deliver) = (seconds("prepare"), seconds("deliver"));
    let lines = [
        ("S3 writes", s3_writes, price::S3_WRITE),
        ("S3 reads", s3_reads, price::S3_READ),
        ("SQS, receives of one job each", sqs + received, price::SQS),
        ("DynamoDB write units", units("write"), price::DYNAMODB_WRITE),
        ("DynamoDB read units", units("read"), price::DYNAMODB_READ),
        ("Lambda invocations, one a job", received, price::LAMBDA_INVOCATION),
        ("Lambda GB-s, one a job", prepare * PREPARE_GB + deliver * DELIVER_GB, price::LAMBDA_GB_SECONDS),
    ];
    let _ = writeln!(text, "\n{:<34}{:>10}{:>12}", "cost", "count", "$ a million");
    let mut total = 0.0;
    for (name, n, price) in lines {
        let dollars = a_million(n) * price;
        total += dollars;
        let _ = writeln!(text, "{name:<34}{n:>10.1}{dollars:>12.3}");
    }
    let _ = writeln!(text, "{:<34}{:>10}{total:>12.3}   (Amazon SES: 100)", "services", "");
    let [cloud, ingress, whole] = cpu;
    let _ = write!(
        text,
        "\ncpu_ms/msg: ingress before AWS={cloud:.3} ingress on a disk={ingress:.3} ({:.2} x) whole edge on a disk={whole:.3} ({:.2} x)",
        cloud / ingress,
        cloud / whole
    );
    text
}
