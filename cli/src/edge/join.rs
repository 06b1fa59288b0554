//! The seams to the parts: each component gets its share of the settings and its ports here.

use std::net::SocketAddr;
use std::sync::Arc;

use shared::config::Mistake;
use shared::port::{KeyAlgorithm, SigningKey};
use shared::system::{SystemClock, SystemIds};

use super::{Part, Stores};
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Settings;

const NOT_JOINED: &str = "this part is not joined yet";

/// Every mistake in the store URLs that can be found without opening them.
pub(crate) fn check_stores(_settings: &Settings) -> Vec<Mistake> {
    Vec::new()
}

/// Opens the stores of an edge that may be running, and makes none.
pub(crate) async fn open_stores(_settings: &Settings) -> Outcome<Stores> {
    let (_clock, _ids) = (Arc::new(SystemClock), Arc::new(SystemIds::default()));
    Err(Failure::new(Exit::Internal, NOT_JOINED))
}

/// Opens the stores, made where they are not there, with the right to work their queues.
#[expect(clippy::unused_async, reason = "the stores are opened here")]
pub(super) async fn make_stores(_settings: &Settings) -> Outcome<(Stores, Box<dyn Send>)> {
    Err(Failure::new(Exit::Internal, NOT_JOINED))
}

/// Makes a signing key: its private half, and its public half in base64.
pub(crate) fn generate_key(_algorithm: KeyAlgorithm) -> Outcome<(SigningKey, String)> {
    Err(Failure::new(Exit::Internal, NOT_JOINED))
}

/// The SMTP server, listening.
#[expect(clippy::unused_async, reason = "the sockets are opened here")]
pub(super) async fn ingress(_settings: &Settings, _stores: &Stores) -> Outcome<(Vec<SocketAddr>, Part)> {
    Err(Failure::new(Exit::Internal, NOT_JOINED))
}

/// The pollers of prepare and deliver, and the sweep.
pub(super) fn workers(_settings: &Settings, _stores: &Stores) -> Outcome<Vec<(&'static str, Part)>> {
    Err(Failure::new(Exit::Internal, NOT_JOINED))
}
