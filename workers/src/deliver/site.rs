//! A site: the servers that a domain's mail is taken to, by which connections, and whatever else concerns servers, are shared. A hundred
//! domains at one provider are one site.

use std::fmt;
use std::sync::Arc;

use super::SmartHosts;

/// A set of servers, whatever their order. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(Arc<[String]>);

impl Site {
    /// The hosts that a domain's MX records name, in any order and case. For a domain without, its own name; for an address literal,
    /// the address.
    pub fn of_hosts<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Self {
        let lower = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
        let mut hosts: Vec<String> = hosts.into_iter().map(lower).collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self(hosts.into())
    }

    /// The hosts of a smart-host route. They are a site of their own, even where an MX record names them too: they are spoken to at
    /// another port, or with credentials.
    pub(super) fn of_route(route: &SmartHosts) -> Self {
        let hosts: Vec<String> = route.hosts.iter().map(|host| format!("smtp://{host}")).collect();
        Self::of_hosts(hosts.iter().map(String::as_str))
    }

    /// Its hosts, sorted, in lower case.
    pub fn hosts(&self) -> &[String] {
        &self.0
    }
}

/// A short name for logs and a person: the first host, and how many more there are.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            [] => f.write_str("no host"),
            [only] => f.write_str(only),
            [first, others @ ..] => write!(f, "{first}+{}", others.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_domains_at_one_provider_are_one_site_whatever_the_order_and_case() {
        let one = Site::of_hosts(["MX2.example.net", "mx1.example.net."]);
        let other = Site::of_hosts(["mx1.example.net", "mx2.example.net", "mx1.example.net"]);
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "mx1.example.net+1");
        assert_eq!(one.hosts(), ["mx1.example.net", "mx2.example.net"]);
        let fewer = Site::of_hosts(["mx1.example.net"]);
        assert_ne!(one, fewer);
        assert_eq!(fewer.to_string(), "mx1.example.net");
    }
}
