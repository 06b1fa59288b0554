//! The job of telling a sender what became of a message.

use shared::job::Tell;
use shared::port::Claim;

use super::super::dsn;
use super::Deliver;

impl Deliver {
    /// Tells it, if nobody else does. What fails comes back by its reminders.
    pub(super) async fn tell_sender(&self, tell: &Tell) {
        let message = tell.message;
        let (job, holder) = (format!("dsn {message}"), format!("{:016x}", self.ports.ids.random()));
        match self.claim(&job, &holder).await {
            Ok(Claim::Taken { .. }) => {}
            Ok(Claim::Held { .. } | Claim::Finished) => return,
            Err(cause) => {
                return tracing::warn!(message_id = %message, cause = cause.chain(), "a DSN could not be claimed");
            }
        }
        let told = tokio::select! {
            biased;
            told = dsn::tell(&self.ports, &self.settings.hostname, tell) => told,
            // whoever has the claim now goes on where this one stops
            () = self.keep(&job, &holder) => return,
        };
        if let Err(cause) = told {
            tracing::error!(message_id = %message, cause = cause.chain(), "a DSN could not be put in");
        }
        if let Err(cause) = self.ports.deliveries.abandon(&job, &holder).await {
            tracing::warn!(message_id = %message, cause = cause.chain(), "the claim of a DSN runs out");
        }
    }

    /// Renews the claim for as long as that can be done.
    async fn keep(&self, job: &str, holder: &str) {
        loop {
            let (ports, lease) = (&self.ports, self.settings.lease);
            ports.clock.sleep(lease / 3).await;
            match ports.deliveries.claim(job, holder, ports.clock.now(), lease).await {
                Ok(Claim::Taken { .. }) => {}
                Ok(Claim::Held { .. } | Claim::Finished) | Err(_) => {
                    tracing::warn!(job, "the claim of a DSN was lost");
                    return;
                }
            }
        }
    }
}
