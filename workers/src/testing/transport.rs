use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::job::Delivery;
use shared::mail::{Domain, Mailbox, Reply};
use shared::port::{Attempt, Clock, RecipientStatus};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::{FakeDeliveries, Gate};
use crate::deliver::{Hop, Meaning, Outcome, RecipientOutcome, Rule, Site, Transport, Tried};

/// Servers that answer by the local part: `ok…`, `later…`, `busy…` (too many connections, once), `never…`, `gone…` (discarded); `flaky…` is deferred once. Mail to
/// a domain with `slow` waits until it is let through.
pub(crate) struct FakeTransport {
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
    deliveries: Arc<FakeDeliveries>,
    /// How often each recipient's server said 250.
    pub(crate) taken: Mutex<HashMap<Mailbox, usize>>,
    /// Each call: route, and the number of deliveries.
    pub(crate) calls: Mutex<Vec<(String, usize)>>,
    /// Each attempt that was begun: the delivery and its attempt number.
    pub(crate) begun: Mutex<Vec<String>>,
    pub(crate) slow: watch::Sender<usize>,
}

impl FakeTransport {
    pub(crate) fn new(gate: Arc<Gate>, clock: Arc<dyn Clock>, deliveries: Arc<FakeDeliveries>) -> Self {
        Self {
            gate,
            clock,
            deliveries,
            taken: Mutex::default(),
            calls: Mutex::default(),
            begun: Mutex::default(),
            slow: watch::Sender::new(0),
        }
    }

    fn answer(&self, delivery: &Delivery, address: &Mailbox) -> RecipientOutcome {
        let state = self.deliveries.state(&delivery.key);
        let known = state.iter().flat_map(|state| &state.recipients).find(|known| known.address == *address);
        assert!(
            known.is_none_or(|known| known.status == RecipientStatus::Deferred),
            "{address} is sent to after its outcome was recorded"
        );
        let name = address.local_part();
        let deferred = name.starts_with("later") || (name.starts_with("flaky") && delivery.attempt == 1);
        let (outcome, reply) = if deferred {
            (Outcome::Deferred, Reply::new(451, (7, 1), "greylisted,\ncome back"))
        } else if name.starts_with("busy") && delivery.attempt == 1 {
            (Outcome::Deferred, Reply::new(421, (7, 0), "too many connections"))
        } else if name.starts_with("never") {
            (Outcome::Bounced, Reply::new(550, (1, 1), "no such user"))
        } else if name.starts_with("gone") {
            (Outcome::Discarded, Reply::new(250, (0, 0), "discarded"))
        } else {
            *self.taken.lock().unwrap().entry(address.clone()).or_default() += 1;
            (Outcome::Delivered, Reply::new(250, (0, 0), "taken"))
        };
        // mail to a domain with `dsn` or `inbox` ends up there
        let domain = delivery.key.domain.as_str();
        let hop = match outcome {
            Outcome::Delivered if !domain.contains("inbox") => {
                Hop::Server { dsn: domain.contains("dsn"), deliver_by: false }
            }
            Outcome::Delivered
            | Outcome::Deferred
            | Outcome::Bounced
            | Outcome::Discarded
            | Outcome::Suppressed => Hop::End,
        };
        let meaning = Meaning { hard: name.starts_with("never"), ..Meaning::default() };
        RecipientOutcome { address: address.clone(), outcome, reply, spoken: true, meaning, hop }
    }
}

#[async_trait]
impl Transport for FakeTransport {
    /// Each domain has a site of its own, but those below `shared.example`.
    async fn site(&self, _: Rule<'_>, domain: &Domain) -> Result<Option<Site>, String> {
        let shared = domain.as_str().ends_with(".shared.example");
        Ok(Some(Site::of_hosts([if shared { "mx.shared.example" } else { domain.as_str() }])))
    }

    async fn attempt(&self, rule: Rule<'_>, deliveries: Vec<Delivery>, tried: &Sender<Tried>) {
        self.calls.lock().unwrap().push((rule.route.to_string(), deliveries.len()));
        for delivery in deliveries {
            let Ok(place) = tried.reserve().await else { return };
            self.begun.lock().unwrap().push(format!("{} {}", delivery.key.domain, delivery.attempt));
            let began_at = self.clock.now();
            self.gate.cross().await;
            if delivery.key.domain.as_str().contains("slow") {
                self.slow.subscribe().wait_for(|permits| *permits > 0).await.unwrap();
                self.slow.send_modify(|permits| *permits -= 1);
            }
            let outcomes: Vec<RecipientOutcome> =
                delivery.recipients.iter().map(|to| self.answer(&delivery, &to.address)).collect();
            self.gate.cross().await;
            let attempt = Attempt {
                number: delivery.attempt,
                began_at,
                ended_at: self.clock.now(),
                route: rule.route.to_string(),
                host: Some("mx.remote.example".to_owned()),
                peer: Some("192.0.2.1:25".to_owned()),
                tls: None,
                source: None,
                reply: outcomes[0].reply.clone(),
            };
            place.send(Tried { delivery, attempt, outcomes });
        }
    }
}
