//! The cloud: packs in S3, jobs in SQS, state and directory in DynamoDB, signing keys in SSM, and
//! certificates in SSM or Secrets Manager.
//!
//! Whatever answers on `AWS_ENDPOINT_URL` (or on the SDK's variables for single services) will do. Errors of the SDK are mapped
//! in one place, which errs towards "it may have happened".

mod clients;
mod counters;
mod deliveries;
mod directory;
mod error;
mod keys;
mod meter;
mod queue;
mod secrets;
mod spool;
mod tallies;

pub use clients::Aws;
pub use counters::DynamoCounters;
pub use deliveries::DynamoDeliveries;
pub use directory::DynamoDirectory;
pub use keys::SsmKeys;
pub use queue::SqsQueue;
pub use secrets::{SecretsManager, SsmSecrets};
pub use spool::S3Spool;
pub use tallies::DynamoTallies;
