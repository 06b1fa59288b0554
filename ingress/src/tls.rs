//! TLS for sessions: certificates that can be replaced while sessions are open, and the handshake (RFC 3207, RFC 8314).
//!
//! Arrows inside: `settings` ◀ `certificate` (one chain and its key, checked) ◀ `sources` (files and secrets, read) ◀ `names` (SNI) ◀
//! `config` (rustls) ◀ `live` (what is in use, and its reload) ◀ `acceptor` (the handshake, and what it tells).

mod acceptor;
mod certificate;
mod config;
mod facts;
mod live;
mod names;
mod settings;
mod sources;
mod telemetry;
mod watch;

pub use acceptor::Acceptor;
pub use certificate::{CertificateFacts, TlsProblem};
pub use facts::{ClientCertificate, TlsFacts};
pub use live::{Tls, TlsError};
pub use settings::{CertificateSource, ClientCertificates, LeastVersion, ListenerTls, TlsSettings};
pub use sources::{check_authorities, examine};

pub(crate) use telemetry::describe;

#[cfg(test)]
mod tests;
