//! The DNS adapter against signed zones.

mod a_wildcard_is_proved;
mod each_answer_is_validated;
