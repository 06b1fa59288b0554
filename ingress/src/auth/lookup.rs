//! One read of the directory for a login.

use std::sync::Arc;

use shared::port::{Clock, Directory, Entry, EntryKind, PortError, PortResult};

use crate::limits::LOOKUP_TIMEOUT;

pub(super) const LOOKUP: &str = "the lookup of a credential";

/// The entry, if there is one. [`PortError::Refused`] after [`LOOKUP_TIMEOUT`], too.
pub(super) async fn look_up(
    directory: &dyn Directory,
    clock: &Arc<dyn Clock>,
    kind: EntryKind,
    name: &str,
) -> PortResult<Option<Entry>> {
    let answer = clock.timeout(LOOKUP_TIMEOUT, directory.get(kind, name)).await;
    answer.unwrap_or_else(|| Err(PortError::refused(LOOKUP, "the directory does not answer")))
}
