//! Orders, written over the item of one version, or where there is none.

use futures::StreamExt;

use super::DynamoDeliveries;
use super::items::{self, number_of};
use crate::limits::aws::{RACES_MAX, WRITES_MAX};
use crate::port::{DeliveryState, Ordered, PortError, PortResult};

const ORDER: &str = "the order for a delivery";

impl DynamoDeliveries {
    pub(super) async fn order_all(&self, ordered: Vec<Ordered>) -> Vec<PortResult<Option<DeliveryState>>> {
        let answers = futures::stream::iter(ordered).map(|ordered| self.order_one(ordered));
        answers.buffered(WRITES_MAX).collect().await
    }

    async fn order_one(&self, ordered: Ordered) -> PortResult<Option<DeliveryState>> {
        let Ordered { key, orders, now, untried } = ordered;
        let mut known = self.find(std::slice::from_ref(&key)).await?.remove(&key);
        for _ in 0..RACES_MAX {
            let (mut state, version, mut expires) = match (known, &untried) {
                (Some(mut item), _) => {
                    let expires = item.remove("expires");
                    (items::state(&item)?, number_of(&item, "v").or(Some(0)), expires)
                }
                (None, Some(untried)) => (DeliveryState::untried((**untried).clone()), None, None),
                (None, None) => return Ok(None),
            };
            let mut changed = version.is_none();
            for order in &orders {
                changed |= state.obey(order, now);
            }
            if !changed {
                return Ok(Some(state));
            }
            let forget_at = untried.as_ref().map_or(state.expires_at, |untried| untried.forget_at);
            let mut item = items::item(&state, version.unwrap_or(0) + 1, forget_at);
            // it is remembered as long as it would have been
            if let Some(expires) = expires.take() {
                item.insert("expires".to_owned(), expires);
            }
            known = match self.put(ORDER, item, version).await? {
                None => return Ok(Some(state)),
                changed => changed,
            };
        }
        Err(PortError::refused(ORDER, "others write the same delivery again and again"))
    }
}
