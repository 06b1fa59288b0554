//! Who may send to whom.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use shared::mail::{Domain, Mailbox, Reply};

use crate::Settings;

/// The rules by which a recipient is taken or refused.
pub(crate) struct Policy {
    trusted_networks: Vec<IpNet>,
    proxy_networks: Vec<IpNet>,
    xclient_networks: Vec<IpNet>,
    relay_domains: HashSet<Domain>,
    own_domain: Option<Domain>,
}

impl Policy {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            trusted_networks: settings.trusted_networks.clone(),
            proxy_networks: settings.proxy_networks.clone(),
            xclient_networks: settings.xclient_networks.clone(),
            relay_domains: settings.relay_domains.iter().cloned().collect(),
            own_domain: Domain::parse(&settings.hostname).ok(),
        }
    }

    /// Whether mail from `ip` is a submission.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        holds(&self.trusted_networks, ip)
    }

    /// Whether `peer` is a load balancer, whose PROXY header is believed.
    pub(crate) fn is_balancer(&self, peer: IpAddr) -> bool {
        holds(&self.proxy_networks, peer)
    }

    /// Whether `peer` may say by XCLIENT where its client is.
    pub(crate) fn may_xclient(&self, peer: IpAddr) -> bool {
        holds(&self.xclient_networks, peer)
    }

    /// Whether mail for `recipient` is taken from anybody.
    pub(crate) fn is_ours(&self, recipient: &Mailbox) -> bool {
        self.relay_domains.contains(recipient.domain()) || self.is_own_postmaster(recipient)
    }

    /// Every server takes mail for its postmaster (RFC 5321 §4.5.1).
    pub(crate) fn is_own_postmaster(&self, recipient: &Mailbox) -> bool {
        self.own_domain.as_ref() == Some(recipient.domain())
            && recipient.local_part().eq_ignore_ascii_case("postmaster")
    }
}

/// Whether the local part names a way on from here: `user%far@ours`, `far!user@ours`, `"user@far"@ours`. Whatever software takes the
/// mail in the end may follow it, and relay for a stranger.
pub(crate) fn is_routed(recipient: &Mailbox) -> bool {
    recipient.local_part().contains(['%', '!', '@', ':'])
}

fn holds(networks: &[IpNet], ip: IpAddr) -> bool {
    // a socket on [::] shows IPv4 clients as ::ffff:a.b.c.d
    let ip = ip.to_canonical();
    networks.iter().any(|network| network.contains(&ip))
}

/// What a sender gets who must say first who it is (RFC 4954 §6).
pub(crate) fn authentication_required() -> Reply {
    Reply::new(530, (7, 0), "authentication required")
}

/// What a recipient gets to whom the client may not send.
pub(crate) fn relay_denied() -> Reply {
    Reply::new(550, (7, 1), "relaying denied")
}

/// What a recipient gets for whom there is no memory.
pub(crate) fn no_room() -> Reply {
    Reply::new(452, (3, 1), "no room for more recipients now, send to them separately or later")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::new(&Settings {
            hostname: "edge.example".to_owned(),
            trusted_networks: vec!["10.0.0.0/8".parse().unwrap()],
            proxy_networks: vec!["192.0.2.0/25".parse().unwrap()],
            xclient_networks: vec!["192.0.2.128/25".parse().unwrap()],
            relay_domains: vec!["example.org".parse().unwrap()],
            ..Settings::default()
        })
    }

    #[test]
    fn mail_is_taken_from_anybody_for_relay_domains_and_the_own_postmaster() {
        let is_ours = |recipient: &str| policy().is_ours(&recipient.parse().unwrap());
        assert!(is_ours("a@EXAMPLE.org") && is_ours("Postmaster@edge.example"));
        assert!(!is_ours("a@far.example") && !is_ours("root@edge.example"));
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_socket_is_trusted_by_its_ipv4_address() {
        assert!(policy().trusts("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!policy().trusts("192.0.2.1".parse().unwrap()));
    }
    #[test]
    fn only_listed_networks_may_speak_for_others() {
        let (balancer, proxy) = ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.129".parse().unwrap());
        assert!(policy().is_balancer(balancer) && !policy().is_balancer(proxy));
        assert!(policy().may_xclient(proxy) && !policy().may_xclient(balancer));
    }
}
