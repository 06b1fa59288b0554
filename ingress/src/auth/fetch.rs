//! Where the keys of issuers come from: HTTPS, or a file.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use shared::port::Clock;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;

use super::KeySource;
use crate::limits::{KEY_SET_OCTETS_MAX, KEY_SET_TIMEOUT};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Reads the text of a set of keys.
#[async_trait]
pub(super) trait Fetch: Send + Sync {
    /// At most [`KEY_SET_OCTETS_MAX`] octets, within [`KEY_SET_TIMEOUT`].
    async fn fetch(&self, source: &KeySource) -> Result<Bytes, FetchError>;
}

/// Why there is no text.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("there was no answer in time")]
    Late,
    #[error("the answer was {0}; keys come with 200, and redirections are not followed")]
    Status(StatusCode),
    #[error("it could not be read")]
    Failed(#[source] Cause),
    #[error("it is longer than a set of keys may be")]
    TooLong,
}

/// The network and the file system. The certificates that it believes are the system's.
pub(super) struct Network {
    clock: Arc<dyn Clock>,
    client: OnceCell<Https>,
}

type Https = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

impl Network {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, client: OnceCell::new() }
    }

    #[cfg(test)]
    pub(super) fn trusting(roots: RootCertStore, clock: Arc<dyn Clock>) -> Self {
        Self { clock, client: OnceCell::new_with(Some(https(roots).expect("aws-lc has what TLS needs"))) }
    }

    async fn get(&self, url: &Uri) -> Result<Bytes, FetchError> {
        let client = self.client.get_or_try_init(system_https).await?;
        let answer = client.get(url.clone()).await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), KEY_SET_OCTETS_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(FetchError::Failed)
    }
}

#[async_trait]
impl Fetch for Network {
    async fn fetch(&self, source: &KeySource) -> Result<Bytes, FetchError> {
        let read = async {
            match source {
                KeySource::Https(url) => self.get(url).await,
                KeySource::File(path) => file(path).await,
            }
        };
        self.clock.timeout(KEY_SET_TIMEOUT, read).await.unwrap_or(Err(FetchError::Late))
    }
}

async fn file(path: &Path) -> Result<Bytes, FetchError> {
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = Vec::new();
    file.take(KEY_SET_OCTETS_MAX as u64 + 1).read_to_end(&mut text).await.map_err(failed)?;
    if text.len() > KEY_SET_OCTETS_MAX {
        return Err(FetchError::TooLong);
    }
    Ok(text.into())
}

async fn system_https() -> Result<Https, FetchError> {
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    };
    let roots = tokio::task::spawn_blocking(read).await.map_err(failed)?;
    if roots.is_empty() {
        return Err(FetchError::Failed("the system has no certificates; install ca-certificates".into()));
    }
    https(roots).map_err(failed)
}

fn https(roots: RootCertStore) -> Result<Https, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
    // asked once an hour: no connection is worth keeping
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

fn failed(cause: impl Into<Cause>) -> FetchError {
    FetchError::Failed(cause.into())
}
