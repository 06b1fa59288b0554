//! The deliver stage: routes, MX, SMTP, outcomes, retries, DSNs.

mod address;
mod attempt;
mod backoff;
mod batch;
mod bounces;
mod classify;
mod dsn;
mod hard_bounce;
mod https;
mod inbox;
mod mx;
mod outcome;
mod pending;
mod permits;
mod policy;
mod pool;
mod record;
mod reminders;
mod route;
mod schedule;
pub mod shaping;
mod site;
mod smart_host;
mod smtp;
mod source;
mod stage;
mod suppression;
mod text;
mod transport;
mod transports;
mod waiting;

pub use attempt::{Hop, Meaning, Outcome, RecipientOutcome, SUPPRESSED_ROUTE, Tried};
pub(crate) use batch::{job_order, priority, send_jobs, to_jobs};
pub use bounces::{BouncePorts, Bounces};
pub use classify::{Classification, Retry, classify};
pub(crate) use https::{Https, HttpsError};
pub use outcome::Step;
pub use policy::{
    ObserveTls, PolicyFound, ResultType, StsMode, TlsMode, TlsObservation, TlsOverride, TlsOverrides,
    TlsVersion, Unobserved,
};
pub use reminders::Reminders;
pub use route::{Route, RouteError, Routes, Rule};
pub use schedule::{DomainRetry, RetrySettings};
pub use site::Site;
pub use smart_host::{Login, Mechanism, SecretSource, SmartHost, SmartHostTls, SmartHosts};
pub use smtp::check_secret_file;
pub(crate) use smtp::tls::Roots;
pub use source::{Source, Sources};
pub use stage::{Deliver, DeliverPorts, DeliverSettings};
pub use suppression::{SuppressionSettings, Suppressions};
pub use transport::Transport;
pub use transports::{Observer, TransportPorts, TransportSettings, Transports, TrustAnchors};

pub use crate::limits::ClientLimits;
