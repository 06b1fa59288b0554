//! TLS of the client: opportunistic (RFC 3207, RFC 7435), where any certificate is better than clear text, which would be the
//! alternative; and verified, for a message that asks for no less (RFC 8689).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::deliver::TrustAnchors;
use crate::deliver::outcome::Failure;

/// How sure a session must be of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assurance {
    /// No TLS, by the operator's word.
    Clear,
    /// TLS where it can be had, whoever is at the other end.
    Opportunistic,
    /// TLS, whoever is at the other end.
    Encrypted,
    /// TLS with a server that proves its name.
    Verified,
    /// REQUIRETLS (RFC 8689 §4.2.1): TLS with a server that proves its name and offers the same for the next hop.
    Required,
}

/// Both ways to TLS. Clones share what they hold.
#[derive(Clone)]
pub(crate) struct Tls {
    opportunistic: Connector,
    trust: TrustAnchors,
    /// Made at its first use: few messages ask for it, and reading the system's certificates takes a while.
    verified: Arc<OnceCell<Connector>>,
}

/// Turns connections into TLS connections.
#[derive(Clone)]
pub(crate) struct Connector {
    connector: TlsConnector,
    /// Whether the server's certificate is checked.
    verifies: bool,
}

impl Tls {
    pub(crate) fn new(trust: TrustAnchors) -> Self {
        let any = Arc::new(AnyCertificate(Arc::new(aws_lc_rs::default_provider())));
        Self { opportunistic: Connector::new(any, false), trust, verified: Arc::default() }
    }

    pub(crate) async fn connector(&self, assurance: Assurance) -> Result<Connector, Failure> {
        match assurance {
            Assurance::Clear | Assurance::Opportunistic | Assurance::Encrypted => {
                Ok(self.opportunistic.clone())
            }
            Assurance::Verified | Assurance::Required => {
                self.verified.get_or_try_init(|| verified(self.trust.clone())).await.cloned()
            }
        }
    }
}

async fn verified(trust: TrustAnchors) -> Result<Connector, Failure> {
    let certificates = match trust {
        TrustAnchors::These(certificates) => certificates,
        TrustAnchors::System => {
            tokio::task::spawn_blocking(|| rustls_native_certs::load_native_certs().certs)
                .await
                .unwrap_or_default()
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(aws_lc_rs::default_provider());
    match WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() {
        Ok(verifier) => Ok(Connector::new(verifier, true)),
        Err(cause) => {
            tracing::error!(%cause, "no certificate can be verified; install the system's root certificates");
            Err(Failure::Handshake("this system has no root certificates".to_owned()))
        }
    }
}

impl Connector {
    fn new(verifier: Arc<dyn ServerCertVerifier>, verifies: bool) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Self { connector: TlsConnector::from(Arc::new(config)), verifies }
    }

    /// Makes the handshake. `host` is told to the server (SNI), so that it shows the certificate of that name.
    pub(crate) async fn handshake(
        &self,
        host: &str,
        ip: IpAddr,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).unwrap_or(ServerName::IpAddress(ip.into()));
        self.connector.connect(name, tcp).await
    }

    /// What a handshake that ended in `error` comes to.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match cause {
            Some(Error::InvalidCertificate(why)) if self.verifies => {
                Failure::NeedsRequireTls(format!("the server's certificate does not hold: {why}"))
            }
            _ => Failure::Handshake(error.to_string()),
        }
    }

    /// What the trace says of a TLS connection: version, cipher, and whether the certificate was looked at.
    pub(crate) fn describe(&self, stream: &TlsStream<TcpStream>) -> String {
        let session = stream.get_ref().1;
        let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
        let cipher =
            session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
        let checked = if self.verifies { "verified" } else { "not checked" };
        format!("{} {cipher} (certificate {checked})", version.replace("TLSv1_", "TLSv1."))
    }
}

/// Takes every certificate, and only checks that the server has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
