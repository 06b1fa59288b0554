//! A server that plays a script, line by line: whatever a client may meet out there.
//!
//! ```text
//! # what it is about
//! outcome deferred            what the first attempt comes to
//! reply 4.4.2                 what its reply has in it
//! taken 1                     how many messages the server has said 250 to; 0 unless said
//! message 8bit                what is sent; plain text unless said
//! connection                  begins what is played on a connection; after the last such part, that one again
//! > 220 hostile.example       sends a line
//! < EHLO                      reads a line that begins so; another one ends the connection
//! content                     reads to CRLF.CRLF
//! chunk                       reads a BDAT command and its octets
//! taken!                      counts a message
//! raw 250 a\r\n250 b          sends octets, with \r \n \0 \xNN, and no line end of its own
//! drip 1s 250 ok              sends a line, one octet at a time
//! flood 250-more              sends the line until nobody reads it, or 4 MiB
//! pause 1s · tls · hang · close
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The most that a flood sends, in octets.
const FLOOD_MAX: usize = 4 * 1024 * 1024;
/// How long nobody may be heard before a connection is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// A script, and what must come of it.
#[derive(Debug, Clone)]
pub struct HostileScript {
    /// Its name: that of its file.
    pub name: String,
    /// What the first attempt comes to: `delivered`, `deferred` or `bounced`.
    pub outcome: String,
    /// What the reply on record has in it.
    pub reply: Option<String>,
    /// The class of failure on record, where the script names one.
    pub class: Option<String>,
    /// Messages that the server takes.
    pub taken: usize,
    /// Whether the message has octets over 127.
    pub eight_bit: bool,
    connections: Vec<Vec<String>>,
}

impl HostileScript {
    /// Reads a script.
    ///
    /// # Panics
    /// Where it is none.
    #[track_caller]
    pub fn read(name: &str, text: &str) -> Self {
        let mut script = Self {
            name: name.to_owned(),
            outcome: String::new(),
            reply: None,
            class: None,
            taken: 0,
            eight_bit: false,
            connections: Vec::new(),
        };
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, script.connections.last_mut()) {
                ("connection", _) => script.connections.push(Vec::new()),
                (_, Some(played)) => played.push(line.to_owned()),
                ("outcome", None) => script.outcome = rest.to_owned(),
                ("reply", None) => script.reply = Some(rest.to_owned()),
                ("class", None) => script.class = Some(rest.to_owned()),
                ("message", None) => script.eight_bit = rest == "8bit",
                ("taken", None) => script.taken = rest.parse().expect("a number"),
                _ => panic!("{name}: `{line}` stands in no connection"),
            }
        }
        assert!(!script.connections.is_empty(), "{name} plays nothing");
        assert!(
            ["delivered", "deferred", "bounced"].contains(&script.outcome.as_str()),
            "{name}: no outcome"
        );
        script
    }
}

struct Shared {
    script: HostileScript,
    connections: AtomicUsize,
    taken: AtomicUsize,
    clear_content: AtomicUsize,
    closed: AtomicBool,
    /// What was not as the script has it.
    surprises: Mutex<Vec<String>>,
}

/// A server on its own loopback address; it goes when it is dropped.
pub struct Hostile {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Hostile {
    /// Starts a server that plays `script`.
    pub fn start(script: HostileScript) -> Self {
        let listener = TcpListener::bind((super::loopback(), 0)).expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            script,
            connections: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            clear_content: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            surprises: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.closed.load(Ordering::SeqCst) {
                    return;
                }
                let number = accepting.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    let last = shared.script.connections.len() - 1;
                    let played = shared.script.connections[number.min(last)].clone();
                    let mut player = Player::new(shared, stream);
                    let _ = played.iter().try_for_each(|line| player.play(line));
                    let _ = player.socket.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, shared }
    }

    /// Its script.
    pub fn script(&self) -> &HostileScript {
        &self.shared.script
    }

    /// `smtp://host:port`.
    pub fn route(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// How many messages it has said 250 to.
    pub fn taken(&self) -> usize {
        self.shared.taken.load(Ordering::SeqCst)
    }

    /// How many contents came in clear text.
    pub fn clear_content(&self) -> usize {
        self.shared.clear_content.load(Ordering::SeqCst)
    }

    /// What clients said in place of what the script waits for.
    pub fn surprises(&self) -> Vec<String> {
        self.shared.surprises.lock().expect("nobody panics while it holds the lock").clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

struct Player {
    shared: Arc<Shared>,
    wire: BufReader<Box<dyn Wire>>,
    socket: TcpStream,
    tls: bool,
}

impl Player {
    fn new(shared: Arc<Shared>, stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket takes its options");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket takes its options");
        stream.set_write_timeout(Some(SILENCE)).expect("a socket takes its options");
        let socket = stream.try_clone().expect("a socket can be cloned");
        Self { shared, wire: BufReader::new(Box::new(stream)), socket, tls: false }
    }

    /// `None` ends the connection.
    fn play(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            ">" => self.send(format!("{rest}\r\n").as_bytes()),
            "raw" => self.send(&unescaped(rest)),
            "<" => self.expect(rest),
            "content" => self.content(),
            "chunk" => self.chunk(),
            "taken!" => {
                self.shared.taken.fetch_add(1, Ordering::SeqCst);
                Some(())
            }
            "drip" => {
                let (pause, text) = rest.split_once(' ')?;
                let pause = seconds(pause);
                format!("{text}\r\n").bytes().try_for_each(|octet| {
                    self.send(&[octet])?;
                    std::thread::sleep(pause);
                    Some(())
                })
            }
            "flood" => {
                let line = format!("{rest}\r\n");
                (0..FLOOD_MAX / line.len()).try_for_each(|_| self.send(line.as_bytes()))
            }
            "pause" => {
                std::thread::sleep(seconds(rest));
                Some(())
            }
            "tls" => {
                let config = Arc::new(super::sink::broken_tls());
                let connection = rustls::ServerConnection::new(config).ok()?;
                let socket = self.socket.try_clone().ok()?;
                self.wire = BufReader::new(Box::new(rustls::StreamOwned::new(connection, socket)));
                self.tls = true;
                Some(())
            }
            "hang" => {
                let _ = self.wire.read_to_end(&mut Vec::new());
                None
            }
            "close" => None,
            other => panic!("{}: there is no `{other}`", self.shared.script.name),
        }
    }

    fn send(&mut self, octets: &[u8]) -> Option<()> {
        self.wire.get_mut().write_all(octets).ok()?;
        self.wire.get_mut().flush().ok()
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = self.wire.read_until(b'\n', &mut line).ok()?;
        (read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn expect(&mut self, wanted: &str) -> Option<()> {
        let line = self.line()?;
        if line.starts_with(wanted) {
            return Some(());
        }
        let surprise = format!("`{line}` in place of `{wanted}`");
        self.shared.surprises.lock().expect("nobody panics while it holds the lock").push(surprise);
        None
    }

    fn content(&mut self) -> Option<()> {
        if !self.tls {
            self.shared.clear_content.fetch_add(1, Ordering::SeqCst);
        }
        while self.line()? != "." {}
        Some(())
    }

    fn chunk(&mut self) -> Option<()> {
        let line = self.line()?;
        let octets: usize = line.strip_prefix("BDAT ")?.split(' ').next()?.parse().ok()?;
        self.wire.read_exact(&mut vec![0; octets]).ok()
    }
}

fn seconds(text: &str) -> Duration {
    let seconds = text.trim_end_matches('s').parse().expect("a number of seconds");
    Duration::from_secs_f64(seconds)
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        let escaped = (octet == b'\\').then(|| rest.next()).flatten();
        octets.push(match escaped {
            None => octet,
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b'0') => 0,
            Some(b'x') => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.unwrap_or(b'?'));
                let digits = std::str::from_utf8(&digits).expect("two digits");
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            Some(other) => other,
        });
    }
    octets
}
