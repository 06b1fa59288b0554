//! How many clients can prove who they are, a second of the edge's CPU.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::{Edge, Setup};

use super::Options;
use super::process::cpu;
use super::source::{Client, Relay};

/// Credentials whose secret the edge has not yet seen, each of which it derives a key for.
const STRANGERS: usize = 300;
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

struct Login {
    name: String,
    secret: String,
    /// PBKDF2 of the secret, which a client derives once and keeps (RFC 5802 §3).
    salted: Option<[u8; digest::SHA256_OUTPUT_LEN]>,
}

pub(crate) async fn measure(options: &Options) -> Result<String, String> {
    let more = "[auth]\nwithout_tls = \"loopback\"\n[limits]\nauth_failures_each = 1000000\n";
    let edge = Edge::start(&Setup::default().section(more));
    let relay = Relay { address: edge.smtp(), tls: None };
    let new = |number: usize| {
        let name = format!("app{number}");
        let told = edge.json(&["credential", "add", &name, "--from", "@example.com"]);
        let secret = told["secret"].as_str().unwrap_or_default().to_owned();
        Login { name, secret, salted: None }
    };
    let strangers: Arc<[Login]> = (0..STRANGERS).map(new).collect();
    let mut known = new(STRANGERS);
    scram(&mut Client::connect(&relay).await.map_err(text)?, &known).await.map_err(text)?;
    let mut client = Client::connect(&relay).await.map_err(text)?;
    known.salted = Some(challenge(&mut client, &known).await.map_err(text)?.salted(&known.secret));
    let known: Arc<[Login]> = [known].into();
    let mut report = String::new();
    for (what, logins, count, mechanism) in [
        ("plain_new", &strangers, STRANGERS, Mechanism::Plain),
        ("plain_again", &known, options.messages, Mechanism::Plain),
        ("scram", &known, options.messages, Mechanism::Scram),
    ] {
        let (before, began) = (cpu(edge.pid()), Instant::now());
        run(&relay, logins, count, options.sessions, mechanism).await?;
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
        let rate = |seconds: f64| count as f64 / seconds;
        let (took, cpu) = (began.elapsed().as_secs_f64(), (cpu(edge.pid()) - before).as_secs_f64());
        let line = format!(
            "{what:<12} logins={count} logins/s={:.0} logins/cpu_s={:.0} cpu_ms/login={:.3}\n",
            rate(took),
            rate(cpu),
            1000.0 / rate(cpu)
        );
        report.push_str(&line);
    }
    Ok(report.trim_end().to_owned())
}

#[derive(Clone, Copy)]
enum Mechanism {
    Plain,
    Scram,
}

async fn run(
    relay: &Relay,
    logins: &Arc<[Login]>,
    count: usize,
    sessions: usize,
    mechanism: Mechanism,
) -> Result<(), String> {
    let begun = Arc::new(AtomicUsize::new(0));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..sessions {
        let (begun, logins, relay) = (Arc::clone(&begun), Arc::clone(logins), relay.clone());
        running.spawn(async move {
            loop {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                let login = &logins[number % logins.len()];
                let mut client = Client::connect(&relay).await?;
                match mechanism {
                    Mechanism::Plain => plain(&mut client, login).await?,
                    Mechanism::Scram => scram(&mut client, login).await?,
                }
                client.command("QUIT\r\n", '2').await?;
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| error.to_string())?.map_err(text)?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn text(error: std::io::Error) -> String {
    format!("a login broke: {error}")
}

async fn plain(client: &mut Client, login: &Login) -> std::io::Result<()> {
    let message = BASE64_STANDARD.encode(format!("\0{}\0{}", login.name, login.secret));
    client.command(&format!("AUTH PLAIN {message}\r\n"), '2').await
}

/// The exchange of RFC 7677, without channel binding.
async fn scram(client: &mut Client, login: &Login) -> std::io::Result<()> {
    let challenge = challenge(client, login).await?;
    let salted = login.salted.unwrap_or_else(|| challenge.salted(&login.secret));
    let without_proof = format!("c=biws,r={}", challenge.nonce);
    let message = format!("n={},r={NONCE},{},{without_proof}", login.name, challenge.text);
    let client_key = sign(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = sign(stored.as_ref(), message.as_bytes());
    let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    let last = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof));
    client.command(&format!("{}\r\n", BASE64_STANDARD.encode(last)), '3').await?;
    client.command("\r\n", '2').await
}

async fn challenge(client: &mut Client, login: &Login) -> std::io::Result<Challenge> {
    let first = BASE64_STANDARD.encode(format!("n,,n={},r={NONCE}", login.name));
    client.command(&format!("AUTH SCRAM-SHA-256 {first}\r\n"), '3').await?;
    Challenge::read(client.last_line()).ok_or_else(|| std::io::Error::other("this is no challenge"))
}

struct Challenge {
    text: String,
    nonce: String,
    salt: Vec<u8>,
    rounds: NonZeroU32,
}

impl Challenge {
    fn read(line: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64_STANDARD.decode(line.strip_prefix("334 ")?).ok()?).ok()?;
        let mut parts = text.split(',');
        let nonce = parts.next()?.strip_prefix("r=")?.to_owned();
        let salt = BASE64_STANDARD.decode(parts.next()?.strip_prefix("s=")?).ok()?;
        let rounds = parts.next()?.strip_prefix("i=")?.parse().ok()?;
        Some(Self { text, nonce, salt, rounds })
    }

    fn salted(&self, secret: &str) -> [u8; digest::SHA256_OUTPUT_LEN] {
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, self.rounds, &self.salt, secret.as_bytes(), &mut salted);
        salted
    }
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}
