//! The web server of an MTA-STS policy.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::certificates::Identity;

/// Serves one answer over HTTPS on a loopback address, whatever is asked.
pub struct PolicySite {
    pub port: u16,
    answer: Arc<Mutex<String>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl PolicySite {
    pub async fn start(identity: &Identity, policy: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, requests) = (Arc::new(Mutex::new(page("200 OK", "text/plain", policy))), Arc::default());
        let site = Self { port, answer, requests };
        let (answer, requests, acceptor) = (site.answer.clone(), site.requests.clone(), identity.acceptor());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (answer, requests, acceptor) = (answer.clone(), requests.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let mut tls = acceptor.accept(tcp).await.ok()?;
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(tls.read_u8().await.ok()?);
                    }
                    requests.lock().unwrap().push(String::from_utf8(request).unwrap());
                    let answer = answer.lock().unwrap().clone();
                    tls.write_all(answer.as_bytes()).await.ok()?;
                    tls.shutdown().await.ok()
                });
            }
        });
        site
    }

    /// Answers like this from now on.
    pub fn answers(&self, status: &str, kind: &str, body: &str) {
        *self.answer.lock().unwrap() = page(status, kind, body);
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn page(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n{body}"
    )
}
