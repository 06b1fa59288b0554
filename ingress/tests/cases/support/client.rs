//! A server on a socket of its own, and a client that says exactly what it is told.

use std::time::Duration;

use ingress::{BareLf, Limits, Listener, ListenerKind, ListenerTls, Server, Settings};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ports::World;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Edge {
    pub(crate) world: World,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) drain: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) limits: Limits,
}

pub(crate) fn settings(limits: Limits) -> Settings {
    Settings {
        hostname: "edge.example".to_owned(),
        listeners: vec![Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            kind: ListenerKind::Submission,
            bare_lf: BareLf::Refuse,
            tls: ListenerTls::Off,
            proxy: false,
        }],
        trusted_networks: vec!["127.0.0.0/8".parse().unwrap()],
        limits,
        ..Settings::default()
    }
}

impl Edge {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_with(settings(limits)).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        Self::start_in(World::new().await, settings).await
    }

    pub(crate) async fn start_in(world: World, settings: Settings) -> Self {
        let limits = settings.limits.clone();
        let server = Server::bind(settings, world.ports()).await.unwrap();
        let address = server.addresses()[0];
        let drain = CancellationToken::new();
        let serving = tokio::spawn(server.serve(drain.clone()));
        Self { world, address, drain, serving, limits }
    }

    /// A client that has read the greeting.
    pub(crate) async fn connect(&self) -> Client {
        let mut client = self.connect_silently().await;
        client.expect("220 edge.example ESMTP Spoolway").await;
        client
    }

    /// Lets time pass, for a client that drips.
    pub(crate) async fn pause(&self, span: Duration) {
        self.world.ports().clock.sleep(span).await;
    }

    pub(crate) async fn connect_silently(&self) -> Client {
        self.connect_through(TcpSocket::new_v4().unwrap()).await
    }

    /// A client at another address of this machine, which has read the greeting.
    pub(crate) async fn connect_from(&self, ip: &str) -> Client {
        let mut client = self.connect_silently_from(ip).await;
        client.expect("220 edge.example ESMTP Spoolway").await;
        client
    }

    pub(crate) async fn connect_silently_from(&self, ip: &str) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((ip.parse::<std::net::Ipv4Addr>().unwrap(), 0).into()).unwrap();
        self.connect_through(socket).await
    }

    pub(crate) async fn connect_through(&self, socket: TcpSocket) -> Client {
        Client::new(within(socket.connect(self.address)).await.unwrap())
    }
}

/// What a client speaks through.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Wire for S {}

pub(crate) struct Client<S = TcpStream> {
    stream: BufReader<S>,
}

impl<S: Wire> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// What is below; nothing may have been read ahead.
    pub(crate) fn into_inner(self) -> S {
        assert!(self.stream.buffer().is_empty(), "the server said more than was expected");
        self.stream.into_inner()
    }

    /// Reads one reply of any number of lines, and gives its lines.
    pub(crate) async fn reply(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line().await);
            if lines[lines.len() - 1].as_bytes().get(3) != Some(&b'-') {
                return lines;
            }
        }
    }

    /// Says EHLO, and gives the keywords.
    pub(crate) async fn ehlo(&mut self) -> Vec<String> {
        self.send("EHLO client.example\r\n").await;
        let lines = self.reply().await;
        lines[1..].iter().map(|line| line[4..].to_owned()).collect()
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.get_mut().write_all(bytes.as_ref())).await.unwrap();
    }

    /// One reply line; empty at the end of the stream.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        within(self.stream.read_line(&mut line)).await.unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    /// The next line, unless the connection is lost.
    pub(crate) async fn try_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = within(self.stream.read_line(&mut line)).await;
        read.is_ok_and(|octets| octets > 0).then(|| line.trim_end_matches("\r\n").to_owned())
    }

    #[track_caller]
    pub(crate) fn expect<'a>(&'a mut self, start: &'a str) -> impl Future<Output = String> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let line = self.line().await;
            assert!(line.starts_with(start), "{caller}: expected `{start}`, not `{line}`");
            line
        }
    }

    /// Sends a line and expects the start of the reply.
    #[track_caller]
    pub(crate) fn ask<'a>(&'a mut self, line: &'a str, start: &'a str) -> impl Future<Output = String> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            self.send(format!("{line}\r\n")).await;
            let reply = self.line().await;
            assert!(reply.starts_with(start), "{caller}: expected `{start}`, not `{reply}`");
            reply
        }
    }

    /// Everything up to DATA's 354.
    pub(crate) async fn begin(&mut self) {
        self.send("HELO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
            .await;
        for code in ["250", "250", "250", "354"] {
            self.expect(code).await;
        }
    }

    /// The answer to a message of this content, which ends with CRLF.
    pub(crate) async fn message(&mut self, content: impl AsRef<[u8]>) -> String {
        self.begin().await;
        self.send(content).await;
        self.send(".\r\n").await;
        self.line().await
    }

    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        within(self.stream.read_to_end(&mut rest)).await.is_ok() && rest.is_empty()
    }

    /// What one read gives, to see what came together.
    pub(crate) async fn read_once(&mut self) -> String {
        let mut bytes = vec![0; 65536];
        let n = within(self.stream.get_mut().read(&mut bytes)).await.unwrap();
        String::from_utf8(bytes[..n].to_vec()).unwrap()
    }
}

impl Client<TcpStream> {
    /// All that comes up to the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        let _ = within(self.stream.read_to_end(&mut octets)).await;
        octets
    }

    /// Whether the server, given the time to do all it can do now, has said nothing.
    pub(crate) async fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        tokio::time::timeout(Duration::from_millis(50), self.stream.get_mut().peek(&mut byte)).await.is_err()
    }

    pub(crate) fn split(&mut self) -> (Reading<'_>, Writing<'_>) {
        let (reading, writing) = self.stream.get_mut().split();
        (Reading(reading), Writing(writing))
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it took too long")
}

pub(crate) struct Reading<'a>(ReadHalf<'a>);

impl Reading<'_> {
    /// So many lines, and no octet more.
    pub(crate) async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while lines.len() < count {
            line.push(within(self.0.read_u8()).await.unwrap());
            if line.ends_with(b"\r\n") {
                lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap().trim_end().to_owned());
            }
        }
        lines
    }

    /// All that comes up to the end of the stream, however that ends.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = within(self.0.read_to_end(&mut bytes)).await;
        String::from_utf8(bytes).unwrap()
    }
}

pub(crate) struct Writing<'a>(WriteHalf<'a>);

impl Writing<'_> {
    pub(crate) async fn send_all(&mut self, text: String) {
        within(self.0.write_all(text.as_bytes())).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }
}
