//! The authorities whose word on a server's name is taken.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::deliver::TrustAnchors;

/// Clones share what they hold.
#[derive(Clone)]
pub(crate) struct Roots {
    trust: TrustAnchors,
    /// Made at its first use: reading the system's certificates takes a while.
    verifier: Arc<OnceCell<Arc<WebPkiServerVerifier>>>,
}

impl Roots {
    pub(crate) fn new(trust: TrustAnchors) -> Self {
        Self { trust, verifier: Arc::default() }
    }

    /// What verifies certificates by them; without any, why it cannot.
    pub(crate) async fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, &'static str> {
        self.verifier.get_or_try_init(|| verifier(self.trust.clone())).await.cloned()
    }

    /// What connects to web servers that they vouch for.
    pub(crate) async fn connector(&self) -> Result<TlsConnector, &'static str> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_webpki_verifier(self.verifier().await?)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

async fn verifier(trust: TrustAnchors) -> Result<Arc<WebPkiServerVerifier>, &'static str> {
    let certificates = match trust {
        TrustAnchors::These(certificates) => certificates,
        TrustAnchors::System => {
            tokio::task::spawn_blocking(|| rustls_native_certs::load_native_certs().certs)
                .await
                .unwrap_or_default()
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|cause| {
        tracing::error!(%cause, "no certificate can be verified; install the system's root certificates");
        "this system has no root certificates"
    })
}
