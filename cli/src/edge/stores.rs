//! The stores of an edge, by its settings.

use std::sync::Arc;

use shared::config::Mistake;
use shared::embedded::EdgeLock;
use shared::port::{Clock, Deliveries, Directory, Ids, KeyAlgorithm, Keys, Queue, SigningKey, Spool};
use shared::system::{SystemClock, SystemIds};
use shared::wire::{self, StoreUrls, TakeOverError, WireError};

use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Settings;

/// The stores of an edge, open.
pub(crate) struct Stores {
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) inbound: Arc<dyn Queue>,
    pub(crate) outbound: Arc<dyn Queue>,
    pub(crate) deliveries: Arc<dyn Deliveries>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) keys: Arc<dyn Keys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Stores {
    fn new(stores: wire::Stores, clock: Arc<dyn Clock>) -> Self {
        let wire::Stores { spool, inbound, outbound, deliveries, directory, keys, .. } = stores;
        Self {
            spool,
            inbound,
            outbound,
            deliveries,
            directory,
            keys,
            clock,
            ids: Arc::new(SystemIds::default()),
        }
    }
}

/// Every mistake in the store URLs that can be found without opening them.
pub(crate) fn check_stores(settings: &Settings) -> Vec<Mistake> {
    let problems = urls(settings).check().err().map(|error| error.problems).unwrap_or_default();
    let mistake = |problem: wire::Problem| {
        // the message is "what is wrong: what would be right"
        let (wrong, right) = problem.message.split_once(": ").unwrap_or((&problem.message, "see the README"));
        Mistake { key: problem.key.to_owned(), wrong: wrong.to_owned(), right: right.to_owned() }
    };
    problems.into_iter().map(mistake).collect()
}

/// Opens the stores beside an edge. Makes nothing that is not there.
pub(crate) async fn open_stores(settings: &Settings) -> Outcome<Stores> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = wire::Stores::open_existing(&urls(settings), Arc::clone(&clock)).await.map_err(not_open)?;
    Ok(Stores::new(stores, clock))
}

/// Opens the stores for an edge, and makes those that are not there. Nobody else works the queues while the locks are held.
pub(super) async fn own(settings: &Settings) -> Outcome<(Stores, Vec<EdgeLock>)> {
    std::fs::create_dir_all(&settings.data).map_err(|error| Failure::io(settings.data.display(), &error))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = wire::Stores::open(&urls(settings), Arc::clone(&clock)).await.map_err(not_open)?;
    let locks = stores.take_over().await.map_err(not_taken_over)?;
    Ok((Stores::new(stores, clock), locks))
}

/// Makes a signing key: its private half, and its public half in base64.
pub(crate) fn generate_key(algorithm: KeyAlgorithm) -> Outcome<(SigningKey, String)> {
    let (key, public) = workers::dkim::generate(algorithm)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    Ok((key, public.base64()))
}

fn urls(settings: &Settings) -> StoreUrls {
    let below = StoreUrls::below(&settings.data);
    let own = settings.stores.clone();
    StoreUrls {
        spool: own.spool.unwrap_or(below.spool),
        queue_inbound: own.queue_inbound.unwrap_or(below.queue_inbound),
        queue_outbound: own.queue_outbound.unwrap_or(below.queue_outbound),
        state: own.state.unwrap_or(below.state),
        directory: own.directory.unwrap_or(below.directory),
        keys: own.keys.unwrap_or(below.keys),
        counters: own.counters.unwrap_or(below.counters),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err asks for")]
fn not_open(error: WireError) -> Failure {
    Failure::new(Exit::Io, error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err asks for")]
fn not_taken_over(error: TakeOverError) -> Failure {
    let exit = match &error {
        TakeOverError::Lock(shared::embedded::LockError::Held { .. }) => Exit::Later,
        TakeOverError::Lock(shared::embedded::LockError::Io { .. }) | TakeOverError::Reclaim(_) => Exit::Io,
    };
    Failure::new(exit, error.to_string())
}
