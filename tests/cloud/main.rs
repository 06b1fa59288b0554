//! The edge in the cloud: deployed from the templates on an emulator, with the stages as Lambda functions. One behaviour a file.

#![expect(clippy::print_stdout, reason = "a case tells what it counted")]
#![expect(clippy::unwrap_used, reason = "a case panics where it fails")]
#![expect(clippy::disallowed_methods, reason = "a case stands outside the edge and lives in real time")]

mod an_operators_hands_reach_the_functions;
mod each_message_is_delivered_once;
mod each_role_may_do_what_its_stage_does;
mod faults_lose_nothing;
mod kills_throttling_and_partitions_lose_nothing;
mod mail_leaves_by_a_smart_host_with_a_secret;
mod the_templates_keep_their_promises;
mod what_is_deferred_comes_back;
