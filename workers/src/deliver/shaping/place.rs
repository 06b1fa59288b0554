//! Where mail goes, and from where.

use std::net::IpAddr;

use shared::mail::Domain;

use super::Site;

/// A destination as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The recipients' domain.
    pub domain: &'a Domain,
    /// The hosts that take its mail.
    pub site: &'a Site,
    /// The address that mail leaves from.
    pub source: &'a Source,
}

/// The address that mail leaves from, as far as it was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// The pool that it belongs to.
    pub pool: Option<String>,
    /// The address.
    pub address: Option<IpAddr>,
}

impl Source {
    /// The name that things are counted under: that of the address, or else of its pool; `None` for the only source there is.
    pub fn name(&self) -> Option<String> {
        self.address.map(|address| address.to_string()).or_else(|| self.pool.clone())
    }

    /// Whether a rule that names `name` means this source.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let address = name.parse::<IpAddr>().ok();
        match (&self.address, &self.pool) {
            (None, None) => name == "default",
            (own, pool) => (own.is_some() && *own == address) || pool.as_deref() == Some(name),
        }
    }
}
