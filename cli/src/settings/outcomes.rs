//! The keys of `[bounces]` and `[suppression]`.

use shared::config::Section;
use shared::mail::{Domain, TenantId};
use workers::deliver::SuppressionSettings;

use crate::limits::BOUNCES_DOMAIN_OCTETS_MAX;

/// Where bounces come in; `None` leaves MAIL FROM as it is.
pub(super) fn bounces(section: &mut Section<'_>) -> Option<Domain> {
    let domain: Option<Domain> = section.optional("domain");
    if domain.as_ref().is_some_and(|domain| domain.literal().is_some()) {
        section.mistake("domain", "it is an address", "use a domain whose MX record leads here");
    }
    if domain.as_ref().is_some_and(|domain| domain.as_str().len() > BOUNCES_DOMAIN_OCTETS_MAX) {
        section.mistake("domain", "a return path at it is longer than a path may be", "use a shorter one");
    }
    domain
}

pub(super) fn suppression(section: &mut Section<'_>) -> SuppressionSettings {
    let default = SuppressionSettings::default();
    let exempt = section.list("exempt_tenants", Vec::<String>::new());
    SuppressionSettings {
        hard_bounces: section.value("hard_bounces", default.hard_bounces),
        complaints: section.value("complaints", default.complaints),
        exempt: exempt.into_iter().map(TenantId).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Reader, read};

    fn told(toml: &str) -> Vec<String> {
        match read(&format!("hostname = \"mx.example.com\"\n{toml}"), [], Reader::Edge) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn return_paths_are_at_a_domain_that_leaves_room_for_them() {
        assert_eq!(told("[bounces]\ndomain = \"bounces.example.net\""), [""; 0]);
        assert_eq!(
            told("[bounces]\ndomain = \"[192.0.2.1]\""),
            ["bounces.domain: it is an address; use a domain whose MX record leads here"]
        );
        let long = ["a.".repeat(BOUNCES_DOMAIN_OCTETS_MAX / 2), "example".to_owned()].concat();
        assert_eq!(
            told(&format!("[bounces]\ndomain = \"{long}\"")),
            ["bounces.domain: a return path at it is longer than a path may be; use a shorter one"]
        );
    }

    #[test]
    fn what_is_suppressed_by_itself_can_be_set() {
        let toml =
            "hostname = \"mx.example.com\"\n[suppression]\nhard_bounces = false\nexempt_tenants = [\"a\"]";
        let set = read(toml, [], Reader::Edge).unwrap().value.suppression;
        assert!(!set.hard_bounces && set.complaints);
        assert_eq!(set.exempt, [TenantId("a".to_owned())]);
    }
}
