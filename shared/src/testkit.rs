//! What the tests of every crate share: one conformance suite a port, fault decorators, and fakes of time, chance and the DNS.
//!
//! A suite is run on every adapter. It takes a [`Fixture`], opens two handles on one fresh store for each of its checks, and
//! waits for conditions, so that it holds for a file system as for a network. `*_suite` checks the contract; `*_under_faults`
//! checks what must hold while a seeded [`Faulty`] decorator lets operations fail.

mod clock;
mod cloud;
mod counters_suite;
mod decorated;
mod deliveries_suite;
mod directory_suite;
mod embedded;
mod emulator;
mod faults;
mod faulty;
mod fixture;
mod ids;
mod keys_suite;
pub mod peer;
mod queue_suite;
mod resolver;
pub mod samples;
mod signed_dns;
mod spool_suite;
mod tallies_suite;

pub use clock::ManualClock;
pub use cloud::Cloud;
pub use counters_suite::{counters_suite, counters_under_faults};
pub use decorated::Decorated;
pub use deliveries_suite::{deliveries_suite, deliveries_under_faults};
pub use directory_suite::{directory_suite, directory_under_faults};
pub use embedded::{Embedded, TempStores};
pub use emulator::Emulator;
pub use faults::{Fate, Faults, Mode};
pub use faulty::Faulty;
pub use fixture::{Fixture, Store, Windows, eventually};
pub use ids::SeededIds;
pub use keys_suite::{keys_suite, keys_under_faults};
pub use queue_suite::{queue_suite, queue_under_faults};
pub use resolver::{ZoneError, ZoneResolver};
pub use signed_dns::{SignedDns, Signing};
pub use spool_suite::{spool_suite, spool_under_faults};
pub use tallies_suite::{tallies_suite, tallies_under_faults};
