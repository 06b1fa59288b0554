//! What an edge is told: the values, before any component takes its share of them.

mod auth;
mod check;
mod leaving;
mod outcomes;
mod read;
mod roles;
mod taking_in;
mod tls;
mod tls_policy;
mod tls_reports;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ingress::{AuthSettings, CheckSettings, Limits, TlsSettings};
use ipnet::IpNet;
use shared::config::Setting;
use shared::dns::DnsSettings;
use shared::mail::Domain;
use shared::telemetry::{LogFilter, LogFormat};
use shared::wire::Store;
use workers::deliver::shaping::OwnRules;
use workers::deliver::{
    ClientLimits, RetrySettings, Route, SmartHosts, Source, SuppressionSettings, TlsOverrides,
};
use workers::limits::{CONNECTIONS_MAX, PACK_RETAIN, RETAIN};

pub(crate) use read::read;
pub(crate) use roles::{Reader, Role, Roles};
pub(crate) use tls::ListenerTls;
pub(crate) use tls_reports::TlsReports;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The name of this edge: in its greeting, its EHLO and its Received lines.
    pub(crate) hostname: Domain,
    /// What this process does of all that an edge does.
    pub(crate) roles: Roles,
    /// The folder of all data that no URL puts elsewhere.
    pub(crate) data: PathBuf,
    /// The folder of the route `inbox`.
    pub(crate) inbox: PathBuf,
    pub(crate) listeners: Vec<Listener>,
    /// Certificates; no listener has TLS without.
    pub(crate) tls: Option<TlsSettings>,
    /// Clients that may submit mail without a credential.
    pub(crate) trusted_networks: Vec<IpNet>,
    /// Domains that anyone may send to.
    pub(crate) relay_domains: Vec<Domain>,
    /// Load balancers that write PROXY headers.
    pub(crate) proxy_networks: Vec<IpNet>,
    /// Proxies that may use XCLIENT.
    pub(crate) xclient_networks: Vec<IpNet>,
    /// What the DNS is asked about clients.
    pub(crate) checks: CheckSettings,
    /// How mail leaves, by pattern.
    pub(crate) routes: Vec<(String, Route)>,
    /// The smart hosts that routes may name, and operators too.
    pub(crate) smart_hosts: Vec<Arc<SmartHosts>>,
    /// From where the mail of which tenants leaves.
    pub(crate) sources: Vec<Source>,
    /// How clients prove who they are.
    pub(crate) auth: AuthSettings,
    pub(crate) limits: Limits,
    pub(crate) retry: RetrySettings,
    /// The domain of the return paths that submissions leave with, and of their bounces.
    pub(crate) bounces: Option<Domain>,
    /// Who is suppressed by itself.
    pub(crate) suppression: SuppressionSettings,
    pub(crate) stores: Stores,
    /// Which name servers are asked, and whether they are believed.
    pub(crate) dns: DnsSettings,
    /// How TLS is to be with destinations, by pattern.
    pub(crate) tls_policy: TlsOverrides,
    pub(crate) deliver: Deliver,
    /// Whom reports of TLS are from; none are made without.
    pub(crate) tls_reports: Option<TlsReports>,
    /// The operator's own rules of shaping.
    pub(crate) shaping_rules: OwnRules,
    /// Where metrics and health are told.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) log: Log,
}

/// One listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) bare_lf: BareLf,
    pub(crate) tls: ListenerTls,
    /// Whether a load balancer says in a PROXY header where the client is.
    pub(crate) proxy_protocol: bool,
}

/// Who speaks to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Clients that have authenticated or are trusted, with mail for anywhere.
    Submission,
    /// Anybody, with mail for recipients of ours.
    Mx,
}

impl Setting for Kind {
    const RIGHT: &'static str = "submission or mx";

    fn read(text: &str) -> Option<Self> {
        match text {
            "submission" => Some(Self::Submission),
            "mx" => Some(Self::Mx),
            _ => None,
        }
    }
}

/// What a bare LF in content comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BareLf {
    /// The message is refused.
    Refuse,
    /// It is taken for CRLF.
    Crlf,
}

impl Setting for BareLf {
    const RIGHT: &'static str = "refuse or crlf";

    fn read(text: &str) -> Option<Self> {
        match text {
            "refuse" => Some(Self::Refuse),
            "crlf" => Some(Self::Crlf),
            _ => None,
        }
    }
}

/// Where everything is kept: URLs, `None` for the place below the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stores {
    pub(crate) spool: Option<String>,
    pub(crate) queue_inbound: Option<String>,
    pub(crate) queue_outbound: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) directory: Option<String>,
    pub(crate) keys: Option<String>,
    pub(crate) counters: Option<String>,
    /// How long packs are kept.
    pub(crate) retention: Duration,
    /// How long what became of a message is remembered.
    pub(crate) memory: Duration,
}

impl Stores {
    /// The URL of `store`, if it has one.
    pub(crate) fn url(&self, store: Store) -> Option<&str> {
        let url = match store {
            Store::Spool => &self.spool,
            Store::QueueInbound => &self.queue_inbound,
            Store::QueueOutbound => &self.queue_outbound,
            Store::State => &self.state,
            Store::Directory => &self.directory,
            Store::Keys => &self.keys,
            Store::Counters => &self.counters,
        };
        url.as_deref()
    }
}

impl Default for Stores {
    fn default() -> Self {
        Self {
            spool: None,
            queue_inbound: None,
            queue_outbound: None,
            state: None,
            directory: None,
            keys: None,
            counters: None,
            retention: PACK_RETAIN,
            memory: RETAIN,
        }
    }
}

/// How mail is sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deliver {
    /// The TCP port of MX hosts.
    pub(crate) port: u16,
    /// Whether addresses that the DNS names may be private, loopback and the like.
    pub(crate) allow_private_addresses: bool,
    /// Connections at a time.
    pub(crate) connections: usize,
    /// Messages over one of them.
    pub(crate) messages_per_connection: usize,
    /// How long one is kept for the next message to its site; none is, where it is zero.
    pub(crate) keep: Duration,
    /// How many are kept for one site.
    pub(crate) kept_per_site: usize,
    /// How long an address of several has to answer before the next one is tried beside it.
    pub(crate) stagger: Duration,
    pub(crate) timeouts: Timeouts,
}

impl Deliver {
    /// The limits of a client that is set like this.
    pub(crate) fn limits(&self) -> ClientLimits {
        let Self { connections, messages_per_connection, keep, kept_per_site, stagger, .. } = *self;
        ClientLimits {
            connections,
            kept: connections,
            messages_per_connection,
            keep,
            kept_per_site,
            stagger,
            ..self.timeouts.limits()
        }
    }
}

/// How long a server has for each of its replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) greeting: Duration,
    /// EHLO, HELO and STARTTLS.
    pub(crate) command: Duration,
    pub(crate) mail: Duration,
    pub(crate) rcpt: Duration,
    pub(crate) data: Duration,
    /// To take one block of content.
    pub(crate) block: Duration,
    /// To answer the final dot.
    pub(crate) end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let ClientLimits { connect, greeting, command, mail, recipient: rcpt, data, block, end, .. } =
            ClientLimits::default();
        Self { connect, greeting, command, mail, rcpt, data, block, end }
    }
}

impl Timeouts {
    /// The limits of a client that waits so long.
    pub(crate) fn limits(self) -> ClientLimits {
        let Self { connect, greeting, command, mail, rcpt: recipient, data, block, end } = self;
        ClientLimits {
            connect,
            greeting,
            command,
            mail,
            recipient,
            data,
            block,
            end,
            ..ClientLimits::default()
        }
    }
}

impl Default for Deliver {
    fn default() -> Self {
        let ClientLimits { messages_per_connection, keep, kept_per_site, stagger, .. } =
            ClientLimits::default();
        Self {
            port: 25,
            allow_private_addresses: false,
            connections: CONNECTIONS_MAX,
            messages_per_connection,
            keep,
            kept_per_site,
            stagger,
            timeouts: Timeouts::default(),
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// `None`: text on a terminal, JSON otherwise.
    pub(crate) format: Option<LogFormat>,
    pub(crate) filter: LogFilter,
}

impl Settings {
    /// The settings of an edge that is told nothing but its name.
    pub(crate) fn new(hostname: Domain, data: PathBuf) -> Self {
        let listener = |port, kind| Listener {
            address: SocketAddr::from(([0, 0, 0, 0], port)),
            kind,
            bare_lf: BareLf::Refuse,
            tls: ListenerTls::Off,
            proxy_protocol: false,
        };
        Self {
            hostname,
            roles: Roles::all(),
            inbox: data.join("inbox"),
            data,
            listeners: vec![listener(25, Kind::Mx), listener(587, Kind::Submission)],
            tls: None,
            trusted_networks: loopback(),
            relay_domains: Vec::new(),
            proxy_networks: Vec::new(),
            xclient_networks: Vec::new(),
            checks: CheckSettings::default(),
            routes: vec![("*".to_owned(), Route::Mx)],
            smart_hosts: Vec::new(),
            sources: Vec::new(),
            auth: AuthSettings::default(),
            limits: Limits::default(),
            retry: RetrySettings::default(),
            bounces: None,
            suppression: SuppressionSettings::default(),
            stores: Stores::default(),
            dns: DnsSettings::default(),
            tls_policy: TlsOverrides::default(),
            deliver: Deliver::default(),
            tls_reports: None,
            shaping_rules: OwnRules::None,
            http: None,
            log: Log::default(),
        }
    }
}

/// This machine.
pub(crate) fn loopback() -> Vec<IpNet> {
    vec![
        IpNet::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0).into(), 8),
        IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128),
    ]
}

#[cfg(test)]
mod tests;
