//! An authority, its certificates in files, and a client that trusts it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{RootCertStore, SupportedProtocolVersion};
use shared::port::{Clock, PortError, PortResult, SecretText, Secrets};
use shared::testkit::ManualClock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::server::TlsStream as ServerStream;

use crate::tls::config::PortTime;
use crate::tls::{CertificateSource, Tls, TlsError, TlsFacts, TlsSettings};

const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate and its key in PEM.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Issued {
    pub(super) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap()
    }
}

pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) secrets: Arc<FakeSecrets>,
    issuer: Issuer<'static, KeyPair>,
    pub(super) authority: CertificateDer<'static>,
    pub(super) authority_file: PathBuf,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let authority_file = folder.path().join("authority.pem");
        fs::write(&authority_file, certificate.pem()).unwrap();
        Self {
            folder,
            clock: Arc::new(ManualClock::default()),
            secrets: Arc::default(),
            issuer: Issuer::new(params, key),
            authority: certificate.der().clone(),
            authority_file,
        }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// A certificate for `names`, good for all of 2025, which is where the clock begins.
    pub(super) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| ())
    }

    pub(super) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }

    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// Puts a certificate into two files.
    pub(super) fn put(&self, name: &str, issued: &Issued) -> CertificateSource {
        CertificateSource::Files {
            chain: self.file(&format!("{name}.crt"), &issued.chain),
            key: self.file(&format!("{name}.key"), &issued.key),
        }
    }

    pub(super) async fn load(&self, settings: TlsSettings) -> Result<Tls, TlsError> {
        Tls::load(settings, "mx.example", self.secrets.clone(), self.clock()).await
    }

    pub(super) async fn with(&self, certificates: Vec<CertificateSource>) -> Tls {
        self.load(TlsSettings { certificates, ..TlsSettings::default() }).await.unwrap()
    }

    /// A client that trusts the authority, of these versions, with a certificate of its own or without.
    pub(super) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Issued>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let time = Arc::new(PortTime(self.clock()));
        let builder = ClientConfig::builder_with_details(Arc::new(default_provider()), time)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![own.der()], key).unwrap()
            }
        };
        config.resumption = Resumption::disabled();
        config
    }

    /// A client with every default.
    pub(super) fn any_client(&self) -> ClientConfig {
        self.client(rustls::ALL_VERSIONS, None)
    }
}

/// Both ends of a session.
pub(super) struct Session {
    pub(super) client: TlsStream<DuplexStream>,
    pub(super) server: Box<ServerStream<DuplexStream>>,
    pub(super) facts: TlsFacts,
}

impl Session {
    pub(super) async fn open(tls: &Tls, client: ClientConfig, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let (near, far) = duplex(64 * 1024);
        let (connector, acceptor) = (TlsConnector::from(Arc::new(client)), tls.acceptor(PATIENCE));
        let client = async {
            let mut client = connector.connect(name, near).await?;
            // with TLS 1.3, a client learns only now that its certificate was refused
            client.write_all(b"EHLO").await?;
            client.flush().await?;
            Ok::<_, io::Error>(client)
        };
        let server = async {
            let (mut server, facts) = acceptor.accept(far).await?;
            server.read_exact(&mut [0; 4]).await?;
            Ok::<_, io::Error>((server, facts))
        };
        let (client, (server, facts)) = tokio::try_join!(client, server)?;
        let mut session = Self { client, server, facts };
        session.talk().await;
        Ok(session)
    }

    /// Carries a line each way, and so what the server sends after the handshake.
    pub(super) async fn talk(&mut self) {
        self.client.write_all(b"ping").await.unwrap();
        self.client.flush().await.unwrap();
        let mut line = [0; 4];
        self.server.read_exact(&mut line).await.unwrap();
        self.server.write_all(&line).await.unwrap();
        self.server.flush().await.unwrap();
        self.client.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"ping");
    }

    /// The certificate that the client was shown.
    pub(super) fn shown(&self) -> CertificateDer<'static> {
        self.client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

/// The certificate that a client which asks for `name` is shown.
pub(super) async fn shown(world: &World, tls: &Tls, name: &str) -> CertificateDer<'static> {
    Session::open(tls, world.any_client(), name).await.unwrap().shown()
}

/// Secrets that a test changes; an absent text is an outage.
#[derive(Default)]
pub(super) struct FakeSecrets(Mutex<HashMap<String, Option<String>>>);

impl FakeSecrets {
    pub(super) fn set(&self, name: &str, text: Option<&str>) {
        self.0.lock().unwrap().insert(name.to_owned(), text.map(str::to_owned));
    }
}

#[async_trait]
impl Secrets for FakeSecrets {
    async fn get(&self, name: &str) -> PortResult<Option<SecretText>> {
        match self.0.lock().unwrap().get(name) {
            None => Ok(None),
            Some(None) => Err(PortError::refused("the read of a secret", "out of order")),
            Some(Some(text)) => Ok(Some(SecretText::new(text))),
        }
    }
}
