//! Fakes for the tests of this crate: ports that can be stopped at any call, and a world of them.

mod deliveries;
mod directory;
mod gate;
mod queue;
mod shaping;
mod spool;
mod tallies;
mod time;
mod transport;
mod world;

pub(crate) use deliveries::{FakeDeliveries, Fault};
pub(crate) use directory::FakeDirectory;
pub(crate) use gate::Gate;
pub(crate) use queue::FakeQueue;
pub(crate) use shaping::FakeCounters;
pub(crate) use spool::FakeSpool;
pub(crate) use tallies::FakeTallies;
pub(crate) use time::{drive, idle};
pub(crate) use transport::FakeTransport;
pub(crate) use world::{World, delivery};
