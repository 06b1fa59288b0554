//! The SMTP server: a pure protocol core, packs committed in groups, sockets.
//!
//! Arrows inside: `smtp` (no I/O) ◀ `connection` ◀ `server`; `receive` and `commit` make messages durable.

#[allow(dead_code, reason = "the sessions call it once they know AUTH")]
mod auth;
mod commit;
mod connection;
mod edge;
mod limits;
mod places;
mod policy;
mod receive;
mod server;
mod settings;
pub mod smtp;
mod telemetry;

pub use auth::{AuthSettings, Issuer, KeySource, KeySourceError, WithoutTls};
pub use limits::Limits;
pub use server::{BindError, Server};
pub use settings::{Listener, Ports, Settings};
pub use smtp::BareLf;
pub use telemetry::describe as describe_metrics;
