//! What the server is told, and what it needs of the world.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use shared::mail::Domain;
use shared::port::{Clock, Ids, Queue, Spool};

use crate::{BareLf, Limits, ListenerTls, Tls};

/// How the server is to behave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's own name, as in its greeting.
    pub hostname: String,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Clients that may submit mail without a credential.
    pub trusted_networks: Vec<IpNet>,
    /// Domains that anyone may send to.
    pub relay_domains: Vec<Domain>,
    /// Its certificates, where it has any; needed by every listener with TLS.
    pub tls: Option<Tls>,
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
            tls: None,
            limits: Limits::default(),
        }
    }
}

/// One listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// Who speaks to it.
    pub kind: ListenerKind,
    /// What a bare LF in content comes to.
    pub bare_lf: BareLf,
    /// What it does about TLS.
    pub tls: ListenerTls,
}

/// Who speaks to a listener, and where it takes mail to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerKind {
    /// Clients that have authenticated or are in a trusted network hand in mail for anywhere (RFC 6409).
    Submission,
    /// Anybody hands in mail for recipients of ours.
    Mx,
}

/// What the server needs of the world.
#[derive(Clone)]
pub struct Ports {
    /// Where messages are made durable.
    pub spool: Arc<dyn Spool>,
    /// Where the jobs of accepted packs go.
    pub inbound: Arc<dyn Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Names for packs.
    pub ids: Arc<dyn Ids>,
}
