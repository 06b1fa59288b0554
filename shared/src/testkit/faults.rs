//! When, and how, a decorated port fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::port::{Clock, Ids, PortError, PortResult};
use crate::system::SystemClock;

use super::SeededIds;

/// How a decorated port behaves. It can be changed at any time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// As the port behind it.
    Sound,
    /// Each operation fails with this probability; how, is drawn as well.
    Random {
        /// From 0 to 1.
        probability: f64,
    },
    /// Every operation meets this fate.
    Always(Fate),
    /// Every operation begins after this time.
    Slow {
        /// On the decorator's clock.
        by: Duration,
    },
    /// No operation ever answers, and none happens.
    Stuck,
}

/// What becomes of one operation: whether it happens, and what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It happens, if the port behind lets it, and that is said.
    Through,
    /// It does not happen, and that is said.
    Refused,
    /// It does not happen, and it is said that this is not known.
    NothingUnknown,
    /// It happens, and it is said that this is not known.
    HappenedUnknown,
}

/// The switchboard of one or more decorators. Operations are named as their methods: `put`, `send`, `claim`; those of a writer are
/// `write`, `finish`, `abort`.
pub struct Faults {
    clock: Arc<dyn Clock>,
    chance: SeededIds,
    state: Mutex<State>,
}

struct State {
    mode: Mode,
    single: BTreeMap<&'static str, Mode>,
    calls: BTreeMap<&'static str, u64>,
    failed: u64,
}

impl Faults {
    /// No faults yet; those that are drawn follow from `seed`.
    pub fn new(seed: u64) -> Arc<Self> {
        Self::with_clock(seed, Arc::new(SystemClock))
    }

    /// Likewise, and slow operations sleep on `clock`.
    pub fn with_clock(seed: u64, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State { mode: Mode::Sound, single: BTreeMap::new(), calls: BTreeMap::new(), failed: 0 };
        Arc::new(Self { clock, chance: SeededIds::new(seed), state: Mutex::new(state) })
    }

    /// Sets how every operation behaves, and forgets what was set for single ones.
    pub fn set(&self, mode: Mode) {
        let mut state = self.state();
        state.mode = mode;
        state.single.clear();
    }

    /// Sets how one operation behaves.
    pub fn set_for(&self, operation: &'static str, mode: Mode) {
        self.state().single.insert(operation, mode);
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> u64 {
        self.state().calls.get(operation).copied().unwrap_or(0)
    }

    /// How many operations were made to fail.
    pub fn failed(&self) -> u64 {
        self.state().failed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }

    /// Runs `work` as the mode for `operation` has it.
    pub(super) async fn apply<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        const CAUSE: &str = "an injected fault";
        match self.draw(operation).await {
            Fate::Through => work.await,
            Fate::Refused => Err(PortError::refused(operation, CAUSE)),
            Fate::NothingUnknown => Err(PortError::unknown(operation, CAUSE)),
            Fate::HappenedUnknown => {
                work.await?;
                Err(PortError::unknown(operation, CAUSE))
            }
        }
    }

    /// Likewise for `work` that changes nothing, whose failure is never in doubt.
    pub(super) async fn apply_read<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        self.apply(operation, work).await.map_err(|error| PortError::refused(operation, error))
    }

    async fn draw(&self, operation: &'static str) -> Fate {
        let mode = {
            let mut state = self.state();
            *state.calls.entry(operation).or_default() += 1;
            state.single.get(operation).copied().unwrap_or(state.mode)
        };
        let fate = match mode {
            Mode::Sound => Fate::Through,
            Mode::Always(fate) => fate,
            Mode::Random { probability } => self.draw_fate(probability),
            Mode::Slow { by } => {
                self.clock.sleep(by).await;
                Fate::Through
            }
            Mode::Stuck => std::future::pending().await,
        };
        self.state().failed += u64::from(fate != Fate::Through);
        fate
    }

    fn draw_fate(&self, probability: f64) -> Fate {
        let chance: &dyn Ids = &self.chance;
        if chance.fraction() >= probability {
            return Fate::Through;
        }
        match chance.random() % 3 {
            0 => Fate::Refused,
            1 => Fate::NothingUnknown,
            _ => Fate::HappenedUnknown,
        }
    }
}
