//! The assembly: settings in, a whole edge out. The one file that knows how the parts are joined.

mod deliver;
mod function;
mod join;
mod needs;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use shared::config::Mistake;
use shared::port::{Clock, Counters, Deliveries, Directory, Ids, Keys, Queue, Spool, Tallies};
use shared::telemetry::{Health, HttpServer, Metrics};
use shared::wire::Store;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure, Outcome};
use crate::limits::{DRAIN_TIME, INGRESS_HEAD_START};
use crate::settings::{Role, Settings};

pub(crate) use deliver::{Whereto, check_secrets, check_shaping, whereto};
pub(crate) use function::serve as serve_function;
pub(crate) use join::{check_stores, generate_key, open_stores, set_up_stores, tls};
pub(crate) use needs::{CANCEL, DIRECTORY, DOMAIN, HANDS, QUEUE, SHAPING, TRACE, needs};

/// The stores of an edge, open.
pub(crate) struct Stores {
    /// Where its state is, to name the edge by: a URL, or the data folder.
    pub(crate) place: String,
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) inbound: Arc<dyn Queue>,
    pub(crate) outbound: Arc<dyn Queue>,
    pub(crate) deliveries: Arc<dyn Deliveries>,
    pub(crate) reminders: Arc<dyn Tallies>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) counters: Arc<dyn Counters>,
    pub(crate) tallies: Arc<dyn Tallies>,
    pub(crate) keys: Arc<dyn Keys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

/// What an edge answers on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) smtp: Vec<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
}

/// Something that runs until it is told to stop, and then ends what it has begun.
type Part = Box<dyn FnOnce(CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// An edge in one process, or those parts of it that the roles name, listening and not yet serving.
pub(crate) struct Edge {
    running: Running,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    ingress: Option<Part>,
    /// The pollers of prepare and deliver, and the sweep, each with its name.
    workers: Vec<(&'static str, Part)>,
    http: Option<HttpServer>,
    /// The right to work the queues, for as long as anything works them.
    _held: Box<dyn Send>,
}

impl Edge {
    /// Opens the stores and the sockets.
    pub(crate) async fn build(settings: &Settings) -> Outcome<Self> {
        // what is wrong with a certificate is told before anything is made
        let tls = join::tls(settings).await.map_err(|mistakes| refused("TLS", &mistakes))?;
        check_secrets(settings).await.map_err(|mistakes| refused("smart_host", &mistakes))?;
        check_shaping(settings).map_err(|mistakes| refused("shaping", &mistakes))?;
        let (stores, held) = join::make_stores(settings).await?;
        deliver::ensure_return_paths(settings, &stores).await;
        let clock = Arc::clone(&stores.clock);
        let health = Arc::new(health(settings, &stores));
        let http = match settings.http {
            Some(address) => Some(bind_http(address, &health, &clock).await?),
            None => None,
        };
        let resolver = join::resolver(settings)?;
        let workers = join::workers(settings, &stores, &resolver)?;
        let (smtp, ingress) = if settings.roles.has(Role::Ingress) {
            let (addresses, ingress) = join::ingress(settings, tls, &stores, &resolver).await?;
            (addresses, Some(ingress))
        } else {
            (Vec::new(), None)
        };
        let running = Running { smtp, http: http.as_ref().map(HttpServer::address) };
        Ok(Self { running, clock, health, ingress, workers, http, _held: held })
    }

    /// What it answers on.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// Serves until `drain` is cancelled: then ingress ends first, then the workers, then metrics and health. What is not done in
    /// time is done after the next start. A part that ends by itself ends the edge.
    pub(crate) async fn run(self, drain: CancellationToken) -> Outcome {
        let stop = CancellationToken::new();
        // health is told to the very end, so that an edge that drains is seen to
        let _http = self.http.map(|http| AbortOnDrop(tokio::spawn(http.serve(std::future::pending()))));
        let mut workers = JoinSet::new();
        for (name, part) in self.workers {
            let running = part(stop.clone());
            workers.spawn(async move {
                running.await;
                name
            });
        }
        let mut ingress = JoinSet::new();
        if let Some(part) = self.ingress {
            let running = part(drain.clone());
            ingress.spawn(async move {
                running.await;
                "ingress"
            });
        }
        let ended = tokio::select! {
            // without it, parts that end because of the drain could be seen first and taken for broken
            biased;
            () = drain.cancelled() => None,
            Some(ended) = ingress.join_next() => Some(ended),
            Some(ended) = workers.join_next() => Some(ended),
        };
        self.health.drain();
        drain.cancel();
        drain_in_order(&self.clock, ingress, workers, &stop).await;
        match ended {
            None => Ok(()),
            Some(ended) => Err(ended_by_itself(ended)),
        }
    }
}

/// Ends ingress, and then the workers: with a head start only, so that both have time within [`DRAIN_TIME`].
async fn drain_in_order(
    clock: &Arc<dyn Clock>,
    mut ingress: JoinSet<&'static str>,
    mut workers: JoinSet<&'static str>,
    stop: &CancellationToken,
) {
    let in_order = async {
        let first = clock.timeout(INGRESS_HEAD_START, async { while ingress.join_next().await.is_some() {} });
        first.await;
        stop.cancel();
        while ingress.join_next().await.is_some() {}
        while workers.join_next().await.is_some() {}
    };
    match clock.timeout(DRAIN_TIME, in_order).await {
        Some(()) => tracing::info!("drained"),
        None => tracing::warn!("not all work ended in time; it goes on after the next start"),
    }
}

fn refused(what: &str, mistakes: &[Mistake]) -> Failure {
    Failure::new(Exit::Config, crate::serve::list(what, mistakes))
}

fn ended_by_itself(ended: Result<&'static str, JoinError>) -> Failure {
    let text = match ended {
        Ok(name) => format!("{name} ended by itself; this is a fault of the program"),
        Err(error) => format!("a part of the edge failed: {error}"),
    };
    tracing::error!("{text}");
    Failure::new(Exit::Internal, text)
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The health of what the roles write to. What they only read is told by the work that fails, and may be theirs to read only.
fn health(settings: &Settings, stores: &Stores) -> Health {
    let written = needs::written(settings);
    let mut health = Health::new(Arc::clone(&stores.clock));
    if written.has(Store::Spool) {
        health = health.with_spool("spool", Arc::clone(&stores.spool));
    }
    for (store, name, queue) in [
        (Store::QueueInbound, "inbound", &stores.inbound),
        (Store::QueueOutbound, "outbound", &stores.outbound),
    ] {
        if written.has(store) {
            health = health.with_queue(name, Arc::clone(queue));
        }
    }
    health
}

async fn bind_http(address: SocketAddr, health: &Arc<Health>, clock: &Arc<dyn Clock>) -> Outcome<HttpServer> {
    let metrics = Metrics::install().map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    ingress::describe_metrics();
    HttpServer::bind(address, metrics, Arc::clone(health), Arc::clone(clock))
        .await
        .map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::Forbidden,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, format!("cannot listen on {address}: {error}"))
}

#[cfg(test)]
mod tests;
