//! A server that takes everything, counts it, and keeps nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Sink {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        Self::start_slow(Duration::ZERO).await
    }

    /// One that takes `pause` for its greeting and for each of its replies.
    pub(crate) async fn start_slow(pause: Duration) -> Self {
        let listener =
            TcpListener::bind((harness::loopback(), 0)).await.expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counter = counter.clone();
                tokio::spawn(async move {
                    let _ = session(stream, &counter, pause).await;
                });
            }
        });
        Self { address, taken }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn count(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

async fn session(mut stream: TcpStream, taken: &AtomicUsize, pause: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sleep(pause).await;
    stream.write_all(b"220 sink.example ESMTP\r\n").await?;
    let (mut input, mut replies, mut in_data) = (BytesMut::with_capacity(64 * 1024), Vec::new(), false);
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        loop {
            if in_data {
                let Some(end) = memchr::memmem::find(&input, b"\r\n.\r\n") else {
                    // the end may be split between two reads
                    input.advance(input.len().saturating_sub(4));
                    break;
                };
                input.advance(end + 5);
                in_data = false;
                taken.fetch_add(1, Ordering::Relaxed);
                replies.extend_from_slice(b"250 2.0.0 taken\r\n");
            } else {
                let Some(end) = memchr::memchr(b'\n', &input) else { break };
                let line = input.split_to(end + 1);
                replies.extend_from_slice(answer(&line));
                in_data = line.starts_with(b"DATA");
            }
        }
        sleep(pause).await;
        stream.write_all(&replies).await?;
        replies.clear();
    }
}

async fn sleep(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

fn answer(line: &[u8]) -> &'static [u8] {
    match line.get(..4) {
        Some(b"EHLO") => b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
        Some(b"DATA") => b"354 go on\r\n",
        Some(b"QUIT") => b"221 2.0.0 bye\r\n",
        _ => b"250 2.0.0 ok\r\n",
    }
}
