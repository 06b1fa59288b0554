//! How a domain's mail leaves, and which rule says so.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use shared::mail::Domain;
use thiserror::Error;

use super::SmartHosts;

/// A target of mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// The hosts that the domain's MX records name.
    Mx,
    /// One smart host, whoever the recipient.
    SmartHost {
        /// Name, IPv4 or IPv6 address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Smart hosts that the configuration tells more of, whoever the recipient.
    SmartHosts(Arc<SmartHosts>),
    /// `.eml` files below the data folder, for development.
    Inbox,
    /// Nowhere.
    Discard,
}

/// A text that is not a route.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// It is none, or not in a form that says all of it.
    #[error("`{0}` is not a route: use mx, smtp://host:port, inbox or discard")]
    Unreadable(String),
    /// It names smart hosts that the configuration does not have.
    #[error("there is no smart host `{name}`: {}", known.as_deref().map_or("the configuration names none".to_owned(), |known| format!("use {known}")))]
    NoSmartHosts {
        /// What it names.
        name: String,
        /// The routes by those that there are.
        known: Option<String>,
    },
}

impl Route {
    /// The route that `text` is, where smart hosts may be named that are among `known`.
    pub fn named(text: &str, known: &[Arc<SmartHosts>]) -> Result<Self, RouteError> {
        let Some(name) = text.strip_prefix(SMART_HOSTS) else { return text.parse() };
        let found = known.iter().find(|hosts| hosts.name == name);
        found.map(|hosts| Self::SmartHosts(Arc::clone(hosts))).ok_or_else(|| {
            let routes: Vec<String> =
                known.iter().map(|hosts| format!("{SMART_HOSTS}{}", hosts.name)).collect();
            let known = (!routes.is_empty()).then(|| routes.join(" or "));
            RouteError::NoSmartHosts { name: name.escape_debug().to_string(), known }
        })
    }
}

/// What a route by smart hosts begins with, before their name.
const SMART_HOSTS: &str = "smart_host:";

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        match text {
            "mx" => Ok(Self::Mx),
            "inbox" => Ok(Self::Inbox),
            "discard" => Ok(Self::Discard),
            _ => smart_host(text).ok_or_else(|| RouteError::Unreadable(text.to_owned())),
        }
    }
}

fn smart_host(text: &str) -> Option<Route> {
    let (host, port) = text.strip_prefix("smtp://")?.trim_end_matches('/').rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None => Domain::parse(host).ok()?.to_string(),
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Route::SmartHost { host, port })
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx => f.write_str("mx"),
            Self::SmartHost { host, port } if host.contains(':') => write!(f, "smtp://[{host}]:{port}"),
            Self::SmartHost { host, port } => write!(f, "smtp://{host}:{port}"),
            Self::SmartHosts(hosts) => write!(f, "{SMART_HOSTS}{}", hosts.name),
            Self::Inbox => f.write_str("inbox"),
            Self::Discard => f.write_str("discard"),
        }
    }
}

/// The routes of an edge. Patterns are `example.org`, `*.example.org` (its subdomains) and `*`; the most specific wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    rules: Vec<(String, Route)>,
    fallback: Route,
}

/// One rule of the routes: what it is for, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule<'a> {
    /// The pattern, as a configuration writes it.
    pub pattern: &'a str,
    /// How mail leaves.
    pub route: &'a Route,
}

impl Routes {
    /// Routes with `fallback` where no rule fits.
    pub fn new(fallback: Route) -> Self {
        Self { rules: Vec::new(), fallback }
    }

    /// Adds a rule; a later one for the same pattern takes the place of an earlier one.
    pub fn add(&mut self, pattern: &str, route: Route) -> Result<(), shared::mail::AddressError> {
        if pattern == "*" {
            self.fallback = route;
            return Ok(());
        }
        let pattern = match pattern.strip_prefix("*.") {
            Some(parent) => format!("*.{}", Domain::parse(parent)?),
            None => Domain::parse(pattern)?.to_string(),
        };
        self.rules.retain(|(known, _)| *known != pattern);
        self.rules.push((pattern, route));
        Ok(())
    }

    /// The rule for mail to `domain`.
    pub fn find(&self, domain: &Domain) -> Rule<'_> {
        let domain = domain.as_str();
        let fits = |pattern: &str| match pattern.strip_prefix('*') {
            Some(parent) => domain.ends_with(parent),
            None => pattern == domain,
        };
        let rules = self.rules.iter().filter(|(pattern, _)| fits(pattern));
        // of two patterns that fit one domain, the longer one is the more specific
        rules
            .max_by_key(|(pattern, _)| pattern.trim_start_matches("*.").len())
            .map_or(Rule { pattern: "*", route: &self.fallback }, |(pattern, route)| Rule { pattern, route })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_rule_wins_and_names_itself() {
        let mut routes = Routes::new(Route::Inbox);
        for (pattern, route) in [
            ("*.example.org", "discard"),
            ("a.example.org", "mx"),
            ("*.b.example.org", "smtp://h.example:26"),
        ] {
            routes.add(pattern, route.parse().unwrap()).unwrap();
        }
        for (domain, pattern, route) in [
            ("example.org", "*", "inbox"),
            ("x.example.org", "*.example.org", "discard"),
            ("xexample.org", "*", "inbox"),
            ("a.example.org", "a.example.org", "mx"),
            ("x.a.example.org", "*.example.org", "discard"),
            ("x.b.example.org", "*.b.example.org", "smtp://h.example:26"),
            ("other.net", "*", "inbox"),
        ] {
            let rule = routes.find(&domain.parse().unwrap());
            assert_eq!((rule.pattern, rule.route.to_string().as_str()), (pattern, route), "{domain}");
        }
    }

    #[test]
    fn smart_hosts_are_found_by_their_names_and_those_that_there_are_are_told() {
        let known = ["relay", "spare"].map(|name| {
            Arc::new(SmartHosts { name: name.to_owned(), ..SmartHosts::only("smtp.example.net", 587) })
        });
        let route = Route::named("smart_host:spare", &known).unwrap();
        assert_eq!(route, Route::SmartHosts(Arc::clone(&known[1])));
        assert_eq!(Route::named("mx", &known), Ok(Route::Mx));
        let told = |text: &str, known: &[Arc<SmartHosts>]| Route::named(text, known).unwrap_err().to_string();
        assert_eq!(
            told("smart_host:x", &known),
            "there is no smart host `x`: use smart_host:relay or smart_host:spare"
        );
        assert_eq!(told("smart_host:x", &[]), "there is no smart host `x`: the configuration names none");
        assert!(told("smtp:x", &known).starts_with("`smtp:x` is not a route"));
    }

    #[test]
    fn targets_are_read_and_written_in_one_form() {
        for text in [
            "mx",
            "inbox",
            "discard",
            "smtp://relay.example:587",
            "smtp://192.0.2.1:25",
            "smtp://[2001:db8::1]:25",
        ] {
            assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "MX",
            "smtp://",
            "smtp://host",
            "smtp://host:0",
            "smtp://host:99999",
            "http://h:1",
            "smtp://2001:db8::1:25",
        ] {
            assert!(text.parse::<Route>().is_err(), "{text}");
        }
    }
}
