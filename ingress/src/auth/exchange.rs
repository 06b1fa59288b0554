//! One exchange of AUTH, from its first response to its end.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shared::directory::{CredentialEntry, saslprep};
use shared::port::PortError;

use super::message::Claim;
use super::scram::{Binding, ClientFirst, Server};
use super::tokens::TokenError;
use super::{Authenticator, Channel, Denial, Grant, Mechanism, Step, cram, telemetry};
use crate::limits::{AUTH_NAME_OCTETS_MAX, NONCE_OCTETS};

/// An exchange under way.
pub(crate) struct Exchange {
    auth: Arc<Authenticator>,
    mechanism: Mechanism,
    client: IpAddr,
    channel: Channel,
    state: State,
    /// Whom the client claims to be, once it has said so.
    name: Option<String>,
    /// Whether there is such a credential.
    is_known: bool,
    /// Whether it has cost work, or told anything, and has yet to come to an end.
    is_open: bool,
}

enum State {
    Begun,
    /// LOGIN has asked for the name.
    LoginName,
    /// LOGIN has asked for the secret.
    LoginSecret,
    /// CRAM-MD5 has asked for a digest of this.
    Cram(String),
    /// SCRAM has sent its salt.
    Scram(Box<Server>, Option<Arc<CredentialEntry>>),
    /// The client has yet to take note of what it was told.
    Ending(Result<Arc<CredentialEntry>, Denial>),
    Over,
}

/// What follows from a response, unless it fails.
enum Next {
    Challenge(Vec<u8>, State),
    Granted(Arc<CredentialEntry>),
}

impl Exchange {
    pub(super) fn new(
        auth: Arc<Authenticator>,
        mechanism: Mechanism,
        client: IpAddr,
        channel: Channel,
    ) -> Self {
        Self {
            auth,
            mechanism,
            client,
            channel,
            state: State::Begun,
            name: None,
            is_known: false,
            is_open: false,
        }
    }

    /// Goes on with what the client sent, out of its base64; `None` at the beginning, where AUTH had no initial response
    /// (RFC 4954 §4). After [`Step::Granted`] and [`Step::Denied`] the exchange is over.
    pub(crate) async fn step(&mut self, response: Option<Vec<u8>>) -> Step {
        let mechanism = self.mechanism.name();
        let outcome = match self.next(response).await {
            Ok(Next::Challenge(challenge, state)) => {
                self.state = state;
                return Step::Challenge(challenge);
            }
            Ok(Next::Granted(entry)) => Ok(entry),
            Err(denial) => Err(denial),
        };
        self.is_open = false;
        telemetry::login(mechanism, outcome.as_ref().map(drop).map_err(|denial| *denial));
        match outcome {
            Ok(entry) => {
                self.auth.failures.succeeded(self.client, &entry.name);
                tracing::debug!(credential = %entry.name, mechanism, client = %self.client, "a client has logged in");
                Step::Granted(Arc::new(Grant { entry, mechanism }))
            }
            Err(denial) => {
                if denial.counts() {
                    self.auth.failures.failed(self.client, self.name.as_deref());
                }
                self.log(denial);
                Step::Denied(denial)
            }
        }
    }

    fn log(&self, denial: Denial) {
        let (client, mechanism) = (self.client, self.mechanism.name());
        match self.name.as_deref() {
            Some(name) if self.is_known => {
                tracing::info!(credential = name, mechanism, %client, ?denial, "a login failed");
            }
            // what stands for a name may be a secret in the wrong place, and is not shown
            _ => tracing::debug!(mechanism, %client, ?denial, "a login failed"),
        }
    }

    async fn next(&mut self, response: Option<Vec<u8>>) -> Result<Next, Denial> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let Some(response) = response else { return self.first_challenge(&state) };
        match state {
            State::Begun => match self.mechanism {
                Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => self.scram(&response).await,
                Mechanism::Plain => self.plain(&response).await,
                Mechanism::Login => self.login_name(&response),
                Mechanism::OauthBearer | Mechanism::Xoauth2 => self.token(&response).await,
                // its challenge comes first (RFC 4954 §4: such a mechanism takes no initial response)
                Mechanism::CramMd5 => Err(Denial::Malformed),
            },
            State::LoginName => self.login_name(&response),
            State::LoginSecret => {
                let secret = std::str::from_utf8(&response).map_err(|_| Denial::Malformed)?;
                let name = self.name.clone().ok_or(Denial::Malformed)?;
                self.secret(&name, secret).await
            }
            State::Cram(challenge) => self.cram(&challenge, &response).await,
            State::Scram(server, entry) => {
                let last = server.verify(&response)?;
                let entry = entry.filter(|entry| entry.verifier.is_some()).ok_or(Denial::Wrong)?;
                self.is_open = false;
                // SMTP has no room for it in the reply that grants (RFC 4954 §4)
                Ok(Next::Challenge(last.into_bytes(), State::Ending(Ok(entry))))
            }
            State::Ending(Ok(_)) if !response.is_empty() => Err(Denial::Malformed),
            State::Ending(outcome) => outcome.map(Next::Granted),
            State::Over => Err(Denial::Malformed),
        }
    }

    fn first_challenge(&self, state: &State) -> Result<Next, Denial> {
        if !matches!(state, State::Begun) {
            return Err(Denial::Malformed);
        }
        Ok(match self.mechanism {
            Mechanism::Login => Next::Challenge(b"Username:".to_vec(), State::LoginName),
            Mechanism::CramMd5 => {
                let (random, now) = (self.auth.ids.random(), self.auth.clock.now());
                let challenge = cram::challenge(random, now.millis(), &self.auth.hostname);
                Next::Challenge(challenge.clone().into_bytes(), State::Cram(challenge))
            }
            // an empty challenge asks for the initial response
            _ => Next::Challenge(Vec::new(), State::Begun),
        })
    }

    /// Takes note of whom the client claims to be, and refuses whoever has failed too often.
    fn claim(&mut self, name: &str) -> Result<String, Denial> {
        let name =
            saslprep(name).filter(|name| name.len() <= AUTH_NAME_OCTETS_MAX).ok_or(Denial::Malformed)?;
        self.name = Some(name.clone().into_owned());
        self.auth.failures.check(self.client, Some(&name))?;
        self.is_open = true;
        Ok(name.into_owned())
    }

    /// What the directory has under a name.
    async fn entry(&mut self, name: &str) -> Result<Option<Arc<CredentialEntry>>, Denial> {
        let entry = self.auth.credentials.get(name).await.map_err(|error| unavailable(&error))?;
        self.is_known = entry.is_some();
        Ok(entry)
    }

    async fn plain(&mut self, response: &[u8]) -> Result<Next, Denial> {
        let claim = Claim::plain(response).ok_or(Denial::Malformed)?;
        let (Some(name), Some(secret)) = (claim.name, claim.secret) else { return Err(Denial::Malformed) };
        let name = self.claim(&name)?;
        let granted = self.secret(&name, &secret).await?;
        is_self(&name, claim.authzid.as_deref())?;
        Ok(granted)
    }

    fn login_name(&mut self, response: &[u8]) -> Result<Next, Denial> {
        self.claim(std::str::from_utf8(response).map_err(|_| Denial::Malformed)?)?;
        Ok(Next::Challenge(b"Password:".to_vec(), State::LoginSecret))
    }

    async fn secret(&mut self, name: &str, secret: &str) -> Result<Next, Denial> {
        let entry = self.entry(name).await?;
        let proved = self.auth.secrets.proves(name, secret, entry.as_deref()).await;
        let proved = proved.map_err(|_| Denial::Unavailable)?;
        entry.filter(|entry| proved && entry.verifier.is_some()).map(Next::Granted).ok_or(Denial::Wrong)
    }

    async fn scram(&mut self, response: &[u8]) -> Result<Next, Denial> {
        let first = ClientFirst::read(response).ok_or(Denial::Malformed)?;
        let name = self.claim(&first.name)?;
        is_self(&name, first.authzid.as_deref())?;
        let plus = self.mechanism == Mechanism::ScramSha256Plus;
        let binding = match &first.binding {
            Binding::Used(kind) if plus => Some(self.channel.binding(kind).ok_or(Denial::Wrong)?.to_vec()),
            // somebody took -PLUS out of what was offered (RFC 5802 §6)
            Binding::NotOffered if self.channel.can_bind() => return Err(Denial::Wrong),
            Binding::Unsupported | Binding::NotOffered if !plus => None,
            Binding::Used(_) | Binding::Unsupported | Binding::NotOffered => return Err(Denial::Malformed),
        };
        let entry = self.entry(&name).await?;
        // for each name, so that asking takes no longer for one that is not there
        let decoy = self.auth.decoys.key().await.map_err(|error| unavailable(&error))?;
        let verifier = self.auth.secrets.verifier(&name, entry.as_deref(), decoy.as_ref());
        let nonce = BASE64_STANDARD.encode(self.auth.ids.octets::<NONCE_OCTETS>());
        let server = Server::new(first, binding.as_deref(), &nonce, verifier);
        let challenge = server.challenge().as_bytes().to_vec();
        Ok(Next::Challenge(challenge, State::Scram(Box::new(server), entry)))
    }

    async fn cram(&mut self, challenge: &str, response: &[u8]) -> Result<Next, Denial> {
        let (name, digest) = cram::read(response).ok_or(Denial::Malformed)?;
        let name = self.claim(name)?;
        let entry = self.entry(&name).await?;
        let secret = entry.as_ref().and_then(|entry| entry.cram_md5.as_ref());
        let proved =
            cram::proves(secret.map_or("", |secret| &secret.0), challenge, digest) & secret.is_some();
        entry.filter(|_| proved).map(Next::Granted).ok_or(Denial::Wrong)
    }

    /// A token that is not good is told by a challenge, whose answer is the end (RFC 7628 §3.2.3).
    async fn token(&mut self, response: &[u8]) -> Result<Next, Denial> {
        match self.bearer(response).await {
            Ok(entry) => Ok(Next::Granted(entry)),
            Err(Denial::Wrong) => {
                let told: &[u8] = match self.mechanism {
                    Mechanism::Xoauth2 => br#"{"status":"401","schemes":"bearer"}"#,
                    _ => br#"{"status":"invalid_token"}"#,
                };
                Ok(Next::Challenge(told.to_vec(), State::Ending(Err(Denial::Wrong))))
            }
            Err(denial) => Err(denial),
        }
    }

    async fn bearer(&mut self, response: &[u8]) -> Result<Arc<CredentialEntry>, Denial> {
        let claim = match self.mechanism {
            Mechanism::Xoauth2 => Claim::xoauth2(response),
            _ => Claim::oauthbearer(response),
        };
        let Claim { name, authzid, token, .. } = claim.ok_or(Denial::Malformed)?;
        match name.as_deref().or(authzid.as_deref()) {
            Some(said) => drop(self.claim(said)?),
            None => self.auth.failures.check(self.client, None)?,
        }
        self.is_open = true;
        let said = self.name.clone();
        let name = self.auth.tokens.name(&token.ok_or(Denial::Malformed)?).await.map_err(|error| {
            tracing::info!(client = %self.client, %error, "a token was not taken");
            match error {
                TokenError::Unavailable => Denial::Unavailable,
                _ => Denial::Wrong,
            }
        })?;
        let name = self.claim(&name)?;
        is_self(&name, said.as_deref())?;
        self.entry(&name).await?.ok_or(Denial::Wrong)
    }
}

/// Whoever leaves before the end has failed: names and tokens would be tried for nothing otherwise.
impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_open {
            telemetry::left(self.mechanism.name());
            self.auth.failures.failed(self.client, self.name.as_deref());
        }
    }
}

fn unavailable(error: &PortError) -> Denial {
    tracing::warn!(error = error.chain(), "a login cannot be checked");
    Denial::Unavailable
}

/// Nobody acts for another: the authorization identity is empty or the name itself.
fn is_self(name: &str, authzid: Option<&str>) -> Result<(), Denial> {
    let is_self = authzid.is_none_or(|authzid| saslprep(authzid).is_some_and(|authzid| authzid == name));
    is_self.then_some(()).ok_or(Denial::Wrong)
}
