//! What the server is told, and what it needs of the world.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use shared::mail::Domain;
use shared::port::{Clock, Counters, Directory, Ids, Queue, Resolver, Spool};

use crate::limits::CHECKS_TIMEOUT;
use crate::{AuthSettings, BareLf, Limits, ListenerTls, Tls};

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
    /// The domain of return paths, at which mail is taken for those that are signed.
    pub bounces: Option<Domain>,
    /// Its certificates, where it has any; needed by every listener with TLS.
    pub tls: Option<Tls>,
    /// Load balancers: who may connect to a listener that reads PROXY headers.
    pub proxy_networks: Vec<IpNet>,
    /// Proxies that may say by XCLIENT where their client is.
    pub xclient_networks: Vec<IpNet>,
    /// What the DNS is asked about clients outside the trusted networks.
    pub checks: CheckSettings,
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
            bounces: None,
            tls: None,
            proxy_networks: Vec::new(),
            xclient_networks: Vec::new(),
            checks: CheckSettings::default(),
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
    /// Who speaks to it.
    pub kind: ListenerKind,
    /// What a bare LF in content comes to.
    pub bare_lf: BareLf,
    /// What it does about TLS.
    pub tls: ListenerTls,
    /// Whether each connection begins with a PROXY header.
    pub proxy: bool,
}

/// Who speaks to a listener, and where it takes mail to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerKind {
    /// Clients that have authenticated or are in a trusted network hand in mail for anywhere (RFC 6409).
    Submission,
    /// Anybody hands in mail for recipients of ours.
    Mx,
}

/// What the DNS is asked about a client, and what policy makes of the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSettings {
    /// What becomes of a client without a confirmed name (RFC 8601 §3).
    pub reverse_dns: Action,
    /// How long the answers are waited for, from when the client connected.
    pub timeout: Duration,
    /// The block lists; at most [`DNSBLS_MAX`](crate::DNSBLS_MAX).
    pub dnsbls: Vec<Dnsbl>,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self { reverse_dns: Action::Accept, timeout: CHECKS_TIMEOUT, dnsbls: Vec::new() }
    }
}

impl CheckSettings {
    /// Whether any answer can keep a client from sending mail.
    pub(crate) fn can_turn_away(&self) -> bool {
        let lists = self.dnsbls.iter().map(|dnsbl| dnsbl.action);
        lists.chain([self.reverse_dns]).any(|action| action >= Action::Defer)
    }
}

/// A DNS block list (RFC 5782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnsbl {
    /// The zone that is asked.
    pub zone: Domain,
    /// What becomes of a client that it lists.
    pub action: Action,
    /// The answers that count, within 127.0.0.0/8; where there are none, all that lists give.
    pub answers: Vec<Ipv4Addr>,
}

/// What policy makes of a fact, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing; it is known.
    Accept,
    /// The message's header tells it.
    Tag,
    /// Recipients get 450.
    Defer,
    /// Recipients get 550.
    Refuse,
}

/// What the server needs of the world.
#[derive(Clone)]
pub struct Ports {
    /// Where messages are made durable.
    pub spool: Arc<dyn Spool>,
    /// Where the jobs of accepted packs go.
    pub inbound: Arc<dyn Queue>,
    /// The DNS.
    pub resolver: Arc<dyn Resolver>,
    /// Whose credentials clients authenticate with, and whom mail is taken for.
    pub directory: Arc<dyn Directory>,
    /// What credentials have sent.
    pub counters: Arc<dyn Counters>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Names for packs.
    pub ids: Arc<dyn Ids>,
}
