//! The deliver stage: routes, MX, SMTP, outcomes, retries, DSNs.

mod attempt;
mod route;

pub use attempt::{Outcome, RecipientOutcome, Tried};
pub use route::{Route, RouteError, Routes};
