//! `GET /metrics` and `GET /health`, for those who watch over an edge. Not for the open network.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Health, Metrics};
use crate::limits::telemetry::{
    ACCEPT_REST, CONNECTION_TIME, CONNECTIONS_MAX, HEAD_OCTETS_MAX, HEAD_TIME, HEADERS_MAX, UPKEEP_PERIOD,
};
use crate::port::Clock;

const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The HTTP/1 server for metrics and health.
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    answers: Arc<Answers>,
    clock: Arc<dyn Clock>,
}

struct Answers {
    metrics: Metrics,
    health: Arc<Health>,
}

impl HttpServer {
    /// Listens on `address`.
    pub async fn bind(
        address: SocketAddr,
        metrics: Metrics,
        health: Arc<Health>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, answers: Arc::new(Answers { metrics, health }), clock })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done, and then drops what connections there are.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut upkeep = self.clock.sleep(UPKEEP_PERIOD);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = &mut upkeep => {
                    self.answers.metrics.fold();
                    upkeep = self.clock.sleep(UPKEEP_PERIOD);
                }
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve_one(stream, Arc::clone(&self.answers), Arc::clone(&self.clock)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the http listener could not be accepted");
                        self.clock.sleep(ACCEPT_REST).await;
                    }
                },
            }
        }
    }
}

async fn serve_one(stream: TcpStream, answers: Arc<Answers>, clock: Arc<dyn Clock>) {
    let service = hyper::service::service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.to(&request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_OCTETS_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = clock.timeout(CONNECTION_TIME, connection).await {
        tracing::debug!(%error, "an http connection ended");
    }
}

impl Answers {
    async fn to<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT_TYPE, "use GET\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match request.uri().path() {
            "/metrics" => answer(StatusCode::OK, METRICS_TYPE, self.metrics.render()),
            "/health" => {
                let report = self.health.report().await;
                let status = if report.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                answer(status, JSON_TYPE, serde_json::to_string(&report).unwrap_or_default())
            }
            _ => answer(StatusCode::NOT_FOUND, TEXT_TYPE, "there are /metrics and /health\n"),
        }
    }
}

fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
