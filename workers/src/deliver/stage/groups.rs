//! Deliveries that share a connection: those of one route target and, for `mx`, one domain. Where none is made, those of one rule.

use std::cmp::Reverse;

use shared::job::Delivery;
use shared::mail::{Domain, TenantId};

use super::super::{Route, Routes, Rule};

/// What stands in the place of the pattern of a route that an operator has given.
const BY_ORDER: &str = "the operator's order";

/// The groups of a run.
pub(super) struct Groups<'a> {
    groups: Vec<Group<'a>>,
}

/// Deliveries for one call of the transport.
pub(super) struct Group<'a> {
    /// The rule of the first of them.
    pub(super) rule: Rule<'a>,
    /// That of the most urgent of them (RFC 6710).
    pub(super) priority: i8,
    /// Whose they are; jobs have one tenant each.
    pub(super) tenant: TenantId,
    /// The domain, for [`Route::Mx`].
    domain: Option<Domain>,
}

impl<'a> Groups<'a> {
    /// The groups of `deliveries`, and what each is to carry, in the order of their urgency.
    /// What names one of `ordered` as its route goes by that.
    pub(super) fn new(
        routes: &'a Routes,
        ordered: &'a [(String, Route)],
        mut deliveries: Vec<Delivery>,
    ) -> (Self, Vec<Vec<Delivery>>) {
        // stable: what is equally urgent stays sorted by destination. Whoever is first in a group is its most urgent one
        deliveries.sort_by_key(|delivery| Reverse(delivery.options.priority));
        let mut groups = Self { groups: Vec::new() };
        let mut loads: Vec<Vec<Delivery>> = Vec::new();
        for delivery in deliveries {
            let own = delivery.route.as_ref().and_then(|own| ordered.iter().find(|(text, _)| text == own));
            let own = own.map(|(_, route)| Rule { pattern: BY_ORDER, route });
            let rule = own.unwrap_or_else(|| routes.find(&delivery.key.domain));
            match groups.position(rule, &delivery.key.domain) {
                Some(at) => loads[at].push(delivery),
                None => {
                    let domain = (*rule.route == Route::Mx).then(|| delivery.key.domain.clone());
                    let (priority, tenant) = (delivery.options.priority, delivery.tenant.clone());
                    groups.groups.push(Group { rule, priority, tenant, domain });
                    loads.push(vec![delivery]);
                }
            }
        }
        (groups, loads)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group<'a>> {
        self.groups.iter()
    }

    fn position(&self, rule: Rule<'_>, domain: &Domain) -> Option<usize> {
        let fits = |group: &Group<'_>| match rule.route {
            // what is discarded names its rule
            Route::Discard => group.rule == rule,
            Route::Mx | Route::SmartHost { .. } | Route::SmartHosts(_) | Route::Inbox => {
                group.rule.route == rule.route && group.domain.as_ref().is_none_or(|own| own == domain)
            }
        };
        // jobs are sorted by destination: it is nearly always the last one
        self.groups.iter().rposition(fits)
    }
}
