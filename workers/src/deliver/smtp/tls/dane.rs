//! Certificates that TLSA records vouch for (RFC 7672 §3).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError, RootCertStore};
use shared::port::Tlsa;

use super::named::{is_for_one_of, server_names};
use super::verifier::{Judge, Proved};
use crate::deliver::policy::tlsa::{Matching, Selector, Usage, matching, selector, usage};

#[derive(Debug)]
pub(super) struct ByTlsa {
    provider: Arc<CryptoProvider>,
    tlsa: Vec<Tlsa>,
    /// Which names a certificate may have that a record of usage 2 vouches for.
    names: Vec<ServerName<'static>>,
}

/// None of the records means any of the certificates.
#[derive(Debug)]
struct NoMatch;

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no TLSA record fits it")
    }
}

impl std::error::Error for NoMatch {}

impl ByTlsa {
    pub(super) fn new(provider: Arc<CryptoProvider>, tlsa: Vec<Tlsa>, names: &[String]) -> Self {
        Self { provider, tlsa, names: server_names(names) }
    }

    fn of_usage(&self, wanted: Usage) -> impl Iterator<Item = &Tlsa> {
        self.tlsa.iter().filter(move |record| usage(record) == Some(wanted))
    }

    /// Every certificate above the server's own that a record of usage 2 means: of those that it sent, or the record itself where it
    /// is one (RFC 7671 §5.2).
    fn anchors<'a>(&'a self, sent: &'a [CertificateDer<'a>]) -> impl Iterator<Item = CertificateDer<'a>> {
        let meant = |certificate: &&CertificateDer<'a>| {
            self.of_usage(Usage::DaneTa).any(|record| fits(record, certificate))
        };
        let published = self
            .of_usage(Usage::DaneTa)
            .filter(|record| selector(record) == Some(Selector::Certificate))
            .filter(|record| matching(record) == Some(Matching::Full))
            .map(|record| CertificateDer::from(record.data.as_slice()));
        sent.iter().filter(meant).cloned().chain(published)
    }
}

impl Judge for ByTlsa {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Proved, Error> {
        // RFC 7672 §3.1.1: neither its names nor its dates count
        if self.of_usage(Usage::DaneEe).any(|record| fits(record, end_entity)) {
            return Ok(Proved::DaneEe);
        }
        let mut worst = Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NoMatch))));
        for anchor in self.anchors(intermediates) {
            let mut roots = RootCertStore::empty();
            if roots.add(anchor.into_owned()).is_err() {
                continue;
            }
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
            let Ok(verifier) = verifier.build() else { continue };
            // RFC 7672 §3.1.2: both count, and so do the dates of all below the anchor
            match is_for_one_of(&self.names, &verifier, end_entity, intermediates, now) {
                Ok(()) => return Ok(Proved::DaneTa),
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }
}

/// Whether `record` means `certificate` (RFC 6698 §2.1.2).
fn fits(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    match selector(record) {
        Some(Selector::Certificate) => associates(record, certificate),
        Some(Selector::PublicKey) => {
            let parsed = ParsedCertificate::try_from(certificate);
            parsed.is_ok_and(|parsed| associates(record, parsed.subject_public_key_info().as_ref()))
        }
        None => false,
    }
}

/// RFC 6698 §2.1.3.
fn associates(record: &Tlsa, selected: &[u8]) -> bool {
    match matching(record) {
        Some(Matching::Full) => record.data == selected,
        Some(Matching::Sha256) => record.data == digest(&SHA256, selected).as_ref(),
        Some(Matching::Sha512) => record.data == digest(&SHA512, selected).as_ref(),
        None => false,
    }
}
