//! Facts about a client, and the decision that policy makes of them.

use std::net::IpAddr;

use shared::mail::{ClientDns, Reply, ReverseDns};

use crate::{Action, CheckSettings};

/// What is known of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientFacts {
    pub(crate) reverse: Reverse,
    /// The zones that list it, in the order of the settings. One that did not answer does not list it: no list is worth a stall.
    pub(crate) listed: Vec<String>,
}

/// What reverse DNS with forward confirmation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reverse {
    /// The address has this name, which has the address.
    Confirmed(String),
    /// It has names, and none has the address.
    Unconfirmed,
    /// It has no name.
    None,
    /// The DNS did not answer, or not in time.
    Unknown,
}

/// What becomes of a client's recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Accept,
    Defer(Reply),
    Refuse(Reply),
}

impl ClientFacts {
    /// The worst that any check asks for.
    pub(super) fn decide(&self, client: IpAddr, settings: &CheckSettings) -> Decision {
        let listed = |action| {
            let zone = settings.dnsbls.iter().filter(|dnsbl| dnsbl.action == action);
            let mut zones = zone.map(|dnsbl| dnsbl.zone.as_str());
            zones.find(|zone| self.listed.iter().any(|listed| listed == zone))
        };
        let reverse = match &self.reverse {
            Reverse::Confirmed(_) => Action::Accept,
            // what may be cured by another try is not refused
            Reverse::Unknown => settings.reverse_dns.min(Action::Defer),
            Reverse::Unconfirmed | Reverse::None => settings.reverse_dns,
        };
        if let Some(zone) = listed(Action::Refuse) {
            return Decision::Refuse(Reply::new(
                550,
                (7, 1),
                format!("your address {client} is listed at {zone}"),
            ));
        }
        if reverse == Action::Refuse {
            return Decision::Refuse(self.without_a_name(550, client));
        }
        if let Some(zone) = listed(Action::Defer) {
            return Decision::Defer(Reply::new(
                450,
                (7, 1),
                format!("your address {client} is listed at {zone}"),
            ));
        }
        if reverse == Action::Defer {
            return Decision::Defer(self.without_a_name(450, client));
        }
        Decision::Accept
    }

    /// X.7.25: reverse DNS validation failed (RFC 7372 §3.3).
    fn without_a_name(&self, code: u16, client: IpAddr) -> Reply {
        let text = match self.reverse {
            Reverse::None => format!("your address {client} has no name in the DNS"),
            Reverse::Unknown => format!("the name of your address {client} cannot be looked up now"),
            Reverse::Unconfirmed | Reverse::Confirmed(_) => {
                format!("the name of your address {client} does not lead back to it")
            }
        };
        Reply::new(code, (7, 25), text)
    }

    /// What goes with the message.
    pub(super) fn dns(&self, settings: &CheckSettings) -> ClientDns {
        let (name, reverse) = match &self.reverse {
            Reverse::Confirmed(name) => (Some(name.clone()), ReverseDns::Pass),
            Reverse::Unconfirmed => (None, ReverseDns::Fail),
            Reverse::None => (None, ReverseDns::PermError),
            Reverse::Unknown => (None, ReverseDns::TempError),
        };
        let tells = |zone: &&String| {
            settings.dnsbls.iter().any(|dnsbl| dnsbl.zone.as_str() == **zone && dnsbl.action > Action::Accept)
        };
        ClientDns {
            name,
            reverse: (settings.reverse_dns > Action::Accept).then_some(reverse),
            listed: self.listed.iter().filter(tells).cloned().collect(),
        }
    }
}
