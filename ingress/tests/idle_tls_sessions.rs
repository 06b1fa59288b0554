//! What a TLS session costs that says nothing; a process of its own, so that nothing else moves its memory.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingress::Tls;
use ingress::tls::{Acceptor, CertificateSource, TlsFacts, TlsSettings};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use shared::port::{PortResult, SecretText, Secrets};
use shared::system::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::server::TlsStream;

const SESSIONS: usize = 400;
const OCTETS_MAX: usize = 16 * 1024;

/// A session, and the client's socket without its TLS.
type Idle = (Box<TlsStream<TcpStream>>, TlsFacts, TcpStream);

struct OneSecret(String);

#[async_trait]
impl Secrets for OneSecret {
    async fn get(&self, _: &str) -> PortResult<Option<SecretText>> {
        Ok(Some(SecretText::new(self.0.clone())))
    }
}

fn resident_octets() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

async fn open(listener: &TcpListener, acceptor: &Acceptor, connector: &TlsConnector) -> Idle {
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from("mx.example").unwrap();
    let (client, server) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    let ((mut server, facts), mut client) = (server.unwrap(), client.unwrap());
    client.write_all(&[b'x'; 4000]).await.unwrap();
    server.read_exact(&mut [0; 4000]).await.unwrap();
    server.write_all(b"250 2.0.0 accepted\r\n").await.unwrap();
    server.flush().await.unwrap();
    client.read_exact(&mut [0; 20]).await.unwrap();
    (server, facts, client.into_inner().0)
}

#[tokio::test]
async fn an_idle_tls_session_costs_less_than_16_kib() {
    let made = rcgen::generate_simple_self_signed(["mx.example".to_owned()]).unwrap();
    let secret = Arc::new(OneSecret(made.cert.pem() + &made.signing_key.serialize_pem()));
    let certificates = vec![CertificateSource::Secret("ssm:/edge".to_owned())];
    let settings = TlsSettings { certificates, ..TlsSettings::default() };
    let tls = Tls::load(settings, "mx.example", secret, Arc::new(SystemClock)).await.unwrap();
    let acceptor = tls.acceptor(Duration::from_secs(60));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sessions = Vec::with_capacity(SESSIONS + 50);
    // what is allocated once is allocated now
    for _ in 0..50 {
        sessions.push(open(&listener, &acceptor, &connector).await);
    }
    let before = resident_octets();
    for _ in 0..SESSIONS {
        sessions.push(open(&listener, &acceptor, &connector).await);
    }
    let each = resident_octets().saturating_sub(before) / SESSIONS;
    println!("{each} octets a session");
    assert!(each < OCTETS_MAX, "{each} octets");
}
