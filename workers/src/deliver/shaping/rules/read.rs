//! Reads a file of rules, and finds all that is wrong with it.

use std::collections::HashSet;
use std::time::Duration;

use shared::config::{Mistake, Section};
use shared::directory::Rate;
use shared::mail::TenantId;

use super::automation::{Action, Automation, ClassName, Verb};
use super::pattern::{DomainPattern, HostSuffix};
use super::values::{Day, MaybeRate, Share};
use super::{Limit, Numbers, Origin, Pattern, Rule};
use crate::deliver::shaping::warm_up::WarmUp;
use crate::limits::shaping::{RULES_MAX, SLOW_DOWN, SUSPENSION_MAX, SUSPENSION_MIN, WARM_UP_DAYS_MAX};

/// What a file says.
pub(super) struct File {
    /// Whether the built-in rules are in force, too.
    pub(super) built_in: bool,
    pub(super) rules: Vec<Rule>,
    pub(super) warm_ups: Vec<WarmUp>,
}

impl Default for File {
    fn default() -> Self {
        Self { built_in: true, rules: Vec::new(), warm_ups: Vec::new() }
    }
}

/// Reads the text of a file; or all its mistakes.
pub(super) fn file(toml: &str, origin: Origin) -> Result<File, Vec<Mistake>> {
    shared::config::read(toml, [], |root| {
        let built_in = root.value("built_in", true);
        let rules = root.sections("rule", |own| rule(own, origin)).unwrap_or_default();
        let warm_ups = root.sections("warm_up", warm_up).unwrap_or_default();
        let mut names = HashSet::new();
        for rule in &rules {
            if !names.insert(rule.name.as_str()) {
                let wrong = format!("`{}` is there twice", rule.name.escape_debug());
                root.mistake("rule", wrong, "give each rule a name of its own");
            }
        }
        if rules.len() > RULES_MAX {
            root.mistake("rule", format!("there are {}", rules.len()), format!("use {RULES_MAX} at most"));
        }
        File { built_in, rules, warm_ups: warm_ups.into_iter().flatten().collect() }
    })
    .map(|read| read.value)
}

fn rule(section: &mut Section<'_>, origin: Origin) -> Rule {
    let name = section.required("name", String::new());
    let hosts = section.list::<HostSuffix>("site", Vec::new()).into_iter().map(|HostSuffix(pattern)| pattern);
    let mut destinations: Vec<Pattern> = hosts.collect();
    let domains = section.list::<DomainPattern>("domain", Vec::new());
    destinations.extend(domains.into_iter().map(|DomainPattern(pattern)| pattern));
    let rule = Rule {
        name,
        origin,
        destinations,
        tenant: section.optional::<String>("tenant").map(TenantId),
        source: section.optional("source"),
        together: section.value("together", false),
        numbers: Numbers {
            connections: section.optional("connections"),
            connection_rate: rates(section, "connection_rate"),
            messages_per_connection: section.optional("messages_per_connection"),
            message_rate: rates(section, "message_rate"),
            recipients: section.optional::<Limit<u32>>("recipients"),
        },
        on: section.sections("on", automation).unwrap_or_default().into_iter().flatten().collect(),
    };
    let Numbers { connections, connection_rate, messages_per_connection, recipients, .. } = &rule.numbers;
    let of_connections =
        [connections, messages_per_connection, recipients].iter().any(|limit| limit.is_some());
    if rule.tenant.is_some() && (of_connections || connection_rate.is_some() || rule.together) {
        let wrong = "a connection carries the mail of many tenants";
        section.mistake("tenant", wrong, "give a rule with a tenant message_rate and on only");
    }
    if rule.together && rule.destinations.is_empty() {
        section.mistake("together", "every site there is would be counted as one", "say which by site");
    }
    if rule.numbers.is_empty() && rule.on.is_empty() && !rule.together {
        section.mistake("name", "the rule says nothing", "give it a number, or leave it out");
    }
    rule
}

/// The rates of a list; an empty list where that is `off`, and `None` where it is not there.
fn rates(section: &mut Section<'_>, key: &str) -> Option<Vec<Rate>> {
    let listed = section.list::<MaybeRate>(key, Vec::new());
    if listed.is_empty() {
        return None;
    }
    let count = listed.len();
    let rates: Vec<Rate> = listed.into_iter().filter_map(|MaybeRate(rate)| rate).collect();
    if rates.len() < count && count > 1 {
        section.mistake(key, "off stands beside others", "use off alone, or rates");
    }
    let periods: HashSet<Duration> = rates.iter().map(|rate| rate.period).collect();
    if periods.len() < rates.len() {
        section.mistake(key, "it has two rates for one period", "use one for each");
    }
    Some(rates)
}

fn automation(section: &mut Section<'_>) -> Option<Automation> {
    let verb = section.required("then", Verb::Suspend);
    let Share(share) = section.value("factor", Share(SLOW_DOWN));
    let lasts = match verb {
        Verb::Ignore => SUSPENSION_MIN,
        Verb::Suspend | Verb::SuspendTenant | Verb::SlowDown => section.required("for", SUSPENSION_MIN),
    };
    if !(SUSPENSION_MIN..=SUSPENSION_MAX).contains(&lasts) {
        let right = format!(
            "use a time from {}s to {}d",
            SUSPENSION_MIN.as_secs(),
            SUSPENSION_MAX.as_secs() / 86_400
        );
        section.mistake("for", "it is too short or too long", right);
    }
    let texts: Vec<String> = section.list("text", Vec::new());
    let classes: Vec<ClassName> = section.list("class", Vec::new());
    let automation = Automation {
        codes: section.list("code", Vec::new()),
        enhanced: section.list("enhanced", Vec::new()),
        classes: classes.into_iter().map(|ClassName(class)| class).collect(),
        texts: texts.iter().map(|text| text.to_lowercase()).collect(),
        action: match verb {
            Verb::Suspend => Action::Suspend,
            Verb::SuspendTenant => Action::SuspendTenant,
            Verb::SlowDown => Action::SlowDown(share),
            Verb::Ignore => Action::Ignore,
        },
        lasts,
    };
    let Automation { codes, enhanced, classes, texts, .. } = &automation;
    if codes.is_empty() && enhanced.is_empty() && classes.is_empty() && texts.is_empty() {
        section.mistake(
            "then",
            "every failure would do it",
            "say by code, enhanced, class or text which replies",
        );
        return None;
    }
    Some(automation)
}

fn warm_up(section: &mut Section<'_>) -> Option<WarmUp> {
    let source = section.required("source", String::new());
    let stand_in = Day(shared::mail::Timestamp::from_millis(0));
    let Day(started) = section.required("started", stand_in);
    let messages: Vec<u64> = section.list("messages", Vec::new());
    if messages.is_empty() || messages.len() > WARM_UP_DAYS_MAX || messages.contains(&0) {
        let right =
            format!("give the messages of each day from the first on, {WARM_UP_DAYS_MAX} days at most");
        section.mistake("messages", "it is no list of numbers from 1", right);
        return None;
    }
    Some(WarmUp { source, started, messages })
}
