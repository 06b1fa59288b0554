//! The SMTP protocol as pure code: octets in, replies and actions out. No sockets, no clock, no tokio.

mod command;
mod data;
mod facts;
mod line;
mod replies;
mod session;

pub use command::{Command, CommandError, ForwardPath, Mail};
pub use data::{BareLf, Decoder, Fault};
pub use line::{Line, Splitter};
pub use session::{Action, Config, Output, Session, Setback, Verdict};
