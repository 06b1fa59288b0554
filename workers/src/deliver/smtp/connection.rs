//! A connection to a server: octets out in whole groups, replies in. The only file of the client that touches a socket.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::reply::{RawReply, ReplyParser};
use super::tls::{Connector, Secured};
use crate::deliver::ClientLimits;
use crate::deliver::outcome::{Failure, Step};
use crate::deliver::policy::ResultType;
use crate::limits::REPLY_READ_OCTETS;

/// What is written and not yet sent lies in `out`, so that a whole group of commands costs one system call.
pub(crate) struct Connection {
    stream: Stream,
    parser: ReplyParser,
    input: Box<[u8]>,
    pub(crate) out: Vec<u8>,
    /// Once cancelled, nothing is waited for any more.
    cut: CancellationToken,
}

impl Connection {
    /// Takes a connection that was made. Once `cut` is cancelled, whatever is waited for has taken too long.
    pub(crate) fn new(tcp: TcpStream, limits: &ClientLimits, cut: &CancellationToken) -> Self {
        Self {
            stream: Stream::Plain(tcp),
            parser: ReplyParser::new(limits),
            input: vec![0; REPLY_READ_OCTETS].into_boxed_slice(),
            out: Vec::with_capacity(REPLY_READ_OCTETS),
            cut: cut.clone(),
        }
    }

    /// Has this wait no longer than until `cut` is cancelled.
    pub(crate) fn cut_by(&mut self, cut: &CancellationToken) {
        self.cut = cut.clone();
    }

    /// Our own address.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        let tcp = match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        tcp.local_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// Makes this as small as it can wait.
    pub(crate) fn shrink(&mut self) {
        self.out.clear();
        self.out.shrink_to(REPLY_READ_OCTETS);
    }

    /// Whether the server has said nothing, and not closed, since it was last asked something.
    pub(crate) fn is_quiet(&mut self) -> bool {
        // a session ticket of TLS is read here too, and is nothing that was said
        self.parser.is_empty() && self.stream.read(&mut self.input).now_or_never().is_none()
    }

    /// The same connection under TLS, what the trace says of it, and the flaw of its certificate where none was asked for. Nothing that
    /// came before is kept (RFC 3207 §4.2): whoever sat in between may have put it there.
    pub(crate) async fn secure(
        self,
        tls: &Connector,
        ip: IpAddr,
        limits: &ClientLimits,
    ) -> Result<(Self, String, Option<ResultType>), (Failure, ResultType)> {
        let failed = |why: &str| (Failure::Handshake(why.to_owned()), ResultType::ValidationFailure);
        let Stream::Plain(tcp) = self.stream else {
            return Err(failed("TLS within TLS"));
        };
        let secured = match within(limits.handshake, &self.cut, tls.handshake(ip, tcp)).await {
            Some(Ok(secured)) => secured,
            Some(Err(error)) => return Err(tls.failure(&error)),
            None => return Err(failed("the handshake timed out")),
        };
        let Secured { stream, description, flaw } = secured;
        let parser = ReplyParser::new(limits);
        Ok((Self { stream: Stream::Tls(Box::new(stream)), parser, ..self }, description, flaw))
    }

    /// Sends what lies in `out`.
    pub(crate) async fn flush(&mut self, step: Step, limit: Duration) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        let send = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        match within(limit, &self.cut, send).await {
            Some(Ok(())) => {
                self.out.clear();
                Ok(())
            }
            Some(Err(_)) => Err(Failure::Lost(step)),
            None => Err(Failure::TimedOut(step)),
        }
    }

    /// The next reply, whole within `limit`.
    pub(crate) async fn reply(&mut self, step: Step, limit: Duration) -> Result<RawReply, Failure> {
        // replies to one group mostly arrive together: no timer for those that are here already
        if let Some(reply) = self.buffered(step)? {
            return Ok(reply);
        }
        let cut = self.cut.clone();
        let arrive = async {
            loop {
                match self.stream.read(&mut self.input).await {
                    Ok(0) | Err(_) => return Err(Failure::Lost(step)),
                    Ok(octets) => self.parser.feed(&self.input[..octets]),
                }
                if let Some(reply) = self.buffered(step)? {
                    return Ok(reply);
                }
            }
        };
        within(limit, &cut, arrive).await.unwrap_or(Err(Failure::TimedOut(step)))
    }

    fn buffered(&mut self, step: Step) -> Result<Option<RawReply>, Failure> {
        let reply = self.parser.next().map_err(|error| Failure::Garbled(step, error))?;
        if let Some(reply) = &reply {
            tracing::debug!(%step, code = reply.code, text = %reply.text, "reply");
        }
        Ok(reply)
    }
}

/// What `work` comes to, or `None` where it takes longer than `limit` or until `cut`.
pub(super) async fn within<T>(
    limit: Duration,
    cut: &CancellationToken,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = timeout(limit, work) => done.ok(),
        () = cut.cancelled() => None,
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
