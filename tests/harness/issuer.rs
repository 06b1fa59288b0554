use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tempfile::TempDir;

use super::loopback;

const KEY_ID: &str = "first";

/// An identity provider: it signs tokens, and shows its keys over HTTPS until it is dropped.
pub struct Issuer {
    address: SocketAddr,
    folder: TempDir,
    key: rcgen::KeyPair,
    closed: Arc<AtomicBool>,
}

impl Issuer {
    /// Starts one on its own loopback address.
    pub fn start() -> Self {
        let listener = TcpListener::bind((loopback(), 0)).expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address");
        let made = rcgen::generate_simple_self_signed([address.ip().to_string()]).expect("a good name");
        let folder = TempDir::new().expect("a temporary folder can be made");
        fs::write(folder.path().join("authority.pem"), made.cert.pem())
            .expect("a folder of ours can be written");
        let private = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("the key is PKCS #8");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], private)
            .expect("key and certificate belong together");
        let key = rcgen::KeyPair::generate().expect("keys can be generated");
        let issuer = Self { address, folder, key, closed: Arc::default() };
        let (tls, keys, closed) = (Arc::new(tls), issuer.keys(), Arc::clone(&issuer.closed));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let _ = answer(stream, &tls, &keys);
            }
        });
        issuer
    }

    /// The section of an edge's settings that names it, for tokens that are for `audience`.
    pub fn section(&self, audience: &str) -> String {
        format!(
            "[[auth.issuer]]\nissuer = \"{0}\"\naudience = \"{audience}\"\nkeys = \"{0}/keys.json\"\n",
            self.name()
        )
    }

    /// The certificate's file, which is its own authority.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A token for `audience` that names `subject` and expires so many seconds from now, or did so before.
    pub fn token(&self, subject: &str, audience: &str, expires: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let expires = now.cast_signed() + expires;
        let claims = json!({"iss": self.name(), "aud": audience, "sub": subject, "exp": expires});
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_der(self.key.serialized_der());
        jsonwebtoken::encode(&header, &claims, &key).expect("a token can be signed")
    }

    fn name(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its keys as RFC 7517 §5 writes them: the point of P-256, uncompressed, is 4, x and y.
    fn keys(&self) -> String {
        let encoded = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
        let point = self.key.public_key_raw();
        let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "kid": KEY_ID, "x": x, "y": y}]})
            .to_string()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one request.
fn answer(stream: TcpStream, tls: &Arc<ServerConfig>, keys: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(Arc::clone(tls)).map_err(std::io::Error::other)?;
    let mut wire = BufReader::new(StreamOwned::new(connection, stream));
    let mut request = String::new();
    wire.read_line(&mut request)?;
    let mut line = String::new();
    while wire.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, body) = match request.starts_with("GET /keys.json ") {
        true => ("200 OK", keys),
        false => ("404 Not Found", ""),
    };
    let length = body.len();
    let wire = wire.get_mut();
    write!(wire, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    wire.conn.send_close_notify();
    wire.flush()
}
