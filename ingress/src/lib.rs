//! The SMTP server: a pure protocol core, packs committed in groups, sockets.
//!
//! Arrows inside: `smtp` (no I/O) ◀ `connection` ◀ `server`; `receive` and `commit` make messages durable.

#[cfg_attr(not(test), expect(dead_code, reason = "connections do not use it yet"))]
mod checks;
mod commit;
mod connection;
mod edge;
mod limits;
#[expect(dead_code, reason = "connections do not use it yet")]
mod over_limit;
#[cfg_attr(not(test), expect(dead_code, reason = "connections do not use it yet"))]
mod pace;
#[cfg_attr(not(test), expect(dead_code, reason = "connections do not use it yet"))]
mod places;
mod policy;
#[cfg_attr(not(test), expect(dead_code, reason = "connections do not use it yet"))]
mod proxy;
#[cfg_attr(not(test), expect(dead_code, reason = "connections do not use it yet"))]
mod rates;
mod receive;
mod recent;
mod server;
mod settings;
pub mod smtp;
mod telemetry;

pub use limits::{DNSBLS_MAX, Limits, SESSION_OCTETS, TLS_OCTETS};
pub use server::{BindError, Server};
pub use settings::{Action, CheckSettings, Dnsbl, Listener, Ports, Settings};
pub use smtp::BareLf;
pub use telemetry::describe as describe_metrics;
