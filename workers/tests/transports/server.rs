//! A mail server that behaves as badly as it is told to, over real sockets.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the server is about to answer.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GREETING`, the verb, or `END` for the final dot.
    pub step: String,
    /// The whole line; for `END`, the content.
    pub line: String,
    /// Which connection this is, from 1.
    pub connection: usize,
    /// How often the step has been asked on any connection, this time included.
    pub nth: usize,
}

/// What it does.
#[derive(Clone)]
pub enum Act {
    /// Writes this.
    Say(String),
    /// Writes this, an octet at a time with a pause behind each.
    Drip(String),
    /// Writes this for ever.
    Flood(String),
    /// Closes the connection.
    Close,
    /// Writes this and closes.
    Part(String),
    /// Says nothing more.
    Hang,
    /// Says nothing yet: the answer goes out with the next one.
    Wait(String),
    /// Says 220 and what is injected behind it, and makes a TLS handshake; in place of a greeting, makes a handshake and says it then.
    Tls(TlsAcceptor, String),
}

pub fn say(text: &str) -> Act {
    Act::Say(format!("{text}\r\n"))
}

/// What the server has seen.
#[derive(Default, Debug, Clone)]
pub struct Seen {
    pub connections: usize,
    /// Where each connection came from.
    pub peers: Vec<IpAddr>,
    /// Every command, in order.
    pub commands: Vec<String>,
    /// Every content, with its dots undone.
    pub contents: Vec<String>,
    asked: Vec<String>,
}

type Script = Arc<dyn Fn(&Asked) -> Option<Act> + Send + Sync>;

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// A server that offers `extensions`, and does what `script` says and the right thing where it says nothing.
    pub async fn start(
        extensions: &'static [&'static str],
        script: impl Fn(&Asked) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), extensions, script).await
    }

    pub async fn start_on(
        address: SocketAddr,
        extensions: &'static [&'static str],
        script: impl Fn(&Asked) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (script, log): (Script, _) = (Arc::new(script), seen.clone());
        tokio::spawn(async move {
            while let Ok((tcp, peer)) = listener.accept().await {
                let connection = {
                    let mut seen = log.lock().unwrap();
                    seen.connections += 1;
                    seen.peers.push(peer.ip());
                    seen.connections
                };
                let talk = Talk { connection, script: script.clone(), seen: log.clone(), extensions };
                tokio::spawn(talk.clear(tcp));
            }
        });
        Self { address, seen }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

struct Talk {
    connection: usize,
    script: Script,
    seen: Arc<Mutex<Seen>>,
    extensions: &'static [&'static str],
}

impl Talk {
    async fn clear(self, mut tcp: TcpStream) -> Option<()> {
        let act = self.decide("GREETING", "");
        if let Act::Tls(acceptor, greeting) = act {
            let mut tls = acceptor.accept(tcp).await.ok()?;
            tls.write_all(greeting.as_bytes()).await.ok()?;
            self.dialogue(&mut tls).await;
            return Some(());
        }
        perform(act, &mut tcp).await?;
        let acceptor = self.dialogue(&mut tcp).await?;
        let mut tls = acceptor.accept(tcp).await.ok()?;
        self.dialogue(&mut tls).await;
        Some(())
    }

    /// Until the end, or TLS.
    async fn dialogue<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> Option<TlsAcceptor> {
        let mut stream = BufReader::new(stream);
        let mut owed = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            let verb = line.split(' ').next().unwrap().to_ascii_uppercase();
            self.seen.lock().unwrap().commands.push(line.clone());
            if verb == "BDAT" {
                let chunk = read_chunk(&line, &mut stream).await?;
                self.seen.lock().unwrap().contents.push(chunk);
            }
            let mut act = self.decide(&verb, &line);
            if let Act::Wait(text) = act {
                owed += &text;
                continue;
            }
            if let (Act::Say(text), false) = (&mut act, owed.is_empty()) {
                text.insert_str(0, &std::mem::take(&mut owed));
            }
            if let Act::Tls(acceptor, injected) = act {
                stream.write_all(format!("220 go\r\n{injected}").as_bytes()).await.ok()?;
                return Some(acceptor);
            }
            let content_follows = verb == "DATA" && matches!(&act, Act::Say(text) if text.contains("354"));
            perform(act, &mut stream).await?;
            if content_follows {
                let content = read_content(&mut stream).await?;
                self.seen.lock().unwrap().contents.push(content.clone());
                match self.decide("END", &content) {
                    Act::Wait(text) => owed += &text,
                    act => perform(act, &mut stream).await?,
                }
            }
        }
    }

    fn decide(&self, step: &str, line: &str) -> Act {
        let nth = {
            let mut seen = self.seen.lock().unwrap();
            seen.asked.push(step.to_owned());
            seen.asked.iter().filter(|asked| *asked == step).count()
        };
        let asked = Asked { step: step.to_owned(), line: line.to_owned(), connection: self.connection, nth };
        (self.script)(&asked).unwrap_or_else(|| self.polite(step))
    }

    fn polite(&self, step: &str) -> Act {
        match step {
            "GREETING" => say("220 mx.example ESMTP"),
            "EHLO" => {
                let mut lines = vec!["mx.example"];
                lines.extend(self.extensions);
                let last = lines.len() - 1;
                let line = |(at, text): (usize, &&str)| {
                    format!("250{}{text}\r\n", if at == last { ' ' } else { '-' })
                };
                Act::Say(lines.iter().enumerate().map(line).collect())
            }
            "DATA" => say("354 go on"),
            "END" => say("250 2.0.0 taken"),
            "QUIT" => Act::Part("221 bye\r\n".to_owned()),
            _ => say("250 2.1.0 ok"),
        }
    }
}

/// Does it; `None` where that is the end of the connection.
async fn perform<S: AsyncWrite + Unpin>(act: Act, stream: &mut S) -> Option<()> {
    match act {
        Act::Say(text) => stream.write_all(text.as_bytes()).await.ok(),
        Act::Drip(text) => {
            for octet in text.bytes() {
                stream.write_all(&[octet]).await.ok()?;
                pause(Duration::from_millis(200)).await;
            }
            Some(())
        }
        Act::Flood(text) => loop {
            stream.write_all(text.as_bytes()).await.ok()?;
        },
        Act::Close => None,
        Act::Part(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()?;
            None
        }
        Act::Hang => std::future::pending().await,
        Act::Wait(_) | Act::Tls(..) => unreachable!("only an answer to a command"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a slow server is what the test is about")]
async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

/// The octets behind a BDAT, which follow whatever is answered (RFC 3030 §2).
async fn read_chunk<S: AsyncRead + Unpin>(line: &str, stream: &mut BufReader<S>) -> Option<String> {
    let size: usize = line.split(' ').nth(1)?.parse().ok()?;
    let mut chunk = vec![0; size];
    stream.read_exact(&mut chunk).await.ok()?;
    Some(String::from_utf8(chunk).unwrap())
}

async fn read_content<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut content = String::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some(content);
        }
        let line = String::from_utf8(line).unwrap();
        content += line.strip_prefix('.').unwrap_or(&line);
    }
}
