//! The metrics of logins.

use metrics::{counter, describe_counter};

use super::Denial;

const LOGINS: &str = "spoolway_ingress_logins_total";
const KEY_SETS: &str = "spoolway_ingress_key_sets_total";

/// Tells the installed recorder what each metric means.
pub(crate) fn describe() {
    describe_counter!(
        LOGINS,
        "exchanges of AUTH that ended, by mechanism and result: granted, wrong, malformed, unavailable, limited or left"
    );
    describe_counter!(KEY_SETS, "sets of keys asked of issuers of tokens, by result: ok or failed");
}

pub(super) fn login(mechanism: &'static str, outcome: Result<(), Denial>) {
    let result = match outcome {
        Ok(()) => "granted",
        Err(Denial::Wrong) => "wrong",
        Err(Denial::Malformed) => "malformed",
        Err(Denial::Unavailable) => "unavailable",
        Err(Denial::NameLimited | Denial::AddressLimited) => "limited",
    };
    counter!(LOGINS, "mechanism" => mechanism, "result" => result).increment(1);
}

/// The client left an exchange before its end.
pub(super) fn left(mechanism: &'static str) {
    counter!(LOGINS, "mechanism" => mechanism, "result" => "left").increment(1);
}

pub(super) fn key_set(ok: bool) {
    counter!(KEY_SETS, "result" => if ok { "ok" } else { "failed" }).increment(1);
}
