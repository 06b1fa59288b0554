//! TLS of the client (RFC 3207): the handshake that a policy asks for, and what it proved.

mod dane;
mod named;
mod roots;
mod verifier;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error, SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use roots::Roots;
use verifier::{Judge, Proved, Verifier};

use crate::deliver::outcome::Failure;
use crate::deliver::policy::{Assurance, HostPolicy, Origin, ResultType, TlsVersion};

/// Every way to TLS. Clones share what they hold.
#[derive(Clone)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Roots,
    /// For sessions of which nothing is asked; they alone share what resumes a session, as then no certificate is shown.
    any: TlsConnector,
}

/// Makes the handshake of one session.
pub(crate) struct Connector {
    connector: TlsConnector,
    /// What looks at the certificate; `None` where nobody does.
    verifier: Option<Arc<Verifier>>,
    policy: HostPolicy,
}

/// A handshake that came about.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    /// Version, cipher and by which policy, as the trace tells it.
    pub(crate) description: String,
    /// How the certificate would have failed, where nothing hung on it.
    pub(crate) flaw: Option<ResultType>,
}

impl Tls {
    pub(crate) fn new(roots: Roots) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier::new(provider.clone(), None, false));
        let config = config(&provider, TlsVersion::V1_2, verifier);
        Self { provider, roots, any: TlsConnector::from(Arc::new(config)) }
    }

    /// What makes the handshake that `policy` asks for.
    pub(crate) async fn connector(&self, policy: &HostPolicy) -> Result<Connector, Failure> {
        let judge: Option<Box<dyn Judge>> = match &policy.assurance {
            Assurance::Clear | Assurance::Opportunistic | Assurance::Encrypted if !policy.audits => None,
            Assurance::Clear | Assurance::Opportunistic | Assurance::Encrypted => {
                match self.roots.verifier().await {
                    Ok(roots) => {
                        Some(Box::new(named::Named::new(roots, std::slice::from_ref(&policy.server_name))))
                    }
                    // what only reports does not hold mail up
                    Err(_) => None,
                }
            }
            Assurance::Verified { names } => {
                let roots = self.roots.verifier().await.map_err(|why| Failure::Handshake(why.to_owned()))?;
                Some(Box::new(named::Named::new(roots, names)))
            }
            Assurance::Dane { tlsa, names } => {
                Some(Box::new(dane::ByTlsa::new(self.provider.clone(), tlsa.clone(), names)))
            }
        };
        let policy = policy.clone();
        if judge.is_none() && policy.min_version == TlsVersion::V1_2 {
            return Ok(Connector { connector: self.any.clone(), verifier: None, policy });
        }
        let verifier = Arc::new(Verifier::new(self.provider.clone(), judge, policy.audits));
        let mut config = config(&self.provider, policy.min_version, verifier.clone());
        // who resumes a session shows no certificate
        config.resumption = Resumption::disabled();
        Ok(Connector { connector: TlsConnector::from(Arc::new(config)), verifier: Some(verifier), policy })
    }
}

fn config(provider: &Arc<CryptoProvider>, least: TlsVersion, verifier: Arc<Verifier>) -> ClientConfig {
    let versions: &[&'static SupportedProtocolVersion] = match least {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

impl Connector {
    /// Makes the handshake. The server is told its name (SNI), so that it shows the certificate of that name.
    pub(crate) async fn handshake(&self, ip: IpAddr, tcp: TcpStream) -> io::Result<Secured> {
        let name = ServerName::try_from(self.policy.server_name.clone());
        let name = name.unwrap_or(ServerName::IpAddress(ip.into()));
        let stream = self.connector.connect(name, tcp).await?;
        let verdict = self.verifier.as_ref().and_then(|verifier| verifier.verdict());
        let flaw = match &verdict {
            Some(Err(error)) => Some(self.result_type(error)),
            Some(Ok(_)) | None => None,
        };
        let description = self.describe(&stream, verdict.and_then(Result::ok));
        Ok(Secured { stream, description, flaw })
    }

    /// What a handshake that ended in `error` comes to, and what a report calls it.
    pub(crate) fn failure(&self, error: &io::Error) -> (Failure, ResultType) {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match cause {
            Some(cause @ Error::InvalidCertificate(why)) => {
                let text = format!("the server's certificate does not hold: {}", reason(why));
                let failure = match self.policy.origin {
                    Origin::RequireTls => Failure::NeedsRequireTls(text),
                    _ => Failure::TlsPolicy(format!("{text} ({})", self.policy.origin)),
                };
                (failure, self.result_type(cause))
            }
            _ => (Failure::Handshake(error.to_string()), ResultType::ValidationFailure),
        }
    }

    fn result_type(&self, error: &Error) -> ResultType {
        let Error::InvalidCertificate(why) = error else {
            return ResultType::ValidationFailure;
        };
        match why {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ResultType::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ResultType::CertificateHostMismatch
            }
            _ if matches!(self.policy.assurance, Assurance::Dane { .. }) => ResultType::TlsaInvalid,
            _ => ResultType::CertificateNotTrusted,
        }
    }

    /// What the trace says of a TLS connection: version, cipher, and by which policy.
    fn describe(&self, stream: &TlsStream<TcpStream>, proved: Option<Proved>) -> String {
        let session = stream.get_ref().1;
        let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
        let cipher =
            session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
        let version = version.replace("TLSv1_", "TLSv1.");
        format!("{version} {cipher} ({})", self.label(proved))
    }

    fn label(&self, proved: Option<Proved>) -> String {
        let checked = match proved {
            Some(Proved::Name) => "certificate verified",
            Some(Proved::DaneEe) => "DANE-EE",
            Some(Proved::DaneTa) => "DANE-TA",
            Some(Proved::Nothing) | None => "certificate not checked",
        };
        match (&self.policy.origin, proved) {
            // DANE by itself says it all; what nobody asked for needs no name
            (Origin::Dane, Some(Proved::DaneEe | Proved::DaneTa)) | (Origin::Opportunistic, _) => {
                checked.to_owned()
            }
            (Origin::Dane, _) => "DANE, no record can be used; certificate not checked".to_owned(),
            // the mode says what was done about the certificate
            (origin @ Origin::MtaSts { .. }, _) => origin.to_string(),
            (origin, _) => format!("{origin}, {checked}"),
        }
    }
}

/// Why a certificate is refused, in words.
fn reason(why: &CertificateError) -> String {
    match why {
        CertificateError::Other(other) => other.to_string(),
        CertificateError::UnknownIssuer => "nobody who is trusted vouches for it".to_owned(),
        why => why.to_string(),
    }
}
