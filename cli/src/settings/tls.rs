//! What is said about TLS.

use ingress::TlsSettings;
use ingress::tls::{CertificateSource, ClientCertificates, LeastVersion};
use shared::config::{Section, Setting};
use shared::wire::check_secret;

use super::Listener;

/// What a listener does about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerTls {
    /// It offers STARTTLS.
    StartTls,
    /// It speaks TLS from the first octet.
    Implicit,
    /// It has none.
    Off,
}

impl Setting for ListenerTls {
    const RIGHT: &'static str = "starttls, implicit or off";

    fn read(text: &str) -> Option<Self> {
        match text {
            "starttls" => Some(Self::StartTls),
            "implicit" => Some(Self::Implicit),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    None,
    Optional,
    Required,
}

impl Setting for Asked {
    const RIGHT: &'static str = "none, optional or required";

    fn read(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "optional" => Some(Self::Optional),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// The least version as the configuration writes it.
struct Least(LeastVersion);

impl Setting for Least {
    const RIGHT: &'static str = "1.2 or 1.3";

    fn read(text: &str) -> Option<Self> {
        match text {
            "1.2" => Some(Self(LeastVersion::Tls12)),
            "1.3" => Some(Self(LeastVersion::Tls13)),
            _ => None,
        }
    }
}

/// Reads `[tls]`; `None` where there is no certificate.
pub(super) fn read(section: &mut Section<'_>) -> Option<TlsSettings> {
    let certificates = section.sections("certificate", certificate);
    let authorities = section.optional("client_authorities");
    let asked = section.value("client_certificates", Asked::None);
    let Least(least_version) = section.value("least_version", Least(LeastVersion::Tls12));
    let client_certificates = match (asked, authorities) {
        (Asked::None, _) => ClientCertificates::None,
        (Asked::Optional, Some(authorities)) => ClientCertificates::Optional { authorities },
        (Asked::Required, Some(authorities)) => ClientCertificates::Required { authorities },
        (Asked::Optional | Asked::Required, None) => {
            let right = "name the PEM file of the authorities that sign the certificates of clients";
            section.mistake("client_authorities", "it is not set", right);
            ClientCertificates::None
        }
    };
    let certificates = certificates?.into_iter().flatten().collect();
    Some(TlsSettings { certificates, client_certificates, least_version })
}

/// A certificate: two files, or one secret.
fn certificate(section: &mut Section<'_>) -> Option<CertificateSource> {
    let (chain, key) = (section.optional("chain"), section.optional("key"));
    let secret: Option<String> = section.optional("secret");
    match (chain, key, secret) {
        (Some(chain), Some(key), None) => Some(CertificateSource::Files { chain, key }),
        (None, None, Some(url)) => match check_secret(&url) {
            Ok(()) => Some(CertificateSource::Secret(url)),
            Err(problem) => {
                let (wrong, right) = problem.split_once(": ").unwrap_or((&problem, "use ssm:/<path>"));
                section.mistake("secret", wrong, right);
                None
            }
        },
        (chain, key, secret) => {
            let wrong = match (chain.is_some(), key.is_some(), secret.is_some()) {
                (_, _, true) => "a certificate is in files or in a secret, not in both",
                (true, ..) => "a chain without its key is of no use",
                (_, true, _) => "a key without its chain is of no use",
                _ => "there is no certificate",
            };
            section.mistake("chain", wrong, "set chain and key to files in PEM, or secret to a URL");
            None
        }
    }
}

/// What a listener does about TLS: STARTTLS, unless it says something else, where there is a certificate.
pub(super) fn of_listener(section: &mut Section<'_>, has_certificate: bool) -> ListenerTls {
    let default = if has_certificate { ListenerTls::StartTls } else { ListenerTls::Off };
    let tls = section.value("tls", default);
    if tls != ListenerTls::Off && !has_certificate {
        let right = "add one as [[tls.certificate]], or use off";
        section.mistake("tls", "there is no certificate", right);
    }
    tls
}

/// The listeners of an edge that is told of none.
pub(super) fn offered(listeners: Vec<Listener>, has_certificate: bool) -> Vec<Listener> {
    let tls = if has_certificate { ListenerTls::StartTls } else { ListenerTls::Off };
    listeners.into_iter().map(|listener| Listener { tls, ..listener }).collect()
}
