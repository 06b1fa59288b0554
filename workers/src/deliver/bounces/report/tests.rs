use super::*;

fn dsn(status: &str, kind: &str) -> String {
    format!(
        "From: <>\r\nSubject: failure\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\r\n\r\n\
         --b1\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n\
         --b1\r\nContent-Type: message/{kind}\r\n\r\n{status}\r\n\
         --b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody\r\n--b1--\r\n"
    )
}

fn statuses(message: &str) -> Vec<(FeedbackKind, Vec<String>, String)> {
    let Report::Delivery { statuses, .. } = parse(message.as_bytes()) else {
        panic!("it is a DSN: {message}")
    };
    let tell = |status: Status| {
        let addresses = status.addresses.iter().map(ToString::to_string).collect();
        (status.kind, addresses, status.reply.to_string())
    };
    statuses.into_iter().map(tell).collect()
}

/// What the one recipient of a DSN with these fields got.
fn one(fields: &str) -> (FeedbackKind, Vec<String>, String) {
    let mut all =
        statuses(&dsn(&format!("Reporting-MTA: dns; mx.far.example\r\n\r\n{fields}\r\n"), "delivery-status"));
    assert_eq!(all.len(), 1, "{fields}");
    all.remove(0)
}

#[test]
fn the_reports_of_common_servers_are_read() {
    // Postfix, Exim, Exchange, qmail-like and sparse ones
    let postfix = "Final-Recipient: rfc822; ann@far.example\r\nOriginal-Recipient: rfc822;Ann@far.example\r\n\
        Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.far.example\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 <ann@far.example>: Recipient address\r\n    rejected: User unknown";
    let (kind, addresses, reply) = one(postfix);
    assert_eq!(
        (kind, addresses),
        (FeedbackKind::Bounced, vec!["Ann@far.example".into(), "ann@far.example".into()])
    );
    assert_eq!(reply, "550 5.1.1 <ann@far.example>: Recipient address rejected: User unknown");
    for (fields, kind, told) in [
        (
            "Action: failed\r\nFinal-Recipient: rfc822;ann@far.example\r\nStatus: 5.0.0\r\nRemote-MTA: dns; mx\r\nDiagnostic-Code: smtp; 550 no such user",
            FeedbackKind::Bounced,
            "550 5.0.0 no such user",
        ),
        (
            "Final-recipient: RFC822; ann@far.example\r\nAction: failed\r\nStatus: 5.1.10\r\nDiagnostic-code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found",
            FeedbackKind::Bounced,
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: FAILED (really)\r\nStatus: 5.2.2 (mailbox full)\r\nDiagnostic-Code: x-unix; quota",
            FeedbackKind::Bounced,
            "550 5.2.2 quota",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: failed\r\nStatus: 4.4.7",
            FeedbackKind::Bounced,
            "450 4.4.7 no reason was given",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550-5.1.1 The account",
            FeedbackKind::Bounced,
            "550 5.1.1 The account",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: delayed\r\nStatus: 4.2.0\r\nWill-Retry-Until: x",
            FeedbackKind::Delayed,
            "450 4.2.0 no reason was given",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: delivered\r\nStatus: 2.0.0",
            FeedbackKind::Delivered,
            "250 2.0.0 no reason was given",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: relayed\r\nStatus: 2.1.9",
            FeedbackKind::Relayed,
            "250 2.1.9 no reason was given",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: expanded\r\nStatus: 2.0.0",
            FeedbackKind::Expanded,
            "250 2.0.0 no reason was given",
        ),
        (
            "Final-Recipient: rfc822; ann@far.example\r\nAction: failed\r\nStatus: nonsense\r\nDiagnostic-Code: smtp; 999 x",
            FeedbackKind::Bounced,
            "550 5.0.0 999 x",
        ),
    ] {
        let (found, addresses, reply) = one(fields);
        assert_eq!((found, reply.as_str()), (kind, told), "{fields}");
        assert_eq!(addresses, ["ann@far.example"], "{fields}");
    }
}

#[test]
fn addresses_of_utf_8_are_read_in_every_form() {
    let fields =
        "Final-Recipient: utf-8; d\\x{F6}\\x{2B}rte@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\n";
    assert_eq!(one(fields).1, ["d\u{f6}+rte@far.example"]);
    let as_it_is = "Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: utf-8; d\u{f6}rte@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\n";
    assert_eq!(statuses(&dsn(as_it_is, "global-delivery-status"))[0].1, ["d\u{f6}rte@far.example"]);
    // base64, as a 7-bit server makes of it
    let coded = "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/global-delivery-status\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nUmVwb3J0aW5nLU1UQTogZG5zOyBteA0KDQpGaW5hbC1SZWNpcGllbnQ6IHV0Zi04OyBkw7ZydGVA\r\n\
        ZmFyLmV4YW1wbGUNCkFjdGlvbjogZmFpbGVkDQpTdGF0dXM6IDUuMS4xDQo=\r\n--b--\r\n";
    assert_eq!(statuses(coded)[0].1, ["d\u{f6}rte@far.example"]);
}

const PATH: &str = "b+000000000000000000000000gg-0-1-0123456789abcdefghij@bounces.example.net";

fn complaint(fields: &str, headers: &str) -> String {
    format!(
        "From: fbl@far.example\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: Abuse\r\nUser-Agent: FBL/1.0\r\nVersion: 1\r\n{fields}\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\n{headers}Subject: spam\r\n\r\nbody {PATH}\r\n--b--\r\n"
    )
}

fn paths(message: &str) -> Vec<String> {
    let Report::Feedback { paths, kind, reporter } = parse(message.as_bytes()) else {
        panic!("it is feedback")
    };
    assert_eq!((kind.as_str(), reporter.as_deref()), ("abuse", Some("FBL/1.0")));
    paths.iter().map(ToString::to_string).collect()
}

#[test]
fn a_complaint_names_return_paths_in_its_fields_and_in_the_header_it_returns() {
    assert_eq!(paths(&complaint(&format!("Original-Mail-From: <{PATH}>"), "")), [PATH]);
    assert_eq!(paths(&complaint("", &format!("Return-Path: <{PATH}>\r\n"))), [PATH]);
    let spf = format!("Received-SPF: pass (x) envelope-from=\"{PATH}\";\r\n");
    assert_eq!(paths(&complaint("", &spf)), [PATH]);
    assert!(paths(&complaint("Original-Mail-From: <ann@far.example>", "")).is_empty(), "not in the body");
    let headers =
        complaint("", &format!("Return-Path: <{PATH}>\r\n")).replace("message/rfc822", "text/rfc822-headers");
    assert_eq!(paths(&headers), [PATH]);
}

#[test]
fn what_is_no_report_is_none_and_nothing_is_too_much() {
    for message in [
        "",
        "\r\n",
        "Subject: I am on holiday\r\n\r\nback on Monday\r\n",
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\r\n--b--",
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: unheard-of\r\n--b--",
    ] {
        assert!(matches!(parse(message.as_bytes()), Report::None), "{message}");
    }
    let limit = usize::try_from(crate::limits::REPORT_OCTETS_MAX).unwrap();
    let group = "Final-Recipient: rfc822; a@b.c\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n";
    let many = dsn(
        &format!("Reporting-MTA: dns; x\r\n\r\n{}", group.repeat(limit / group.len())),
        "delivery-status",
    );
    assert!(statuses(&many[..limit]).len() <= crate::limits::REPORT_GROUPS_MAX);
    let long = one(&format!(
        "Final-Recipient: rfc822; a@b.c\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 {}",
        "x\r\n ".repeat(9000)
    ));
    assert!(long.2.chars().count() < 600, "{}", long.2.len());
    // parts within parts, boundaries that never come, and paths by the hundred
    let nested = |depth: usize| {
        let mut text = String::new();
        for n in 0..depth {
            text.push_str(&format!("Content-Type: multipart/mixed; boundary=n{n}\r\n\r\n--n{n}\r\n"));
        }
        text
    };
    let deep = nested(limit / 54);
    assert!(matches!(parse(&deep.as_bytes()[..deep.len().min(limit)]), Report::None));
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(limit / 32);
    assert!(matches!(parse(messages.as_bytes()), Report::None));
    let many = (0..900)
        .map(|n| format!("X: {}\r\n", PATH.replace("-0-1-", &format!("-0-{n}-"))))
        .collect::<String>();
    assert_eq!(paths(&complaint("", &many)).len(), crate::limits::REPORT_PATHS_MAX);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    /// Whatever stands in a report, however it is cut and spliced, is read to its end, and what is told of it is bounded.
    #[test]
    fn no_report_is_too_strange_to_be_read(
        cuts in proptest::collection::vec((0_usize..4000, 0_usize..4000, proptest::prelude::any::<[u8; 3]>()), 0..12),
    ) {
        let fields = "Final-Recipient: utf-8; d\\x{F6}rte@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550-5.1.1 x";
        let mut octets = dsn(&format!("Reporting-MTA: dns; x\r\n\r\n{fields}\r\n"), "global-delivery-status").into_bytes();
        octets.extend_from_slice(complaint("Original-Mail-From: <a@b.c>", &format!("Return-Path: <{PATH}>\r\n")).as_bytes());
        for (from, to, put) in cuts {
            let (from, to) = (from % octets.len(), to % octets.len());
            let piece = octets[from.min(to)..from.max(to)].to_vec();
            octets.splice(to..to, piece.into_iter().take(600).chain(put));
        }
        match parse(&octets) {
            Report::Delivery { statuses, .. } => {
                for status in statuses {
                    proptest::prop_assert!(status.reply.text().chars().count() <= DSN_REPLY_CHARS_MAX);
                }
            }
            Report::Feedback { paths, kind, .. } => {
                proptest::prop_assert!(paths.len() <= REPORT_PATHS_MAX && kind.len() <= 4 * DSN_REPLY_CHARS_MAX);
            }
            Report::None => {}
        }
    }
}
