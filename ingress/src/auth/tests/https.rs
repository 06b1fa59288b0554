//! Keys over HTTPS, from a server on this machine, and from a file.

use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::auth::fetch::Network;
use crate::limits::{KEY_SET_OCTETS_MAX, KEY_SET_TIMEOUT};

/// A server that answers each request with `answer`, or with silence where that is empty; its URL, and who trusts it.
async fn serve(answer: Vec<u8>) -> (KeySource, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // a client that does not trust the certificate hangs up
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let mut head = [0; 1024];
            let read = socket.read(&mut head).await.unwrap();
            assert!(head[..read].starts_with(b"GET /keys HTTP/1.1\r\n"));
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            let _ = socket.write_all(&answer).await;
            let _ = socket.shutdown().await;
        }
    });
    (url.parse().unwrap(), roots)
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn network(roots: RootCertStore) -> (Arc<ManualClock>, Network) {
    let clock = Arc::new(ManualClock::default());
    let network = Network::trusting(roots, Arc::clone(&clock) as Arc<dyn Clock>);
    (clock, network)
}

#[tokio::test]
async fn keys_come_by_https_from_a_server_that_is_trusted() {
    let (url, roots) = serve(answer("200 OK", b"the keys")).await;
    let (_, trusting) = network(roots);
    assert_eq!(trusting.fetch(&url).await.unwrap(), "the keys");
    let (_, other) = serve(Vec::new()).await;
    let (_, distrusting) = network(other);
    assert!(matches!(distrusting.fetch(&url).await, Err(FetchError::Failed(_))));
}

#[tokio::test]
async fn an_answer_of_another_status_or_without_end_is_not_taken() {
    for status in ["404 Not Found", "302 Found"] {
        let (url, roots) = serve(answer(status, b"")).await;
        assert!(matches!(network(roots).1.fetch(&url).await, Err(FetchError::Status(_))), "{status}");
    }
    let (url, roots) = serve(answer("200 OK", &vec![b' '; KEY_SET_OCTETS_MAX + 1])).await;
    assert!(matches!(network(roots).1.fetch(&url).await, Err(FetchError::Failed(_))));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let (url, roots) = serve(Vec::new()).await;
    let (clock, network) = network(roots);
    let fetch = tokio::spawn(async move { network.fetch(&url).await });
    clock.until_asleep(1).await;
    clock.advance(KEY_SET_TIMEOUT);
    assert!(matches!(fetch.await.unwrap(), Err(FetchError::Late)));
}

#[tokio::test]
async fn keys_come_from_a_file_that_is_not_too_long() {
    let folder = TempStores::open(Arc::new(ManualClock::default())).await;
    let path = folder.folder().join("keys.json");
    let source = KeySource::File(path.clone());
    let (_, network) = network(RootCertStore::empty());
    assert!(matches!(network.fetch(&source).await, Err(FetchError::Failed(_))));
    std::fs::write(&path, "the keys").unwrap();
    assert_eq!(network.fetch(&source).await.unwrap(), "the keys");
    std::fs::write(&path, vec![b' '; KEY_SET_OCTETS_MAX + 1]).unwrap();
    assert!(matches!(network.fetch(&source).await, Err(FetchError::TooLong)));
}
