//! What the rules come to at one place.

use std::sync::Arc;
use std::time::Duration;

use shared::directory::Rate;
use shared::mail::{FailureKind, Reply, TenantId};
use shared::port::Window;

use super::Place;
use super::rules::{Automation, Limit, Numbers, Rule, Rules};

/// The numbers of a place, each with the rule that gives it; for everybody, or what holds for one tenant beside that.
#[derive(Debug, Clone)]
pub struct Shape {
    /// What is counted together: the name of the site, or of the rule that counts several as one.
    pub key: String,
    /// Connections at a time.
    pub connections: Option<Applied<u32>>,
    /// New connections in each period.
    pub connection_rates: Vec<Applied<Rate>>,
    /// Messages over one connection.
    pub messages_per_connection: Option<Applied<u32>>,
    /// Messages in each period.
    pub message_rates: Vec<Applied<Rate>>,
    /// Recipients in one transaction.
    pub recipients: Option<Applied<u32>>,
    /// The rules that fit, the most specific first.
    rules: Vec<Arc<Rule>>,
}

/// A number, and who says so.
#[derive(Debug, Clone)]
pub struct Applied<T> {
    /// The number.
    pub value: T,
    /// The rule that gives it.
    pub rule: Arc<Rule>,
}

impl Shape {
    /// What `rules` come to at `place`: for everybody, or for `tenant` beside that.
    pub(super) fn of(rules: &Rules, place: &Place<'_>, tenant: Option<&TenantId>) -> Self {
        let everybody: Vec<Arc<Rule>> = rules.fitting(place, None).into_iter().cloned().collect();
        let provider = everybody.iter().find(|rule| rule.together);
        let mut key = provider.map_or_else(|| place.site.name().to_owned(), |rule| rule.name.clone());
        if let Some(source) = place.source {
            key = format!("{key} from {}", source.name);
        }
        let fitting = match tenant {
            None => everybody,
            Some(tenant) => {
                key = format!("{key} of {tenant}");
                rules.fitting(place, Some(tenant)).into_iter().cloned().collect()
            }
        };
        Self {
            key,
            connections: limit(&fitting, |numbers| numbers.connections),
            connection_rates: rates(&fitting, |numbers| numbers.connection_rate.as_deref()),
            messages_per_connection: limit(&fitting, |numbers| numbers.messages_per_connection),
            message_rates: rates(&fitting, |numbers| numbers.message_rate.as_deref()),
            recipients: limit(&fitting, |numbers| numbers.recipients),
            rules: fitting,
        }
    }

    /// What `reply` comes to, by the most specific rule that speaks of it.
    pub(super) fn automation(
        &self,
        reply: &Reply,
        kind: Option<FailureKind>,
    ) -> Option<(&Rule, &Automation)> {
        let all = self.rules.iter().flat_map(|rule| rule.on.iter().map(move |on| (rule.as_ref(), on)));
        let mut fitting = all.filter(|(_, on)| on.fits(reply, kind));
        fitting.next()
    }
}

/// The number of the most specific rule that has one.
fn limit(rules: &[Arc<Rule>], of: impl Fn(&Numbers) -> Option<Limit<u32>>) -> Option<Applied<u32>> {
    let (value, rule) = rules.iter().find_map(|rule| Some((of(&rule.numbers)?, rule)))?;
    value.at_most().map(|value| Applied { value, rule: Arc::clone(rule) })
}

/// The rates of the most specific rule that has some, the shortest period first.
fn rates(rules: &[Arc<Rule>], of: impl Fn(&Numbers) -> Option<&[Rate]>) -> Vec<Applied<Rate>> {
    let Some((found, rule)) = rules.iter().find_map(|rule| Some((of(&rule.numbers)?, rule))) else {
        return Vec::new();
    };
    let mut found = found.to_vec();
    found.sort_by_key(|rate| rate.period);
    found.into_iter().map(|value| Applied { value, rule: Arc::clone(rule) }).collect()
}

/// The window of a rate that is slowed down to the share `factor`.
pub(super) fn window(name: String, rate: Rate, factor: f64) -> Window {
    let Rate { messages, period } = rate;
    #[expect(clippy::cast_precision_loss, reason = "a share of a number of messages need not be exact")]
    let slowed = messages as f64 * factor;
    if slowed < 1.0 {
        // less than one in its period is one in a longer one
        return Window { name, limit: 1, period: Duration::from_secs((period.div_f64(slowed)).as_secs()) };
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to `messages`")]
    let limit = slowed as u64;
    Window { name, limit, period }
}
