//! A certificate of an authority of our own, and clients that believe in it.

use std::sync::Arc;

use ingress::tls::{CertificateSource, ClientCertificates, LeastVersion};
use ingress::{Tls, TlsSettings};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use shared::system::SystemClock;
use shared::wire::SecretUrls;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) struct Identity {
    pub(crate) tls: Tls,
    connector: TlsConnector,
    _folder: TempDir,
}

impl Identity {
    /// A certificate for `edge.example`, loaded.
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed(["edge.example".to_owned()]).unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let settings = TlsSettings {
            certificates: vec![CertificateSource::Files { chain, key }],
            client_certificates: ClientCertificates::None,
            least_version: LeastVersion::Tls12,
        };
        let tls = Tls::load(settings, "edge.example", Arc::new(SecretUrls::default()), Arc::new(SystemClock));
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: tls.await.unwrap(), connector: TlsConnector::from(Arc::new(config)), _folder: folder }
    }

    /// Shakes hands as a client.
    pub(crate) async fn connect(&self, socket: TcpStream) -> TlsStream<TcpStream> {
        self.try_connect(socket).await.unwrap()
    }

    /// Likewise, with a server that may go away meanwhile.
    pub(crate) async fn try_connect(&self, socket: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("edge.example").unwrap();
        super::client::within(self.connector.connect(name, socket)).await
    }
}
