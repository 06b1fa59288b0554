//! A site: the servers that a domain's mail is taken to, by which connections, limits, and whatever else concerns servers, are shared. A
//! hundred domains at one provider are one site.

use std::fmt;
use std::sync::Arc;

use super::SmartHosts;

/// A set of servers, whatever their order. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(Arc<Servers>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Servers {
    name: String,
    /// In lower case, sorted, each once.
    hosts: Vec<String>,
    named_by_operator: bool,
}

impl Site {
    /// The hosts that a domain's MX records name, in any order and case. For a domain without, its own name; for an address literal,
    /// the address.
    pub fn of_hosts<T: AsRef<str>>(hosts: impl IntoIterator<Item = T>) -> Self {
        let hosts = sorted(hosts);
        Self(Arc::new(Servers { name: name(&hosts), hosts, named_by_operator: false }))
    }

    /// The hosts of a smart-host route. They are a site of their own, even where an MX record names them too: they are spoken to at
    /// another port, or with credentials.
    pub fn of_route(route: &SmartHosts) -> Self {
        let name = name(&sorted(route.hosts.iter().map(|host| format!("smtp://{host}"))));
        let hosts = sorted(route.hosts.iter().map(|host| &host.host));
        Self(Arc::new(Servers { name, hosts, named_by_operator: true }))
    }

    /// A short name that no other site has.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its hosts, sorted, in lower case.
    pub fn hosts(&self) -> &[String] {
        &self.0.hosts
    }

    /// Whether an operator named the hosts, and not a domain's DNS.
    pub fn is_smart_host(&self) -> bool {
        self.0.named_by_operator
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn sorted<T: AsRef<str>>(hosts: impl IntoIterator<Item = T>) -> Vec<String> {
    let lower = |host: T| host.as_ref().trim_end_matches('.').to_ascii_lowercase();
    let mut hosts: Vec<String> = hosts.into_iter().map(lower).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// The first host, and how many others, told from those of another site by their hash.
fn name(hosts: &[String]) -> String {
    match hosts {
        [] => "no host".to_owned(),
        [only] => only.clone(),
        [first, others @ ..] => {
            let hash = crc32c::crc32c(hosts.join(" ").as_bytes());
            format!("{first}+{}#{hash:08x}", others.len())
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
        assert_eq!(one.hosts(), ["mx1.example.net", "mx2.example.net"]);
        let third = Site::of_hosts(["mx1.example.net", "mx3.example.net"]);
        assert_ne!(one.name(), third.name());
        assert_eq!(Site::of_hosts(["mx1.example.net"]).name(), "mx1.example.net");
    }

    #[test]
    fn a_smart_host_is_a_site_of_its_own() {
        let site = Site::of_route(&SmartHosts::only("mx.example.net", 25));
        assert_eq!((site.name(), site.is_smart_host()), ("smtp://mx.example.net:25", true));
        assert_eq!(site.hosts(), ["mx.example.net"]);
        assert_ne!(site, Site::of_hosts(["mx.example.net"]));
    }
}
