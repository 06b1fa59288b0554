use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::mail::{PackId, Timestamp};
use crate::port::{PackInfo, Piece, PortError, PortResult, Spool, SpoolWriter};

/// A clock that stands still until it is told, and whose sleeps end only when `hasty`.
#[derive(Default)]
struct StillClock {
    now: AtomicI64,
    hasty: AtomicBool,
}

#[async_trait]
impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _: Duration) {
        if !self.hasty.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// A spool that is there to be probed.
#[derive(Default)]
struct Probed {
    broken: AtomicBool,
    hangs: AtomicBool,
    probes: AtomicUsize,
}

#[async_trait]
impl Spool for Probed {
    async fn put(&self, _: PackId, _: Vec<Bytes>) -> PortResult<()> {
        unreachable!("a probe only")
    }
    async fn begin(&self, _: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        unreachable!("a probe only")
    }
    async fn get(&self, _: PackId, _: Range<u64>) -> PortResult<Option<Piece>> {
        unreachable!("a probe only")
    }
    async fn delete(&self, _: PackId) -> PortResult<()> {
        unreachable!("a probe only")
    }
    async fn list(&self, _: Option<PackId>, _: usize) -> PortResult<Vec<PackInfo>> {
        unreachable!("a probe only")
    }
    async fn set_aside(&self, _: PackId) -> PortResult<()> {
        unreachable!("a probe only")
    }
    async fn probe(&self) -> PortResult<()> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err(PortError::refused("the probe of the spool", "disk full"));
        }
        Ok(())
    }
}

struct Running {
    address: SocketAddr,
    clock: Arc<StillClock>,
    spool: Arc<Probed>,
    health: Arc<Health>,
    _server: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    let (clock, spool) = (Arc::new(StillClock::default()), Arc::new(Probed::default()));
    let health = Arc::new(Health::new(clock.clone()).with_spool("spool", spool.clone()));
    let metrics = Metrics::local(|| metrics::counter!("messages_accepted_total").increment(3));
    let loopback = "127.0.0.1:0".parse().unwrap();
    let server = HttpServer::bind(loopback, metrics, health.clone(), clock.clone()).await.unwrap();
    let address = server.address();
    let server = tokio::spawn(server.serve(std::future::pending()));
    Running { address, clock, spool, health, _server: server }
}

async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn metrics_are_shown_as_prometheus_reads_them() {
    let edge = start().await;
    let (status, body) = ask(edge.address, "GET /metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("messages_accepted_total 3"), "{body}");
    assert_eq!(ask(edge.address, "GET /").await.0, 404);
    assert_eq!(ask(edge.address, "POST /metrics").await.0, 405);
}

#[tokio::test]
async fn health_names_the_part_that_cannot_be_written_and_recovers() {
    let edge = start().await;
    let good = r#"{"healthy":true,"draining":false,"parts":{"spool":"healthy"}}"#;
    assert_eq!(ask(edge.address, "GET /health").await, (200, good.to_owned()));

    edge.spool.broken.store(true, Ordering::SeqCst);
    edge.clock.now.fetch_add(60_000, Ordering::SeqCst);
    let bad = r#"{"healthy":false,"draining":false,"parts":{"spool":"failing"}}"#;
    assert_eq!(ask(edge.address, "GET /health").await, (503, bad.to_owned()));

    edge.spool.broken.store(false, Ordering::SeqCst);
    edge.clock.now.fetch_add(60_000, Ordering::SeqCst);
    assert_eq!(ask(edge.address, "GET /health").await.0, 200);
}

#[tokio::test]
async fn a_probe_that_hangs_is_unhealthy_in_time() {
    let clock = Arc::new(StillClock::default());
    clock.hasty.store(true, Ordering::SeqCst);
    let spool = Arc::new(Probed::default());
    spool.hangs.store(true, Ordering::SeqCst);
    let report = Health::new(clock).with_spool("spool", spool).report().await;
    assert!(!report.healthy);
    assert_eq!(report.parts["spool"], super::super::PartHealth::Silent);
}

#[tokio::test]
async fn many_who_ask_at_once_cost_one_probe() {
    let edge = start().await;
    for _ in 0..20 {
        ask(edge.address, "GET /health").await;
    }
    assert_eq!(edge.spool.probes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_edge_that_drains_is_unhealthy_at_once() {
    let edge = start().await;
    assert_eq!(ask(edge.address, "GET /health").await.0, 200);
    edge.health.drain();
    let (status, body) = ask(edge.address, "GET /health").await;
    assert_eq!(status, 503);
    assert!(body.contains("\"draining\":true"), "{body}");
}

#[tokio::test]
async fn idle_connections_do_not_pile_up() {
    let edge = start().await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(TcpStream::connect(edge.address).await.unwrap());
    }
    let asking = tokio::spawn(ask(edge.address, "GET /metrics"));
    // one that goes away makes room for the one that waits
    drop(idle.pop());
    assert_eq!(asking.await.unwrap().0, 200);
}
