use proptest::prelude::*;

use super::*;
use crate::deliver::Outcome;
use crate::deliver::outcome::Failure;

const STEPS: [Step; 9] = [
    Step::Greeting,
    Step::Hello,
    Step::StartTls,
    Step::Reset,
    Step::Mail,
    Step::Recipient,
    Step::Data,
    Step::Content,
    Step::End,
];

fn at(step: Step, code: u16, text: &str) -> Classification {
    classify(&Reply::received(code, text).unwrap(), step)
}

#[test]
fn bare_codes_are_final_exactly_where_the_outcome_is() {
    for step in STEPS {
        for code in 400..600 {
            let outcome = Failure::Refused(step, Reply::plain(code, "x")).verdict().0;
            assert_eq!(at(step, code, "x").permanent, outcome == Outcome::Bounced, "{code} at {step}");
        }
    }
}

#[test]
fn greylisting_asks_for_a_soon_retry_and_a_limit_for_a_slow_one() {
    let grey = at(Step::Recipient, 450, "4.2.0 Greylisted");
    assert_eq!((grey.class, grey.retry, grey.permanent), (FailureClass::Greylisting, Retry::Soon, false));
    let limit = at(Step::Greeting, 421, "too many connections from your address");
    assert_eq!((limit.class, limit.retry), (FailureClass::RateLimit, Retry::BackOff));
    let gone = at(Step::Recipient, 550, "5.1.1 no such user");
    assert_eq!(
        (gone.class, gone.retry, gone.scope),
        (FailureClass::InvalidRecipient, Retry::Never, FailureScope::Recipient)
    );
}

#[test]
fn a_text_means_more_than_the_enhanced_code_and_that_more_than_the_reply_code() {
    assert_eq!(at(Step::Recipient, 550, "5.7.1 user unknown").class, FailureClass::InvalidRecipient);
    assert_eq!(at(Step::Recipient, 550, "5.2.2 no").class, FailureClass::MailboxFull);
    assert_eq!(at(Step::Recipient, 553, "no").class, FailureClass::InvalidRecipient);
    assert_eq!(at(Step::Recipient, 550, "no").class, FailureClass::Unknown);
}

#[test]
fn an_enhanced_code_behind_a_number_sign_counts_where_none_stands_in_front() {
    assert_eq!(at(Step::Recipient, 553, "sorry (#5.2.1)").class, FailureClass::Inactive);
    assert_eq!(at(Step::Recipient, 450, "sorry (#5.2.1)").class, FailureClass::Transient);
    assert_eq!(at(Step::Recipient, 553, "5.2.2 sorry (#5.2.1)").class, FailureClass::MailboxFull);
}

#[test]
fn a_text_that_means_the_other_overrides_the_code() {
    assert!(!at(Step::Mail, 550, "This IP has sent too many messages this hour. IB504").permanent);
    assert!(!at(Step::Recipient, 552, "Too many recipients").permanent);
    assert!(at(Step::Recipient, 552, "5.2.2 over quota").permanent);
}

#[test]
fn the_names_of_json_are_the_published_ones() {
    for class in FailureClass::ALL {
        assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
    }
}

/// Every detail that is registered and says something, by subject (IANA's registry of enhanced status codes, 2024-12-06).
const REGISTERED: [(u16, &[u16]); 7] = [
    (1, &[1, 2, 3, 4, 6, 7, 8, 9, 10]),
    (2, &[1, 2, 3, 4]),
    (3, &[1, 2, 3, 4, 5, 6]),
    (4, &[1, 2, 3, 4, 5, 6, 7, 8]),
    (5, &[1, 2, 3, 4, 5, 6]),
    (6, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    (
        7,
        &[
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
            27, 28, 29, 30,
        ],
    ),
];

#[test]
fn every_registered_enhanced_code_has_a_row() {
    let by_code_alone = ["RFC 5321 §4.2.1", "RFC 5321 §4.2.3", "RFC 3463 §4"];
    for (subject, details) in REGISTERED {
        for &detail in details {
            let got = classify(&Reply::new(550, (subject, detail), "x"), Step::End);
            assert!(!by_code_alone.contains(&got.source), "5.{subject}.{detail}: {got:?}");
        }
    }
}

proptest! {
    #[test]
    fn every_reply_has_a_class_and_one_that_is_final_is_never_retried(
        code in 400u16..600, text in ".{0,80}", step in 0usize..9
    ) {
        let got = at(STEPS[step], code, &text);
        prop_assert_eq!(got.permanent, got.retry == Retry::Never);
        prop_assert!(!got.source.is_empty());
    }
}
