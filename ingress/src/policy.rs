//! Who may send to whom.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use shared::mail::{Domain, Mailbox, Reply};

use crate::Settings;

/// The rules by which a recipient is taken or refused.
pub(crate) struct Policy {
    trusted_networks: Vec<IpNet>,
    relay_domains: HashSet<Domain>,
    own_domain: Option<Domain>,
}

impl Policy {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            trusted_networks: settings.trusted_networks.clone(),
            relay_domains: settings.relay_domains.iter().cloned().collect(),
            own_domain: Domain::parse(&settings.hostname).ok(),
        }
    }

    /// Whether mail from `ip` is a submission.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        // a socket on [::] shows IPv4 clients as ::ffff:a.b.c.d
        let ip = ip.to_canonical();
        self.trusted_networks.iter().any(|network| network.contains(&ip))
    }

    /// Whether a client may send to `recipient`.
    pub(crate) fn may_relay(&self, trusted: bool, recipient: &Mailbox) -> bool {
        trusted || self.relay_domains.contains(recipient.domain()) || self.is_own_postmaster(recipient)
    }

    /// Every server takes mail for its postmaster (RFC 5321 §4.5.1).
    fn is_own_postmaster(&self, recipient: &Mailbox) -> bool {
        self.own_domain.as_ref() == Some(recipient.domain())
            && recipient.local_part().eq_ignore_ascii_case("postmaster")
    }
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
            relay_domains: vec!["example.org".parse().unwrap()],
            ..Settings::default()
        })
    }

    #[test]
    fn trusted_clients_reach_any_domain_and_others_only_the_relay_domains() {
        let (policy, far, near) =
            (policy(), "a@far.example".parse().unwrap(), "a@EXAMPLE.org".parse().unwrap());
        assert!(policy.may_relay(true, &far) && !policy.may_relay(false, &far));
        assert!(policy.may_relay(false, &near));
        assert!(policy.may_relay(false, &"Postmaster@edge.example".parse().unwrap()));
        assert!(!policy.may_relay(false, &"root@edge.example".parse().unwrap()));
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_socket_is_trusted_by_its_ipv4_address() {
        assert!(policy().trusts("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!policy().trusts("192.0.2.1".parse().unwrap()));
    }
}
