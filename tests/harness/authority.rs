use std::fs;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// Says who servers are; whom a test believes.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one, that nobody knows yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is a bad one");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().expect("keys can be generated");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate can be signed");
        let folder = TempDir::new().expect("a temporary folder can be made");
        fs::write(folder.path().join("authority.pem"), issuer.pem())
            .expect("a folder of ours can be written");
        Self { issuer, folder }
    }

    /// Its certificate's file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The data of a TLSA record that trusts it: `2 1 1`.
    pub fn tlsa(&self) -> String {
        format!("2 1 1 {}", sha256(&self.issuer.key().subject_public_key_info()))
    }

    /// A certificate for `names`.
    pub fn issue(&self, names: &[&str]) -> ServerIdentity {
        self.certify(&params(names))
    }

    /// One that was good until the end of the year 2000.
    pub fn issue_expired(&self, names: &[&str]) -> ServerIdentity {
        let mut params = params(names);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.certify(&params)
    }

    fn certify(&self, params: &CertificateParams) -> ServerIdentity {
        let key = KeyPair::generate().expect("keys can be generated");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        let folder = TempDir::new().expect("a temporary folder can be made");
        let chain = certificate.pem() + &self.issuer.pem();
        fs::write(folder.path().join("chain.pem"), chain).expect("a folder of ours can be written");
        fs::write(folder.path().join("key.pem"), key.serialize_pem())
            .expect("a folder of ours can be written");
        ServerIdentity { folder, certificate: certificate.der().clone(), key }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A server's certificate, with its authority's behind it, and its key, in files that go when it is dropped.
pub struct ServerIdentity {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl ServerIdentity {
    /// The file of the certificates.
    pub fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    /// The key's file.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// The data of a TLSA record that fits its key: `3 1 1`.
    pub fn tlsa(&self) -> String {
        format!("3 1 1 {}", sha256(&self.key.subject_public_key_info()))
    }

    /// The same for servers of our own.
    pub(crate) fn certified_key(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("the key is PKCS #8");
        (vec![self.certificate.clone()], key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("a test writes good names")
}

fn sha256(octets: &[u8]) -> String {
    digest(&SHA256, octets).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}
