//! Fakes for the tests of this crate.
