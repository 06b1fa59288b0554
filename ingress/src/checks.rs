//! What the DNS says of a client, and what policy makes of it: reverse DNS with forward confirmation (iprev, RFC 8601 §3) and block lists
//! (RFC 5782).
//!
//! The questions are asked while the dialogue goes on. Facts are waited for until the time for them is up and never longer; what is
//! not known by then counts for the client, or defers it where its reverse DNS must be confirmed.

mod facts;
mod lookup;
mod shared_lookup;

use std::net::IpAddr;
use std::sync::Arc;

use shared::mail::{ClientDns, Timestamp};
use shared::port::{Clock, Resolver};

pub(crate) use self::facts::{ClientFacts, Decision, Reverse};
use self::shared_lookup::{Lookup, Lookups};
use crate::CheckSettings;

/// Looks clients up.
pub(crate) struct Checks {
    lookups: Arc<Lookups>,
}

/// The look at one client, for one session; given up when it is dropped.
pub(crate) struct Pending {
    lookups: Arc<Lookups>,
    client: IpAddr,
    lookup: Lookup,
    until: Timestamp,
}

impl Checks {
    pub(crate) fn new(settings: CheckSettings, resolver: Arc<dyn Resolver>, clock: Arc<dyn Clock>) -> Self {
        Self { lookups: Arc::new(Lookups::new(settings, resolver, clock)) }
    }

    /// Begins to look `client` up, unless it is known or looked up for another session already. Needs a runtime.
    pub(crate) fn begin(&self, client: IpAddr) -> Pending {
        let client = client.to_canonical();
        let lookups = Arc::clone(&self.lookups);
        let until = lookups.clock.now() + lookups.settings.timeout;
        Pending { lookup: lookups.begin(client), lookups, client, until }
    }
}

impl Pending {
    /// What is known once all is, or once the time is up.
    pub(crate) async fn facts(&mut self) -> ClientFacts {
        let clock = &self.lookups.clock;
        let left = self.until.since(clock.now());
        clock.timeout(left, self.lookup.done()).await;
        self.lookup.facts()
    }

    /// What policy says of the client, for its first recipient. Waits only where the facts can matter to that.
    pub(crate) async fn decide(&mut self) -> Decision {
        if !self.lookups.settings.can_turn_away() {
            return Decision::Accept;
        }
        let facts = self.facts().await;
        facts.decide(self.client, &self.lookups.settings)
    }

    /// What goes with a message, once its content is here. Waits as [`Self::facts`] does.
    pub(crate) async fn dns(&mut self) -> ClientDns {
        let facts = self.facts().await;
        facts.dns(&self.lookups.settings)
    }
}

#[cfg(test)]
mod tests;
