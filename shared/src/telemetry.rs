//! What an operator sees: log lines, metrics for Prometheus or CloudWatch, health.
//!
//! Nothing here reads the environment or knows a terminal; the program passes in what it found.

mod emf;
mod health;
mod http;
mod log;
mod metrics;
mod writer;

pub use emf::{EMF_NAMESPACE, EmfMetrics};
pub use health::{Health, HealthReport, PartHealth};
pub use http::HttpServer;
pub use log::{LogFilter, LogFormat, LogGuard, LogSettings, init, init_unbuffered};
pub use metrics::Metrics;

/// Something of which a process has only one was set up twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is set up already in this process")]
pub struct AlreadySetUp(&'static str);
