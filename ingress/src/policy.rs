//! Who may send to whom.

use std::net::IpAddr;

use ipnet::IpNet;
use shared::mail::{Domain, Mailbox, Reply, Timestamp};

use crate::Settings;
use crate::allowance::Exceeded;

/// The rules by which a recipient is taken or refused.
pub(crate) struct Policy {
    trusted_networks: Vec<IpNet>,
    proxy_networks: Vec<IpNet>,
    xclient_networks: Vec<IpNet>,
    own_domain: Option<Domain>,
}

impl Policy {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            trusted_networks: settings.trusted_networks.clone(),
            proxy_networks: settings.proxy_networks.clone(),
            xclient_networks: settings.xclient_networks.clone(),
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

/// What the sender of a message gets that is not its credential's (RFC 6409 §6.1).
pub(crate) fn sender_not_allowed(credential: &str) -> Reply {
    Reply::new(553, (7, 1), format!("{credential} may not send from this address"))
}

/// What the author of one gets likewise.
pub(crate) fn author_not_allowed(credential: &str) -> Reply {
    Reply::new(550, (7, 1), format!("{credential} may not send with this From field"))
}

/// What a sender gets whose credential has sent as much as it may.
pub(crate) fn allowance_exceeded(exceeded: Exceeded, now: Timestamp) -> Reply {
    let Exceeded { until, which } = exceeded;
    let wait = until.since(now).as_millis().div_ceil(1000);
    Reply::new(450, (7, 1), format!("limit of {which} messages reached, try again in {wait} s"))
}

/// What a client gets while it cannot be known what it may.
pub(crate) fn unknown_now() -> Reply {
    Reply::new(451, (3, 0), "temporary failure, try again later")
}

/// What a recipient gets who is not there.
pub(crate) fn no_such_recipient() -> Reply {
    Reply::new(550, (1, 1), "no such recipient here")
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
            ..Settings::default()
        })
    }

    #[test]
    fn the_own_postmaster_is_known() {
        let is_own = |recipient: &str| policy().is_own_postmaster(&recipient.parse().unwrap());
        assert!(is_own("Postmaster@EDGE.example"));
        assert!(!is_own("postmaster@far.example") && !is_own("root@edge.example"));
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
