//! The server from outside: transcripts of the session, properties, and sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support {
    pub(crate) mod client;
    pub(crate) mod counted;
    pub(crate) mod credential;
    pub(crate) mod ports;
    pub(crate) mod tls;
}
mod commits;
mod containers;
mod credentials;
mod dns_checks;
mod drains;
mod drains_under_load;
mod early_talkers;
mod limits;
mod open_relay;
mod pipelines;
mod properties;
mod rates;
mod recipients;
mod slow_clients;
mod tls;
mod transcripts;
mod whereabouts;
