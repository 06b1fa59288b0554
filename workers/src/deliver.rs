//! The deliver stage: routes, MX, SMTP, outcomes, retries, DSNs.

mod attempt;
mod backoff;
mod batch;
mod dsn;
mod record;
mod route;
mod schedule;
mod stage;
mod transport;

pub use attempt::{Outcome, RecipientOutcome, Tried};
pub(crate) use batch::{send_jobs, to_jobs};
pub use route::{Route, RouteError, Routes};
pub use schedule::{DomainRetry, RetrySettings};
pub use stage::{Deliver, DeliverPorts, DeliverSettings};
pub use transport::Transport;
