//! Whether answers are validated: from which trust anchors, and what comes of a server that strips signatures.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer, RetryDnsHandle};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig, TokioResolver};

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
    uncached: Uncached,
    validation: Validation,
    /// Whether signatures come and hold, once that is known.
    signed: OnceLock<bool>,
}

/// What the validating resolver is built on. Of an answer that is bogus it shows what it makes of each record set.
type Uncached = DnssecDnsHandle<RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>>;

/// What was found out is nothing: the servers gave no answer.
struct NoAnswer;

impl Resolvers {
    pub(super) fn new(settings: &DnsSettings) -> Result<Self, DnsSetupError> {
        // with anchors of the operator's own, signatures are expected
        let validation = match (settings.validation, &settings.trust_anchors) {
            (Validation::Auto, Some(_)) => Validation::Always,
            (validation, _) => validation,
        };
        let anchors = trust_anchors(settings)?;
        let (config, options) = servers(settings)?;
        let uncached = uncached(&config, &options, Arc::clone(&anchors))?;
        Ok(Self {
            plain: build(config.clone(), options.clone(), None)?,
            validating: build(config, options, Some(anchors))?,
            uncached,
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

    /// Asks once more for what the validating resolver took for bogus, to see why.
    pub(super) async fn ask_again(&self, name: &Name, kind: RecordType) -> Result<DnsResponse, NetError> {
        let query = Query::query(name.clone(), kind);
        self.uncached.lookup(query, DnsRequestOptions::default()).first_answer().await
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

fn servers(settings: &DnsSettings) -> Result<(ResolverConfig, ResolverOpts), DnsSetupError> {
    let (config, mut options) = if settings.servers.is_empty() {
        read_system_conf().map_err(DnsSetupError::System)?
    } else {
        let servers = settings.servers.iter().map(|server| name_server(*server)).collect();
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Never;
        (ResolverConfig::from_name_servers(servers), options)
    };
    options.timeout = settings.timeout;
    options.attempts = settings.retries;
    options.cache_size = settings.cache_entries;
    options.edns0 = true;
    // each link of a chain of CNAMEs has a proof of its own
    options.preserve_intermediates = true;
    Ok((config, options))
}

fn build(
    config: ResolverConfig,
    options: ResolverOpts,
    anchors: Option<Arc<TrustAnchors>>,
) -> Result<TokioResolver, DnsSetupError> {
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    if let Some(anchors) = anchors {
        builder = builder.with_trust_anchor(anchors);
    }
    builder.build().map_err(DnsSetupError::System)
}

fn uncached(
    config: &ResolverConfig,
    options: &ResolverOpts,
    anchors: Arc<TrustAnchors>,
) -> Result<Uncached, DnsSetupError> {
    let tls = TlsConfig::new().map_err(DnsSetupError::System)?;
    let context = Arc::new(PoolContext::new(options.clone(), tls));
    let pool = NameServerPool::from_config(
        config.name_servers.iter().cloned(),
        context,
        TokioRuntimeProvider::default(),
    );
    Ok(DnssecDnsHandle::with_trust_anchor(RetryDnsHandle::new(pool, options.attempts), anchors))
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}
