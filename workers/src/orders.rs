//! What operators have ordered: read by whoever delivers, and put on the mail that waits.
//!
//! An order stands in the directory for as long as there may be mail that it is for and that is in a queue only. Whoever gives one
//! [`apply`]s it to the deliveries that have an item, and so does the sweep for the first minutes, as an item may have been written
//! meanwhile by somebody who did not know of it. Whoever delivers holds each delivery against all of them before an attempt.

mod apply;
mod given;

pub use apply::{Applied, apply};
pub(crate) use given::Trait;
pub use given::{Given, Orders, read};

pub use crate::limits::ORDERS_MAX;
