//! Certificates for a name, by the authorities that are trusted (RFC 8461 §4.2, RFC 6125).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};

use super::verifier::{Judge, Proved};

#[derive(Debug)]
pub(super) struct Named {
    roots: Arc<WebPkiServerVerifier>,
    names: Vec<ServerName<'static>>,
}

impl Named {
    pub(super) fn new(roots: Arc<WebPkiServerVerifier>, names: &[String]) -> Self {
        Self { roots, names: server_names(names) }
    }
}

impl Judge for Named {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Proved, Error> {
        is_for_one_of(&self.names, &self.roots, end_entity, intermediates, now).map(|()| Proved::Name)
    }
}

/// What can be a name in a certificate, of `names`.
pub(super) fn server_names(names: &[String]) -> Vec<ServerName<'static>> {
    names.iter().filter_map(|name| ServerName::try_from(name.clone()).ok()).collect()
}

/// Whether `roots` vouch for one of `names`.
pub(super) fn is_for_one_of(
    names: &[ServerName<'static>],
    roots: &WebPkiServerVerifier,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let mut worst = Error::InvalidCertificate(CertificateError::NotValidForName);
    for name in names {
        match roots.verify_server_cert(end_entity, intermediates, name, &[], now) {
            Ok(_) => return Ok(()),
            Err(error) => worst = error,
        }
    }
    Err(worst)
}
