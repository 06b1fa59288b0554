//! What each role works with: which stores are opened, and with that which rights a process must have.

use shared::wire::{Needs, Store};

use super::join::urls;
use crate::settings::{Reader, Role, Settings};

/// What `trace` looks at.
pub(crate) const TRACE: &[Store] = &[Store::Spool, Store::State];
/// What the hands of `queue` look at and write.
pub(crate) const HANDS: &[Store] = &[Store::Spool, Store::State, Store::Directory];
/// What `queue` looks at.
pub(crate) const QUEUE: &[Store] = &[Store::QueueInbound, Store::QueueOutbound, Store::State];
/// What `cancel` looks at; it writes the state.
pub(crate) const CANCEL: &[Store] = TRACE;
/// What `shaping explain` looks at.
pub(crate) const SHAPING: &[Store] = &[Store::State, Store::Counters];
/// What `domain` looks at and writes.
pub(crate) const DOMAIN: &[Store] = &[Store::Directory, Store::Keys];

/// What `credential`, `recipient`, `suppress` and `bounces` look at and write.
pub(crate) const DIRECTORY: &[Store] = &[Store::Directory];

/// The stores of whoever reads `settings`.
pub(crate) fn needs(settings: &Settings, reader: Reader) -> Needs {
    match reader {
        Reader::Command(needs) => needs,
        Reader::Function(role) => of_role(role, settings, reader),
        Reader::Edge => {
            let each = settings.roles.iter().map(|role| of_role(role, settings, reader));
            each.fold(Needs::default(), Needs::and)
        }
    }
}

fn of_role(role: Role, settings: &Settings, reader: Reader) -> Needs {
    match role {
        Role::Ingress => Needs::of(&[Store::Spool, Store::QueueInbound, Store::Directory, Store::Counters]),
        // its jobs come from the inbound queue; a function, too, tells that queue when to bring one back
        Role::Prepare => Needs::of(&[
            Store::Spool,
            Store::QueueInbound,
            Store::QueueOutbound,
            Store::State,
            Store::Directory,
            Store::Keys,
        ]),
        // of the directory, the MTA-STS policies of domains, the suppressions, what the edge shares, and orders; what it sends to a
        // site is counted over all workers
        Role::Deliver => Needs::of(&[
            Store::Spool,
            Store::QueueInbound,
            Store::QueueOutbound,
            Store::State,
            Store::Directory,
            Store::Counters,
        ]),
        Role::Sweep => {
            let sweep =
                Needs::of(&[Store::QueueOutbound, Store::State, Store::Directory]).and(counted(settings));
            // a report is a message like any other
            let reports = Needs::of(&[Store::Spool, Store::QueueInbound]);
            let sweep = if settings.tls_reports.is_some() { sweep.and(reports) } else { sweep };
            let packs = Needs::of(&[Store::Spool]);
            if sweeps_packs(settings, reader) { sweep.and(packs) } else { sweep }
        }
    }
}

/// What the counts of TLS are in, where any are made.
fn counted(settings: &Settings) -> Needs {
    if settings.tls_reports.is_some() { Needs::of(&[Store::Counters]) } else { Needs::default() }
}

/// Whether old packs are the sweep's to delete. A bucket deletes them by itself, and no process needs the right to.
pub(super) fn sweeps_packs(settings: &Settings, reader: Reader) -> bool {
    let somewhere = match reader {
        Reader::Edge | Reader::Command(_) => true,
        Reader::Function(_) => settings.stores.spool.is_some(),
    };
    somewhere && urls(settings).packs_need_a_sweep()
}

/// The stores that the roles write to, of those that tell whether they can be written.
pub(super) fn written(settings: &Settings) -> Needs {
    let each = settings.roles.iter().map(|role| match role {
        Role::Ingress => Needs::of(&[Store::Spool, Store::QueueInbound]),
        Role::Prepare | Role::Sweep => Needs::of(&[Store::QueueOutbound]),
        // the report on mail that was given up goes in like any other
        Role::Deliver => Needs::of(&[Store::Spool, Store::QueueInbound, Store::QueueOutbound]),
    });
    each.fold(Needs::default(), Needs::and)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Roles;

    fn of(roles: &[Role], spool: Option<&str>) -> Vec<&'static str> {
        let mut settings = Settings::new(crate::dev::localhost(), "data".into());
        settings.roles = Roles(roles.to_vec());
        settings.stores.spool = spool.map(str::to_owned);
        needs(&settings, Reader::Edge).iter().map(|store| store.key().trim_start_matches("stores.")).collect()
    }

    #[test]
    fn each_role_has_what_it_works_with_and_nothing_else() {
        assert_eq!(of(&[Role::Ingress], None), ["spool", "queue_inbound", "directory", "counters"]);
        assert_eq!(
            of(&[Role::Prepare], None),
            ["spool", "queue_inbound", "queue_outbound", "state", "directory", "keys"]
        );
        assert_eq!(
            of(&[Role::Deliver], None),
            ["spool", "queue_inbound", "queue_outbound", "state", "directory", "counters"]
        );
        assert_eq!(of(&[Role::Sweep], None), ["spool", "queue_outbound", "state", "directory"]);
        assert_eq!(of(&Role::ALL, None).len(), Store::ALL.len());
    }

    #[test]
    fn the_sweep_leaves_a_bucket_alone() {
        assert_eq!(of(&[Role::Sweep], Some("s3://mail")), ["queue_outbound", "state", "directory"]);
    }
}
