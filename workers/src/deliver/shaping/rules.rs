//! The rules of shaping: for which destinations, and how much at a time.
//!
//! A rule names destinations (by the suffix of an MX host, or by domain; none is any MX host) and perhaps a tenant or a source. Of those
//! that fit, the most specific one that gives a number gives it: a domain before its parents, any domain before a host, a longer
//! suffix before a shorter one; then a rule with a source before one without; then the operator's before a built-in one, and a later
//! before an earlier one. What rules with a tenant say is counted for that tenant, and holds beside what the others say.

mod automation;
mod pattern;
mod read;
mod values;

use std::cmp::Reverse;
use std::sync::Arc;

use shared::config::Mistake;
use shared::directory::Rate;
use shared::mail::{Domain, TenantId};

pub use automation::{Action, Automation};
pub use pattern::Pattern;
pub use values::Limit;

use super::warm_up::WarmUp;
use super::{Place, Site};

/// The rules that come with the program, for every destination and for large providers.
const BUILT_IN: &str = include_str!("rules.toml");

/// Who wrote a rule. Of two that are equally specific, the operator's wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Who made the program.
    BuiltIn,
    /// Who runs it.
    Operator,
}

impl Origin {
    /// For a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built in",
            Self::Operator => "the operator's file",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, by which it is spoken of.
    pub name: String,
    /// Who wrote it.
    pub origin: Origin,
    /// The destinations; none is every MX host.
    pub destinations: Vec<Pattern>,
    /// Only for mail of this tenant, and counted for it.
    pub tenant: Option<TenantId>,
    /// Only for mail from this source: an address, the name of a pool, or `default`.
    pub source: Option<String>,
    /// Whether the sites that it fits are counted as one, under its name.
    pub together: bool,
    /// What it says.
    pub numbers: Numbers,
    /// What replies come to.
    pub on: Vec<Automation>,
}

/// What a rule may say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// Connections at a time.
    pub connections: Option<Limit<u32>>,
    /// New connections in each period. An empty list is no limit.
    pub connection_rate: Option<Vec<Rate>>,
    /// Messages over one connection.
    pub messages_per_connection: Option<Limit<u32>>,
    /// Messages in each period. An empty list is no limit.
    pub message_rate: Option<Vec<Rate>>,
    /// Recipients in one transaction.
    pub recipients: Option<Limit<u32>>,
}

impl Numbers {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// All rules that are in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    warm_ups: Vec<WarmUp>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::read(None).expect("a test reads the built-in rules")
    }
}

impl Rules {
    /// No rule at all.
    pub fn none() -> Self {
        Self { rules: Vec::new(), warm_ups: Vec::new() }
    }

    /// The built-in rules, unless `operator` says without them, and those of `operator`, a text in TOML; or all its mistakes.
    pub fn read(operator: Option<&str>) -> Result<Self, Vec<Mistake>> {
        let own = operator.map(|text| read::file(text, Origin::Operator)).transpose()?.unwrap_or_default();
        let mut rules = Vec::new();
        if own.built_in {
            rules.extend(read::file(BUILT_IN, Origin::BuiltIn)?.rules);
        }
        rules.extend(own.rules);
        Ok(Self { rules: rules.into_iter().map(Arc::new).collect(), warm_ups: own.warm_ups })
    }

    /// The rules that fit `place`, for `tenant` or for everybody, the most specific first.
    pub(super) fn fitting(&self, place: &Place<'_>, tenant: Option<&TenantId>) -> Vec<&Arc<Rule>> {
        let rank = |(at, rule): (usize, &'_ Arc<Rule>)| {
            let specific = rule.fits(place)?;
            (rule.tenant.as_ref() == tenant).then_some((specific, rule.source.is_some(), rule.origin, at))
        };
        let fit = |(at, rule)| rank((at, rule)).map(|rank| (rank, rule));
        let mut fitting: Vec<_> = self.rules.iter().enumerate().filter_map(fit).collect();
        fitting.sort_by_key(|(rank, _)| Reverse(*rank));
        fitting.into_iter().map(|(_, rule)| rule).collect()
    }

    /// The warm-ups of a source: of several addresses each may have its own, and all of them hold. A smart host has its own addresses.
    pub(super) fn warm_ups(&self, place: &Place<'_>) -> impl Iterator<Item = &WarmUp> {
        let own = |warm_up: &&WarmUp| !place.site.is_smart_host() && place.leaves_from(&warm_up.source);
        self.warm_ups.iter().filter(own)
    }
}

impl Rule {
    /// How specific the rule is for `place`, where it fits: the kind of its pattern, and its length.
    fn fits(&self, place: &Place<'_>) -> Option<(u8, usize)> {
        if self.source.as_ref().is_some_and(|source| !place.leaves_from(source)) {
            return None;
        }
        // an operator's own relay is bound by what is said of it, and not by what holds for strangers
        if self.destinations.is_empty() {
            return (!place.site.is_smart_host()).then_some((0, 0));
        }
        let patterns = self.destinations.iter();
        patterns.filter_map(|pattern| pattern.fits(place.site, place.domain, self.origin)).max()
    }
}

impl Pattern {
    fn fits(&self, site: &Site, domain: &Domain, origin: Origin) -> Option<(u8, usize)> {
        if origin == Origin::BuiltIn && site.is_smart_host() {
            return None;
        }
        self.specificity(site.hosts(), domain)
    }
}
