//! What the whole-edge cases stand on: the real program as a child process, real sockets, a sink that can misbehave,
//! and the mail software of others. Everything lives on addresses of 127.0.0.0/8 and in folders that go when the test ends.

#![expect(clippy::disallowed_methods, reason = "the harness stands outside the edge and lives in real time")]
#![expect(clippy::missing_panics_doc, reason = "a harness panics: that is how a test fails")]

mod address;
mod authority;
mod client;
mod cloud;
mod copies;
mod dns;
mod edge;
mod feed;
mod hostile;
mod identity;
mod issuer;
mod lambda;
mod load;
mod man_in_the_middle;
mod message;
mod policy_site;
mod postfix;
mod receivers;
mod sink;
mod tls_reports;
mod wait;

pub use address::loopback;
pub use authority::{Authority, ServerIdentity};
pub use client::Client;
pub use cloud::{CloudEdge, bootstrap, infra};
pub use copies::{by_number, second_copies};
pub use dns::{Dns, Zone};
pub use edge::{Edge, Setup, program};
pub use feed::{feed, succeeded};
pub use hostile::{Hostile, HostileScript};
pub use identity::Identity;
pub use issuer::Issuer;
pub use lambda::Function;
pub use load::{Load, LoadOf};
pub use man_in_the_middle::ManInTheMiddle;
pub use message::numbered_message;
pub use policy_site::PolicySite;
pub use postfix::Postfix;
pub use receivers::{Exim, OpenSmtpd, Received};
pub use shared::testkit::Emulator;
pub use shared::testkit::peer::{Peer, peers_present};
pub use sink::{Act, Script, Sink, Step, Sunk};
pub use tls_reports::{TlsReport, tls_reports};
pub use wait::{eventually, eventually_within};
