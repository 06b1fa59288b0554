//! What a handshake tells.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::certificate::alternative_names;
use super::names::Names;
use crate::limits::CERTIFICATE_NAME_CHARS;

/// Label of the channel binding `tls-exporter` (RFC 9266 §2).
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// What is known of a TLS session once the handshake is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// Version, cipher suite and key exchange, such as `TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768`.
    pub cipher: String,
    /// The server that the client asked for (SNI).
    pub sni: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The client's certificate, which one of the authorities has signed.
    pub client_certificate: Option<ClientCertificate>,
    /// Channel binding `tls-exporter` (RFC 9266). None with TLS 1.2: there it is safe only with extended master secret, and rustls does
    /// not tell whether that was used.
    pub exporter: Option<[u8; 32]>,
    /// Channel binding `tls-server-end-point` (RFC 5929 §4): the hash of the certificate that was shown. None where that has no one hash.
    pub server_end_point: Option<Vec<u8>>,
}

/// Who a client is, as an authority says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject, such as `CN=app.example.com`. May be empty.
    pub subject: String,
    /// DNS names and mail addresses among the alternative names.
    pub names: Vec<String>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
}

impl TlsFacts {
    pub(super) fn of(session: &ServerConnection, names: &Names) -> Self {
        let sni = session.server_name();
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let export = || session.export_keying_material([0; 32], EXPORTER, Some(b"")).ok();
        let client = session.peer_certificates().and_then(<[_]>::first);
        Self {
            version,
            cipher: cipher(session, version),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            client_certificate: client.map(ClientCertificate::of),
            exporter: if version == "TLSv1.3" { export() } else { None },
            server_end_point: names.find(sni).and_then(|certificate| certificate.end_point.clone()),
            sni: sni.map(str::to_owned),
        }
    }

    /// The session in a line, as a message's trace and its Received header tell it. Whose certificate a client showed is told by
    /// its subject, or the first of its names where it has none, up to [`CERTIFICATE_NAME_CHARS`] characters.
    pub(crate) fn describe(&self) -> String {
        let Some(certificate) = &self.client_certificate else { return self.cipher.clone() };
        let subject = Some(&certificate.subject).filter(|subject| !subject.is_empty());
        let name = subject.or(certificate.names.first()).unwrap_or(&certificate.fingerprint);
        let name: String = name.chars().filter(|c| !c.is_control()).take(CERTIFICATE_NAME_CHARS).collect();
        format!("{} client certificate {name}", self.cipher)
    }
}

fn cipher(session: &ServerConnection, version: &str) -> String {
    let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    // rustls has a name of its own for what RFC 8446 appendix B.4 calls TLS_AES_128_GCM_SHA256
    let suite = suite.unwrap_or("unknown").replace("TLS13_", "TLS_");
    let group = session.negotiated_key_exchange_group().and_then(|group| group.name().as_str());
    match group {
        Some(group) => format!("{version} {suite} {group}"),
        None => format!("{version} {suite}"),
    }
}

impl ClientCertificate {
    fn of(der: &CertificateDer<'_>) -> Self {
        let mut fingerprint = String::with_capacity(64);
        for octet in digest(&SHA256, der).as_ref() {
            let _ = write!(fingerprint, "{octet:02x}");
        }
        // rustls has checked it, so that it can be read
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return Self { subject: String::new(), names: Vec::new(), fingerprint };
        };
        let names = alternative_names(&certificate).iter().filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        });
        Self { names: names.collect(), subject: certificate.subject().to_string(), fingerprint }
    }
}
