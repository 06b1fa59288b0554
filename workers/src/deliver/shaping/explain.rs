//! What holds at a place, and who says so: for `spoolway shaping explain`.

use serde::Serialize;
use shared::directory::Rate;
use shared::mail::TenantId;
use shared::port::{Taken, Window};

use super::admission::{counted, share_of};
use super::shape::window;
use super::suspension::Measure;
use super::{Applied, Place, Shape, Shaper, ShapingRule};

/// All that holds at a place.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The site.
    pub site: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// What is counted together.
    pub counted_as: String,
    /// The numbers, each with its rule.
    pub numbers: Vec<ExplainedNumber>,
    /// What replies have come to, and is in force.
    pub measures: Vec<ExplainedMeasure>,
}

/// A number, where it comes from, and what is left of it.
#[derive(Debug, Serialize)]
pub struct ExplainedNumber {
    /// What it bounds, as a file of rules writes it.
    pub name: &'static str,
    /// So much.
    pub value: String,
    /// So much now, where the site is slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowed_to: Option<String>,
    /// Whom it is counted for, where that is not everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The rule.
    pub rule: String,
    /// Who wrote the rule.
    pub origin: &'static str,
    /// What is left in this period; `None` where it is not counted, or the counters cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
}

/// Something that a reply has come to.
#[derive(Debug, Serialize)]
pub struct ExplainedMeasure {
    /// `suspended`, `slowed` or `tenant_suspended`.
    pub what: &'static str,
    /// The tenant, where it is only that one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub measure: Measure,
}

impl Shaper {
    /// What holds at `place`; and for `tenant` beside that.
    pub async fn explain(&self, place: &Place<'_>, tenant: Option<&TenantId>) -> Explanation {
        let shape = self.shape(place, None);
        let measures = self.suspensions.of(&shape.key).await;
        let factor = measures.factor();
        let mut numbers = self.numbers(&shape, factor).await;
        if let Some(tenant) = tenant {
            let own = self.shape(place, Some(tenant));
            let own = self.rates(&own, "message_rate", "messages", &own.message_rates, factor).await;
            numbers.extend(
                own.into_iter().map(|number| ExplainedNumber { tenant: Some(tenant.0.clone()), ..number }),
            );
        }
        numbers.extend(self.warm_ups(place).await);
        let of = |what: &'static str, measure: &Measure| ExplainedMeasure {
            what,
            tenant: None,
            measure: measure.clone(),
        };
        let mut told: Vec<ExplainedMeasure> =
            measures.suspended.iter().map(|measure| of("suspended", measure)).collect();
        told.extend(measures.slowed.iter().map(|measure| of("slowed", measure)));
        let wanted = measures.tenants.iter().filter(|(name, _)| tenant.is_none_or(|own| own.0 == **name));
        told.extend(wanted.map(|(name, measure)| ExplainedMeasure {
            tenant: Some(name.clone()),
            ..of("tenant_suspended", measure)
        }));
        Explanation {
            site: place.site.name().to_owned(),
            hosts: place.site.hosts().to_vec(),
            counted_as: shape.key,
            numbers,
            measures: told,
        }
    }

    async fn numbers(&self, shape: &Shape, factor: f64) -> Vec<ExplainedNumber> {
        let slowed = |value: u32| (factor < 1.0).then(|| share_of(value, factor).to_string());
        let limit = |name: &'static str, applied: &Option<Applied<u32>>, slowed: Option<String>| {
            let Applied { value, rule } = applied.as_ref()?;
            Some(ExplainedNumber { slowed_to: slowed, ..number(name, value.to_string(), rule) })
        };
        let connections = shape.connections.as_ref().and_then(|applied| slowed(applied.value));
        let mut numbers = Vec::new();
        numbers.extend(limit("connections", &shape.connections, connections));
        numbers.extend(
            self.rates(shape, "connection_rate", "connections", &shape.connection_rates, factor).await,
        );
        numbers.extend(limit("messages_per_connection", &shape.messages_per_connection, None));
        numbers.extend(self.rates(shape, "message_rate", "messages", &shape.message_rates, factor).await);
        numbers.extend(limit("recipients", &shape.recipients, None));
        numbers
    }

    async fn rates(
        &self,
        shape: &Shape,
        name: &'static str,
        what: &str,
        rates: &[Applied<Rate>],
        factor: f64,
    ) -> Vec<ExplainedNumber> {
        let mut numbers = Vec::new();
        for Applied { value, rule } in rates {
            let window = window(counted(&shape.key, what, *value), *value, factor);
            let slowed = || Rate { messages: window.limit, period: window.period }.to_string();
            numbers.push(ExplainedNumber {
                slowed_to: (factor < 1.0).then(slowed),
                left: self.left(&window).await,
                ..number(name, value.to_string(), rule)
            });
        }
        numbers
    }

    async fn warm_ups(&self, place: &Place<'_>) -> Vec<ExplainedNumber> {
        let rules = self.rules.now();
        let mut numbers = Vec::new();
        for warm_up in rules.warm_ups(place) {
            let Some((day, rate)) = warm_up.today(self.clock.now()) else { continue };
            let name = format!("shaping/warm-up/{}", warm_up.source);
            numbers.push(ExplainedNumber {
                name: "warm_up",
                value: format!("{rate}, day {day} of {}", warm_up.messages.len()),
                slowed_to: None,
                tenant: None,
                rule: format!("warm-up of {}", warm_up.source),
                origin: super::Origin::Operator.as_str(),
                left: self.left(&window(name, rate, 1.0)).await,
            });
        }
        numbers
    }

    async fn left(&self, window: &Window) -> Option<u64> {
        match self.counters.take(window, 0, self.clock.now()).await {
            Ok(Taken::Granted { left }) => Some(left),
            Ok(Taken::Exhausted { .. }) => Some(0),
            Err(_) => None,
        }
    }
}

fn number(name: &'static str, value: String, rule: &ShapingRule) -> ExplainedNumber {
    let (rule, origin) = (rule.name.clone(), rule.origin.as_str());
    ExplainedNumber { name, value, slowed_to: None, tenant: None, rule, origin, left: None }
}
