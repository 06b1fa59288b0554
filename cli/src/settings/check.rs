//! What the settings say together: values that are each right and cannot be right at once.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingress::HOLD_MAX;
use ipnet::IpNet;
use rustix::fs::{Access, access};
use shared::config::{Mistake, PREFIX, Section};
use shared::wire::{Needs, Store};
use workers::deliver::Route;

use super::{Kind, Reader, Role, Settings, loopback};
use crate::limits::{
    IPV4_PREFIX_MIN, IPV6_PREFIX_MIN, MEMORY_OCTETS_MIN, MESSAGE_OCTETS_MIN, RECIPIENTS_MAX, RECIPIENTS_MIN,
    TIME_MIN,
};

/// Notes each mistake in `root` that matters to `reader`.
pub(super) fn check(settings: &Settings, reader: Reader, root: &mut Section<'_>) {
    check_hostname(settings, root);
    if reader == Reader::Edge && settings.roles.has(Role::Ingress) {
        check_listeners(settings, root);
        check_relay(settings, root);
    }
    check_limits(settings, root);
    check_times(settings, root);
    let needs = crate::edge::needs(settings, reader);
    let at_home = needs.iter().filter(|store| settings.stores.url(*store).is_none());
    let at_home: Vec<Store> = at_home.collect();
    match reader {
        Reader::Edge | Reader::Command(_) => {
            check_stores(settings, needs, root);
            check_folders(settings, reader, !at_home.is_empty(), root);
        }
        Reader::Function(_) => {
            for store in &at_home {
                let variable = format!("{PREFIX}{}", store.key().replace('.', "_").to_ascii_uppercase());
                let right = format!("set {variable} to a URL; a function has no folder of its own");
                root.mistake(store.key(), "it is not set", right);
            }
            check_stores(settings, needs.without(Needs::of(&at_home)), root);
            check_folders(settings, reader, false, root);
        }
    }
}

fn check_stores(settings: &Settings, needs: Needs, root: &mut Section<'_>) {
    for Mistake { key, wrong, right } in crate::edge::check_stores(settings, needs) {
        root.mistake(&key, wrong, right);
    }
}

fn check_folders(settings: &Settings, reader: Reader, data_is_used: bool, root: &mut Section<'_>) {
    let mut check = |key, folder: &Path| {
        let why = why_not_creatable(folder);
        if let Some(why) = &why {
            root.mistake(key, why, "use a folder that this user may write in");
        }
        why.is_none()
    };
    let within = settings.inbox.starts_with(&settings.data);
    let data_can_be = !data_is_used || check("data", &settings.data);
    let is_kept_in = settings.routes.iter().any(|(_, route)| *route == Route::Inbox) || !within;
    let delivers = !matches!(reader, Reader::Command(_)) && settings.roles.has(Role::Deliver);
    // an inbox in the data folder has no mistake of its own where that cannot be
    if delivers && is_kept_in && (data_can_be || !within) {
        check("inbox", &settings.inbox);
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
    let mut taken = Taken::default();
    for listener in &settings.listeners {
        // reading has told of one that clashes with another
        taken.claim(listener.address);
    }
    if settings.proxy_networks.is_empty() && settings.listeners.iter().any(|listener| listener.proxy_protocol)
    {
        let wrong = "it is not set, and a listener has proxy_protocol";
        root.mistake("proxy_networks", wrong, "name the networks of the load balancers");
    }
    if let Some(address) = settings.http
        && let Some(wrong) = taken.claim(address)
    {
        root.mistake("http.address", wrong, ADDRESS_RIGHT);
    }
}

/// What to do about two addresses that cannot be had at once.
pub(super) const ADDRESS_RIGHT: &str = "use another port, or leave one of the two out";

/// The addresses that are listened on, in the order of their listeners.
#[derive(Default)]
pub(super) struct Taken(Vec<SocketAddr>);

impl Taken {
    /// Takes an address; why it cannot be had, where another is in its way.
    pub(super) fn claim(&mut self, address: SocketAddr) -> Option<String> {
        let clash = self.0.iter().position(|other| {
            let wild = other.ip().is_unspecified() || address.ip().is_unspecified();
            let family = other.is_ipv4() == address.is_ipv4();
            address.port() != 0 && address.port() == other.port() && (*other == address || (wild && family))
        });
        let wrong =
            clash.map(|at| format!("{address} is taken by {} (listener[{}]) already", self.0[at], at + 1));
        self.0.push(address);
        wrong
    }
}

/// A listener that the world can reach and a network that is the world make an open relay.
fn check_relay(settings: &Settings, root: &mut Section<'_>) {
    let takes_in = settings.listeners.iter().any(|listener| listener.kind == Kind::Mx);
    if !settings.relay_domains.is_empty() && !takes_in {
        let right = "set kind = \"mx\" for the listener that the world speaks to";
        root.mistake("relay_domains", "no listener is of the kind that they are for", right);
    }
    let submits = settings.listeners.iter().filter(|listener| listener.kind == Kind::Submission);
    if submits.into_iter().all(|listener| listener.address.ip().is_loopback()) {
        return;
    }
    for network in settings.trusted_networks.iter().filter(|network| is_the_world(network)) {
        let wrong = format!("{network} with a listener that is not loopback is an open relay");
        root.mistake("trusted_networks", wrong, "name only the networks whose mail you answer for");
    }
    for (key, networks) in
        [("proxy_networks", &settings.proxy_networks), ("xclient_networks", &settings.xclient_networks)]
    {
        for network in networks.iter().filter(|network| is_the_world(network)) {
            let wrong = format!("{network} lets anyone choose the address it comes from");
            root.mistake(key, wrong, "name only the networks of your own proxies");
        }
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
    if limits.hold > HOLD_MAX {
        let days = HOLD_MAX.as_secs() / 86_400;
        root.mistake(
            "limits.hold",
            "the packs of such messages may be deleted before their release",
            format!("use {days}d or less; 0s for none"),
        );
    }
    for (key, value) in [
        ("limits.auth_failures", limits.auth_failures),
        ("limits.auth_failures_each", limits.auth_failures_each),
        ("limits.auth_failures_name", limits.auth_failures_name),
    ] {
        if value == 0 {
            root.mistake(key, "nobody could ever mistype", "use 1 or more");
        }
    }
    let least = MEMORY_OCTETS_MIN.max(limits.streamed_memory_octets);
    if limits.memory_octets < least {
        let right = format!("use {}MiB or more", least.div_ceil(1024 * 1024));
        root.mistake("limits.memory_octets", "no large message would ever fit", right);
    }
}

fn check_times(settings: &Settings, root: &mut Section<'_>) {
    let timeouts = settings.deliver.timeouts;
    for (key, time) in [
        ("limits.command_timeout", settings.limits.command_timeout),
        ("limits.content_timeout", settings.limits.content_timeout),
        ("limits.auth_failures_window", settings.limits.auth_failures_window),
        ("retry.lifetime", settings.retry.lifetime),
        ("retry.delay_notice", settings.retry.delay_notice),
        ("deliver.timeouts.connect", timeouts.connect),
        ("deliver.timeouts.greeting", timeouts.greeting),
        ("deliver.timeouts.command", timeouts.command),
        ("deliver.timeouts.mail", timeouts.mail),
        ("deliver.timeouts.rcpt", timeouts.rcpt),
        ("deliver.timeouts.data", timeouts.data),
        ("deliver.timeouts.block", timeouts.block),
        ("deliver.timeouts.end", timeouts.end),
    ] {
        check_time(key, time, root);
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

/// Notes a time that is too short for anything to be done in it.
pub(super) fn check_time(key: &str, time: Duration, section: &mut Section<'_>) {
    if time < TIME_MIN {
        section.mistake(key, "it is less than a second", "use 1s or more");
    }
}

/// Notes pauses that cannot be waited for.
pub(super) fn check_schedule(schedule: &[Duration], section: &mut Section<'_>) {
    if schedule.is_empty() {
        section.mistake("schedule", "it has no pauses", "use pauses such as 1m and 5m, or leave it out");
    } else if schedule.iter().any(|pause| *pause < TIME_MIN) {
        section.mistake("schedule", "it has a pause under a second", "use pauses of 1s or more");
    }
}

/// Why the folder can neither be used nor be made; nothing is changed to find out.
fn why_not_creatable(folder: &Path) -> Option<String> {
    let mut at = std::path::absolute(folder).unwrap_or_else(|_| PathBuf::from(folder));
    loop {
        match std::fs::metadata(&at) {
            Ok(metadata) if !metadata.is_dir() => return Some(format!("{} is no folder", at.display())),
            // the system is asked, because mode bits do not tell whose they are, nor of a read-only file system
            Ok(_) => {
                let allowed = access(&at, Access::WRITE_OK | Access::EXEC_OK);
                return allowed.err().map(|error| format!("{} cannot be written: {error}", at.display()));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if !at.pop() {
                    return Some("there is no folder above it".to_owned());
                }
            }
            Err(error) => return Some(format!("{}: {error}", at.display())),
        }
    }
}
