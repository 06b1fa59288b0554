//! The deliver stage: routes, MX, SMTP, outcomes, retries, DSNs.

mod address;
mod attempt;
mod inbox;
mod limits;
mod mx;
mod outcome;
mod pending;
mod route;
mod smtp;
mod transports;

pub use attempt::{Outcome, RecipientOutcome, Tried};
pub use limits::ClientLimits;
pub use route::{Route, RouteError, Routes};
pub use transports::{TransportPorts, TransportSettings, Transports};
