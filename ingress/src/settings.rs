//! What the server is told, and what it needs of the world.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use shared::mail::Domain;
use shared::port::{Clock, Directory, Ids, Queue, Spool};

use crate::{AuthSettings, BareLf, Limits};

/// How the server is to behave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's own name, as in its greeting.
    pub hostname: String,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Clients that may send to any domain, and whose mail is a submission.
    pub trusted_networks: Vec<IpNet>,
    /// Domains that anyone may send to.
    pub relay_domains: Vec<Domain>,
    /// How clients prove who they are.
    pub auth: AuthSettings,
    /// Its bounds.
    pub limits: Limits,
}

impl Default for Settings {
    /// Listens nowhere, trusts nobody, relays nothing.
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            listeners: Vec::new(),
            trusted_networks: Vec::new(),
            relay_domains: Vec::new(),
            auth: AuthSettings::default(),
            limits: Limits::default(),
        }
    }
}

/// One listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// What a bare LF in content comes to.
    pub bare_lf: BareLf,
}

/// What the server needs of the world.
#[derive(Clone)]
pub struct Ports {
    /// Where messages are made durable.
    pub spool: Arc<dyn Spool>,
    /// Where the jobs of accepted packs go.
    pub inbound: Arc<dyn Queue>,
    /// Whose credentials clients authenticate with.
    pub directory: Arc<dyn Directory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Names for packs.
    pub ids: Arc<dyn Ids>,
}
