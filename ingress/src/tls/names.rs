//! Which certificate a client is shown: by the name of the server that it asks for (SNI, RFC 6066 §3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, CertificateFacts};

/// Certificates by name. Where two have one name, the first one is shown.
pub(super) struct Names {
    certificates: Vec<Certificate>,
    /// Places in `certificates`, by names in lower case; a wildcard's key is what stands behind its `*.`.
    exact: HashMap<String, usize>,
    wildcards: HashMap<String, usize>,
}

impl Names {
    pub(super) fn new(certificates: Vec<Certificate>) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for (place, certificate) in certificates.iter().enumerate() {
            for name in &certificate.facts.names {
                match name.strip_prefix("*.") {
                    Some(rest) => wildcards.entry(rest.to_owned()).or_insert(place),
                    None => exact.entry(name.clone()).or_insert(place),
                };
            }
        }
        Self { certificates, exact, wildcards }
    }

    /// The certificate for `name`: of exactly that name, or with a wildcard for its first label, or else the first one.
    pub(super) fn find(&self, name: Option<&str>) -> Option<&Certificate> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let place = name.and_then(|name| {
            let wild = || self.wildcards.get(name.split_once('.')?.1);
            self.exact.get(&name).or_else(wild).copied()
        });
        self.certificates.get(place.unwrap_or(0))
    }

    /// What each certificate says of itself.
    pub(super) fn facts(&self) -> impl Iterator<Item = &CertificateFacts> {
        self.certificates.iter().map(|certificate| &certificate.facts)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).map(|certificate| Arc::clone(&certificate.certified))
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.facts().map(|facts| &facts.names)).finish()
    }
}
