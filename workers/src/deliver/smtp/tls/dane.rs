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
use crate::deliver::policy::tlsa::{CERTIFICATE, DANE_EE, DANE_TA, FULL, SHA2_256, SHA2_512};

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

    fn of_usage(&self, usage: u8) -> impl Iterator<Item = &Tlsa> {
        self.tlsa.iter().filter(move |record| record.usage == usage)
    }

    /// Every certificate above the server's own that a record of usage 2 means: of those that it sent, or the record itself where it
    /// is one (RFC 7671 §5.2).
    fn anchors<'a>(&'a self, sent: &'a [CertificateDer<'a>]) -> impl Iterator<Item = CertificateDer<'a>> {
        let meant = |certificate: &&CertificateDer<'a>| {
            self.of_usage(DANE_TA).any(|record| fits(record, certificate))
        };
        let published = self
            .of_usage(DANE_TA)
            .filter(|record| (record.selector, record.matching) == (CERTIFICATE, FULL))
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
        if self.of_usage(DANE_EE).any(|record| fits(record, end_entity)) {
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

/// Whether `record` means `certificate` (RFC 6698 §2.1.2, §2.1.3).
fn fits(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    if record.selector == CERTIFICATE {
        return associates(record, certificate);
    }
    let parsed = ParsedCertificate::try_from(certificate);
    parsed.is_ok_and(|parsed| associates(record, parsed.subject_public_key_info().as_ref()))
}

fn associates(record: &Tlsa, selected: &[u8]) -> bool {
    match record.matching {
        FULL => record.data == selected,
        SHA2_256 => record.data == digest(&SHA256, selected).as_ref(),
        SHA2_512 => record.data == digest(&SHA512, selected).as_ref(),
        _ => false,
    }
}
