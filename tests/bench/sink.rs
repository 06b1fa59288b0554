//! A server that takes everything, counts it, and keeps nothing; at once, or with a delay before each answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    taken: AtomicUsize,
    connections: AtomicUsize,
    open: AtomicUsize,
    open_most: AtomicUsize,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        Self::slow((harness::loopback(), 0).into(), Duration::ZERO).await
    }

    /// One each of whose answers goes out `delay` after what it answers has come, as over a long way: what comes together is answered
    /// together.
    pub(crate) async fn slow(address: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind(address).await.expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let counts = Arc::new(Counts::default());
        let counting = counts.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counts = counting.clone();
                tokio::spawn(async move {
                    counts.connections.fetch_add(1, Ordering::Relaxed);
                    let open = counts.open.fetch_add(1, Ordering::Relaxed) + 1;
                    counts.open_most.fetch_max(open, Ordering::Relaxed);
                    let _ = session(stream, &counts.taken, delay).await;
                    counts.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, counts }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn count(&self) -> usize {
        self.counts.taken.load(Ordering::Relaxed)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// The most connections at a time.
    pub(crate) fn connections_most(&self) -> usize {
        self.counts.open_most.load(Ordering::Relaxed)
    }
}

/// Where answers go.
enum Out {
    Now(OwnedWriteHalf),
    Later(mpsc::UnboundedSender<(Instant, Vec<u8>)>, Duration),
}

impl Out {
    fn new(stream: OwnedWriteHalf, delay: Duration) -> Self {
        if delay.is_zero() {
            return Self::Now(stream);
        }
        let (to, from) = mpsc::unbounded_channel();
        tokio::spawn(answer_later(stream, from));
        Self::Later(to, delay)
    }

    async fn write(&mut self, replies: &mut Vec<u8>) -> std::io::Result<()> {
        match self {
            Self::Now(stream) => stream.write_all(replies).await?,
            Self::Later(to, delay) => {
                let _ = to.send((Instant::now() + *delay, replies.clone()));
            }
        }
        replies.clear();
        Ok(())
    }
}

async fn answer_later(mut stream: OwnedWriteHalf, mut answers: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>) {
    while let Some((due, answer)) = answers.recv().await {
        tokio::time::sleep_until(due.into()).await;
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// What the octets are that come next.
enum Next {
    Line,
    Data,
    /// A chunk, with so many octets left of it.
    Chunk(usize),
}

async fn session(stream: TcpStream, taken: &AtomicUsize, delay: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut stream, out) = stream.into_split();
    let mut out = Out::new(out, delay);
    let mut replies = b"220 sink.example ESMTP\r\n".to_vec();
    out.write(&mut replies).await?;
    let (mut input, mut next) = (BytesMut::with_capacity(64 * 1024), Next::Line);
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        while step(&mut input, &mut next, &mut replies, taken) {}
        out.write(&mut replies).await?;
    }
}

/// Takes one line or one content out of `input`; `false` where more octets are needed for it.
fn step(input: &mut BytesMut, next: &mut Next, replies: &mut Vec<u8>, taken: &AtomicUsize) -> bool {
    match *next {
        Next::Data => {
            let Some(end) = memchr::memmem::find(input, b"\r\n.\r\n") else {
                // the end may be split between two reads
                input.advance(input.len().saturating_sub(4));
                return false;
            };
            input.advance(end + 5);
        }
        Next::Chunk(left) => {
            let here = left.min(input.len());
            input.advance(here);
            *next = Next::Chunk(left - here);
            if here < left {
                return false;
            }
        }
        Next::Line => {
            let Some(end) = memchr::memchr(b'\n', input) else { return false };
            let line = input.split_to(end + 1);
            if let Some(size) = line.strip_prefix(b"BDAT ") {
                let digits = size.iter().take_while(|octet| octet.is_ascii_digit());
                *next = Next::Chunk(digits.fold(0, |size, digit| size * 10 + usize::from(digit - b'0')));
            } else {
                replies.extend_from_slice(answer(&line));
                if line.starts_with(b"DATA") {
                    *next = Next::Data;
                }
            }
            return true;
        }
    }
    *next = Next::Line;
    taken.fetch_add(1, Ordering::Relaxed);
    replies.extend_from_slice(b"250 2.0.0 taken\r\n");
    true
}

fn answer(line: &[u8]) -> &'static [u8] {
    match line.get(..4) {
        Some(b"EHLO") => {
            b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n"
        }
        Some(b"DATA") => b"354 go on\r\n",
        Some(b"QUIT") => b"221 2.0.0 bye\r\n",
        _ => b"250 2.0.0 ok\r\n",
    }
}
