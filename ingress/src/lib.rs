//! The SMTP server: a pure protocol core, packs committed in groups, sockets.
//!
//! Arrows inside: `smtp` (no I/O) ◀ `connection` ◀ `server`; `receive` and `commit` make messages durable; `tls` has
//! the certificates and makes handshakes.

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
pub mod tls;

pub use limits::{HOLD_MAX, Limits};
pub use server::{BindError, Server};
pub use settings::{Listener, ListenerKind, Ports, Settings};
pub use smtp::BareLf;
pub use telemetry::describe as describe_metrics;
pub use tls::{ListenerTls, Tls, TlsSettings};
