//! Sessions that send as fast as they are answered, a command at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where mail goes, and with what TLS.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

pub(crate) async fn send(
    relay: &Relay,
    messages: usize,
    sessions: usize,
    octets: usize,
    keep: bool,
) -> Result<(), String> {
    let recipients = Arc::from(["user@example.org".to_owned()]);
    send_to(relay, messages, sessions, octets, keep, recipients).await
}

/// The same to each of `recipients` in turn.
pub(crate) async fn send_to(
    relay: &Relay,
    messages: usize,
    sessions: usize,
    octets: usize,
    keep: bool,
    recipients: Arc<[String]>,
) -> Result<(), String> {
    let content: Arc<[u8]> = content(octets).into();
    let begun = Arc::new(AtomicUsize::new(0));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..sessions {
        let (content, begun, relay) = (content.clone(), begun.clone(), relay.clone());
        let recipients = recipients.clone();
        running.spawn(async move { session(&relay, messages, keep, &content, &begun, &recipients).await });
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| error.to_string())?.map_err(|error| format!("a session broke: {error}"))?;
    }
    Ok(())
}

async fn session(
    relay: &Relay,
    messages: usize,
    keep: bool,
    content: &[u8],
    begun: &AtomicUsize,
    recipients: &[String],
) -> std::io::Result<()> {
    let mut open = None;
    loop {
        let nth = begun.fetch_add(1, Ordering::Relaxed);
        if nth >= messages {
            return Ok(());
        }
        let mut client = match open.take() {
            Some(client) => client,
            None => Client::connect(relay).await?,
        };
        client.send_to(&recipients[nth % recipients.len()], content).await?;
        if keep {
            open = Some(client);
        } else {
            client.command("QUIT\r\n", '2').await?;
        }
    }
}

pub(crate) struct Client {
    stream: BufReader<Box<dyn Wire>>,
    line: String,
}

impl Client {
    pub(crate) async fn connect(relay: &Relay) -> std::io::Result<Self> {
        let stream = TcpStream::connect(relay.address).await?;
        stream.set_nodelay(true)?;
        let mut client = Self::new(Box::new(stream));
        client.reply('2').await?;
        client.command("EHLO source.example\r\n", '2').await?;
        let Some(tls) = &relay.tls else { return Ok(client) };
        client.command("STARTTLS\r\n", '2').await?;
        let name = ServerName::try_from("edge.example").map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, client.stream.into_inner()).await?;
        let mut client = Self::new(Box::new(stream));
        client.command("EHLO source.example\r\n", '2').await?;
        Ok(client)
    }

    fn new(stream: Box<dyn Wire>) -> Self {
        Self { stream: BufReader::with_capacity(1024, stream), line: String::new() }
    }

    pub(crate) async fn send_to(&mut self, recipient: &str, content: &[u8]) -> std::io::Result<()> {
        self.command("MAIL FROM:<sender@example.com>\r\n", '2').await?;
        self.command(&format!("RCPT TO:<{recipient}>\r\n"), '2').await?;
        self.command("DATA\r\n", '3').await?;
        self.stream.get_mut().write_all(content).await?;
        self.stream.get_mut().flush().await?;
        self.reply('2').await
    }

    pub(crate) async fn command(&mut self, line: &str, wanted: char) -> std::io::Result<()> {
        self.stream.get_mut().write_all(line.as_bytes()).await?;
        self.stream.get_mut().flush().await?;
        self.reply(wanted).await
    }

    /// The last line of the last reply.
    pub(crate) fn last_line(&self) -> &str {
        self.line.trim_end()
    }

    async fn reply(&mut self, wanted: char) -> std::io::Result<()> {
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).await?;
            if !self.line.starts_with(wanted) {
                return Err(std::io::Error::other(format!("answered `{}`", self.line.trim_end())));
            }
            if self.line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

pub(crate) fn content(octets: usize) -> Vec<u8> {
    let mut content = b"From: sender@example.com\r\nTo: user@example.org\r\nSubject: bench\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
        Message-ID: <bench@example.com>\r\n\r\n"
        .to_vec();
    while content.len() < octets {
        let line = octets.saturating_sub(content.len() + 2).min(76);
        content.extend(std::iter::repeat_n(b'x', line));
        content.extend_from_slice(b"\r\n");
    }
    content.extend_from_slice(b".\r\n");
    content
}
