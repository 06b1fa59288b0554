//! RFC 8460 §5.4: a report goes by POST to a web server that proves its name, and is told only where that took it.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use shared::system::SystemClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use workers::deliver::TrustAnchors;
use workers::tls_report::{HttpsPost, Post as _, PostError};

use crate::certificates::{Authority, Identity};
use crate::world::zone;

const REPORT: &str = r#"{"organization-name":"an edge","policies":[]}"#;

/// A request: its head in lower case, and its body.
type Posted = (String, Vec<u8>);

/// A web server on loopback that takes what is posted, and answers it with one status.
struct Site {
    port: u16,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Site {
    async fn start(identity: &Identity, status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self { port: listener.local_addr().unwrap().port(), posted: Arc::default() };
        let (posted, acceptor) = (site.posted.clone(), identity.acceptor());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tls.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let mut body = vec![0; value(&head, "content-length").parse().unwrap()];
                tls.read_exact(&mut body).await.unwrap();
                posted.lock().unwrap().push((head, body));
                let rest = "Location: /elsewhere\r\nContent-Length: 9\r\n\r\nthank you";
                tls.write_all(format!("HTTP/1.1 {status}\r\n{rest}").as_bytes()).await.unwrap();
            }
        });
        site
    }

    fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// Posts the report to it by a client that trusts `authority`.
    async fn told(&self, authority: &Authority) -> Result<(), PostError> {
        client(authority).with_private_addresses().post(&self.uri(), gzip()).await
    }

    fn uri(&self) -> hyper::Uri {
        format!("https://tls.example.org:{}/v1/report?of=us", self.port).parse().unwrap()
    }
}

fn client(authority: &Authority) -> HttpsPost {
    let trust = TrustAnchors::These(vec![authority.certificate()]);
    HttpsPost::new(trust, zone("tls.example.org A 127.0.0.1"), Arc::new(SystemClock))
}

fn value<'a>(head: &'a str, field: &str) -> &'a str {
    let of = |line: &'a str| line.strip_prefix(field)?.strip_prefix(": ");
    head.lines().find_map(of).unwrap_or_else(|| panic!("no {field} in {head}"))
}

fn gzip() -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(REPORT.as_bytes()).unwrap();
    encoder.finish().unwrap().into()
}

fn good(authority: &Authority) -> Identity {
    authority.issue(&["tls.example.org"], false)
}

#[tokio::test]
async fn a_report_is_posted_as_what_it_is_and_a_server_that_took_it_is_believed() {
    let authority = Authority::new();
    for status in ["200 OK", "201 Created", "202 Accepted"] {
        let site = Site::start(&good(&authority), status).await;
        site.told(&authority).await.unwrap();
        let [(head, body)] = &site.posted()[..] else { panic!("{:?}", site.posted()) };
        assert!(head.starts_with("post /v1/report?of=us http/1.1\r\n"), "{head}");
        assert_eq!(value(head, "content-type"), "application/tlsrpt+gzip");
        assert_eq!(value(head, "host"), format!("tls.example.org:{}", site.port));
        let mut report = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut report).unwrap();
        assert_eq!(report, REPORT);
    }
}

#[tokio::test]
async fn a_server_that_says_anything_but_that_it_took_it_did_not() {
    let authority = Authority::new();
    for (status, code) in [
        ("500 Internal Server Error", StatusCode::INTERNAL_SERVER_ERROR),
        ("404 Not Found", StatusCode::NOT_FOUND),
        ("301 Moved Permanently", StatusCode::MOVED_PERMANENTLY),
        ("307 Temporary Redirect", StatusCode::TEMPORARY_REDIRECT),
    ] {
        let site = Site::start(&good(&authority), status).await;
        let told = site.told(&authority).await;
        assert!(matches!(&told, Err(PostError::Status(status)) if *status == code), "{told:?}");
        assert_eq!(site.posted().len(), 1, "a redirect is not followed");
    }
}

#[tokio::test]
async fn nothing_is_posted_to_a_server_that_does_not_prove_its_name() {
    let authority = Authority::new();
    for identity in [
        authority.issue(&["mail.example.org"], false),
        authority.issue(&["tls.example.org"], true),
        good(&Authority::new()),
        Identity::self_signed(&["tls.example.org"], false),
    ] {
        let site = Site::start(&identity, "200 OK").await;
        let told = site.told(&authority).await;
        let Err(PostError::Failed(cause)) = told else { panic!("{told:?}") };
        assert!(cause.to_string().starts_with("the certificate does not hold"), "{cause}");
        assert_eq!(site.posted(), []);
    }
}

#[tokio::test]
async fn nothing_is_posted_to_a_private_address_unless_that_is_wanted() {
    let authority = Authority::new();
    let site = Site::start(&good(&authority), "200 OK").await;
    let told = client(&authority).post(&site.uri(), gzip()).await;
    let Err(PostError::Failed(cause)) = told else { panic!("{told:?}") };
    assert!(cause.to_string().contains("it has none that is public"), "{cause}");
    assert_eq!(site.posted(), []);
}
