//! Deliveries that are held, and the cancel of one: written where there is no item, and over that of one version.

use futures::StreamExt;

use super::DynamoDeliveries;
use super::items::{self, number_of};
use crate::job::DeliveryKey;
use crate::limits::aws::{RACES_MAX, WRITES_MAX};
use crate::mail::Reply;
use crate::port::{Cancel, DeliveryState, Held, PortError, PortResult};

const HOLD: &str = "the hold of a delivery";
const CANCEL: &str = "the cancel of a delivery";

impl DynamoDeliveries {
    pub(super) async fn hold_all(&self, held: Vec<Held>) -> Vec<PortResult<()>> {
        let written = futures::stream::iter(held).map(|held| async move {
            let forget_at = held.forget_at;
            let item = items::item(&DeliveryState::hold(held), 1, forget_at);
            // an item that is there stays as it is
            self.put(HOLD, item, None).await.map(drop)
        });
        written.buffered(WRITES_MAX).collect().await
    }

    pub(super) async fn cancel_one(&self, key: &DeliveryKey, reply: &Reply) -> PortResult<Cancel> {
        let Some(mut known) = self.find(std::slice::from_ref(key)).await?.remove(key) else {
            return Ok(Cancel::Missing);
        };
        for _ in 0..RACES_MAX {
            let mut state = items::state(&known)?;
            let was_held = state.is_held();
            let answer = state.cancel(reply);
            if !was_held {
                return Ok(answer);
            }
            let version = number_of(&known, "v").unwrap_or(0);
            let mut item = items::item(&state, version + 1, state.expires_at);
            // it is remembered as long as it would have been
            if let Some(expires) = known.remove("expires") {
                item.insert("expires".to_owned(), expires);
            }
            match self.put(CANCEL, item, Some(version)).await? {
                None => return Ok(answer),
                Some(changed) => known = changed,
            }
        }
        Err(PortError::refused(CANCEL, "others write the same delivery again and again"))
    }
}
