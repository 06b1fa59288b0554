//! The SMTP server: a pure protocol core, packs committed in groups, sockets.
//!
//! Arrows inside: `smtp` (no I/O) ◀ `connection` ◀ `server`; `receive` and `commit` make messages durable; `tls` has
//! the certificates and makes handshakes.

mod allowance;
mod auth;
mod author;
mod checks;
mod commit;
mod connection;
mod edge;
mod limits;
mod over_limit;
mod pace;
mod places;
mod policy;
mod proxy;
mod rates;
mod receive;
mod recipients;
mod server;
mod settings;
pub mod smtp;
mod telemetry;
pub mod tls;

pub use auth::{AuthSettings, Issuer, KeySource, KeySourceError, WithoutTls};
pub use limits::{DNSBLS_MAX, HOLD_MAX, Limits, SESSION_OCTETS, TLS_OCTETS};
pub use server::{BindError, Server};
pub use settings::{Action, CheckSettings, Dnsbl, Listener, ListenerKind, Ports, Settings};
pub use smtp::BareLf;
pub use telemetry::describe as describe_metrics;
pub use tls::{ListenerTls, Tls, TlsSettings};
