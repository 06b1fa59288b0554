//! What the settings say together: values that are each right and cannot be right at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use shared::config::{Mistake, Section};

use super::{Settings, loopback};
use crate::limits::{
    IPV4_PREFIX_MIN, IPV6_PREFIX_MIN, MEMORY_OCTETS_MIN, MESSAGE_OCTETS_MIN, RECIPIENTS_MAX, RECIPIENTS_MIN,
    TIME_MIN,
};

/// Notes each mistake in `root`.
pub(super) fn check(settings: &Settings, root: &mut Section<'_>) {
    check_hostname(settings, root);
    check_listeners(settings, root);
    check_relay(settings, root);
    check_limits(settings, root);
    check_times(settings, root);
    for Mistake { key, wrong, right } in crate::edge::check_stores(settings) {
        root.mistake(&key, wrong, right);
    }
    for (key, folder) in [("data", &settings.data), ("inbox", &settings.inbox)] {
        if let Some(why) = why_not_creatable(folder) {
            root.mistake(key, why, "use a folder that this user may write in");
        }
    }
}

fn check_hostname(settings: &Settings, root: &mut Section<'_>) {
    let name = settings.hostname.as_str();
    // `required` has noted a name that is not there or no domain, and left this address in its place
    if settings.hostname.literal().is_some_and(|ip| !ip.is_loopback()) {
        root.mistake("hostname", format!("`{name}` is an address"), "use the domain that points to it");
    }
}

fn check_listeners(settings: &Settings, root: &mut Section<'_>) {
    let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
    let http = settings.http.iter().map(|address| ("http.address", *address));
    for (key, address) in settings.listeners.iter().map(|own| ("listener", own.address)).chain(http) {
        let clash = seen.iter().find(|(_, other)| {
            let wild = other.ip().is_unspecified() || address.ip().is_unspecified();
            let family = other.is_ipv4() == address.is_ipv4();
            address.port() != 0 && address.port() == other.port() && (*other == address || (wild && family))
        });
        if let Some((other_key, other)) = clash {
            let wrong = format!("{address} is taken by {other} ({other_key}) already");
            root.mistake(key, wrong, "use another port, or leave one of the two out");
        }
        seen.push((key, address));
    }
}

/// A listener that the world can reach and a network that is the world make an open relay.
fn check_relay(settings: &Settings, root: &mut Section<'_>) {
    if settings.listeners.iter().all(|listener| listener.address.ip().is_loopback()) {
        return;
    }
    for network in settings.trusted_networks.iter().filter(|network| is_the_world(network)) {
        let wrong = format!("{network} with a listener that is not loopback is an open relay");
        root.mistake("trusted_networks", wrong, "name only the networks whose mail you answer for");
    }
}

/// Whether so short a prefix holds addresses that are surely not the operator's own.
fn is_the_world(network: &IpNet) -> bool {
    let prefix_min = match network {
        IpNet::V4(_) => IPV4_PREFIX_MIN,
        IpNet::V6(_) => IPV6_PREFIX_MIN,
    };
    let own = |own: &IpNet| own.contains(network);
    network.prefix_len() < prefix_min && !loopback().iter().any(own)
}

fn check_limits(settings: &Settings, root: &mut Section<'_>) {
    let limits = &settings.limits;
    if limits.message_octets < MESSAGE_OCTETS_MIN {
        root.mistake("limits.message_octets", "it is less than any server must take", "use 64KiB or more");
    }
    if limits.recipients < RECIPIENTS_MIN {
        root.mistake("limits.recipients", "it is less than any server must take", "use 100 or more");
    }
    if limits.recipients > RECIPIENTS_MAX {
        root.mistake("limits.recipients", "no pack could hold them", format!("use {RECIPIENTS_MAX} or less"));
    }
    for (key, value) in [
        ("limits.connections", limits.connections),
        ("limits.connections_each", limits.connections_each),
        ("limits.pack_messages", limits.pack_messages),
        ("limits.pack_octets", limits.pack_octets),
        ("limits.commits_in_flight", limits.commits_in_flight),
        ("deliver.connections", settings.deliver.connections),
        ("deliver.port", settings.deliver.port.into()),
    ] {
        if value == 0 {
            root.mistake(key, "nothing works with 0", "use 1 or more");
        }
    }
    if limits.memory_octets < MEMORY_OCTETS_MIN {
        root.mistake("limits.memory_octets", "no large message would ever fit", "use 1MiB or more");
    }
}

fn check_times(settings: &Settings, root: &mut Section<'_>) {
    for (key, time) in [
        ("limits.command_timeout", settings.limits.command_timeout),
        ("limits.content_timeout", settings.limits.content_timeout),
        ("retry.lifetime", settings.retry.lifetime),
    ] {
        if time < TIME_MIN {
            root.mistake(key, "it is less than a second", "use 1s or more");
        }
    }
    let schedules = settings.retry.domains.values().filter_map(|own| own.schedule.as_ref());
    for schedule in schedules.chain([&settings.retry.schedule]) {
        if schedule.is_empty() || schedule.iter().any(|pause| *pause < TIME_MIN) {
            root.mistake(
                "retry.schedule",
                "it has no pauses, or one under a second",
                "use pauses of 1s or more",
            );
        }
    }
    if !(0.0..=1.0).contains(&settings.retry.jitter) {
        root.mistake("retry.jitter", "it is no part of a pause", "use 0 to 1, such as 0.2");
    }
    let lifetime = settings.retry.lifetime_max();
    for (key, time, what) in [
        ("stores.retention", settings.stores.retention, "packs would be deleted"),
        ("stores.memory", settings.stores.memory, "outcomes would be forgotten"),
    ] {
        if time <= lifetime {
            let wrong = format!("{what} while their messages are still tried (retry.lifetime)");
            root.mistake(key, wrong, format!("use more than {} days", lifetime.as_secs().div_ceil(86_400)));
        }
    }
}

/// Why the folder can neither be used nor be made; nothing is changed to find out.
fn why_not_creatable(folder: &Path) -> Option<String> {
    let mut at = std::path::absolute(folder).unwrap_or_else(|_| PathBuf::from(folder));
    loop {
        match std::fs::metadata(&at) {
            Ok(metadata) if !metadata.is_dir() => return Some(format!("{} is no folder", at.display())),
            Ok(metadata) if metadata.permissions().readonly() => {
                return Some(format!("{} cannot be written", at.display()));
            }
            Ok(_) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !at.pop() {
                    return Some("there is no folder above it".to_owned());
                }
            }
            Err(error) => return Some(format!("{}: {error}", at.display())),
        }
    }
}
