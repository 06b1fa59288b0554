//! What is in use for new handshakes, and how it is replaced.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use shared::mail::Timestamp;
use shared::port::{Clock, Secrets};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::acceptor::Acceptor;
use super::names::Names;
use super::sources::{Fetched, Texts, fetch};
use super::{TlsProblem, TlsSettings, config, telemetry};

/// Certificates in use. A clone is a handle on the same ones.
///
/// A change of files or secrets is used for the handshakes that begin after it; sessions that are open know nothing of it. What cannot be
/// used is refused, and the certificates from before stay.
#[derive(Clone)]
pub struct Tls {
    pub(super) shared: Arc<Shared>,
}

/// All that is wrong with the certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    /// One for each mistake; at least one.
    pub problems: Vec<TlsProblem>,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for TlsError {}

/// A configuration of rustls with the certificates in it.
pub(super) struct Live {
    pub(super) config: Arc<ServerConfig>,
    pub(super) names: Arc<Names>,
}

pub(super) struct Shared {
    settings: TlsSettings,
    hostname: String,
    secrets: Arc<dyn Secrets>,
    pub(super) clock: Arc<dyn Clock>,
    live: ArcSwap<Live>,
    seen: Mutex<Seen>,
    /// Somebody asks for a look at once.
    pub(super) asked: Notify,
}

/// What was read last.
struct Seen {
    digest: [u8; 32],
    fetched: Fetched,
}

impl Tls {
    /// Reads every certificate, and lists all that is wrong with them. `hostname` is the name that clients know the server by; that no
    /// certificate has it is only warned about.
    pub async fn load(
        settings: TlsSettings,
        hostname: &str,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let fetched = fetch(&settings, &*secrets).await;
        let (texts, fetched) = read(&settings, fetched).await;
        let live = build(&settings, &texts, &clock).map_err(|problems| TlsError { problems })?;
        let seen = Mutex::new(Seen { digest: texts.digest(), fetched });
        let shared = Shared {
            settings,
            hostname: hostname.to_owned(),
            secrets,
            clock,
            live: ArcSwap::from_pointee(live),
            seen,
            asked: Notify::new(),
        };
        shared.warn_of_names();
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What makes handshakes, each of which may take as long as `patience`.
    pub fn acceptor(&self, patience: Duration) -> Acceptor {
        Acceptor::new(Arc::clone(&self.shared), patience)
    }

    /// Asks [`Tls::watch`] to look for new certificates now.
    pub fn reload(&self) {
        self.shared.asked.notify_one();
    }

    /// When the first of the certificates in use expires.
    pub fn expires(&self) -> Option<Timestamp> {
        self.shared.live().names.facts().map(|facts| facts.expires).min()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("names", &self.shared.live().names).finish_non_exhaustive()
    }
}

impl Shared {
    /// What a handshake uses that begins now.
    pub(super) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Reads the files anew, and the secrets too where `secrets` says so. What cannot be read of the secrets stays as it was: that the
    /// cloud does not answer is no change of a certificate. `asked` tells that somebody waits for the answer, even if there is no change.
    pub(super) async fn look(&self, secrets: bool, asked: bool) {
        let mut fetched = self.seen().fetched.clone();
        if secrets {
            for (name, text) in fetch(&self.settings, &*self.secrets).await {
                match (text, fetched.get(&name)) {
                    (Err(problem), Some(Ok(_))) => {
                        warn!(%problem, "a certificate stays as it was");
                    }
                    (text, _) => {
                        fetched.insert(name, text);
                    }
                }
            }
        }
        let (texts, fetched) = read(&self.settings, fetched).await;
        let digest = texts.digest();
        {
            let mut seen = self.seen();
            seen.fetched = fetched;
            let unchanged = std::mem::replace(&mut seen.digest, digest) == digest;
            if unchanged && !asked {
                return;
            }
        }
        match build(&self.settings, &texts, &self.clock) {
            Ok(live) => self.replace(live),
            Err(problems) => {
                telemetry::reload("refused");
                for problem in problems {
                    error!(%problem, "new certificates are refused, and those from before stay in use");
                }
            }
        }
    }

    fn replace(&self, live: Live) {
        self.live.store(Arc::new(live));
        telemetry::reload("ok");
        info!(names = ?self.live().names, "new certificates are in use");
        self.warn_of_names();
    }

    fn warn_of_names(&self) {
        if !self.live().names.facts().any(|facts| facts.covers(&self.hostname)) {
            let hostname = &self.hostname;
            warn!(
                hostname,
                "no certificate has the name of this edge; clients that check it will not connect"
            );
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files can be on a disk that is slow, or gone.
async fn read(settings: &TlsSettings, fetched: Fetched) -> (Texts, Fetched) {
    let settings = settings.clone();
    let read = move || (Texts::read(&settings, &fetched), fetched);
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn build(settings: &TlsSettings, texts: &Texts, clock: &Arc<dyn Clock>) -> Result<Live, Vec<TlsProblem>> {
    let certificates = texts.certificates(settings, clock.now());
    let authorities = texts.authorities(settings);
    let (certificates, authorities) = match (certificates, authorities) {
        (Ok(certificates), Ok(authorities)) => (certificates, authorities),
        (certificates, authorities) => {
            let mut problems = certificates.err().unwrap_or_default();
            problems.extend(authorities.err());
            return Err(problems);
        }
    };
    let names = Arc::new(Names::new(certificates));
    let config = config::server(settings, Arc::clone(&names), authorities, clock).map_err(|error| {
        vec![TlsProblem::new(
            format!("TLS cannot be set up: {error}"),
            "report this; it is a fault of Spoolway",
        )]
    })?;
    Ok(Live { config: Arc::new(config), names })
}
