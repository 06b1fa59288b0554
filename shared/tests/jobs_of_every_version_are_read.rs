//! Jobs that earlier releases left in a queue stay readable.

use shared::job::{DeliverJob, Delivery, Job, JobError, PrepareJob, Tell};
use shared::mail::{Body, ContentFacts, JobId, MailOptions, OriginalRecipient, ReversePath, TenantId};
use shared::port::{Action, DeliveryState, Notification, RecipientStatus};
use shared::testkit::samples::{delivery, notification, record};

const PREPARE: &str = include_str!("jobs/v1-prepare.json");
const DELIVER: &str = include_str!("jobs/v1-deliver.json");
const TELL: &str = include_str!("jobs/v2-tell.json");
const STATE: &str = include_str!("jobs/state.json");
const UNTOLD: &str = include_str!("jobs/state-untold.json");

fn golden() -> DeliverJob {
    let mut first = delivery(&["r1@example.org", "\"r 2\"@example.org"]);
    first.key.message = "0193f6cd2c007000800000000000000a-0".parse().expect("a message id");
    let mut second = Delivery {
        from: ReversePath::Null,
        options: MailOptions { body: Body::EightBitMime, smtputf8: true, ..MailOptions::default() },
        content: ContentFacts { eight_bit_header: true, ..ContentFacts::default() },
        attempt: 3,
        ..first.clone()
    };
    second.key.part = 1;
    DeliverJob::new(vec![first, second], true)
}

fn golden_tell() -> DeliverJob {
    let message = golden().deliveries[0].key.message;
    let reminders = vec![format!("001764000000000 {message} example.org 1763999999000")];
    let tell = Tell { message, tenant: TenantId::default(), reminders };
    DeliverJob::tell(tell, golden().deliveries[0].accepted_at)
}

/// A state of whose recipient the sender is to be told, as its DSN has been begun.
fn golden_untold() -> DeliveryState {
    let mut tried = delivery(&["r1@example.org"]);
    tried.key.message = "0193f6cd2c007000800000000000000a-0".parse().expect("a message id");
    tried.others = 2;
    let mut record = record(&tried, RecipientStatus::Bounced);
    record.recipients[0].report = Some(tried.key.message);
    let original = Some(OriginalRecipient { kind: "rfc822".to_owned(), address: "r@example.org".to_owned() });
    let untold = Notification { original, ..notification(&record, Action::Failed) };
    record.recipients[0].untold = Some(Box::new(untold));
    DeliveryState::begin(record)
}

#[test]
fn a_job_of_telling_a_sender_is_of_version_2_which_earlier_programs_leave_alone() {
    assert!(TELL.starts_with(r#"{"v":2,"#));
    assert_eq!(DeliverJob::decode(TELL).unwrap(), golden_tell());
    assert_eq!(golden_tell().encode(), TELL.trim_end());
}

#[test]
fn a_state_with_something_to_be_told_is_read_and_still_written_so() {
    assert_eq!(serde_json::to_string(&golden_untold()).unwrap(), UNTOLD.trim_end());
    assert_eq!(serde_json::from_str::<DeliveryState>(UNTOLD).unwrap(), golden_untold());
}

#[test]
fn a_prepare_job_of_version_1_is_read_and_still_written_so() {
    let job = PrepareJob { pack: "0193f6cd2c007000800000000000000a".parse().unwrap() };
    assert_eq!(PrepareJob::decode(PREPARE).unwrap(), job);
    assert_eq!(job.encode(), PREPARE.trim_end());
}

#[test]
fn a_deliver_job_of_version_1_is_read_and_still_written_so() {
    let job = golden();
    assert_eq!(DeliverJob::decode(DELIVER).unwrap(), job);
    assert_eq!(job.encode(), DELIVER.trim_end());
}

#[test]
fn a_job_holds_no_character_that_sqs_refuses_and_loses_none() {
    let mut job = golden();
    job.deliveries[0].subject = "\u{fffe}a\u{ffff}\u{1}\u{7f}\u{e000}".to_owned();
    let text = job.encode();
    // the set that SQS takes, from its SendMessage: #x9 | #xA | #xD | #x20-#xD7FF | #xE000-#xFFFD | #x10000-#x10FFFF
    let taken = |character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(taken), "{text}");
    assert_eq!(DeliverJob::decode(&text).unwrap(), job);
}

#[test]
fn an_id_follows_from_what_the_job_carries() {
    assert_eq!(golden().id, golden().id);
    let names = [
        "0193f6cd2c007000800000000000000a-0/example.org 1",
        "0193f6cd2c007000800000000000000a-0/example.org#1 3",
    ];
    let at = golden().deliveries[0].accepted_at;
    assert_eq!(golden().id, JobId::derived(at, names), "ids must not change between releases");
}

#[test]
fn what_a_later_version_wrote_is_not_guessed_at() {
    let later = PREPARE.replace("\"v\":1", "\"v\":3");
    assert!(matches!(PrepareJob::decode(&later), Err(JobError::Version(3))));
    for text in ["", "{}", "[]", "{\"v\":1}", "{\"v\":\"1\"}", "{\"v\":1,\"pack\":\"x\"}"] {
        assert!(matches!(PrepareJob::decode(text), Err(JobError::Malformed(_))), "{text}");
    }
}

#[test]
fn a_state_of_an_earlier_release_is_read_and_still_written_so() {
    let mut tried = delivery(&["r1@example.org"]);
    tried.key.message = "0193f6cd2c007000800000000000000a-0".parse().expect("a message id");
    let state = DeliveryState::begin(record(&tried, RecipientStatus::Delivered));
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(text, STATE.trim_end());
    assert_eq!(serde_json::from_str::<DeliveryState>(STATE).unwrap(), state);
}

#[test]
#[ignore = "writes the golden jobs of the present version"]
fn write_golden_jobs() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jobs");
    let prepare = PrepareJob { pack: "0193f6cd2c007000800000000000000a".parse().unwrap() };
    std::fs::write(folder.join("v1-prepare.json"), prepare.encode() + "\n").unwrap();
    std::fs::write(folder.join("v1-deliver.json"), golden().encode() + "\n").unwrap();
    std::fs::write(folder.join("v2-tell.json"), golden_tell().encode() + "\n").unwrap();
    let untold = serde_json::to_string(&golden_untold()).unwrap();
    std::fs::write(folder.join("state-untold.json"), untold + "\n").unwrap();
}
