//! A receiving server that does what its script says.

mod content;
mod partition;
mod script;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use partition::{Partition, established};
pub use script::{Act, Script, Step};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Sunk {
    /// MAIL FROM, without brackets.
    pub from: String,
    /// The accepted RCPT TOs, without brackets.
    pub to: Vec<String>,
    /// MAIL and each accepted RCPT, as they came.
    pub commands: Vec<String>,
    /// The content, dots unstuffed.
    pub data: Vec<u8>,
    /// When its final dot came.
    pub at: Instant,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether more was here already when MAIL was read.
    pub pipelined: bool,
    /// Whether it came by BDAT.
    pub chunked: bool,
}

impl Default for Sunk {
    fn default() -> Self {
        let (from, to, commands, data) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        Self { from, to, commands, data, at: Instant::now(), tls: false, pipelined: false, chunked: false }
    }
}

impl Sunk {
    /// The number of a [`numbered_message`](super::numbered_message).
    #[track_caller]
    pub fn number(&self) -> u64 {
        let head = String::from_utf8_lossy(&self.data[..self.data.len().min(16 * 1024)]);
        let number = head.split_once("X-Number: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        number.expect("every message has its number")
    }
}

struct Shared {
    script: Script,
    sunk: Mutex<Vec<Sunk>>,
    acted: Vec<AtomicUsize>,
    connections: AtomicUsize,
    connections_most: AtomicUsize,
    quits: AtomicUsize,
    partition: Partition,
}

/// A server on its own loopback address; it goes when it is dropped.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Sink {
    /// Starts a sink that takes everything.
    pub fn start() -> Self {
        Self::scripted(Script::default())
    }

    /// Starts a sink with a script.
    pub fn scripted(script: Script) -> Self {
        Self::bind((super::loopback(), 0).into(), script)
    }

    /// Starts a sink on this address; port 0 is any that is free.
    pub fn on(ip: impl Into<IpAddr>, port: u16, script: Script) -> Self {
        Self::bind((ip.into(), port).into(), script)
    }

    fn bind(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let acted = script.acts.iter().map(|_| AtomicUsize::new(0)).collect();
        let shared = Arc::new(Shared {
            script,
            sunk: Mutex::default(),
            acted,
            connections: AtomicUsize::new(0),
            connections_most: AtomicUsize::new(0),
            quits: AtomicUsize::new(0),
            partition: Partition::default(),
        });
        shared.clone().serve(listener);
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `smtp://host:port`.
    pub fn route(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Everything that arrived so far.
    pub fn sunk(&self) -> Vec<Sunk> {
        self.shared.sunk.lock().expect("no test panics while it holds the lock").clone()
    }

    /// How many messages arrived so far.
    pub fn count(&self) -> usize {
        self.shared.sunk.lock().expect("no test panics while it holds the lock").len()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most connections that there were at a time, of those that no client had closed; counted where the script says so.
    pub fn connections_most(&self) -> usize {
        assert!(self.shared.script.counted, "the script of this sink counts nothing");
        self.shared.connections_most.load(Ordering::SeqCst)
    }

    /// How many connections there are of which neither side has closed its half; for an address of IPv4.
    pub fn connections_open(&self) -> usize {
        established(self.address)
    }

    /// How many connections were ended by QUIT so far.
    pub fn quits(&self) -> usize {
        self.shared.quits.load(Ordering::SeqCst)
    }

    /// From now on nothing is read or answered, on whatever connection, until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.shared.partition.freeze();
    }

    /// Goes on where it was frozen.
    pub fn thaw(&self) {
        self.shared.partition.thaw();
    }

    /// Breaks every connection and refuses new ones, until [`mend`](Self::mend).
    pub fn cut(&self) {
        self.shared.partition.close();
        // who waits for a connection learns of it by one
        let _ = TcpStream::connect(self.address);
        super::eventually("the sink refuses connections", || TcpStream::connect(self.address).err());
    }

    /// Listens again after a cut.
    pub fn mend(&self) {
        let listener = super::eventually("the address is free", || TcpListener::bind(self.address).ok());
        self.shared.partition.open();
        self.shared.clone().serve(listener);
    }

    /// How often an act that takes place a number of times has come up so far.
    pub fn acted(&self) -> usize {
        self.shared.acted.iter().map(|acted| acted.load(Ordering::SeqCst)).sum()
    }

    /// Waits until `count` messages have arrived.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Sunk> {
        super::eventually(&format!("{count} messages in the sink"), || {
            (self.count() >= count).then(|| self.sunk())
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.partition.thaw();
        self.shared.partition.close();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Takes connections, each in a thread of its own, until the sink is closed.
    fn serve(self: Arc<Self>, listener: TcpListener) {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if self.partition.is_closed() {
                    return;
                }
                self.connections.fetch_add(1, Ordering::SeqCst);
                if self.script.counted {
                    let open = stream.local_addr().map_or(0, established);
                    self.connections_most.fetch_max(open, Ordering::SeqCst);
                }
                let shared = self.clone();
                std::thread::spawn(move || Session::new(shared, stream).run());
            }
        });
    }
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

struct Session {
    shared: Arc<Shared>,
    wire: BufReader<Box<dyn Wire>>,
    socket: TcpStream,
    peer: Option<SocketAddr>,
    tls: bool,
}

impl Session {
    fn new(shared: Arc<Shared>, stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket takes its options");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket takes its options");
        let socket = stream.try_clone().expect("a socket can be cloned");
        let peer = shared.partition.enter(&socket);
        Self { shared, wire: BufReader::new(Box::new(stream)), socket, peer, tls: false }
    }

    fn run(mut self) {
        let _ = self.dialogue();
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.shared.partition.leave(self.peer);
    }

    fn act(&self, step: Step) -> Option<Act> {
        let acts = self.shared.script.acts.iter().zip(&self.shared.acted);
        for ((at, times, act), acted) in acts {
            if *at == step && times.have_come(acted) {
                return Some(act.clone());
            }
        }
        None
    }

    /// Plays the script at `step`, or says `well`. Whether things go well; `None` ends the connection.
    fn play(&mut self, step: Step, well: &str) -> Option<bool> {
        let Some(act) = self.act(step) else {
            self.say(well)?;
            return Some(true);
        };
        match act {
            Act::Say(line) => {
                self.say(&line)?;
                if line.starts_with("421") {
                    return self.part();
                }
                Some(line.starts_with(['2', '3']))
            }
            Act::Drop => None,
            Act::Drip(pause) => {
                for octet in format!("{well}\r\n").bytes() {
                    self.wire.get_mut().write_all(&[octet]).ok()?;
                    std::thread::sleep(pause);
                }
                Some(true)
            }
            Act::Hang => {
                let _ = self.wire.read_to_end(&mut Vec::new());
                None
            }
        }
    }

    /// Closes, as is due behind 421 (RFC 5321 §3.8). What has come unread must not reset the connection before the reply is read.
    fn part<T>(&mut self) -> Option<T> {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        let _ = self.wire.read_to_end(&mut Vec::new());
        None
    }

    fn say(&mut self, line: &str) -> Option<()> {
        self.shared.partition.wait();
        self.wire.get_mut().write_all(format!("{line}\r\n").as_bytes()).ok()
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let read = self.wire.read_until(b'\n', &mut line).ok()?;
        self.shared.partition.wait();
        (read > 0 && line.ends_with(b"\r\n")).then_some(line)
    }

    fn dialogue(&mut self) -> Option<()> {
        self.play(Step::Greeting, "220 sink.example ESMTP")?;
        let mut envelope = Sunk::default();
        loop {
            let line = String::from_utf8_lossy(&self.line()?).trim_end().to_owned();
            let verb = line.split(' ').next().unwrap_or("").to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let keywords = self.ehlo_reply();
                    self.play(Step::Ehlo, &keywords)?;
                }
                "HELO" => {
                    self.play(Step::Helo, "250 sink.example")?;
                }
                "STARTTLS" => {
                    if self.play(Step::StartTls, "220 2.0.0 go ahead")? {
                        self.start_tls()?;
                    }
                }
                "MAIL" => {
                    let pipelined = !self.wire.buffer().is_empty();
                    if self.play(Step::Mail, "250 2.1.0 ok")? {
                        envelope =
                            Sunk { from: path(&line), commands: vec![line], pipelined, ..Sunk::default() };
                    }
                }
                "RCPT" if envelope.commands.is_empty() => self.say("503 5.5.1 no sender")?,
                "RCPT" => {
                    if self.play(Step::Rcpt, "250 2.1.5 ok")? {
                        envelope.to.push(path(&line));
                        envelope.commands.push(line);
                    }
                }
                "DATA" if envelope.to.is_empty() => self.say("503 5.5.1 no recipients")?,
                "DATA" => {
                    if self.play(Step::Data, "354 go on")? {
                        self.content(std::mem::take(&mut envelope))?;
                    }
                }
                "BDAT" => self.chunk(&line, &mut envelope)?,
                "RSET" => {
                    envelope = Sunk::default();
                    self.say("250 2.0.0 ok")?;
                }
                "QUIT" => {
                    self.shared.quits.fetch_add(1, Ordering::SeqCst);
                    self.say("221 2.0.0 bye")?;
                    return None;
                }
                _ => self.say("500 5.5.1 what?")?,
            }
        }
    }

    fn ehlo_reply(&self) -> String {
        let script = &self.shared.script;
        let mut keywords =
            script.keywords.clone().unwrap_or_else(|| vec!["PIPELINING", "8BITMIME", "SMTPUTF8"]);
        if script.tls && !self.tls {
            keywords.push("STARTTLS");
        }
        let mut lines: Vec<String> = keywords.iter().map(|keyword| format!("250-{keyword}")).collect();
        lines.insert(0, "250-sink.example".to_owned());
        let last = lines.len() - 1;
        lines[last].replace_range(3..4, " ");
        lines.join("\r\n")
    }

    fn start_tls(&mut self) -> Option<()> {
        let socket = self.socket.try_clone().ok()?;
        let connection = rustls::ServerConnection::new(Arc::new(broken_tls())).ok()?;
        self.wire = BufReader::new(Box::new(rustls::StreamOwned::new(connection, socket)));
        self.tls = true;
        Some(())
    }
}

/// Self-signed, for another name, and out of date since 1975.
pub(crate) fn broken_tls() -> rustls::ServerConfig {
    let key = rcgen::KeyPair::generate().expect("keys can be generated");
    let mut params = rcgen::CertificateParams::new(["wrong.example".to_owned()]).expect("a good name");
    params.not_before = rcgen::date_time_ymd(1974, 1, 1);
    params.not_after = rcgen::date_time_ymd(1975, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate can sign itself");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(certificate.der().to_vec())],
            PrivateKeyDer::try_from(key.serialize_der()).expect("the key is PKCS #8"),
        )
        .expect("key and certificate belong together")
}

fn path(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path).to_owned()
}
