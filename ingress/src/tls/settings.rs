//! What TLS is told.

use std::fmt;
use std::path::PathBuf;

/// How TLS is to be spoken. The first certificate is shown to clients that name no server (SNI), or one that no certificate has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Where certificates are; at least one.
    pub certificates: Vec<CertificateSource>,
    /// Whether a client shows a certificate of its own, and whose.
    pub client_certificates: ClientCertificates,
    /// The least version.
    pub least_version: LeastVersion,
}

/// Where a certificate is, with its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    /// Two files in PEM; both may be the same one.
    Files {
        /// The server's certificate, and behind it those of the authorities between it and a root.
        chain: PathBuf,
        /// The private key: PKCS #8, PKCS #1 or SEC 1.
        key: PathBuf,
    },
    /// The name of a secret, as [`Secrets`](shared::port::Secrets) takes it. Its text is the PEM of chain and key together.
    Secret(String),
}

impl fmt::Display for CertificateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { chain, .. } => chain.display().fmt(f),
            Self::Secret(name) => f.write_str(name),
        }
    }
}

/// What is asked of a client. A certificate that none of the authorities has signed ends the handshake, even where none is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Nothing.
    #[default]
    None,
    /// It may show a certificate.
    Optional {
        /// The authorities that sign them, in PEM.
        authorities: PathBuf,
    },
    /// It must show a certificate.
    Required {
        /// The authorities that sign them, in PEM.
        authorities: PathBuf,
    },
}

impl ClientCertificates {
    /// The file of the authorities, where there is one.
    pub(super) fn authorities(&self) -> Option<&PathBuf> {
        match self {
            Self::None => None,
            Self::Optional { authorities } | Self::Required { authorities } => Some(authorities),
        }
    }
}

/// The least version of TLS that is spoken. Nothing older than 1.2 is (RFC 8996).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LeastVersion {
    /// TLS 1.2 (RFC 5246) with forward secrecy, and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446) only.
    Tls13,
}

/// What a listener does about TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListenerTls {
    /// It has none.
    #[default]
    Off,
    /// It offers STARTTLS (RFC 3207).
    StartTls,
    /// It speaks TLS from the first octet (RFC 8314 §3).
    Implicit,
}
