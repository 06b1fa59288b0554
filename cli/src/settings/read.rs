//! The keys, each with its default.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use shared::config::{Mistake, Read, Section, Setting};
use shared::mail::Domain;
use workers::deliver::{DomainRetry, RetrySettings};

use super::auth::auth;
use super::check::{ADDRESS_RIGHT, Taken, check, check_schedule, check_time};
use super::{
    BareLf, Deliver, Kind, Listener, Log, Reader, Role, Roles, Settings, Stores, Timeouts, leaving, outcomes,
    taking_in, tls, tls_policy, tls_reports,
};
use crate::args::DATA;

/// Reads the settings of an edge for `reader`, or lists everything that is wrong with them.
pub(crate) fn read(
    toml: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    reader: Reader,
) -> Result<Read<Settings>, Vec<Mistake>> {
    shared::config::read(toml, environment, |root| {
        let settings = settings(root, reader);
        check(&settings, reader, root);
        settings
    })
}

fn settings(root: &mut Section<'_>, reader: Reader) -> Settings {
    let roles = roles(root, reader);
    let stand_in = Domain::from_ip(std::net::Ipv4Addr::LOCALHOST.into());
    let tls_reports = root.section("tls_reports", tls_reports::tls_reports);
    // a report says whose it is
    let hostname = if roles.have_a_name() || (roles.has(Role::Sweep) && tls_reports.is_some()) {
        root.required("hostname", stand_in)
    } else {
        root.value("hostname", stand_in)
    };
    let data = root.value("data", PathBuf::from(DATA));
    let default = Settings::new(hostname, data);
    let mut taken = Taken::default();
    let tls = root.section("tls", tls::read);
    let listeners = root.sections("listener", |own| listener(own, &mut taken, tls.is_some()));
    let stores = root.section("stores", stores);
    let smart_hosts = leaving::smart_hosts(root);
    let in_bucket = stores.spool.as_ref().is_some_and(|url| url.starts_with("s3:"));
    Settings {
        inbox: root.value("inbox", default.inbox),
        listeners: listeners.unwrap_or_else(|| tls::offered(default.listeners, tls.is_some())),
        tls,
        trusted_networks: root.list("trusted_networks", default.trusted_networks),
        relay_domains: root.list("relay_domains", default.relay_domains),
        proxy_networks: root.list("proxy_networks", default.proxy_networks),
        xclient_networks: root.list("xclient_networks", default.xclient_networks),
        checks: taking_in::checks(root),
        routes: leaving::routes(root, &smart_hosts).unwrap_or(default.routes),
        smart_hosts,
        sources: leaving::sources(root),
        auth: root.section("auth", auth),
        limits: root.section("limits", |own| taking_in::limits(own, in_bucket)),
        retry: root.section("retry", retry),
        bounces: root.section("bounces", outcomes::bounces),
        suppression: root.section("suppression", outcomes::suppression),
        stores,
        dns: root.section("dns", |own| tls_policy::dns(own, default.dns)),
        tls_policy: tls_policy::overrides(root),
        deliver: root.section("deliver", deliver),
        tls_reports,
        shaping_rules: root.section("shaping", leaving::shaping),
        http: root.section("http", |http| http.optional("address")),
        log: root.section("log", log),
        roles,
        hostname: default.hostname,
        data: default.data,
    }
}

fn roles(root: &mut Section<'_>, reader: Reader) -> Roles {
    let set = root.list("roles", Role::ALL.into());
    if set.is_empty() {
        root.mistake("roles", "there is none that could be had", format!("use {}", Role::RIGHT));
    }
    match reader {
        Reader::Function(role) if !set.contains(&role) => {
            let wrong = format!("the handler of this function is {}", role.as_str());
            root.mistake("roles", wrong, "leave it out");
            Roles(vec![role])
        }
        Reader::Function(role) => Roles(vec![role]),
        Reader::Edge | Reader::Command(_) => Roles(set),
    }
}

fn listener(section: &mut Section<'_>, taken: &mut Taken, has_certificate: bool) -> Listener {
    let stand_in = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let address = section.required("address", stand_in);
    if let Some(wrong) = taken.claim(address) {
        section.mistake("address", wrong, ADDRESS_RIGHT);
    }
    Listener {
        address,
        kind: section.value("kind", Kind::Submission),
        bare_lf: section.value("bare_lf", BareLf::Refuse),
        tls: tls::of_listener(section, has_certificate),
        proxy_protocol: section.value("proxy_protocol", false),
    }
}

fn retry(section: &mut Section<'_>) -> RetrySettings {
    let default = RetrySettings::default();
    let schedule = section.list("schedule", default.schedule);
    check_schedule(&schedule, section);
    let named = section.named("domains", |name, own| (name.to_owned(), domain_retry(own, &schedule)));
    let mut domains = HashMap::with_capacity(named.len());
    for (name, own) in named {
        if let Ok(domain) = Domain::parse(&name) {
            domains.insert(domain, own);
        } else {
            let wrong = format!("`{}` is no domain", name.escape_debug());
            section.mistake("domains", wrong, format!("use {}", Domain::RIGHT));
        }
    }
    RetrySettings {
        schedule,
        lifetime: section.value("lifetime", default.lifetime),
        jitter: section.value("jitter", default.jitter),
        delay_notice: section.value("delay_notice", default.delay_notice),
        domains,
    }
}

fn domain_retry(section: &mut Section<'_>, general: &[Duration]) -> DomainRetry {
    let lifetime = section.optional("lifetime");
    if let Some(lifetime) = lifetime {
        check_time("lifetime", lifetime, section);
    }
    let schedule = Some(section.list("schedule", general.to_vec())).filter(|own| own != general);
    if let Some(own) = &schedule {
        check_schedule(own, section);
    }
    DomainRetry { schedule, lifetime }
}

fn stores(section: &mut Section<'_>) -> Stores {
    let default = Stores::default();
    Stores {
        spool: section.optional("spool"),
        queue_inbound: section.optional("queue_inbound"),
        queue_outbound: section.optional("queue_outbound"),
        state: section.optional("state"),
        directory: section.optional("directory"),
        keys: section.optional("keys"),
        counters: section.optional("counters"),
        retention: section.value("retention", default.retention),
        memory: section.value("memory", default.memory),
    }
}

fn deliver(section: &mut Section<'_>) -> Deliver {
    let default = Deliver::default();
    Deliver {
        port: section.value("port", default.port),
        allow_private_addresses: section.value("allow_private_addresses", default.allow_private_addresses),
        connections: section.value("connections", default.connections),
        messages_per_connection: section.value("messages_per_connection", default.messages_per_connection),
        keep: section.value("keep", default.keep),
        kept_per_site: section.value("kept_per_site", default.kept_per_site),
        stagger: section.value("stagger", default.stagger),
        timeouts: section.section("timeouts", |own| timeouts(own, default.timeouts)),
    }
}

fn timeouts(section: &mut Section<'_>, default: Timeouts) -> Timeouts {
    Timeouts {
        connect: section.value("connect", default.connect),
        greeting: section.value("greeting", default.greeting),
        command: section.value("command", default.command),
        mail: section.value("mail", default.mail),
        rcpt: section.value("rcpt", default.rcpt),
        data: section.value("data", default.data),
        block: section.value("block", default.block),
        end: section.value("end", default.end),
    }
}

fn log(section: &mut Section<'_>) -> Log {
    Log { format: section.optional("format"), filter: section.value("level", Log::default().filter) }
}
