//! Where mail goes, and from where.

use shared::mail::Domain;

use super::super::{Site, Source};

/// A destination as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The recipients' domain.
    pub domain: &'a Domain,
    /// The hosts that take its mail.
    pub site: &'a Site,
    /// The source that it leaves from; `None` is the only one there is.
    pub source: Option<&'a Source>,
}

impl Place<'_> {
    /// Whether a rule that names a source `name` means that of this place. What names one address of several bounds all of them: which one
    /// a connection is made from is chosen later.
    pub(super) fn leaves_from(&self, name: &str) -> bool {
        match (self.source, name.parse()) {
            (None, _) => name == "default",
            (Some(source), Ok(address)) => source.addresses.contains(&address),
            (Some(source), Err(_)) => source.name == name,
        }
    }
}
