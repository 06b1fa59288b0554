//! SCRAM, with rsasl as the client.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::prelude::{Mechname, SASLClient, SASLConfig, SessionError, State};
use rsasl::property::{AuthId, Password};

use super::*;

/// A client: its name, its secret, and what it knows of its channel.
struct Client {
    name: &'static str,
    secret: &'static str,
}

impl Client {
    fn new(name: &'static str, secret: &'static str) -> Self {
        Self { name, secret }
    }

    async fn run(self, world: &World, mechanism: &str, channel: &Channel) -> String {
        let config = SASLConfig::builder().with_default_mechanisms().with_callback(self).unwrap();
        let client = SASLClient::new(config);
        let name = Mechname::parse(mechanism.as_bytes()).unwrap();
        let mut client = client.start_suggested(&[name]).unwrap();
        let mut exchange = world.begin(mechanism, channel);
        let mut challenge = None::<Vec<u8>>;
        loop {
            let mut response = Vec::new();
            let state = match client.step(challenge.as_deref(), &mut response) {
                Ok(state) => state,
                Err(error) => return format!("the client gives up: {error}"),
            };
            match exchange.step(Some(response)).await {
                Step::Challenge(next) => challenge = Some(next),
                Step::Granted(grant) => {
                    assert!(matches!(state, State::Finished(_)), "the client has yet to verify the server");
                    return format!("235 {}", grant.name());
                }
                end => return told(&end),
            }
        }
    }
}

impl SessionCallback for Client {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(self.name)?;
        request.satisfy::<Password>(self.secret.as_bytes())?;
        Ok(())
    }
}

/// SCRAM-SHA-256-PLUS by hand (RFC 5802 §3): rsasl's client says `n` where it is offered -PLUS.
async fn bound_login(world: &World, kind: &str, data: &[u8], channel: &Channel) -> String {
    let (mut exchange, answer) = bound_proof(world, kind, data, channel).await;
    match answer {
        Step::Challenge(verifier) => {
            assert!(verifier.starts_with(b"v="));
            told(&exchange.step(Some(Vec::new())).await)
        }
        end => told(&end),
    }
}

/// A login that is right, whose client goes once the server has proved itself.
pub(super) async fn login_without_its_end(world: &World) -> String {
    told(&bound_proof(world, "tls-exporter", &[7; 32], &bound()).await.1)
}

/// Such an exchange up to the answer to the client's proof.
async fn bound_proof(world: &World, kind: &str, data: &[u8], channel: &Channel) -> (Exchange, Step) {
    let mut exchange = world.begin("SCRAM-SHA-256-PLUS", channel);
    let (header, bare) = (format!("p={kind},,"), "n=app,r=abc");
    let server_first = match exchange.step(Some(format!("{header}{bare}").into_bytes())).await {
        Step::Challenge(challenge) => String::from_utf8(challenge).unwrap(),
        end => return (exchange, end),
    };
    let part = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let salt = BASE64_STANDARD.decode(part("s=")).unwrap();
    let mut salted = [0; 32];
    let rounds = part("i=").parse().unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, SECRET.as_bytes(), &mut salted);
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let bound = BASE64_STANDARD.encode([header.as_bytes(), data].concat());
    let last = format!("c={bound},r={}", part("r="));
    let signature = sign(stored_key.as_ref(), format!("{bare},{server_first},{last}").as_bytes());
    let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    let last = format!("{last},p={}", BASE64_STANDARD.encode(proof));
    let answer = exchange.step(Some(last.into_bytes())).await;
    (exchange, answer)
}

fn bound() -> Channel {
    Channel { exporter: Some([7; 32]), server_end_point: Some(vec![9; 48]), ..tls() }
}

#[tokio::test]
async fn a_client_of_another_make_logs_in_by_scram() {
    let world = World::new().await;
    let run = |name, secret| Client::new(name, secret).run(&world, "SCRAM-SHA-256", &TLS);
    assert_eq!(run("app", SECRET).await, "235 app");
    assert_eq!(run("app", "wrong").await, "535 5.7.8");
    assert_eq!(run("nobody", SECRET).await, "535 5.7.8");
}

static TLS: Channel = Channel { tls: true, exporter: None, server_end_point: None, loopback: false };

#[tokio::test]
async fn both_kinds_of_binding_hold_a_login_to_its_channel() {
    let world = World::new().await;
    for (kind, data, end) in [
        ("tls-exporter", &[7; 32][..], "235 app"),
        ("tls-server-end-point", &[9; 48], "235 app"),
        ("tls-exporter", &[8; 32], "535 5.7.8"),
        ("tls-server-end-point", &[7; 32], "535 5.7.8"),
        ("tls-unique", &[7; 32], "535 5.7.8"),
    ] {
        assert_eq!(bound_login(&world, kind, data, &bound()).await, end, "{kind}");
    }
    let other = Channel { exporter: None, ..bound() };
    assert_eq!(bound_login(&world, "tls-exporter", &[7; 32], &other).await, "535 5.7.8");
}

#[tokio::test]
async fn a_client_that_was_not_shown_plus_is_warned_of_it() {
    let world = World::new().await;
    let first = async |mechanism: &str, channel: &Channel, message: &[u8]| {
        told(&world.begin(mechanism, channel).step(Some(message.to_vec())).await)
    };
    // it could bind, and thinks that the server cannot: somebody in between has taken -PLUS away
    assert_eq!(first("SCRAM-SHA-256", &bound(), b"y,,n=app,r=x").await, "535 5.7.8");
    assert_eq!(first("SCRAM-SHA-256", &tls(), b"y,,n=app,r=x").await, "334");
    assert_eq!(first("SCRAM-SHA-256", &bound(), b"n,,n=app,r=x").await, "334");
    for flag in ["n", "y"] {
        let message = format!("{flag},,n=app,r=x");
        let end = first("SCRAM-SHA-256-PLUS", &bound(), message.as_bytes()).await;
        assert!(end.starts_with('5'), "{flag} with -PLUS: {end}");
    }
    assert_eq!(first("SCRAM-SHA-256", &bound(), b"p=tls-exporter,,n=app,r=x").await, "501 5.5.2");
}
