//! The memory of connections that do nothing.

use super::process::resident_kib;
use super::source::{Client, Relay};

pub(crate) async fn measure(relay: &Relay, pid: u32, connections: usize) -> Result<String, String> {
    let before = resident_kib(pid);
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let client = Client::connect(relay).await.map_err(|error| format!("connection {number}: {error}"))?;
        open.push(client);
    }
    let after = resident_kib(pid);
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    let each = (after - before) as f64 / connections as f64;
    Ok(format!(
        "idle={connections} tls={} rss_before_mib={} rss_after_mib={} kib_each={each:.1}",
        relay.tls.is_some(),
        before / 1024,
        after / 1024
    ))
}
