use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::Identity;

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A client that says what it is told to say.
pub struct Client {
    stream: BufReader<Box<dyn Wire>>,
}

impl Client {
    /// Connects, and reads the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the edge greets")
    }

    /// Connects and reads the greeting; `None` where nobody does so.
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        Self::greeted(connect(address)?)
    }

    fn greeted(wire: impl Wire + 'static) -> Option<Self> {
        let mut client = Self { stream: BufReader::new(Box::new(wire)) };
        client.reply()?.starts_with("220").then_some(client)
    }

    /// Connects where TLS comes first, says EHLO, and logs in by AUTH PLAIN (RFC 4616).
    ///
    /// # Panics
    /// If the edge is another or does not take the login.
    #[track_caller]
    pub fn logged_in(address: SocketAddr, identity: &Identity, name: &str, secret: &str) -> Self {
        let tcp = connect(address).expect("the edge listens");
        let server = ServerName::try_from("edge.example").expect("a good name");
        let tls = ClientConnection::new(identity.client(), server).expect("a client can be made");
        let mut client = Self::greeted(StreamOwned::new(tls, tcp)).expect("the edge greets");
        client.command("EHLO client.example").expect("EHLO is answered");
        let login = BASE64_STANDARD.encode(format!("\0{name}\0{secret}"));
        let reply = client.command(&format!("AUTH PLAIN {login}")).expect("AUTH is answered");
        assert!(reply.starts_with("235"), "{reply}");
        client
    }

    /// Sends octets as they are.
    pub fn write(&mut self, octets: &[u8]) -> Option<()> {
        self.stream.get_mut().write_all(octets).ok()
    }

    /// The next reply, its lines joined by `\n`; `None` once the connection is gone.
    pub fn reply(&mut self) -> Option<String> {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches("\r\n");
            reply.push_str(line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return Some(reply);
            }
            reply.push('\n');
        }
    }

    /// Sends a command and gives its reply.
    pub fn command(&mut self, line: &str) -> Option<String> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends a message in one transaction (EHLO must have been said) and gives the reply that decided.
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> Option<String> {
        let mut commands = vec![format!("MAIL FROM:<{from}>")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        for command in commands {
            let reply = self.command(&command)?;
            if !reply.starts_with('2') {
                return Some(reply);
            }
        }
        self.data(message)
    }

    /// Sends DATA and the content, and gives the reply that decided.
    pub fn data(&mut self, message: &[u8]) -> Option<String> {
        let reply = self.command("DATA")?;
        if !reply.starts_with('3') {
            return Some(reply);
        }
        self.write(&dot_stuffed(message))?;
        self.reply()
    }

    /// Connects, says EHLO, sends one message, and gives its id.
    ///
    /// # Panics
    /// If the edge does not accept the message.
    #[track_caller]
    pub fn submit(address: SocketAddr, from: &str, to: &[&str], message: &[u8]) -> String {
        let mut client = Self::connect(address);
        client.command("EHLO client.example").expect("EHLO is answered");
        let id = client.queued(from, to, message);
        let _ = client.command("QUIT");
        id
    }

    /// Sends one message as [`send`](Self::send) does, and gives its id.
    ///
    /// # Panics
    /// If the edge does not accept the message.
    #[track_caller]
    pub fn queued(&mut self, from: &str, to: &[&str], message: &[u8]) -> String {
        let reply = self.send(from, to, message).expect("the message is answered");
        queued_id(&reply).unwrap_or_else(|| panic!("not accepted: {reply}"))
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// The id in `250 2.0.0 queued as <id>`.
fn queued_id(reply: &str) -> Option<String> {
    reply.strip_prefix("250 2.0.0 queued as ").map(str::to_owned)
}

fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}
