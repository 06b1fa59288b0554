//! What is said about how mail leaves: routes, smart hosts and sources.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use shared::config::{Section, Setting};
use shared::mail::{Domain, TenantId};
use shared::wire::check_secret;
use workers::deliver::shaping::OwnRules;
use workers::deliver::{
    Login, Mechanism, Route, Routes, SecretSource, SmartHost, SmartHostTls, SmartHosts, Source,
};

/// A route as the configuration writes it.
enum Target {
    Route(Route),
    SmartHosts(String),
}

impl Setting for Target {
    const RIGHT: &'static str = "mx, smtp://host:port, smart_host:NAME, inbox or discard";

    fn read(text: &str) -> Option<Self> {
        match text.strip_prefix("smart_host:") {
            Some(name) => Some(Self::SmartHosts(name.to_owned())),
            None => text.parse().ok().map(Self::Route),
        }
    }
}

/// Reads `[[smart_host]]`.
pub(super) fn smart_hosts(root: &mut Section<'_>) -> Vec<Arc<SmartHosts>> {
    let smart_hosts = root.sections("smart_host", smart_host).unwrap_or_default();
    if let Some(name) = twice(smart_hosts.iter().map(|hosts| hosts.name.as_str())) {
        root.mistake("smart_host", format!("{name} is there twice"), "use each name once");
    }
    smart_hosts.into_iter().map(Arc::new).collect()
}

/// Reads `[routes]`.
pub(super) fn routes(
    root: &mut Section<'_>,
    smart_hosts: &[Arc<SmartHosts>],
) -> Option<Vec<(String, Route)>> {
    let rules: Vec<(String, Target)> = root.table("routes")?;
    let mut routes = Vec::with_capacity(rules.len());
    for (pattern, target) in rules {
        let route = match target {
            Target::Route(route) => route,
            Target::SmartHosts(name) => match smart_hosts.iter().find(|hosts| hosts.name == name) {
                Some(hosts) => Route::SmartHosts(Arc::clone(hosts)),
                None => {
                    let wrong = format!("there is no smart host `{}`", name.escape_debug());
                    root.mistake("routes", wrong, "use the name of a [[smart_host]]");
                    continue;
                }
            },
        };
        if Routes::new(Route::Mx).add(&pattern, route.clone()).is_err() {
            let wrong = format!("`{}` is no domain", pattern.escape_debug());
            root.mistake("routes", wrong, "use example.org, *.example.org or *");
        }
        routes.push((pattern, route));
    }
    if !routes.iter().any(|(pattern, _)| pattern == "*") {
        routes.push(("*".to_owned(), Route::Mx));
    }
    Some(routes)
}

fn smart_host(section: &mut Section<'_>) -> SmartHosts {
    let Name(name) = section.required("name", Name("smart-host".to_owned()));
    let implicit_tls = section.value("implicit_tls", false);
    let Tls(tls) = section.value("tls", Tls(SmartHostTls::Verify));
    if implicit_tls && tls == SmartHostTls::Off {
        section.mistake("implicit_tls", "there is no TLS with tls = \"off\"", "leave one of the two out");
    }
    // RFC 8314 §7.3, RFC 6409 §3.1
    let port = if implicit_tls { 465 } else { 587 };
    let hosts = section.sections_within("hosts", "host", |own| host(own, port)).unwrap_or_default();
    if hosts.is_empty() {
        section.mistake("hosts", "there is none", "use [{ host = \"smtp.example.net\" }]");
    }
    let login = section.section("auth", |own| login(own, tls));
    SmartHosts { name, hosts, tls, implicit_tls, login }
}

fn host(section: &mut Section<'_>, port: u16) -> SmartHost {
    let Host(host) = section.required("host", Host(String::new()));
    let port = section.value("port", port);
    if port == 0 {
        section.mistake("port", "nobody listens on port 0", "use 1 to 65535");
    }
    SmartHost { host, port, weight: section.value("weight", 1) }
}

/// Reads `auth`; `None` where nothing is said.
fn login(section: &mut Section<'_>, tls: SmartHostTls) -> Option<Login> {
    let mechanism = section.optional("mechanism").map(|Way(mechanism)| mechanism);
    let (name, secret) = (section.optional("name"), section.optional("secret"));
    let unverified = section.value("unverified", false);
    let (name, secret) = match (name, secret) {
        (None, None) if mechanism.is_none() => return None,
        (Some(name), Some(secret)) => (name, secret),
        (name, _) => {
            let key = if name.is_none() { "name" } else { "secret" };
            section.mistake(key, "it is not set", "set both name and secret, or leave auth out");
            return None;
        }
    };
    if tls != SmartHostTls::Verify && !unverified {
        let wrong = "the secret would go to a server whose certificate is not verified";
        section.mistake("unverified", wrong, "use tls = \"verify\", or say unverified = true");
    }
    Some(Login { mechanism, name, secret: secret_source(section, secret), unverified })
}

/// A URL where it looks like one, and a file otherwise.
fn secret_source(section: &mut Section<'_>, text: String) -> SecretSource {
    let is_url = text.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric())
    });
    if !is_url {
        return SecretSource::File(PathBuf::from(text));
    }
    if let Err(problem) = check_secret(&text) {
        let (wrong, right) = problem.split_once(": ").unwrap_or((&problem, "use ssm:/<path> or a file"));
        section.mistake("secret", wrong, right);
    }
    SecretSource::Secret(text)
}

/// Reads `[[source]]`.
pub(super) fn sources(root: &mut Section<'_>) -> Vec<Source> {
    let sources = root.sections("source", source).unwrap_or_default();
    if let Some(name) = twice(sources.iter().map(|source| source.name.as_str())) {
        root.mistake("source", format!("{name} is there twice"), "use each name once");
    }
    let tenants = sources.iter().flat_map(|source| &source.tenants);
    if let Some(tenant) = twice(tenants.map(|tenant| tenant.0.as_str())) {
        let wrong = format!("tenant {} is there twice", tenant.escape_debug());
        root.mistake("source", wrong, "name each tenant in one source; give that several addresses");
    }
    sources
}

fn source(section: &mut Section<'_>) -> Source {
    let Name(name) = section.required("name", Name("source".to_owned()));
    let addresses: Vec<Local> = section.list("addresses", Vec::new());
    if addresses.is_empty() {
        section.mistake("addresses", "there is none", "use addresses of this machine such as 192.0.2.25");
    }
    let tenants: Vec<String> = section.list("tenants", Vec::new());
    if tenants.is_empty() {
        section.mistake("tenants", "there is none", "name whose mail leaves from here; * is all others'");
    }
    Source {
        name,
        addresses: addresses.into_iter().map(|Local(address)| address).collect(),
        helo: section.optional::<Domain>("helo").map(|domain| domain.to_string()),
        tenants: tenants.into_iter().map(TenantId).collect(),
    }
}

/// Reads `[shaping]`. What is wrong with the rules themselves is told where they are read.
pub(super) fn shaping(section: &mut Section<'_>) -> OwnRules {
    let (file, text) = (section.optional("rules"), section.optional("rules_text"));
    match (file, text) {
        (None, None) => OwnRules::None,
        (Some(file), None) => OwnRules::File(file),
        (None, Some(text)) => OwnRules::Text(text),
        (Some(file), Some(_)) => {
            let wrong = "the rules are in a file (shaping.rules) already";
            section.mistake("rules_text", wrong, "leave one of the two out");
            OwnRules::File(file)
        }
    }
}

/// The first of `names` that comes a second time.
fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut known = HashSet::new();
    names.filter(|name| !known.insert(*name)).map(str::to_owned).next()
}

/// A short name that stands in routes, traces and logs.
struct Name(String);

impl Setting for Name {
    const RIGHT: &'static str = "letters, digits, hyphens and underscores";

    fn read(text: &str) -> Option<Self> {
        let right = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        (!text.is_empty() && text.bytes().all(right)).then(|| Self(text.to_owned()))
    }
}

/// A host by its name or address.
struct Host(String);

impl Setting for Host {
    const RIGHT: &'static str = "a name such as smtp.example.net, or an address";

    fn read(text: &str) -> Option<Self> {
        let ip = text.parse::<IpAddr>().ok().map(|ip| ip.to_string());
        ip.or_else(|| Domain::parse(text).ok().map(|domain| domain.to_string())).map(Self)
    }
}

/// An address that a connection can be made from.
struct Local(IpAddr);

impl Setting for Local {
    const RIGHT: &'static str = "an address of this machine such as 192.0.2.25";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast()).map(Self)
    }
}

struct Tls(SmartHostTls);

impl Setting for Tls {
    const RIGHT: &'static str = "verify, require, may or off";

    fn read(text: &str) -> Option<Self> {
        match text {
            "verify" => Some(Self(SmartHostTls::Verify)),
            "require" => Some(Self(SmartHostTls::Require)),
            "may" => Some(Self(SmartHostTls::May)),
            "off" => Some(Self(SmartHostTls::Off)),
            _ => None,
        }
    }
}

struct Way(Mechanism);

impl Setting for Way {
    const RIGHT: &'static str = "scram-sha-256, plain, login or xoauth2";

    fn read(text: &str) -> Option<Self> {
        match text {
            "scram-sha-256" => Some(Self(Mechanism::ScramSha256)),
            "plain" => Some(Self(Mechanism::Plain)),
            "login" => Some(Self(Mechanism::Login)),
            "xoauth2" => Some(Self(Mechanism::XOauth2)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
