//! HTTPS for what domains publish about their mail, and for what they ask to be told of it: one request over one connection, to a server that proves its name.
//!
//! The addresses come from the port that all addresses come from, and may be private only where mail may go to such; redirects are not
//! followed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use shared::port::{ResolveError, Resolved, Resolver};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::address::is_public;
use super::smtp::tls::Roots;
use crate::limits::policy::{HTTPS_ADDRESSES_MAX, HTTPS_CONNECT_TIMEOUT};

/// What servers are told of who asks.
const AGENT: &str = "spoolway";

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Asks web servers. Their certificates must hold for their names, by the authorities that `roots` has; TLS is 1.2 or later.
pub(crate) struct Https {
    resolver: Arc<dyn Resolver>,
    roots: Roots,
    allow_private_addresses: bool,
}

/// What a web server answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    /// The media type, with its parameters.
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum HttpsError {
    #[error("its address cannot be had: {0}")]
    Address(String),
    #[error("the certificate does not hold: {0}")]
    Certificate(rustls::Error),
    #[error("{0}")]
    Failed(Cause),
}

impl Https {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, roots: Roots, allow_private_addresses: bool) -> Self {
        Self { resolver, roots, allow_private_addresses }
    }

    pub(crate) fn with_private_addresses(self) -> Self {
        Self { allow_private_addresses: true, ..self }
    }

    /// The page at `path` of `host`, whose body has `octets_max` octets at most. It takes as long as it takes.
    pub(crate) async fn get(
        &self,
        host: &str,
        port: u16,
        path: &str,
        octets_max: usize,
    ) -> Result<Page, HttpsError> {
        let request = Request::get(path).header(HOST, host).header(USER_AGENT, AGENT);
        self.exchange(host, port, request.body(Full::default()).map_err(failed)?, Some(octets_max)).await
    }

    /// Posts `body` to an `https:` URI. The body of the answer is not looked at.
    pub(crate) async fn post(
        &self,
        to: &Uri,
        content_type: &str,
        body: Bytes,
    ) -> Result<StatusCode, HttpsError> {
        let host = to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let authority = to.authority().map_or(host, hyper::http::uri::Authority::as_str);
        let path = to.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
        let request = Request::post(path).header(HOST, authority).header(USER_AGENT, AGENT);
        let request = request.header(CONTENT_TYPE, content_type).body(Full::new(body)).map_err(failed)?;
        let page = self.exchange(host, to.port_u16().unwrap_or(443), request, None).await?;
        Ok(page.status)
    }

    /// Without `octets_max` the body is not read.
    async fn exchange(
        &self,
        host: &str,
        port: u16,
        request: Request<Full<Bytes>>,
        octets_max: Option<usize>,
    ) -> Result<Page, HttpsError> {
        let tls = self.connect(host, port).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(failed)?;
        let exchange = async move {
            let answer = sender.send_request(request).await.map_err(failed)?;
            let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let (status, content_type) = (answer.status(), content_type.map(str::to_owned));
            let body = match octets_max {
                None => Bytes::new(),
                Some(most) => {
                    let body = Limited::new(answer.into_body(), most).collect().await;
                    body.map_err(HttpsError::Failed)?.to_bytes()
                }
            };
            Ok(Page { status, content_type, body })
        };
        // the connection ends when the exchange has let go of its sender
        futures::join!(exchange, connection).0
    }

    /// A TLS connection to the first address that gives one.
    async fn connect(&self, host: &str, port: u16) -> Result<TlsStream<TcpStream>, HttpsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(failed)?;
        let connector = self.roots.connector().await.map_err(failed)?;
        let mut last = HttpsError::Address("it has none that is public".to_owned());
        for ip in self.addresses(host).await?.into_iter().take(HTTPS_ADDRESSES_MAX) {
            let connect = async {
                let tcp = TcpStream::connect(SocketAddr::new(ip, port)).await?;
                connector.connect(name.clone(), tcp).await
            };
            last = match timeout(HTTPS_CONNECT_TIMEOUT, connect).await {
                Ok(Ok(tls)) => return Ok(tls),
                Ok(Err(error)) => of_handshake(error),
                Err(late) => failed(late),
            };
        }
        Err(last)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, HttpsError> {
        let (v4, v6) = futures::join!(self.resolver.a(host), self.resolver.aaaa(host));
        let (v4, v6) = (ips(v4), ips(v6));
        let mut all = match (v4, v6) {
            (Err(why), Err(_)) => return Err(HttpsError::Address(why)),
            (v4, v6) => [v4.unwrap_or_default(), v6.unwrap_or_default()].concat(),
        };
        all.retain(|ip| self.allow_private_addresses || is_public(*ip));
        Ok(all)
    }
}

fn ips<T: Into<IpAddr>>(resolved: Resolved<T>) -> Result<Vec<IpAddr>, String> {
    match resolved {
        Ok(answer) => Ok(answer.records.into_iter().map(Into::into).collect()),
        Err(ResolveError::NoSuchName { .. }) => Ok(Vec::new()),
        Err(ResolveError::Temporary(why) | ResolveError::Bogus(why)) => Err(why),
    }
}

fn of_handshake(error: std::io::Error) -> HttpsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(cause @ rustls::Error::InvalidCertificate(_)) => HttpsError::Certificate(cause.clone()),
        _ => failed(error),
    }
}

fn failed(cause: impl Into<Cause>) -> HttpsError {
    HttpsError::Failed(cause.into())
}
