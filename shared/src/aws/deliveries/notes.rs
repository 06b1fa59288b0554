//! What changes nothing about when a delivery is due: written over the item of one version.

use super::DynamoDeliveries;
use super::items::{self, number_of};
use crate::job::DeliveryKey;
use crate::limits::aws::RACES_MAX;
use crate::port::{DeliveryState, PortError, PortResult};

impl DynamoDeliveries {
    /// Lets `change` amend the state, which tells whether it did and what there is to answer. `None` where there is no item.
    pub(super) async fn amend<T>(
        &self,
        what: &'static str,
        key: &DeliveryKey,
        change: impl Fn(&mut DeliveryState) -> (bool, T),
    ) -> PortResult<Option<T>> {
        let Some(mut known) = self.find(std::slice::from_ref(key)).await?.remove(key) else {
            return Ok(None);
        };
        for _ in 0..RACES_MAX {
            let mut state = items::state(&known)?;
            let (changed, answer) = change(&mut state);
            if !changed {
                return Ok(Some(answer));
            }
            let version = number_of(&known, "v").unwrap_or(0);
            let mut item = items::item(&state, version + 1, state.expires_at);
            // all but the state stays as it is: when it is due, or leased, and how long it is remembered
            for (name, value) in known {
                if !matches!(name.as_str(), "state" | "v") {
                    item.insert(name, value);
                }
            }
            match self.put(what, item, Some(version)).await? {
                None => return Ok(Some(answer)),
                Some(other) => known = other,
            }
        }
        Err(PortError::refused(what, "others write the same delivery again and again"))
    }
}
