//! The transports against servers over real sockets, and against a DNS of our own: what is told of each recipient is what
//! its server said, whatever the server does.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "one test program, no public items")]

mod a_bad_server_costs_only_its_own_mail;
mod a_process_that_must_end_waits_for_no_server;
mod chunks_carry_what_data_cannot;
mod extensions_are_used_as_offered;
mod hosts_are_found_as_rfc_5321_says;
mod limits_of_a_server_are_kept_to;
mod requiretls_goes_all_the_way_or_back;
mod several_messages_share_a_connection;
mod shaping_bounds_a_connection_and_a_transaction;
mod the_inbox_holds_one_file_a_message;
mod the_wishes_of_a_sender_go_along;
mod tls_is_used_where_it_can_be_had;

mod server;
mod world;
