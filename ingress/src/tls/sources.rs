//! Certificates, keys and authorities as they lie in files and secrets.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::RootCertStore;
use shared::mail::Timestamp;
use shared::port::{SecretText, Secrets};

use super::certificate::{Certificate, CertificateFacts, Pem, TlsProblem, certificates};
use super::{CertificateSource, TlsSettings};
use crate::limits::CERTIFICATE_OCTETS_MAX;

/// What was read, or why it could not be.
type Octets = Result<Vec<u8>, TlsProblem>;

/// Everything that a configuration of TLS is made of, read at one moment.
pub(super) struct Texts {
    /// Chain and key, in the order of the settings.
    certificates: Vec<(Octets, Octets)>,
    authorities: Option<Octets>,
}

/// Secrets as they were fetched last.
pub(super) type Fetched = HashMap<String, Result<SecretText, TlsProblem>>;

/// A certificate in files, checked as it would be at a start.
pub fn examine(chain: &Path, key: &Path, now: Timestamp) -> Result<CertificateFacts, TlsProblem> {
    let (chain_text, key_text) = (read(chain)?, read(key)?);
    let (chain, key) = (chain.display().to_string(), key.display().to_string());
    let pem = Pem { chain: (&chain, &chain_text), key: (&key, &key_text) };
    Certificate::read(&pem, now).map(|certificate| certificate.facts)
}

/// Checks a file of authorities for client certificates.
pub fn check_authorities(file: &Path) -> Result<(), TlsProblem> {
    roots(&file.display().to_string(), &read(file)?).map(drop)
}

/// Fetches every secret that `settings` name.
pub(super) async fn fetch(settings: &TlsSettings, secrets: &dyn Secrets) -> Fetched {
    let mut fetched = Fetched::new();
    for source in &settings.certificates {
        let CertificateSource::Secret(name) = source else { continue };
        let text = match secrets.get(name).await {
            Ok(Some(text)) => Ok(text),
            Ok(None) => {
                Err(TlsProblem::new(format!("there is no secret {name}"), "make it, or correct its name"))
            }
            Err(error) => Err(TlsProblem::new(
                format!("the secret {name} cannot be read: {}", error.chain()),
                "give this process the right to read it",
            )),
        };
        fetched.insert(name.clone(), text);
    }
    fetched
}

impl Texts {
    /// Reads the files, and takes the secrets out of `fetched`. It blocks.
    pub(super) fn read(settings: &TlsSettings, fetched: &Fetched) -> Self {
        let certificate = |source: &CertificateSource| match source {
            CertificateSource::Files { chain, key } => (read(chain), read(key)),
            CertificateSource::Secret(name) => {
                let missing = || Err(TlsProblem::new(format!("there is no secret {name}"), "make it"));
                let text = fetched.get(name).cloned().unwrap_or_else(missing);
                let octets = text.map(|text| text.as_str().as_bytes().to_vec());
                (octets.clone(), octets)
            }
        };
        Self {
            certificates: settings.certificates.iter().map(certificate).collect(),
            authorities: settings.client_certificates.authorities().map(|file| read(file)),
        }
    }

    /// What tells these texts from others, without keeping them.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let all = self.certificates.iter().flat_map(|(chain, key)| [chain, key]);
        for octets in all.chain(&self.authorities) {
            let (mark, octets) = match octets {
                Ok(octets) => (0_u64, octets.as_slice()),
                Err(problem) => (1, problem.wrong.as_bytes()),
            };
            context.update(&mark.to_be_bytes());
            context.update(&(octets.len() as u64).to_be_bytes());
            context.update(octets);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// Every certificate, checked; or all that is wrong with them.
    pub(super) fn certificates(
        &self,
        settings: &TlsSettings,
        now: Timestamp,
    ) -> Result<Vec<Certificate>, Vec<TlsProblem>> {
        let (mut good, mut problems) = (Vec::new(), Vec::new());
        for (source, (chain, key)) in settings.certificates.iter().zip(&self.certificates) {
            let (chain, key) = match (chain, key) {
                (Ok(chain), Ok(key)) => (chain, key),
                (chain, key) => {
                    problems.extend([chain, key].into_iter().filter_map(|octets| octets.clone().err()));
                    continue;
                }
            };
            let name = source.to_string();
            let key_name = match source {
                CertificateSource::Files { key, .. } => key.display().to_string(),
                CertificateSource::Secret(name) => name.clone(),
            };
            let pem = Pem { chain: (&name, chain), key: (&key_name, key) };
            match Certificate::read(&pem, now) {
                Ok(certificate) => good.push(certificate),
                Err(problem) => problems.push(problem),
            }
        }
        if settings.certificates.is_empty() {
            problems.push(TlsProblem::new("there is no certificate", "name one"));
        }
        problems.dedup();
        if problems.is_empty() { Ok(good) } else { Err(problems) }
    }

    /// The authorities of client certificates, where any are asked for.
    pub(super) fn authorities(&self, settings: &TlsSettings) -> Result<Option<RootCertStore>, TlsProblem> {
        let file = settings.client_certificates.authorities();
        let (Some(file), Some(octets)) = (file, &self.authorities) else { return Ok(None) };
        let octets = octets.as_ref().map_err(TlsProblem::clone)?;
        roots(&file.display().to_string(), octets).map(Some)
    }
}

fn roots(source: &str, text: &[u8]) -> Result<RootCertStore, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(source, text)? {
        roots.add(certificate).map_err(|error| bad_authority(source, &error))?;
    }
    Ok(roots)
}

fn bad_authority(source: &str, error: &rustls::Error) -> TlsProblem {
    let wrong = format!("a certificate in {source} is no authority's: {error}");
    TlsProblem::new(wrong, "put only certificates of authorities there")
}

/// Reads a regular file that is not too long for what it should be.
fn read(file: &Path) -> Octets {
    let problem = |wrong: String, right: &str| Err(TlsProblem::new(wrong, right));
    let unreadable = |error: std::io::Error| {
        let wrong = format!("{} cannot be read: {error}", file.display());
        TlsProblem::new(wrong, "name a file that this user may read")
    };
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() {
        return problem(format!("{} is no file", file.display()), "name a file in PEM");
    }
    let mut octets = Vec::new();
    let mut reader = File::open(file).map_err(unreadable)?.take(CERTIFICATE_OCTETS_MAX + 1);
    reader.read_to_end(&mut octets).map_err(unreadable)?;
    if octets.len() as u64 > CERTIFICATE_OCTETS_MAX {
        return problem(format!("{} is longer than any certificate", file.display()), "name a file in PEM");
    }
    Ok(octets)
}
