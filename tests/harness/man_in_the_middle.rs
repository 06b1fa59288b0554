use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Identity;

/// Somebody between a client and an edge who has got hold of the edge's certificate and key: to the client, STARTTLS looks as it
/// should. He passes everything on, and is gone when this is dropped.
pub struct ManInTheMiddle {
    address: SocketAddr,
    _runtime: Runtime,
}

impl ManInTheMiddle {
    /// Stands before `edge`, whose identity this is, at another port of its address.
    pub fn before(edge: SocketAddr, identity: &Identity) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server(&identity.chain(), &identity.key())));
        let client = identity.client();
        let runtime = Runtime::new().expect("a runtime can be made");
        let listener = runtime.block_on(TcpListener::bind((edge.ip(), 0)));
        let listener = listener.expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, edge, acceptor.clone(), Arc::clone(&client)));
            }
        });
        Self { address, _runtime: runtime }
    }

    /// Where he listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn server(chain: &Path, key: &Path) -> ServerConfig {
    let certificate = CertificateDer::from_pem_file(chain).expect("a certificate of our own can be read");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key of our own can be read");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key and certificate belong together")
}

async fn pass_on(
    client: TcpStream,
    edge: SocketAddr,
    acceptor: TlsAcceptor,
    config: Arc<ClientConfig>,
) -> io::Result<()> {
    let (mut client, mut edge) = (BufStream::new(client), BufStream::new(TcpStream::connect(edge).await?));
    reply(&mut edge, &mut client).await?;
    loop {
        let mut command = String::new();
        if client.read_line(&mut command).await? == 0 {
            return Ok(());
        }
        edge.write_all(command.as_bytes()).await?;
        edge.flush().await?;
        reply(&mut edge, &mut client).await?;
        if command.trim_end().eq_ignore_ascii_case("STARTTLS") {
            break;
        }
    }
    let name = ServerName::try_from("edge.example").map_err(io::Error::other)?;
    let mut edge = TlsConnector::from(config).connect(name, edge.into_inner()).await?;
    let mut client = acceptor.accept(client.into_inner()).await?;
    tokio::io::copy_bidirectional(&mut client, &mut edge).await?;
    Ok(())
}

/// Passes one reply on to the client.
async fn reply(edge: &mut BufStream<TcpStream>, client: &mut BufStream<TcpStream>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if edge.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        client.write_all(line.as_bytes()).await?;
        if line.as_bytes().get(3) != Some(&b'-') {
            return client.flush().await;
        }
    }
}
