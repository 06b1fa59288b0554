//! The cases, one behaviour a file.

#![expect(clippy::unwrap_used, reason = "a case panics where it fails")]
#![expect(clippy::disallowed_methods, reason = "a case stands outside the edge and lives in real time")]

mod a_4xx_is_tried_again_until_it_is_taken;
mod a_domain_is_added_before_the_edge_ever_ran;
mod a_draining_edge_finishes_what_it_began;
mod a_health_answer_tells_whether_stores_can_be_written;
mod a_large_message_is_streamed;
mod a_provider_that_throttles_delays_no_other;
mod a_refused_recipient_bounces_and_the_others_are_delivered;
mod a_remote_that_hangs_does_not_hold_the_end_up;
mod apps_authenticate_with_their_own_mechanisms;
mod arrows_point_one_way;
mod connections_leave_descriptors_for_the_stores;
mod dev_keeps_mail_in_an_inbox;
mod every_log_line_of_a_message_names_it;
mod held_mail_can_be_taken_back;
mod hostile_remotes_get_the_right_outcome;
mod mail_from_anybody_is_taken_for_those_who_are_there;
mod mistakes_of_a_configuration_are_reported_at_once;
mod mx_routes_go_where_the_dns_says;
mod other_mail_software_sends_in;
mod postfix_takes_our_mail_and_relays_into_us;
mod promise_1_250_means_durable;
mod promise_2_bytes_are_carried_not_rebuilt;
mod promise_3_at_least_once_and_nearly_once;
mod promise_4_nothing_is_stuck_and_nothing_is_silent;
mod promise_5_every_bound_is_written_down;
mod promise_6_anyone_can_ask_why;
mod promise_7_messages_share_requests;
mod roles_run_apart;
mod signatures_verify_elsewhere;
mod the_command_line_says_what_is_wrong;
mod the_stages_run_as_functions;
