//! Who a client is (RFC 4954): SASL, with the credentials of the directory.
//!
//! Arrows inside: `message`, `scram`, `login`, `cram` (what is said, no I/O) ◀ `exchange` ▶ `credentials`, `decoys`, `secrets`, `tokens`,
//! `failures` (what is known).

mod cram;
mod credentials;
mod decoys;
mod exchange;
mod failures;
mod fetch;
mod grant;
mod key_set;
mod lookup;
mod message;
mod scram;
mod secrets;
mod settings;
mod telemetry;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use shared::port::{Clock, Ids};

pub(crate) use credentials::Credentials;
pub(crate) use exchange::Exchange;
pub(crate) use grant::{Denial, Grant, Step};
pub use settings::{AuthSettings, Issuer, KeySource, KeySourceError, WithoutTls};
pub(super) use telemetry::describe;

use crate::{Ports, Settings};
use decoys::Decoys;
use failures::Failures;
use fetch::Fetch;
use secrets::Secrets;
use tokens::Tokens;

/// What a mechanism may know of the connection that it runs on.
#[derive(Clone, Default)]
pub(crate) struct Channel {
    /// Whether TLS is on.
    pub(crate) tls: bool,
    /// The keying material of `tls-exporter` (RFC 9266 §2): label `EXPORTER-Channel-Binding`, empty context, 32 octets.
    /// Under TLS 1.2 only where the extended master secret was negotiated.
    pub(crate) exporter: Option<[u8; 32]>,
    /// The hash of the server's certificate for `tls-server-end-point` (RFC 5929 §4.1).
    pub(crate) server_end_point: Option<Vec<u8>>,
    /// Whether both ends are on this machine.
    pub(crate) loopback: bool,
}

impl Channel {
    fn can_bind(&self) -> bool {
        self.tls && (self.exporter.is_some() || self.server_end_point.is_some())
    }

    /// The data of a channel binding type, if this channel has it.
    fn binding(&self, name: &str) -> Option<&[u8]> {
        match name {
            _ if !self.tls => None,
            "tls-exporter" => self.exporter.as_ref().map(<[u8; 32]>::as_slice),
            "tls-server-end-point" => self.server_end_point.as_deref(),
            _ => None,
        }
    }
}

/// The mechanisms, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    ScramSha256Plus,
    ScramSha256,
    OauthBearer,
    Xoauth2,
    CramMd5,
    Plain,
    Login,
}

impl Mechanism {
    const ALL: [Self; 7] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::OauthBearer,
        Self::Xoauth2,
        Self::CramMd5,
        Self::Plain,
        Self::Login,
    ];

    /// Its name, as registered with IANA.
    fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
            Self::CramMd5 => "CRAM-MD5",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// What all connections authenticate by.
pub(crate) struct Authenticator {
    settings: AuthSettings,
    hostname: String,
    credentials: Arc<Credentials>,
    secrets: Secrets,
    decoys: Decoys,
    tokens: Tokens,
    failures: Failures,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Authenticator {
    pub(crate) fn new(settings: &Settings, ports: &Ports) -> Self {
        let fetch = fetch::Network::new(Arc::clone(&ports.clock));
        Self::with_fetch(settings, ports, &(Arc::new(fetch) as Arc<dyn Fetch>))
    }

    fn with_fetch(settings: &Settings, ports: &Ports, fetch: &Arc<dyn Fetch>) -> Self {
        let Ports { directory, clock, ids, .. } = ports;
        Self {
            settings: settings.auth.clone(),
            hostname: settings.hostname.clone(),
            credentials: Arc::new(Credentials::new(Arc::clone(directory), Arc::clone(clock))),
            decoys: Decoys::new(Arc::clone(directory), Arc::clone(clock)),
            secrets: Secrets::new(ids.octets(), Arc::clone(clock)),
            tokens: Tokens::new(&settings.auth.issuers, fetch, Arc::clone(clock)),
            failures: Failures::new(&settings.limits, Arc::clone(clock)),
            clock: Arc::clone(clock),
            ids: Arc::clone(ids),
        }
    }

    /// The directory's credentials, as they are at most [`CREDENTIAL_AGE_MAX`](crate::limits::CREDENTIAL_AGE_MAX) later.
    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// What EHLO offers behind AUTH, the strongest first; nothing where the channel allows none.
    pub(crate) fn mechanisms(&self, channel: &Channel) -> Vec<&'static str> {
        self.offered(channel).map(Mechanism::name).collect()
    }

    /// Begins an exchange; `None` for a mechanism that is unknown or not offered here (504 5.5.4). The name is compared without
    /// regard to case (RFC 4954 §4).
    pub(crate) fn begin(
        self: &Arc<Self>,
        mechanism: &str,
        client: IpAddr,
        channel: &Channel,
    ) -> Option<Exchange> {
        let known = self.offered(channel).find(|known| known.name().eq_ignore_ascii_case(mechanism));
        known.map(|mechanism| Exchange::new(Arc::clone(self), mechanism, client, channel.clone()))
    }

    fn offered(&self, channel: &Channel) -> impl Iterator<Item = Mechanism> {
        let allowed = channel.tls || (channel.loopback && self.settings.without_tls == WithoutTls::Loopback);
        let (binds, issuers) = (channel.can_bind(), !self.settings.issuers.is_empty());
        let cram_md5 = self.settings.cram_md5;
        Mechanism::ALL.into_iter().filter(move |mechanism| {
            allowed
                && match mechanism {
                    Mechanism::ScramSha256Plus => binds,
                    Mechanism::OauthBearer | Mechanism::Xoauth2 => issuers,
                    Mechanism::CramMd5 => cram_md5,
                    Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::Login => true,
                }
        })
    }
}

#[cfg(test)]
mod tests;
