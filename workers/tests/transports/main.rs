//! The transports against servers over real sockets, and against a DNS of our own: what is told of each recipient is what
//! its server said, whatever the server does.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "one test program, no public items")]

mod a_bad_server_costs_only_its_own_mail;
mod a_kept_connection_is_no_surer_than_it_was_made;
mod a_process_that_must_end_waits_for_no_server;
mod addresses_of_a_host_race;
mod broken_tls_excuses_only_whoever_may_do_without;
mod chunks_carry_what_data_cannot;
mod connections_are_kept_for_the_site;
mod dane_decides_whose_certificate_counts;
mod dnssec_decides_whether_dane_counts;
mod each_tenant_leaves_from_its_source;
mod extensions_are_used_as_offered;
mod hosts_are_found_as_rfc_5321_says;
mod limits_of_a_server_are_kept_to;
mod messages_go_out_ahead_of_their_replies;
mod mta_sts_names_the_hosts_of_a_domain;
mod reports_of_tls_are_posted_over_https;
mod requiretls_goes_all_the_way_or_back;
mod several_messages_share_a_connection;
mod shaping_bounds_a_connection_and_a_transaction;
mod smart_hosts_are_told_who_we_are;
mod smart_hosts_stand_in_for_each_other;
mod the_inbox_holds_one_file_a_message;
mod the_operator_has_the_last_word_on_tls;
mod the_wishes_of_a_sender_go_along;
mod tls_is_used_where_it_can_be_had;

mod certificates;
mod policy_site;

mod server;
mod world;
