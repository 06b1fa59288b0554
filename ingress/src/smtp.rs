//! The SMTP protocol as pure code: octets in, replies and actions out. No sockets, no clock, no tokio.

mod chunks;
mod command;
mod content;
mod data;
mod facts;
mod line;
mod replies;
mod session;

pub use chunks::Chunks;
pub use command::{Auth, Chunk, Command, CommandError, ForwardPath, Mail, Rcpt, Response, XClient};
pub use content::{BareLf, ContentLimits, Fault};
pub use data::Decoder;
pub use line::{Line, Splitter};
pub use session::{Action, Config, Encryption, Offer, Output, Session, Setback, Terms, Verdict};
