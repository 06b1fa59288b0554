use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Authority, loopback};

/// The web server of the MTA-STS policies of some domains (RFC 8461 §3.3), until it is dropped. Its port is 443, which root alone gets.
pub struct PolicySite {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl PolicySite {
    /// Serves for each domain a policy of mode `enforce` that names one host, with a certificate of `authority`.
    pub fn enforcing(authority: &Authority, hosts: &[(&str, &str)]) -> Self {
        let policy = |(domain, host): &(&str, &str)| {
            let text = format!("version: STSv1\r\nmode: enforce\r\nmx: {host}\r\nmax_age: 86400\r\n");
            (format!("mta-sts.{domain}"), text)
        };
        let policies: HashMap<String, String> = hosts.iter().map(policy).collect();
        let names: Vec<&str> = policies.keys().map(String::as_str).collect();
        let (chain, key) = authority.issue(&names).certified_key();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("key and certificate belong together");
        let listener = TcpListener::bind((loopback(), 443)).expect("root can bind a loopback address");
        let address = listener.local_addr().expect("a bound socket has an address");
        let site = Self { address, closed: Arc::default() };
        let (tls, closed) = (Arc::new(tls), Arc::clone(&site.closed));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                // a client that has gone away reads no policy
                let _ = answer(stream, &tls, &policies);
            }
        });
        site
    }

    /// The address that the names of its policies must have.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }
}

impl Drop for PolicySite {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one request.
fn answer(
    stream: TcpStream,
    tls: &Arc<ServerConfig>,
    policies: &HashMap<String, String>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(Arc::clone(tls)).map_err(std::io::Error::other)?;
    let mut wire = BufReader::new(StreamOwned::new(connection, stream));
    let (mut line, mut asked, mut host) = (String::new(), String::new(), String::new());
    while wire.read_line(&mut line)? > 2 {
        match line.to_ascii_lowercase().strip_prefix("host:") {
            Some(name) => name.trim().clone_into(&mut host),
            None if asked.is_empty() => asked.clone_from(&line),
            None => {}
        }
        line.clear();
    }
    let policy = policies.get(&host).filter(|_| asked.starts_with("GET /.well-known/mta-sts.txt "));
    let (status, body) = policy.map_or(("404 Not Found", ""), |policy| ("200 OK", policy));
    let length = body.len();
    let wire = wire.get_mut();
    write!(
        wire,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    wire.conn.send_close_notify();
    wire.flush()
}
