//! Looks for new certificates, and after the age of those in use.

use shared::mail::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::live::{Shared, Tls};
use super::telemetry;
use crate::limits::{
    CERTIFICATE_FILES_EVERY, CERTIFICATE_SECRETS_EVERY, CERTIFICATE_WARNED_BEFORE, CERTIFICATE_WARNED_EVERY,
};

impl Tls {
    /// Replaces certificates whenever their files or secrets change, and when [`Tls::reload`] asks, until `stop` is cancelled. Warns of
    /// those that will expire soon.
    pub async fn watch(&self, stop: CancellationToken) {
        let shared = &*self.shared;
        let mut fetched = shared.clock.now();
        let mut warned = None;
        loop {
            shared.tell_expiry(&mut warned);
            let asked = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = shared.asked.notified() => true,
                () = shared.clock.sleep(CERTIFICATE_FILES_EVERY) => false,
            };
            let now = shared.clock.now();
            let secrets = asked || now.since(fetched) >= CERTIFICATE_SECRETS_EVERY;
            if secrets {
                fetched = now;
            }
            shared.look(secrets, asked).await;
        }
    }
}

impl Shared {
    /// Tells of each certificate when it expires; of one that soon will, once a day.
    fn tell_expiry(&self, warned: &mut Option<Timestamp>) {
        let now = self.clock.now();
        let speak = warned.is_none_or(|last| now.since(last) >= CERTIFICATE_WARNED_EVERY);
        for facts in self.live().names.facts() {
            telemetry::expires(facts, now);
            if !speak || now + CERTIFICATE_WARNED_BEFORE < facts.expires {
                continue;
            }
            *warned = Some(now);
            let (names, expires) = (&facts.names, facts.expires);
            if now >= expires {
                error!(?names, %expires, "a certificate in use has expired; renew it");
            } else {
                warn!(?names, %expires, "a certificate in use expires soon; renew it");
            }
        }
    }
}
