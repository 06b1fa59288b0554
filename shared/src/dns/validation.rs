//! Whether answers are validated: from which trust anchors, and what comes of a server that strips signatures.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::rr::{Name, RecordType};

use super::{DnsSettings, DnsSetupError};

/// Whether answers are validated by DNSSEC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Validation {
    /// Where the servers hand signatures on, which is found out once, before the first answer. Where they strip them, no answer is
    /// secure and DANE cannot be had; the log says so.
    #[default]
    Auto,
    /// Always. With servers that strip signatures, every answer is bogus and no mail leaves.
    Always,
    /// Never: no answer is secure.
    Never,
}

/// A resolver that validates, and one that does not for servers with which nothing can be validated.
pub(super) struct Resolvers {
    plain: TokioResolver,
    validating: TokioResolver,
    validation: Validation,
    /// Whether signatures come and hold, once that is known.
    signed: OnceLock<bool>,
}

/// What was found out is nothing: the servers gave no answer.
struct NoAnswer;

impl Resolvers {
    pub(super) fn new(settings: &DnsSettings) -> Result<Self, DnsSetupError> {
        // with anchors of the operator's own, signatures are expected
        let validation = match (settings.validation, &settings.trust_anchors) {
            (Validation::Auto, Some(_)) => Validation::Always,
            (validation, _) => validation,
        };
        Ok(Self {
            plain: build(settings, None)?,
            validating: build(settings, Some(trust_anchors(settings)?))?,
            validation,
            signed: OnceLock::new(),
        })
    }

    /// The resolver to ask, and whether it validates.
    pub(super) async fn choose(&self) -> (&TokioResolver, bool) {
        let signed = match self.validation {
            Validation::Never => false,
            // servers that do not answer are believed to be able to, so that cutting them off for a while gains nothing
            Validation::Auto => self.are_signed().await.unwrap_or(true),
            Validation::Always => {
                let _ = self.are_signed().await;
                true
            }
        };
        if signed { (&self.validating, true) } else { (&self.plain, false) }
    }

    /// Whether signatures come and hold. Whoever asks first finds out; nobody waits for another's question, which may get no answer.
    async fn are_signed(&self) -> Result<bool, NoAnswer> {
        if let Some(signed) = self.signed.get() {
            return Ok(*signed);
        }
        let found = self.probe().await?;
        if self.signed.set(found.is_ok()).is_ok()
            && let Err(cause) = found
        {
            self.warn(&cause);
        }
        Ok(self.signed.get().copied().unwrap_or(true))
    }

    /// Asks for the root's SOA record, which everybody has and which is signed; an inner error is why its signature does not hold.
    async fn probe(&self) -> Result<Result<(), String>, NoAnswer> {
        match self.validating.lookup(Name::root(), RecordType::SOA).await {
            Ok(found) if found.answers().iter().any(|record| record.proof == Proof::Secure) => Ok(Ok(())),
            Ok(_) => Ok(Err("there is none".to_owned())),
            Err(NetError::Dns(
                cause @ (DnsError::DnssecBogus | DnsError::Nsec { .. } | DnsError::NoRecordsFound(_)),
            )) => Ok(Err(cause.to_string())),
            Err(_) => Err(NoAnswer),
        }
    }

    fn warn(&self, cause: &str) {
        match self.validation {
            Validation::Auto => tracing::error!(
                cause,
                "the name servers hand on no DNSSEC signatures that hold: nothing is validated and DANE cannot be had; name servers in dns.servers that keep signatures"
            ),
            Validation::Always => tracing::error!(
                cause,
                "the name servers hand on no DNSSEC signatures that hold: every answer is bogus and mail waits; name servers in dns.servers that keep signatures, or see dns.validate and dns.trust_anchors"
            ),
            Validation::Never => {}
        }
    }
}

fn trust_anchors(settings: &DnsSettings) -> Result<Arc<TrustAnchors>, DnsSetupError> {
    let Some(path) = &settings.trust_anchors else {
        return Ok(Arc::default());
    };
    let wrong = |why: String| DnsSetupError::TrustAnchors { path: path.clone(), why };
    let anchors = TrustAnchors::from_file(path).map_err(|cause| wrong(cause.to_string()))?;
    if anchors.is_empty() {
        return Err(wrong("it has no key of the root".to_owned()));
    }
    Ok(Arc::new(anchors))
}

fn build(settings: &DnsSettings, anchors: Option<Arc<TrustAnchors>>) -> Result<TokioResolver, DnsSetupError> {
    let mut builder = if settings.servers.is_empty() {
        TokioResolver::builder_tokio().map_err(DnsSetupError::System)?
    } else {
        let servers = settings.servers.iter().map(|server| name_server(*server)).collect();
        let config = ResolverConfig::from_name_servers(servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        builder
    };
    let options = builder.options_mut();
    options.timeout = settings.timeout;
    options.attempts = settings.retries;
    options.cache_size = settings.cache_entries;
    options.edns0 = true;
    // each link of a chain of CNAMEs has a proof of its own
    options.preserve_intermediates = true;
    if let Some(anchors) = anchors {
        builder = builder.with_trust_anchor(anchors);
    }
    builder.build().map_err(DnsSetupError::System)
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}
