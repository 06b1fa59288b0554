//! The gate: which of a group's deliveries may be tried now, and over which connection.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use shared::directory::Rate;
use shared::job::Delivery;
use shared::mail::TenantId;
use shared::port::Window;

use super::rates::Short;
use super::shape::window;
use super::{Applied, Patience, Place, Reason, Shape, Shaper, Site, Slot, Wait};
use crate::limits::shaping::{POSTPONE_SPACE, SLOT_PAUSE};

/// What is to become of a group of deliveries now. Each of them is in one of the three.
pub struct Admission<P> {
    /// To be tried now.
    pub go: Vec<Delivery>,
    /// What was to be had before anything was taken for those.
    pub permit: Option<P>,
    /// The place that the connection takes, where the site has a limit of them.
    pub connection: Option<Slot>,
    /// To be admitted again once `go` has been tried.
    pub later: Vec<Delivery>,
    /// To be put off.
    pub put_off: Vec<PutOff>,
}

/// Deliveries that wait for the same.
#[derive(Debug)]
pub struct PutOff {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// What they wait for.
    pub wait: Wait,
}

/// The windows that a delivery takes a token of each, and what each of them is.
struct Windows {
    /// What is counted together.
    key: String,
    windows: Vec<Window>,
    told: Vec<(Reason, String)>,
}

impl Windows {
    fn of(key: &str) -> Self {
        Self { key: key.to_owned(), windows: Vec::new(), told: Vec::new() }
    }

    fn add(&mut self, window: Window, reason: Reason, text: String) {
        self.windows.push(window);
        self.told.push((reason, text));
    }

    fn wait(&self, short: Short) -> Wait {
        let (reason, text) = self.told[short.at].clone();
        let Short { until, interval, .. } = short;
        Wait { key: self.key.clone(), reason, text, until, interval, whole: reason == Reason::ConnectionRate }
    }
}

/// What is missing: something that comes with time, or with the end of a connection.
enum Held {
    Until(Wait),
    ForAPlace(Wait),
}

/// What could be taken, and for whom.
struct Taken {
    go: Vec<Delivery>,
    later: Vec<Delivery>,
    connection: Option<Slot>,
}

impl Shaper {
    /// Decides which of `load`, which all go to `place`, are tried now. Waits a little for their turn, as long as `patience` allows.
    ///
    /// `permit` is had first, and given back for as long as the turn is waited for: what is scarce at the site is not held by who waits
    /// for something else, nor the other way round.
    pub async fn admit<'p, P>(
        &self,
        place: &Place<'_>,
        load: Vec<Delivery>,
        patience: &mut Patience,
        permit: &(dyn Fn() -> BoxFuture<'p, P> + Sync),
    ) -> Admission<P> {
        let shape = self.shape(place, None);
        let mut admission = Admission {
            go: Vec::new(),
            permit: None,
            connection: None,
            later: Vec::new(),
            put_off: Vec::new(),
        };
        let mut load = load;
        loop {
            let measures = self.suspensions.of(&shape.key).await;
            if let Some(measure) = &measures.suspended {
                let wait = Wait::of(measure, &shape.key, None, POSTPONE_SPACE);
                admission.put_off(load, wait);
                break;
            }
            for (tenant, measure) in &measures.tenants {
                let is_own = |delivery: &mut Delivery| delivery.tenant.0 == *tenant;
                let own: Vec<Delivery> = load.extract_if(.., is_own).collect();
                admission.put_off(own, Wait::of(measure, &shape.key, Some(tenant), POSTPONE_SPACE));
            }
            if load.is_empty() {
                break;
            }
            let had = permit().await;
            match self.try_admit(place, &shape, measures.factor(), load).await {
                Ok(Taken { go, later, connection }) => {
                    (admission.go, admission.later, admission.connection) = (go, later, connection);
                    admission.permit = Some(had);
                    break;
                }
                Err((held, back)) => {
                    drop(had);
                    load = back;
                    if let Some(wait) = self.wait(&shape.key, held, patience).await {
                        admission.put_off(load, wait);
                        break;
                    }
                }
            }
        }
        patience.rest();
        admission
    }

    /// Waits, and gives nothing back; or the wait, where it is too long.
    async fn wait(&self, key: &str, held: Held, patience: &mut Patience) -> Option<Wait> {
        let began_at = self.clock.now();
        match held {
            Held::Until(wait) => {
                let span = wait.until.since(began_at);
                if !patience.allows(key, span) {
                    return Some(wait);
                }
                self.clock.sleep(span).await;
                // a clock that stands still must not make this an endless loop
                patience.spend(span);
            }
            Held::ForAPlace(wait) => {
                if patience.left().is_zero() || !patience.allows(key, SLOT_PAUSE.min(patience.left())) {
                    return Some(wait);
                }
                self.slots.wait(key, patience).await;
                patience.spend(self.clock.now().since(began_at));
            }
        }
        None
    }

    /// Takes all that the deliveries need, for as many of them as there is enough for; or tells what is missing.
    async fn try_admit(
        &self,
        place: &Place<'_>,
        shape: &Shape,
        factor: f64,
        load: Vec<Delivery>,
    ) -> Result<Taken, (Held, Vec<Delivery>)> {
        let site = self.message_windows(place, shape, factor);
        let (mut go, mut later, wait) = self.take_messages(place, &site, factor, load).await;
        if let Some(wait) = wait.filter(|_| go.is_empty()) {
            return Err((Held::Until(wait), later));
        }
        let each = shape
            .messages_per_connection
            .as_ref()
            .map_or(usize::MAX, |applied| applied.value.max(1) as usize);
        let wanted = go.len().div_ceil(each);
        let (connection, connections) = match self.take_connection(place.site, shape, factor, wanted).await {
            Ok(taken) => taken,
            Err(held) => {
                self.give_messages_back(place, &site, factor, &go).await;
                return Err((held, go.into_iter().chain(later).collect()));
            }
        };
        let unused = go.split_off(connections.saturating_mul(each).min(go.len()));
        self.give_messages_back(place, &site, factor, &unused).await;
        later.splice(..0, unused);
        Ok(Taken { go, later, connection })
    }

    /// Takes tokens for as many of `load` as there are, in their order: those that go, those that are left, and why.
    async fn take_messages(
        &self,
        place: &Place<'_>,
        site: &Windows,
        factor: f64,
        load: Vec<Delivery>,
    ) -> (Vec<Delivery>, Vec<Delivery>, Option<Wait>) {
        let mut wait = None;
        let mut by_tenant: BTreeMap<TenantId, u64> = BTreeMap::new();
        for delivery in &load {
            *by_tenant.entry(delivery.tenant.clone()).or_default() += 1;
        }
        for (tenant, count) in &mut by_tenant {
            let own = self.tenant_windows(place, tenant, factor);
            let granted = self.rates.take(&own.windows, *count).await;
            wait = granted.short.map(|short| own.wait(short)).or(wait);
            *count = granted.count;
        }
        let (mut go, mut left) = (Vec::new(), Vec::new());
        for delivery in load {
            let budget = by_tenant.get_mut(&delivery.tenant).filter(|budget| **budget > 0);
            match budget {
                Some(budget) => {
                    *budget -= 1;
                    go.push(delivery);
                }
                None => left.push(delivery),
            }
        }
        let wanted = go.len() as u64;
        let granted = self.rates.take(&site.windows, wanted).await;
        wait = granted.short.map(|short| site.wait(short)).or(wait);
        let dropped = go.split_off(usize::try_from(granted.count).unwrap_or(usize::MAX).min(go.len()));
        self.give_tenants_back(place, factor, &dropped).await;
        (go, dropped.into_iter().chain(left).collect(), wait)
    }

    /// Takes the place of a connection, and tokens to open up to `wanted` of them in it, one after the other; one less where one is kept
    /// that comes with the place. Tells how many there may be.
    async fn take_connection(
        &self,
        site: &Site,
        shape: &Shape,
        factor: f64,
        wanted: usize,
    ) -> Result<(Option<Slot>, usize), Held> {
        let mut slot = None;
        if let Some(Applied { value, rule }) = &shape.connections {
            let limit = share_of(*value, factor);
            slot = self.slots.take(&shape.key, limit, site).await;
            if slot.is_none() {
                let now = self.clock.now();
                return Err(Held::ForAPlace(Wait {
                    key: shape.key.clone(),
                    reason: Reason::Connections,
                    text: format!("{} has its {limit} connections (rule {})", shape.key, rule.name),
                    until: now,
                    interval: self.turns.pace(&shape.key) / limit,
                    whole: true,
                }));
            }
        }
        let kept = usize::from(slot.as_ref().is_some_and(|slot| slot.has_kept(site)));
        let mut windows = Windows::of(&shape.key);
        for Applied { value, rule } in &shape.connection_rates {
            let name = counted(&shape.key, "connections", *value);
            let text = format!("{} has its {value} new connections (rule {})", shape.key, rule.name);
            windows.add(window(name, *value, factor), Reason::ConnectionRate, text);
        }
        let granted = self.rates.take(&windows.windows, wanted.saturating_sub(kept) as u64).await;
        let connections = kept + usize::try_from(granted.count).unwrap_or(usize::MAX);
        match granted.short {
            Some(short) if connections == 0 => {
                if let Some(slot) = slot {
                    slot.give_back().await;
                }
                Err(Held::Until(windows.wait(short)))
            }
            _ => Ok((slot, connections)),
        }
    }

    /// What each message to the site takes a token of.
    fn message_windows(&self, place: &Place<'_>, shape: &Shape, factor: f64) -> Windows {
        let mut windows = Windows::of(&shape.key);
        for Applied { value, rule } in &shape.message_rates {
            let name = counted(&shape.key, "messages", *value);
            let text = format!("{} has its {value} messages (rule {})", shape.key, rule.name);
            windows.add(window(name, *value, factor), Reason::MessageRate, text);
        }
        let rules = self.rules.now();
        for warm_up in rules.warm_ups(place) {
            let Some((day, rate)) = warm_up.today(self.clock.now()) else { continue };
            let name = format!("shaping/warm-up/{}", warm_up.source);
            let text =
                format!("{} has sent its {} of day {day} of its warm-up", warm_up.source, rate.messages);
            // it is no fault of the source where one site is slow
            windows.add(window(name, rate, 1.0), Reason::WarmUp, text);
        }
        windows
    }

    /// What each message of the tenant takes a token of beside that.
    fn tenant_windows(&self, place: &Place<'_>, tenant: &TenantId, factor: f64) -> Windows {
        let shape = self.shape(place, Some(tenant));
        let mut windows = Windows::of(&shape.key);
        for Applied { value, rule } in &shape.message_rates {
            let name = counted(&shape.key, "messages", *value);
            let text = format!("{} has its {value} messages (rule {})", shape.key, rule.name);
            windows.add(window(name, *value, factor), Reason::TenantRate, text);
        }
        windows
    }

    async fn give_messages_back(&self, place: &Place<'_>, site: &Windows, factor: f64, unused: &[Delivery]) {
        self.rates.give_back(&site.windows, unused.len() as u64).await;
        self.give_tenants_back(place, factor, unused).await;
    }

    async fn give_tenants_back(&self, place: &Place<'_>, factor: f64, unused: &[Delivery]) {
        let mut by_tenant: BTreeMap<&TenantId, u64> = BTreeMap::new();
        for delivery in unused {
            *by_tenant.entry(&delivery.tenant).or_default() += 1;
        }
        for (tenant, count) in by_tenant {
            self.rates.give_back(&self.tenant_windows(place, tenant, factor).windows, count).await;
        }
    }
}

impl<P> Admission<P> {
    fn put_off(&mut self, deliveries: Vec<Delivery>, wait: Wait) {
        if !deliveries.is_empty() {
            self.put_off.push(PutOff { deliveries, wait });
        }
    }
}

/// The name of a window of the counters.
pub(super) fn counted(key: &str, what: &str, rate: Rate) -> String {
    format!("shaping/{key}/{what}/{}", rate.period.as_secs())
}

/// A share of so many connections; at least one.
pub(super) fn share_of(connections: u32, factor: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of it fits too")]
    let share = (f64::from(connections) * factor) as u32;
    share.max(1)
}
