//! The PROXY protocol of load balancers, versions 1 and 2: where the client behind one really is.
//!
//! The format is that of HAProxy's `proxy-protocol.txt`. A header is read to its last octet and not one beyond it, and anything that is
//! not exactly a header is an error: whoever could write one half right could choose its own address.

mod v1;
mod v2;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shared::port::Clock;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::{PROXY_V1_OCTETS_MAX, PROXY_V2_FIXED_OCTETS, PROXY_V2_OCTETS_MAX};

/// How a header of version 1 begins (§2.1).
const V1: &[u8] = b"PROXY ";
/// How one of version 2 begins (§2.2).
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxied {
    /// The connection is forwarded for a client.
    Client {
        /// Where the client is.
        client: SocketAddr,
        /// What it connected to.
        local: SocketAddr,
    },
    /// The connection is the balancer's own, such as a health check (LOCAL), or for a client of whom it can say nothing
    /// (UNKNOWN). The peer's address is all there is, and no trust may rest on it: it may stand for anybody.
    Local,
}

/// Why there is no header. The connection is then closed without a word.
#[derive(Debug, Error)]
pub(crate) enum ProxyError {
    #[error("the connection ended before its PROXY header did")]
    Ended,
    #[error("the PROXY header did not come in time")]
    TimedOut,
    #[error("it is no PROXY header: {0}")]
    Malformed(&'static str),
    #[error("the PROXY header could not be read")]
    Io(#[source] io::Error),
}

/// Reads the one header with which `stream` must begin, within `limit`, and nothing of what follows it.
pub(crate) async fn read_header<S: AsyncRead + Unpin>(
    stream: &mut S,
    limit: Duration,
    clock: &Arc<dyn Clock>,
) -> Result<Proxied, ProxyError> {
    clock.timeout(limit, read(stream)).await.unwrap_or(Err(ProxyError::TimedOut))
}

/// Whether what a client says at first is, as far as it goes, a header: a second one, which is one too many.
pub(crate) fn begins_header(input: &[u8]) -> bool {
    input.starts_with(V1) || input.starts_with(V2)
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Proxied, ProxyError> {
    // no header is shorter than this
    let mut header = Vec::with_capacity(PROXY_V1_OCTETS_MAX);
    while header.len() < V2.len() {
        let missing = V2.len() - header.len();
        let read = (&mut *stream).take(missing as u64).read_buf(&mut header).await.map_err(ProxyError::Io)?;
        if read == 0 {
            return Err(ProxyError::Ended);
        }
        let is_v1 = header.starts_with(&V1[..V1.len().min(header.len())]);
        if !is_v1 && !V2.starts_with(&header) {
            return Err(ProxyError::Malformed("it does not begin like one"));
        }
    }
    if header.starts_with(V1) { read_v1(stream, header).await } else { read_v2(stream, header).await }
}

/// The end of a line cannot be known before it is read, so that this goes octet by octet.
async fn read_v1<S: AsyncRead + Unpin>(stream: &mut S, mut header: Vec<u8>) -> Result<Proxied, ProxyError> {
    while !header.ends_with(b"\n") {
        if header.len() == PROXY_V1_OCTETS_MAX {
            return Err(ProxyError::Malformed("it is too long"));
        }
        header.push(stream.read_u8().await.map_err(ended)?);
    }
    v1::parse(&header).map_err(ProxyError::Malformed)
}

async fn read_v2<S: AsyncRead + Unpin>(stream: &mut S, mut header: Vec<u8>) -> Result<Proxied, ProxyError> {
    header.resize(PROXY_V2_FIXED_OCTETS, 0);
    stream.read_exact(&mut header[V2.len()..]).await.map_err(ended)?;
    let whole = v2::length(&header);
    if whole > PROXY_V2_OCTETS_MAX {
        return Err(ProxyError::Malformed("it is too long"));
    }
    header.resize(whole, 0);
    stream.read_exact(&mut header[PROXY_V2_FIXED_OCTETS..]).await.map_err(ended)?;
    v2::parse(&mut header).map_err(ProxyError::Malformed)
}

fn ended(error: io::Error) -> ProxyError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ProxyError::Ended,
        _ => ProxyError::Io(error),
    }
}

#[cfg(test)]
mod tests;
