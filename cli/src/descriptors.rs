//! File descriptors: every connection takes one, and so do the stores, which must never lack any because of the connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::DESCRIPTORS_OWN;
use crate::settings::Settings;

/// Asks the system for as many descriptors as it gives, and takes no more connections in than leave enough of them for the rest.
pub(crate) fn share_out(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let wanted = settings.limits.connections;
    if let Some(limit) = raise() {
        settings.limits.connections = connections(limit, wanted, settings.deliver.connections);
    }
    let most = settings.limits.connections;
    if most < wanted {
        tracing::warn!(
            wanted,
            most,
            "the system's limit of open files leaves room for fewer connections than limits.connections: raise it (ulimit -n)"
        );
    }
    settings
}

/// Raises this process's limit as far as it may; tells what it is then, where there is one.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// How many of `limit` descriptors connections may take that come in. Where those that go out and the stores leave nothing, it is
/// a quarter.
fn connections(limit: u64, wanted: usize, outgoing: usize) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit.saturating_sub(outgoing.saturating_add(DESCRIPTORS_OWN)).max(limit / 4).max(1).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(connections(1 << 20, 10_000, 256), 10_000);
        assert_eq!(connections(1024, 10_000, 256), 1024 - 256 - 128);
        assert_eq!(connections(256, 10_000, 256), 64);
        assert_eq!(connections(1, 10_000, 256), 1);
    }
}
