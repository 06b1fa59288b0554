//! A report by HTTPS (RFC 8460 §5.4).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use shared::port::Clock;
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::deliver::TrustAnchors;
use crate::limits::tls_report::POST_TIMEOUT;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Posts reports.
#[async_trait]
pub trait Post: Send + Sync {
    /// Posts `gzipped`, as `application/tlsrpt+gzip`; `Ok` where the server took it.
    async fn post(&self, to: &Uri, gzipped: Bytes) -> Result<(), PostError>;
}

/// Why a report was not taken.
#[derive(Debug, Error)]
pub enum PostError {
    /// No answer in time.
    #[error("there was no answer in time")]
    Late,
    /// The server did not take it.
    #[error("the answer was {0}")]
    Status(StatusCode),
    /// It did not get there.
    #[error("it could not be posted")]
    Failed(#[source] Cause),
}

/// HTTPS, to servers whose certificates the trust anchors vouch for.
pub struct Https {
    trust: TrustAnchors,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl Https {
    /// A client that trusts `trust`.
    pub fn new(trust: TrustAnchors, clock: Arc<dyn Clock>) -> Self {
        Self { trust, clock, client: OnceCell::new() }
    }

    async fn client(&self) -> Result<&Client<HttpsConnector<HttpConnector>, Full<Bytes>>, PostError> {
        let make = || async {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(self.trust.certificates().await);
            let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| PostError::Failed(error.into()))?
                .with_root_certificates(roots)
                .with_no_client_auth();
            let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
            // asked once a day: no connection is worth keeping
            Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.build()))
        };
        self.client.get_or_try_init(make).await
    }
}

#[async_trait]
impl Post for Https {
    async fn post(&self, to: &Uri, gzipped: Bytes) -> Result<(), PostError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(to)
            .header(header::CONTENT_TYPE, "application/tlsrpt+gzip")
            .body(Full::new(gzipped))
            .map_err(|error| PostError::Failed(error.into()))?;
        let answer = self.clock.timeout(POST_TIMEOUT, self.client().await?.request(request)).await;
        let answer = answer.ok_or(PostError::Late)?.map_err(|error| PostError::Failed(error.into()))?;
        // what the body says changes nothing, and is not read
        if answer.status().is_success() { Ok(()) } else { Err(PostError::Status(answer.status())) }
    }
}
