//! The deliver stage: routes, MX, SMTP, outcomes, retries, DSNs.

mod attempt;
mod limits;
mod route;
mod transports;

pub use attempt::{Outcome, RecipientOutcome, Tried};
pub use limits::ClientLimits;
pub use route::{Route, RouteError, Routes};
pub use transports::{TransportPorts, TransportSettings, Transports};
