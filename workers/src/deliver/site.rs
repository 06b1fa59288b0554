//! A site: the hosts that take the mail of one domain or of many, and so what shaping and reuse go by.

use std::fmt;
use std::sync::Arc;

use super::Route;

/// The set of MX hosts of a domain, or the smart host of a route. Domains with the same hosts have the same site. Clones share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(Arc<Hosts>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Hosts {
    name: String,
    /// In lower case, sorted, each once.
    hosts: Vec<String>,
    smart_host: bool,
}

impl Site {
    /// The site of these MX hosts, in any order and case.
    pub fn of_mx_hosts<T: AsRef<str>>(hosts: impl IntoIterator<Item = T>) -> Self {
        let lower = |host: T| host.as_ref().trim_end_matches('.').to_ascii_lowercase();
        let mut hosts: Vec<String> = hosts.into_iter().map(lower).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let name = match hosts.as_slice() {
            [] => "nobody".to_owned(),
            [one] => one.clone(),
            [first, others @ ..] => {
                let hash = crc32c::crc32c(hosts.join(" ").as_bytes());
                format!("{first}+{}#{hash:08x}", others.len())
            }
        };
        Self(Arc::new(Hosts { name, hosts, smart_host: false }))
    }

    /// The site of a route that is no `mx`.
    pub fn of_route(route: &Route) -> Option<Self> {
        let Route::SmartHost { host, .. } = route else { return None };
        let hosts = vec![host.to_ascii_lowercase()];
        Some(Self(Arc::new(Hosts { name: route.to_string(), hosts, smart_host: true })))
    }

    /// A short name that no other site has.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The hosts, sorted.
    pub fn hosts(&self) -> &[String] {
        &self.0.hosts
    }

    /// Whether an operator named the host, and not a domain's DNS.
    pub fn is_smart_host(&self) -> bool {
        self.0.smart_host
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_with_the_same_hosts_have_one_site() {
        let one = Site::of_mx_hosts(["MX2.example.net.", "mx1.example.net"]);
        let other = Site::of_mx_hosts(["mx1.example.net", "mx2.example.net", "mx1.example.net"]);
        assert_eq!(one, other);
        assert_eq!(one.hosts(), ["mx1.example.net", "mx2.example.net"]);
        let third = Site::of_mx_hosts(["mx1.example.net", "mx3.example.net"]);
        assert_ne!(one.name(), third.name());
        assert_eq!(Site::of_mx_hosts(["mx.example.net"]).name(), "mx.example.net");
    }

    #[test]
    fn a_smart_host_is_a_site_of_its_own() {
        let site = Site::of_route(&"smtp://mx.example.net:25".parse().unwrap()).unwrap();
        assert_eq!((site.name(), site.is_smart_host()), ("smtp://mx.example.net:25", true));
        assert_ne!(site, Site::of_mx_hosts(["mx.example.net"]));
        assert_eq!((Site::of_route(&Route::Mx), Site::of_route(&Route::Inbox)), (None, None));
    }
}
