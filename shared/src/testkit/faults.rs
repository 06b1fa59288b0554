//! When, and how, a decorated port fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

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
    /// No operation happens or answers until the mode is another one.
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
    state: watch::Sender<State>,
}

struct State {
    mode: Mode,
    single: BTreeMap<&'static str, Mode>,
    calls: BTreeMap<&'static str, u64>,
    failed: u64,
    largest_read: usize,
}

impl State {
    fn calls_of(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or(0)
    }

    fn mode_of(&self, operation: &str) -> Mode {
        self.single.get(operation).copied().unwrap_or(self.mode)
    }
}

impl Faults {
    /// No faults yet; those that are drawn follow from `seed`.
    pub fn new(seed: u64) -> Arc<Self> {
        Self::with_clock(seed, Arc::new(SystemClock))
    }

    /// Likewise, and slow operations sleep on `clock`.
    pub fn with_clock(seed: u64, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State {
            mode: Mode::Sound,
            single: BTreeMap::new(),
            calls: BTreeMap::new(),
            failed: 0,
            largest_read: 0,
        };
        Arc::new(Self { clock, chance: SeededIds::new(seed), state: watch::Sender::new(state) })
    }

    /// Sets how every operation behaves, and forgets what was set for single ones.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.single.clear();
        });
    }

    /// Sets how one operation behaves.
    pub fn set_for(&self, operation: &'static str, mode: Mode) {
        self.state.send_modify(|state| {
            state.single.insert(operation, mode);
        });
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> u64 {
        self.state.borrow().calls_of(operation)
    }

    /// Waits until an operation was called at least `count` times.
    pub async fn until_called(&self, operation: &str, count: u64) {
        let mut state = self.state.subscribe();
        let called = state.wait_for(|state| state.calls_of(operation) >= count).await;
        called.expect("the sender lives as long as self");
    }

    /// How many operations were made to fail.
    pub fn failed(&self) -> u64 {
        self.state.borrow().failed
    }

    /// The most octets that one read of a spool gave.
    pub fn largest_read(&self) -> usize {
        self.state.borrow().largest_read
    }

    pub(super) fn note_read(&self, octets: usize) {
        self.state.send_modify(|state| state.largest_read = state.largest_read.max(octets));
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
        self.state.send_modify(|state| *state.calls.entry(operation).or_default() += 1);
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| state.mode_of(operation) != Mode::Stuck).await;
        let mode = settled.expect("the sender lives as long as self").mode_of(operation);
        let fate = match mode {
            Mode::Sound => Fate::Through,
            Mode::Always(fate) => fate,
            Mode::Random { probability } => self.draw_fate(probability),
            Mode::Slow { by } => {
                self.clock.sleep(by).await;
                Fate::Through
            }
            Mode::Stuck => unreachable!("it was waited out"),
        };
        self.state.send_modify(|state| state.failed += u64::from(fate != Fate::Through));
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
