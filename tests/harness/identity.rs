use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// A certificate for `edge.example`, `localhost` and an address, with its key, in files that go when it is dropped.
pub struct Identity {
    folder: TempDir,
    root: rustls::pki_types::CertificateDer<'static>,
}

impl Identity {
    /// Makes one.
    pub fn new(ip: Ipv4Addr) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let names = vec!["edge.example".to_owned(), "localhost".to_owned(), ip.to_string()];
        let made = rcgen::generate_simple_self_signed(names).expect("these are good names");
        fs::write(folder.path().join("chain.pem"), made.cert.pem()).expect("a folder of ours can be written");
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem())
            .expect("a folder of ours can be written");
        Self { folder, root: made.cert.der().clone() }
    }

    /// The certificate's file, which is its own authority.
    pub fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    /// The key's file.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// The section of an edge's settings that names it.
    pub fn section(&self) -> String {
        format!(
            "[[tls.certificate]]\nchain = \"{}\"\nkey = \"{}\"\n",
            self.chain().display(),
            self.key().display()
        )
    }

    /// What a client needs to believe it. Each session is a new one.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a certificate of our own can be read");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}
