use std::time::Duration;

use super::*;
use crate::testkit::samples::{NOW, delivery, record};

fn deferred() -> DeliveryState {
    DeliveryState::begin(record(&delivery(&["r@example.org", "s@example.org"]), RecipientStatus::Deferred))
}

fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    change(&mut filter);
    filter
}

#[test]
fn a_filter_means_what_has_all_that_it_names() {
    let state = deferred();
    let sender = state.from.as_str().to_owned();
    let domain = sender.split_once('@').unwrap().1;
    let (tenant, id) = (state.tenant.clone(), state.key.message);
    let is = |filter: Filter| filter.matches(&state, NOW);
    assert!(is(Filter::default()));
    assert!(is(filter(|f| f.messages = vec![id])));
    assert!(is(filter(|f| f.tenant = Some(tenant))));
    assert!(!is(filter(|f| f.tenant = Some(TenantId("other".to_owned())))));
    for (text, means) in
        [("example.org", true), ("*.org", true), ("*.example.org", false), ("xample.org", false)]
    {
        assert_eq!(is(filter(|f| f.destination = Some(text.parse().unwrap()))), means, "{text}");
    }
    for (text, means) in [(sender.clone(), true), (format!("@{domain}"), true), ("<>".to_owned(), false)] {
        assert_eq!(is(filter(|f| f.from = Some(text.parse().unwrap()))), means, "{text}");
    }
    for (text, means) in [("S@example.org", true), ("@example.org", true), ("t@example.org", false)] {
        assert_eq!(is(filter(|f| f.to = Some(text.parse().unwrap()))), means, "{text}");
    }
    for (text, means) in [("GREYLISTED", true), ("451 4.7.1", true), ("busy", false)] {
        assert_eq!(is(filter(|f| f.reason = Some(text.to_owned()))), means, "{text}");
    }
    for (status, means) in
        [(WaitingStatus::Deferred, true), (WaitingStatus::Held, false), (WaitingStatus::Waiting, false)]
    {
        assert_eq!(is(filter(|f| f.status = Some(status))), means, "{status:?}");
    }
    let at = state.accepted_at;
    assert!(is(filter(|f| f.accepted_before = Some(at))));
    assert!(!is(filter(|f| f.accepted_before = Some(at - Duration::from_millis(1)))));
    assert!(!is(filter(|f| f.due_by = Some(Timestamp::from_millis(0)))));
}

#[test]
fn a_job_without_an_item_is_meant_by_what_can_be_known_of_it() {
    let untried = delivery(&["r@example.org"]);
    assert!(filter(|f| f.to = Some("@example.org".parse().unwrap())).matches_untried(&untried));
    assert!(filter(|f| f.status = Some(WaitingStatus::Waiting)).matches_untried(&untried));
    assert!(!filter(|f| f.status = Some(WaitingStatus::Deferred)).matches_untried(&untried));
    assert!(!filter(|f| f.reason = Some("x".to_owned())).matches_untried(&untried));
}

#[test]
fn a_filter_covers_another_where_it_says_no_more() {
    let tenant = filter(|f| f.tenant = Some(TenantId("a".to_owned())));
    let both = filter(|f| {
        f.tenant = Some(TenantId("a".to_owned()));
        f.destination = Some("example.org".parse().unwrap());
    });
    assert!(Filter::default().covers(&both) && tenant.covers(&both) && both.covers(&both));
    assert!(!both.covers(&tenant) && !tenant.covers(&Filter::default()));
}

#[test]
fn patterns_are_read_and_written_in_one_form() {
    for text in ["example.org", "*.example.org"] {
        assert_eq!(text.parse::<DomainPattern>().unwrap().to_string(), text);
    }
    for text in ["<>", "@example.org", "a@example.org"] {
        assert_eq!(text.parse::<AddressPattern>().unwrap().to_string(), text);
    }
    for text in ["", "*", "a b", "*example.org"] {
        assert!(text.parse::<DomainPattern>().is_err(), "{text}");
    }
    for text in ["", "@", "example.org", "a@"] {
        assert!(text.parse::<AddressPattern>().is_err(), "{text}");
    }
    let text = serde_json::to_string(&filter(|f| f.from = Some(AddressPattern::Nobody))).unwrap();
    assert_eq!(text, r#"{"from":"<>"}"#);
}
