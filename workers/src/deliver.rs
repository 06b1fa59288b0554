//! The deliver stage: routes, MX, SMTP, outcomes, retries, DSNs.

mod address;
mod attempt;
mod backoff;
mod batch;
mod dsn;
mod inbox;
mod mx;
mod outcome;
mod pending;
mod permits;
mod record;
mod route;
mod schedule;
pub mod shaping;
mod site;
mod smtp;
mod stage;
mod text;
mod transport;
mod transports;

pub use attempt::{Hop, Outcome, RecipientOutcome, Tried};
pub(crate) use batch::{job_order, priority, send_jobs, to_jobs};
pub use route::{Route, RouteError, Routes, Rule};
pub use schedule::{DomainRetry, RetrySettings};
pub use site::Site;
pub use stage::{Deliver, DeliverPorts, DeliverSettings};
pub use transport::Transport;
pub use transports::{TransportPorts, TransportSettings, Transports, TrustAnchors};

pub use crate::limits::ClientLimits;
