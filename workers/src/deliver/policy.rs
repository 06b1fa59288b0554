//! How sure a session must be of its server: what the operator, the recipient's domain and the message ask for, host by host.
//!
//! The operator's word goes first, then DANE, then MTA-STS, and where none of them says anything TLS is opportunistic (RFC 8461 §2:
//! MTA-STS never overrides DANE). A message with REQUIRETLS asks for the strongest that can be had; one with `TLS-Required: No` asks
//! for the least, but of the operator.

mod dane;
mod destination;
mod memory;
mod mta_sts;
mod observe;
mod overrides;
pub(crate) mod tlsa;

use std::fmt;
use std::sync::Arc;

use shared::port::{Clock, Directory, Resolver, Tlsa};

pub(crate) use destination::{DestinationTls, NextHop, Wish};
use memory::BrokenTls;
use mta_sts::MtaSts;
pub use mta_sts::StsMode;
pub use observe::{ObserveTls, PolicyFound, ResultType, TlsObservation, Unobserved};
pub use overrides::{TlsMode, TlsOverride, TlsOverrides, TlsVersion};

use super::https::Https;
use super::smtp::tls::{Roots, Tls};
use super::{TransportPorts, TransportSettings};

/// How sure a session must be of its server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Assurance {
    /// No TLS at all.
    Clear,
    /// TLS where it can be had, whoever is at the other end; else clear text.
    Opportunistic,
    /// TLS with any certificate, and never clear text.
    Encrypted,
    /// TLS with a server that proves one of these names to the authorities that are trusted.
    Verified {
        /// Names in A-labels.
        names: Vec<String>,
    },
    /// TLS with a server that one of these TLSA records vouches for (RFC 7672).
    Dane {
        /// Those that are usable; at least one.
        tlsa: Vec<Tlsa>,
        /// The names that a certificate may have which a record of usage 2 vouches for.
        names: Vec<String>,
    },
}

/// Who asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// The configuration, by the rule of this pattern.
    Override(String),
    /// The message, by REQUIRETLS (RFC 8689).
    RequireTls,
    /// The domain, by TLSA records.
    Dane,
    /// The domain, by MTA-STS.
    MtaSts {
        /// The id of the policy.
        id: String,
        /// Its mode.
        mode: StsMode,
    },
    /// The configuration, by the smart host of this name.
    SmartHost(String),
    /// The message, by `TLS-Required: No` (RFC 8689 §5).
    NotRequired,
    /// Nobody.
    Opportunistic,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Override(pattern) => write!(f, "tls_policy \"{pattern}\""),
            Self::RequireTls => f.write_str("REQUIRETLS"),
            Self::Dane => f.write_str("DANE"),
            Self::MtaSts { mode, .. } => write!(f, "MTA-STS {mode}"),
            Self::SmartHost(name) => write!(f, "smart host \"{name}\""),
            Self::NotRequired => f.write_str("TLS-Required: No"),
            Self::Opportunistic => f.write_str("opportunistic TLS"),
        }
    }
}

/// What holds for the sessions with one host. Sessions of equal policies are as good as each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostPolicy {
    pub(crate) assurance: Assurance,
    /// The least version of TLS.
    pub(crate) min_version: TlsVersion,
    pub(crate) origin: Origin,
    /// Whether the server must offer REQUIRETLS.
    pub(crate) require_tls: bool,
    /// The name that the server is told (SNI).
    pub(crate) server_name: String,
    /// What is found out of the certificate, for a report, where nothing hangs on it.
    pub(crate) audits: bool,
    /// What stands in the policy that was found, for reports.
    pub(crate) found: PolicyFound,
}

impl HostPolicy {
    fn new(assurance: Assurance, origin: Origin, host: &str) -> Self {
        Self {
            assurance,
            min_version: TlsVersion::V1_2,
            origin,
            require_tls: false,
            server_name: host.to_owned(),
            audits: false,
            found: PolicyFound::None,
        }
    }

    /// Whether a session that was opened by this policy will do for another.
    pub(crate) fn is_as_good_as(&self, other: &Self) -> bool {
        self.assurance == other.assurance
            && self.min_version >= other.min_version
            && (self.require_tls || !other.require_tls)
    }

    /// Whether the server has proved who it is.
    pub(crate) fn verifies_server(&self) -> bool {
        match self.assurance {
            Assurance::Clear | Assurance::Opportunistic | Assurance::Encrypted => false,
            Assurance::Verified { .. } | Assurance::Dane { .. } => true,
        }
    }

    /// Whether mail may go in clear text where TLS does not come about.
    pub(crate) fn may_be_clear(&self) -> bool {
        match self.assurance {
            Assurance::Clear | Assurance::Opportunistic => true,
            Assurance::Encrypted | Assurance::Verified { .. } | Assurance::Dane { .. } => false,
        }
    }
}

/// What all destinations share: the operator's rules, what is known of domains and hosts, and the ways to TLS. Clones share it.
#[derive(Clone)]
pub(crate) struct TlsPolicies {
    overrides: Arc<TlsOverrides>,
    resolver: Arc<dyn Resolver>,
    mta_sts: Arc<MtaSts>,
    broken: Arc<BrokenTls>,
    observer: Arc<dyn ObserveTls>,
    tls: Tls,
}

impl TlsPolicies {
    pub(crate) fn new(settings: &TransportSettings, ports: &TransportPorts) -> Self {
        let roots = Roots::new(settings.trust.clone());
        let (resolver, clock): (Arc<dyn Resolver>, Arc<dyn Clock>) =
            (ports.resolver.clone(), ports.clock.clone());
        let directory: Arc<dyn Directory> = ports.directory.clone();
        let https = Https::new(resolver.clone(), roots.clone(), settings.allow_private_addresses);
        let mta_sts = MtaSts::new(https, settings.mta_sts_port, resolver.clone(), directory, clock.clone());
        Self {
            overrides: Arc::new(settings.tls_overrides.clone()),
            resolver,
            mta_sts: Arc::new(mta_sts),
            broken: Arc::new(BrokenTls::new(clock)),
            observer: settings.observer.0.clone(),
            tls: Tls::new(roots),
        }
    }
}
