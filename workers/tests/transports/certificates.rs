//! Certificates of our own making, and servers that show them.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData as _};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::server::{Act, Asked, Server};

/// Says who somebody is.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The public key (SubjectPublicKeyInfo).
    pub fn public_key(&self) -> Vec<u8> {
        self.0.key().subject_public_key_info()
    }

    /// A certificate for `names`, with this authority's behind it.
    pub fn issue(&self, names: &[&str], expired: bool) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, expired).signed_by(&key, &self.0).unwrap().der().clone();
        Identity { chain: vec![certificate, self.certificate()], key }
    }
}

/// What a server shows.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    /// One that nobody but itself vouches for.
    pub fn self_signed(names: &[&str], expired: bool) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, expired).self_signed(&key).unwrap().der().clone();
        Self { chain: vec![certificate], key }
    }

    pub fn public_key(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    pub fn config(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .unwrap();
        Arc::new(config)
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config(rustls::ALL_VERSIONS))
    }

    /// A mail server with this certificate, which offers REQUIRETLS under TLS.
    pub async fn serve(&self) -> Server {
        Server::start(&["STARTTLS", "REQUIRETLS"], script(self.acceptor())).await
    }
}

/// Makes TLS by `acceptor`.
pub fn script(acceptor: TlsAcceptor) -> impl Fn(&Asked) -> Option<Act> + Send + Sync + 'static {
    move |asked| (asked.step == "STARTTLS").then(|| Act::Tls(acceptor.clone(), String::new()))
}

fn params(names: &[&str], expired: bool) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    params
}

/// The data of a TLSA record by matching type, as a zone has it.
pub fn association(matching: u8, octets: &[u8]) -> String {
    match matching {
        0 => hex(octets),
        1 => hex(digest(&SHA256, octets).as_ref()),
        _ => hex(digest(&SHA512, octets).as_ref()),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// That nothing of a message was said outside TLS, or at all.
pub fn nothing_was_sent(server: &Server) {
    let seen = server.seen();
    assert!(!seen.commands.iter().any(|line| line.starts_with("MAIL")), "{:?}", seen.commands);
    assert_eq!(seen.contents, [""; 0]);
}

/// That all of the message was said under TLS, over one connection.
pub fn all_was_sent_under_tls(server: &Server) {
    let seen = server.seen();
    let verbs: Vec<&str> = seen.commands.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(verbs[..4], ["EHLO", "STARTTLS", "EHLO", "MAIL"], "{:?}", seen.commands);
    assert_eq!((seen.connections, seen.contents.len()), (1, 1));
}
