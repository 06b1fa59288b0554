//! The keys of what is taken in, and from whom: limits and checks of clients.

use std::net::Ipv4Addr;

use ingress::{Action, CheckSettings, DNSBLS_MAX, Dnsbl, Limits};
use shared::config::{Octets, Section, Setting};
use shared::directory::Rate;
use shared::mail::Domain;

use super::check::check_time;
use crate::limits::{COMMITS_IN_BUCKET, STREAMED_OCTETS_IN_BUCKET};

/// An [`Action`] as the configuration writes it.
struct Word(Action);

impl Setting for Word {
    const RIGHT: &'static str = "accept, tag, defer or refuse";

    fn read(text: &str) -> Option<Self> {
        match text {
            "accept" => Some(Self(Action::Accept)),
            "tag" => Some(Self(Action::Tag)),
            "defer" => Some(Self(Action::Defer)),
            "refuse" => Some(Self(Action::Refuse)),
            _ => None,
        }
    }
}

/// A rate, or none.
struct MostlyRate(Option<Rate>);

impl Setting for MostlyRate {
    const RIGHT: &'static str = "a rate such as 100/s, 300/m or 20000/h, or off";

    fn read(text: &str) -> Option<Self> {
        if text == "off" { Some(Self(None)) } else { text.parse().ok().map(|rate| Self(Some(rate))) }
    }
}

/// `[checks]` and each `[[dnsbl]]`.
pub(super) fn checks(root: &mut Section<'_>) -> CheckSettings {
    let default = CheckSettings::default();
    let (reverse_dns, timeout) = root.section("checks", |own| {
        let Word(reverse_dns) = own.value("reverse_dns", Word(default.reverse_dns));
        let timeout = own.value("timeout", default.timeout);
        check_time("timeout", timeout, own);
        (reverse_dns, timeout)
    });
    let dnsbls = root.sections("dnsbl", dnsbl).unwrap_or(default.dnsbls);
    if dnsbls.len() > DNSBLS_MAX {
        root.mistake("dnsbl", format!("there are {}", dnsbls.len()), format!("use {DNSBLS_MAX} at most"));
    }
    for (at, one) in dnsbls.iter().enumerate() {
        if dnsbls[..at].iter().any(|before| before.zone == one.zone) {
            root.mistake("dnsbl", format!("{} is there twice", one.zone), "use each zone once");
        }
    }
    CheckSettings { reverse_dns, timeout, dnsbls }
}

fn dnsbl(section: &mut Section<'_>) -> Dnsbl {
    let zone: Domain = section.required("zone", Domain::from_ip(Ipv4Addr::LOCALHOST.into()));
    let Word(action) = section.value("action", Word(Action::Tag));
    let answers = section.list("answers", Vec::<Ipv4Addr>::new());
    if answers.iter().any(|answer| !answer.is_loopback()) {
        section.mistake("answers", "lists answer within 127.0.0.0/8", "use addresses such as 127.0.0.2");
    }
    Dnsbl { zone, action, answers }
}

/// `[limits]`; in a bucket, some have other defaults.
pub(super) fn limits(section: &mut Section<'_>, in_bucket: bool) -> Limits {
    let default = Limits::default();
    // a disk does one thing at a time; a bucket answers two commits in the time of one, and takes parts of megabytes
    let (commits, streamed_memory_octets) = if in_bucket {
        (COMMITS_IN_BUCKET, STREAMED_OCTETS_IN_BUCKET)
    } else {
        (default.commits_in_flight, default.streamed_memory_octets)
    };
    let mut octets = |key: &str, default: u32| {
        let Octets(octets) = section.value(key, Octets(default.into()));
        u32::try_from(octets).unwrap_or_else(|_| {
            section.mistake(key, "it is too large", "use less than 4GiB");
            default
        })
    };
    let memory_octets = octets("memory_octets", default.memory_octets);
    let pack_octets = octets("pack_octets", default.pack_octets.try_into().unwrap_or(u32::MAX));
    let least_content_rate = octets("least_content_rate", default.least_content_rate);
    let Octets(session_memory_octets) =
        section.value("session_memory_octets", Octets(default.session_memory_octets));
    let limits = Limits {
        memory_octets,
        streamed_memory_octets,
        least_content_rate,
        session_memory_octets,
        pack_octets: pack_octets.try_into().unwrap_or(usize::MAX),
        message_octets: section.value("message_octets", Octets(default.message_octets)).0,
        recipients: section.value("recipients", default.recipients),
        connections: section.value("connections", default.connections),
        connections_each: section.value("connections_each", default.connections_each),
        connections_network: section.value("connections_network", default.connections_network),
        connection_rate: section.value("connection_rate", MostlyRate(default.connection_rate)).0,
        message_rate: section.value("message_rate", MostlyRate(default.message_rate)).0,
        idle_commands: section.value("idle_commands", default.idle_commands),
        refused_recipients: section.value("refused_recipients", default.refused_recipients),
        greeting_delay: section.value("greeting_delay", default.greeting_delay),
        handshake_timeout: section.value("handshake_timeout", default.handshake_timeout),
        proxy_timeout: section.value("proxy_timeout", default.proxy_timeout),
        command_timeout: section.value("command_timeout", default.command_timeout),
        content_timeout: section.value("content_timeout", default.content_timeout),
        hold: section.value("hold", default.hold),
        auth_failures: section.value("auth_failures", default.auth_failures),
        auth_failures_each: section.value("auth_failures_each", default.auth_failures_each),
        auth_failures_name: section.value("auth_failures_name", default.auth_failures_name),
        auth_failures_window: section.value("auth_failures_window", default.auth_failures_window),
        pack_messages: section.value("pack_messages", default.pack_messages),
        commits_in_flight: section.value("commits_in_flight", commits),
        ..default
    };
    check(&limits, section);
    limits
}

/// Notes values that keep every client out.
fn check(limits: &Limits, section: &mut Section<'_>) {
    for (key, value) in [
        ("connections_network", limits.connections_network),
        ("idle_commands", usize::try_from(limits.idle_commands).unwrap_or(usize::MAX)),
        ("refused_recipients", usize::try_from(limits.refused_recipients).unwrap_or(usize::MAX)),
    ] {
        if value == 0 {
            section.mistake(key, "nothing works with 0", "use 1 or more");
        }
    }
    if limits.session_memory_octets < (ingress::SESSION_OCTETS + ingress::TLS_OCTETS).into() {
        section.mistake("session_memory_octets", "no session would ever fit", "use 1MiB or more");
    }
    if limits.greeting_delay >= limits.command_timeout {
        section.mistake("greeting_delay", "no client waits so long", "use a few seconds, such as 5s");
    }
    check_time("handshake_timeout", limits.handshake_timeout, section);
    check_time("proxy_timeout", limits.proxy_timeout, section);
}
