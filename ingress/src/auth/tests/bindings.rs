//! SCRAM, with rsasl as the client.

use std::sync::Arc;

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::prelude::{ChannelBindingCallback, Mechname, SASLClient, SASLConfig, SessionError, State};
use rsasl::property::{AuthId, OverrideCBType, Password};

use super::*;

/// A client: its name, its secret, and what it knows of its channel.
struct Client {
    name: &'static str,
    secret: &'static str,
    binding: Option<(&'static str, Vec<u8>)>,
}

impl Client {
    fn new(name: &'static str, secret: &'static str) -> Self {
        Self { name, secret, binding: None }
    }

    fn bound(kind: &'static str, data: &[u8]) -> Self {
        Self { binding: Some((kind, data.to_vec())), ..Self::new("app", SECRET) }
    }

    async fn run(self, world: &World, mechanism: &str, channel: &Channel) -> String {
        let channel_data = Data(self.binding.clone());
        let config = SASLConfig::builder().with_default_mechanisms().with_callback(self).unwrap();
        let client = SASLClient::with_cb(config, channel_data);
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
        if let Some((kind, _)) = &self.binding {
            request.satisfy::<OverrideCBType>(kind)?;
        }
        Ok(())
    }

    fn enable_channel_binding(&self) -> bool {
        self.binding.is_some()
    }
}

struct Data(Option<(&'static str, Vec<u8>)>);

impl ChannelBindingCallback for Data {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        self.0.as_ref().filter(|(kind, _)| *kind == name).map(|(_, data)| data.as_slice())
    }
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
        let client = Client::bound(kind, data);
        assert_eq!(client.run(&world, "SCRAM-SHA-256-PLUS", &bound()).await, end, "{kind}");
    }
    let other = Channel { exporter: None, ..bound() };
    let client = Client::bound("tls-exporter", &[7; 32]);
    assert_eq!(client.run(&world, "SCRAM-SHA-256-PLUS", &other).await, "535 5.7.8");
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
