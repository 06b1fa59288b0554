//! The settings of rustls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, RootCertStore, ServerConfig, SupportedProtocolVersion};
use shared::port::Clock;

use super::names::Names;
use super::{ClientCertificates, LeastVersion, TlsSettings};
use crate::limits::TICKETS;

/// Makes the configuration of a server that shows `names`.
///
/// Key exchange is post-quantum where the client can (X25519MLKEM768). A session is resumed from a ticket that the client keeps, so that
/// the server holds nothing; the tickets of one configuration are of no use to the next, whose certificates are others.
pub(super) fn server(
    settings: &TlsSettings,
    names: Arc<Names>,
    authorities: Option<RootCertStore>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(default_provider());
    let versions: &[&SupportedProtocolVersion] = match settings.least_version {
        LeastVersion::Tls12 => &[&TLS13, &TLS12],
        LeastVersion::Tls13 => &[&TLS13],
    };
    let verifier: Arc<dyn ClientCertVerifier> = match authorities {
        None => Arc::new(NoClientAuth),
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let verifier = match settings.client_certificates {
                ClientCertificates::Required { .. } => verifier,
                ClientCertificates::Optional { .. } | ClientCertificates::None => {
                    verifier.allow_unauthenticated()
                }
            };
            verifier.build().map_err(|error| Error::General(error.to_string()))?
        }
    };
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(PortTime(Arc::clone(clock))))
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(names);
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

/// The time of the port, for rustls.
pub(super) struct PortTime(pub(super) Arc<dyn Clock>);

impl TimeProvider for PortTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

impl fmt::Debug for PortTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortTime")
    }
}
