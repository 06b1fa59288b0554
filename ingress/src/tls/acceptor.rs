//! The handshake.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info};

use super::facts::TlsFacts;
use super::live::Shared;
use super::telemetry;

/// Makes TLS sessions out of connections, with the certificates of the moment.
#[derive(Clone)]
pub struct Acceptor {
    shared: Arc<Shared>,
    patience: Duration,
}

impl Acceptor {
    pub(super) fn new(shared: Arc<Shared>, patience: Duration) -> Self {
        Self { shared, patience }
    }

    /// Makes the handshake, which the client begins. An error is final, has been counted and logged, and the client has been told by an
    /// alert where it could be; [`ErrorKind::TimedOut`] where it took too long. Nothing may have been read ahead of it from `stream`.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(Box<TlsStream<S>>, TlsFacts)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let live = self.shared.live();
        let handshake = Box::pin(TlsAcceptor::from(Arc::clone(&live.config)).accept(stream));
        let accepted = match timeout(self.patience, handshake).await {
            Ok(accepted) => accepted.map(Box::new),
            Err(_) => Err(io::Error::new(ErrorKind::TimedOut, "the TLS handshake took too long")),
        };
        match accepted {
            Ok(stream) => {
                let facts = TlsFacts::of(stream.get_ref().1, &live.names);
                telemetry::handshake(if facts.resumed { "resumed" } else { "full" });
                debug!(cipher = facts.cipher, sni = facts.sni, resumed = facts.resumed, "TLS");
                Ok((stream, facts))
            }
            Err(error) => {
                let result = match error.kind() {
                    ErrorKind::TimedOut => "timeout",
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "closed",
                    _ => "failed",
                };
                telemetry::handshake(result);
                info!(%error, result, "the TLS handshake failed");
                Err(error)
            }
        }
    }
}
