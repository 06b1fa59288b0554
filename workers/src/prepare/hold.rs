//! Messages that are held: their deliveries wait in the state, where a cancel finds them, and not in a queue.

use shared::mail::Timestamp;
use shared::port::{Held, PortResult};
use tracing::info;

use super::{Prepare, Prepared, split};
use crate::limits::RECORDS_MAX;

impl Prepare {
    /// Writes the deliveries of all that is held, and takes their recipients out of `prepared`; tells the last release, which is the
    /// epoch where nothing is held.
    pub(super) async fn hold(&self, prepared: &mut [Prepared]) -> PortResult<Timestamp> {
        let mut last = Timestamp::from_millis(0);
        for prepared in prepared {
            let message = &prepared.message;
            let Some(until) = message.envelope.options.held_until(message.received_at) else { continue };
            let deliveries = split::held(prepared, self.bounces(), until, self.settings.lifetime);
            let count = deliveries.len();
            let mut held = deliveries.into_iter().map(|delivery| {
                let forget_at = delivery.expires_at + self.settings.retain;
                Held { delivery, until, forget_at }
            });
            loop {
                let some: Vec<Held> = held.by_ref().take(RECORDS_MAX).collect();
                if some.is_empty() {
                    break;
                }
                self.ports.deliveries.hold(some).await?.into_iter().collect::<PortResult<()>>()?;
            }
            last = last.max(until);
            info!(message_id = %prepared.id, %until, deliveries = count, "held");
            metrics::counter!("spoolway_prepare_held_total").increment(1);
        }
        Ok(last)
    }
}
