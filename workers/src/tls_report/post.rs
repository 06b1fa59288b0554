//! A report by HTTPS (RFC 8460 §5.4).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{StatusCode, Uri};
use shared::port::{Clock, Resolver};
use thiserror::Error;

use crate::deliver::{Https, HttpsError, Roots, TrustAnchors};
use crate::limits::tls_report::POST_TIMEOUT;

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
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Posts to servers whose certificates hold, at public addresses unless [`with_private_addresses`](Self::with_private_addresses) says more.
pub struct HttpsPost {
    https: Https,
    clock: Arc<dyn Clock>,
}

impl HttpsPost {
    /// A client that trusts `trust`.
    pub fn new(trust: TrustAnchors, resolver: Arc<dyn Resolver>, clock: Arc<dyn Clock>) -> Self {
        Self { https: Https::new(resolver, Roots::new(trust), false), clock }
    }

    /// Posts to private addresses too: whoever publishes a domain says where its reports go, so this is for networks that are all one's own.
    #[must_use]
    pub fn with_private_addresses(mut self) -> Self {
        self.https = self.https.with_private_addresses();
        self
    }
}

#[async_trait]
impl Post for HttpsPost {
    async fn post(&self, to: &Uri, gzipped: Bytes) -> Result<(), PostError> {
        let post = self.https.post(to, "application/tlsrpt+gzip", gzipped);
        let status = self.clock.timeout(POST_TIMEOUT, post).await.ok_or(PostError::Late)?;
        match status.map_err(|error: HttpsError| PostError::Failed(error.into()))? {
            status if status.is_success() => Ok(()),
            status => Err(PostError::Status(status)),
        }
    }
}
