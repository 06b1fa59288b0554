//! Source addresses: from where, and under which name, the mail of which tenants leaves.

use std::net::IpAddr;
use std::sync::Arc;

use shared::mail::TenantId;
use shared::port::Ids;

/// A pool of local addresses with their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What attempts and logs call it.
    pub name: String,
    /// Addresses of this machine; a connection is made from one of the target's family.
    pub addresses: Vec<IpAddr>,
    /// The name said in EHLO; the edge's own where there is none. It should be what the addresses' PTR records say.
    pub helo: Option<String>,
    /// Whose mail leaves from here; `*` is everybody's that no source names.
    pub tenants: Vec<TenantId>,
}

/// Every source of an edge. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Sources(Arc<[Arc<Source>]>);

impl Sources {
    /// The sources in this order: of two that name a tenant, the first one is its own.
    pub fn new(sources: Vec<Source>) -> Self {
        Self(sources.into_iter().map(Arc::new).collect())
    }

    /// From where the mail of `tenant` leaves; `None` is wherever the system sends it from.
    pub(super) fn of(&self, tenant: &TenantId) -> Option<&Arc<Source>> {
        let names = |name: &str| self.0.iter().find(|source| source.tenants.iter().any(|own| own.0 == name));
        names(&tenant.0).or_else(|| names("*"))
    }
}

impl Source {
    /// Whether a connection to `target` can be made from here.
    pub(super) fn reaches(&self, target: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.is_ipv4() == target.is_ipv4())
    }

    /// One of the addresses from which a connection to `target` can be made.
    pub(super) fn address(&self, target: IpAddr, ids: &dyn Ids) -> Option<IpAddr> {
        let mut fitting: Vec<IpAddr> =
            self.addresses.iter().copied().filter(|own| own.is_ipv4() == target.is_ipv4()).collect();
        ids.shuffle(&mut fitting);
        fitting.pop()
    }
}
