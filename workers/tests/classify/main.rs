//! Texts that real servers send, and what they mean.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod replies;
