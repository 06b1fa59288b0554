//! The transports: deliveries and a route in, what each recipient's server said out.

use std::path::PathBuf;
use std::sync::Arc;

use shared::job::Delivery;
use shared::mail::Reply;
use shared::port::{Attempt, Clock, Ids, Resolver, Spool};
use tokio::sync::mpsc;

use super::{ClientLimits, Outcome, RecipientOutcome, Route, Tried};

/// How the transports behave.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// The name said in EHLO, and by which this machine is known among MX hosts.
    pub hostname: String,
    /// The TCP port of MX hosts and address literals.
    pub port: u16,
    /// Whether addresses that the DNS names, or an address literal, may be private, loopback and the like.
    pub allow_private_addresses: bool,
    /// The folder of the inbox route.
    pub inbox: Option<PathBuf>,
    /// Times, sizes and counts.
    pub limits: ClientLimits,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            port: 25,
            allow_private_addresses: false,
            inbox: None,
            limits: ClientLimits::default(),
        }
    }
}

/// What the transports need of the world.
#[derive(Clone)]
pub struct TransportPorts {
    /// Where the messages lie.
    pub spool: Arc<dyn Spool>,
    /// Who knows the hosts of a domain.
    pub resolver: Arc<dyn Resolver>,
    /// The time of day, for the attempts.
    pub clock: Arc<dyn Clock>,
    /// Chance, to spread load among equal hosts.
    pub ids: Arc<dyn Ids>,
}

/// Every way a message can leave.
pub struct Transports {
    settings: TransportSettings,
    ports: TransportPorts,
}

impl Transports {
    /// Transports that behave as `settings` say.
    pub fn new(settings: TransportSettings, ports: TransportPorts) -> Self {
        Self { settings, ports }
    }

    /// Tries each of `deliveries` once by `route`, one after the other and over as few connections as possible, and hands
    /// each to `tried` as soon as its outcome is known: every one exactly once, whatever happens. With [`Route::Mx`],
    /// all of them have the same domain.
    pub async fn attempt(&self, route: &Route, deliveries: Vec<Delivery>, tried: &mpsc::Sender<Tried>) {
        let reply = Reply::new(451, (3, 5), format!("{} has no transport yet", self.settings.hostname));
        for delivery in deliveries {
            let now = self.ports.clock.now();
            let outcomes = delivery.recipients.iter().map(|recipient| RecipientOutcome {
                address: recipient.address.clone(),
                outcome: Outcome::Deferred,
                reply: reply.clone(),
            });
            let outcomes = outcomes.collect();
            let attempt = Attempt {
                number: delivery.attempt,
                began_at: now,
                ended_at: now,
                route: route.to_string(),
                host: None,
                peer: None,
                tls: None,
                reply: reply.clone(),
            };
            // a caller that hung up has no use for the outcome
            let _ = tried.send(Tried { delivery, attempt, outcomes }).await;
        }
    }
}
