//! AUTH of the client (RFC 4954): who we are at a smart host. What goes wrong here is the operator's to put right: it is logged as an
//! error, and the mail waits. No secret is ever part of a text.

mod scram;
mod secrecy;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shared::port::SecretText;

pub(crate) use secrecy::Secrecy;
pub use secrecy::check_secret_file;

use self::scram::Scram;
use super::Way;
use super::capabilities::Mechanisms;
use super::reply::RawReply;
use super::session::Session;
use crate::deliver::outcome::{Failure, Step};
use crate::deliver::{Login, Mechanism};
use crate::limits::AUTH_LINE_OCTETS_MAX;

/// Our side of one exchange: what to say next.
enum Exchange {
    Plain,
    /// Name and password in turn, and how many of the two are said.
    Login(u8),
    Scram(Scram),
    XOauth2,
}

impl Session {
    /// Proves to the server who we are.
    pub(super) async fn authenticate(&mut self, login: &Login, way: &Way<'_>) -> Result<(), Failure> {
        let done = self.exchange_credentials(login, way).await;
        if let Err(Failure::Credentials(why)) = &done {
            let route = way.relay.map_or("", |relay| relay.name.as_str());
            tracing::error!(route, host = %self.target().host, name = login.name, %why, "no login at a smart host; its mail waits");
            metrics::counter!("spoolway_deliver_logins_total", "result" => "failed").increment(1);
        }
        done
    }

    async fn exchange_credentials(&mut self, login: &Login, way: &Way<'_>) -> Result<(), Failure> {
        if !self.policy.verifies_server() && !login.unverified {
            return Err(credentials(
                "the server's certificate is not verified, and a secret goes to no other",
            ));
        }
        let secret = way.secrecy.get(&login.secret).await.map_err(Failure::Credentials)?;
        let mechanism = login.mechanism.or_else(|| best(self.offered.auth)).filter(|one| self.offers(*one));
        let Some(mechanism) = mechanism else {
            let wanted =
                login.mechanism.map_or("SCRAM-SHA-256, PLAIN or LOGIN".to_owned(), |one| one.to_string());
            return Err(credentials(&format!("the server does not offer {wanted}")));
        };
        let mut exchange = match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::Login(0),
            Mechanism::XOauth2 => Exchange::XOauth2,
            Mechanism::ScramSha256 => Exchange::Scram(Scram::new(&login.name, &way.ids.octets::<18>())),
        };
        let first = exchange.first(login, &secret).map(|first| BASE64_STANDARD.encode(first));
        let whole = first.as_ref().map(|first| format!("AUTH {mechanism} {first}\r\n"));
        // RFC 4954 §4: what makes the command longer than any command may be waits for its turn
        let mut waiting = None;
        let command = match whole.filter(|whole| whole.len() <= AUTH_LINE_OCTETS_MAX) {
            Some(whole) => whole,
            None => {
                waiting = first;
                format!("AUTH {mechanism}\r\n")
            }
        };
        tracing::debug!(%mechanism, "AUTH");
        self.say_secret(Step::Auth, command.as_bytes()).await?;
        loop {
            let reply = self.reply(Step::Auth).await?;
            if reply.code != 334 {
                return self.conclude_auth(reply, &exchange);
            }
            let answer = match waiting.take() {
                Some(first) => first,
                None => BASE64_STANDARD.encode(exchange.answer(reply.text.trim(), login, &secret).await?),
            };
            self.say_secret(Step::Auth, format!("{answer}\r\n").as_bytes()).await?;
        }
    }

    fn offers(&self, mechanism: Mechanism) -> bool {
        let Mechanisms { plain, login, scram_sha_256, xoauth2 } = self.offered.auth;
        match mechanism {
            Mechanism::Plain => plain,
            Mechanism::Login => login,
            Mechanism::ScramSha256 => scram_sha_256,
            Mechanism::XOauth2 => xoauth2,
        }
    }

    /// What the last reply of an exchange comes to.
    fn conclude_auth(&self, reply: RawReply, exchange: &Exchange) -> Result<(), Failure> {
        let octets_max = self.settings.limits.reply_text_octets;
        match (reply.code, exchange) {
            // RFC 5802 §3: a server that does not know the secret either is not the one that it is meant for
            (235, Exchange::Scram(scram)) if !scram.is_proved() => {
                Err(credentials("the server did not prove that it knows the secret"))
            }
            (235, _) => {
                metrics::counter!("spoolway_deliver_logins_total", "result" => "done").increment(1);
                Ok(())
            }
            (400..500, _) => Err(Failure::Refused(Step::Auth, reply.into_reply(octets_max))),
            (500..600, _) => Err(credentials(&format!("the server said {}", reply.into_reply(octets_max)))),
            (code, _) => Err(Failure::OutOfPlace(Step::Auth, code)),
        }
    }
}

impl Exchange {
    /// What is said before the server has said anything; `None` where that is the server's to begin.
    fn first(&self, login: &Login, secret: &SecretText) -> Option<String> {
        let Login { name, .. } = login;
        match self {
            Self::Plain => Some(format!("\0{name}\0{}", secret.as_str())),
            Self::Scram(scram) => Some(scram.first()),
            Self::XOauth2 => Some(format!("user={name}\x01auth=Bearer {}\x01\x01", secret.as_str())),
            Self::Login(_) => None,
        }
    }

    /// The answer to a challenge, which is in base64.
    async fn answer(
        &mut self,
        challenge: &str,
        login: &Login,
        secret: &SecretText,
    ) -> Result<String, Failure> {
        match self {
            Self::Login(said) => {
                *said += 1;
                match said {
                    1 => Ok(login.name.clone()),
                    2 => Ok(secret.as_str().to_owned()),
                    _ => Err(credentials("the server asks for more than a name and a password")),
                }
            }
            Self::Scram(scram) => {
                let challenge = BASE64_STANDARD.decode(challenge).ok();
                let challenge = challenge.and_then(|octets| String::from_utf8(octets).ok());
                scram.answer(challenge.as_deref().unwrap_or_default(), secret).await
            }
            // an error in JSON, which is followed by the reply to it (RFC 7628 §3.2.3)
            Self::XOauth2 => Ok(String::new()),
            Self::Plain => Err(credentials("the server asks for more than the mechanism has to say")),
        }
    }
}

/// The safest of what is offered. A bearer token is none of a password's mechanisms.
fn best(offered: Mechanisms) -> Option<Mechanism> {
    [
        (offered.scram_sha_256, Mechanism::ScramSha256),
        (offered.plain, Mechanism::Plain),
        (offered.login, Mechanism::Login),
    ]
    .into_iter()
    .find_map(|(offered, mechanism)| offered.then_some(mechanism))
}

fn credentials(why: &str) -> Failure {
    Failure::Credentials(why.to_owned())
}
