//! Calling a port again that did not answer.

use std::time::Duration;

use shared::port::{Clock, PortResult};

use crate::limits::{PORT_PAUSE, PORT_PAUSE_MAX};

/// Calls `call` up to `tries` times until it succeeds; for calls that may be repeated whatever became of the one before.
pub(super) async fn persist<T, F>(clock: &dyn Clock, tries: u32, mut call: impl FnMut() -> F) -> PortResult<T>
where
    F: Future<Output = PortResult<T>>,
{
    let mut tried = 0;
    loop {
        match call().await {
            Ok(done) => return Ok(done),
            Err(cause) => {
                tried += 1;
                if tried >= tries {
                    return Err(cause);
                }
                tracing::warn!(tried, cause = cause.chain(), "a port failed; it is called again");
                clock.sleep(pause_after(tried)).await;
            }
        }
    }
}

/// The pause after the `tried`-th failure in a row.
pub(super) fn pause_after(tried: u32) -> Duration {
    PORT_PAUSE.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(PORT_PAUSE_MAX)
}
