//! Deliveries that are put off: written where there is no item, and over that of one version.

use futures::StreamExt;

use super::DynamoDeliveries;
use super::items::{self, number_of};
use crate::limits::aws::{RACES_MAX, WRITES_MAX};
use crate::port::{DeliveryState, PortError, PortResult, Postponed};

const POSTPONE: &str = "the postponement of a delivery";

impl DynamoDeliveries {
    pub(super) async fn postpone_all(&self, postponed: Vec<Postponed>) -> Vec<PortResult<()>> {
        let written = futures::stream::iter(postponed).map(|one| self.postpone_one(one));
        written.buffered(WRITES_MAX).collect().await
    }

    async fn postpone_one(&self, postponed: Postponed) -> PortResult<()> {
        let forget_at = postponed.forget_at;
        let first = items::item(&DeliveryState::postpone(postponed.clone()), 1, forget_at);
        let Some(mut known) = self.put(POSTPONE, first, None).await? else { return Ok(()) };
        for _ in 0..RACES_MAX {
            let version = number_of(&known, "v").unwrap_or(0);
            let mut state = items::state(&known)?;
            if !state.put_off(postponed.clone()) {
                return Ok(());
            }
            let mut item = items::item(&state, version + 1, forget_at);
            items::keep_expiry(&mut item, &mut known);
            match self.put(POSTPONE, item, Some(version)).await? {
                None => return Ok(()),
                Some(changed) => known = changed,
            }
        }
        Err(PortError::refused(POSTPONE, "others write the same delivery again and again"))
    }
}
