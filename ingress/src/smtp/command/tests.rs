//! Lines that are commands, and lines that are not.

use shared::mail::{Body, ByMode, DeliverBy, Hold, MailOptions, Notify, Ret, Timestamp};

use super::*;

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes(), 256)
}

fn from(line: &str) -> Result<String, CommandError> {
    match parse(line)? {
        Command::Mail(mail) => Ok(mail.from.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn verbs_are_read_in_any_case_and_trailing_space_is_tolerated() {
    for line in ["DATA", "data", "Data  "] {
        assert_eq!(parse(line), Ok(Command::Data));
    }
    assert_eq!(parse("ehlo [192.0.2.1]"), Ok(Command::Ehlo("[192.0.2.1]".to_owned())));
    assert_eq!(parse("DATA x"), Err(CommandError::Form("DATA")));
    assert_eq!(parse("EHLO"), Err(CommandError::Form("EHLO domain")));
    assert_eq!(parse("EHLO a b"), Err(CommandError::Form("EHLO domain")));
    for line in ["", " ", "DATAX", "DAT", "STARTTL", "BDATA 1"] {
        assert_eq!(parse(line), Err(CommandError::Unknown), "{line}");
    }
    assert_eq!(parse("GET / HTTP/1.1"), Err(CommandError::Http));
    assert_eq!(Command::parse(b"NOOP \xff", 256), Err(CommandError::Malformed));
    assert_eq!(parse("NOOP\0"), Err(CommandError::Malformed));
    for letter in ['\u{85}', '\u{9b}', '\u{2028}', '\u{2029}'] {
        assert_eq!(parse(&format!("MAIL FROM:<a{letter}b@c.d> SMTPUTF8")), Err(CommandError::Malformed));
    }
}

#[test]
fn paths_are_read_strictly() {
    assert_eq!(from("MAIL FROM:<a@b.c>"), Ok("a@b.c".to_owned()));
    assert_eq!(from("mail from:<>"), Ok(String::new()));
    assert_eq!(from("MAIL FROM:<@x.y,@z:a@b.c>"), Ok("a@b.c".to_owned()));
    assert_eq!(from(r#"MAIL FROM:<"a>\" b"@b.c>"#), Ok(r#""a>\" b"@b.c"#.to_owned()));
    for line in
        ["MAIL", "MAIL FROM", "MAIL FROM:a@b.c", "MAIL FROM: <a@b.c>", "MAIL FROM:<a@b.c", "MAIL TO:<a@b.c>"]
    {
        assert_eq!(from(line), Err(CommandError::Form("MAIL FROM:<address>")), "{line}");
    }
    for path in [
        "a",
        "a@",
        "@b.c",
        "a@b@c",
        "@x:",
        "@x,y:a@b.c",
        "@[1.2.3.4]:a@b.c",
        "@:a@b.c",
        "postmaster",
        " a@b.c",
    ] {
        assert_eq!(from(&format!("MAIL FROM:<{path}>")), Err(CommandError::Sender), "{path}");
        if path != "postmaster" {
            assert_eq!(parse(&format!("RCPT TO:<{path}>")), Err(CommandError::Recipient), "{path}");
        }
    }
    assert_eq!(parse("RCPT TO:<>"), Err(CommandError::Recipient));
    let Ok(Command::Rcpt(rcpt)) = parse("RCPT TO:<PostMaster>") else { panic!() };
    assert_eq!(rcpt.to, ForwardPath::Postmaster);
}

#[test]
fn a_path_of_the_limit_is_read_and_one_octet_more_is_not() {
    let domain = format!("{0}.{0}.{0}.{1}", "d".repeat(60), "e".repeat(50));
    let path = |local: usize| format!("MAIL FROM:<{}@{domain}>", "a".repeat(local));
    let fits = 256 - 2 - 1 - domain.len();
    assert!(from(&path(fits)).is_ok());
    assert_eq!(from(&path(fits + 1)), Err(CommandError::Sender));
}

#[test]
fn parameters_are_known_given_once_and_well_formed() {
    let Ok(Command::Mail(mail)) = parse("MAIL FROM:<a@b.c> size=100 Body=8bitmime SMTPUTF8") else {
        panic!()
    };
    assert_eq!((mail.size, mail.extended), (Some(100), true));
    assert_eq!(
        mail.options,
        MailOptions { body: Body::EightBitMime, smtputf8: true, ..MailOptions::default() }
    );
    for wrong in [
        "SIZE",
        "SIZE=",
        "SIZE=x",
        "SIZE=-1",
        "SIZE=1 SIZE=1",
        "BODY",
        "BODY=BINARY",
        "SMTPUTF8=1",
        "SMTPUTF8 SMTPUTF8",
        "BODY=7BIT body=7BIT",
        "=1",
        " SIZE=1",
        "-A",
        "A=b=c",
        "A_B",
        "RET",
        "RET=ALL",
        "RET=FULL RET=HDRS",
        "ENVID=a+0D+0Ab",
        "ENVID=+",
        "REQUIRETLS=1",
        "HOLDFOR=x",
        "HOLDFOR=1000000000",
        "HOLDFOR=1 HOLDUNTIL=2026-11-25T08:00:00Z",
        "HOLDUNTIL=tomorrow",
        "MT-PRIORITY=10",
        "MT-PRIORITY=-0",
        "MT-PRIORITY=+1",
        "BY=1",
        "BY=1;X",
        "BY=0;R",
        "BY=-1;RT",
        "BY=1234567890;N",
        "AUTH=a",
        "AUTH",
    ] {
        assert_eq!(from(&format!("MAIL FROM:<a@b.c> {wrong}")), Err(CommandError::Parameter), "{wrong}");
    }
    assert_eq!(from("MAIL FROM:<a@b.c>SIZE=1"), Err(CommandError::Parameter));
    assert_eq!(from("MAIL FROM:<a@b.c> SIZE=1 XYZZY=1"), Err(CommandError::UnknownParameter));
    assert_eq!(parse("RCPT TO:<a@b.c> SIZE=1"), Err(CommandError::UnknownParameter));
    let Ok(Command::Mail(mail)) = parse("MAIL FROM:<a@b.c> SIZE=99999999999999999999") else { panic!() };
    assert_eq!(mail.size, Some(u64::MAX));
}

#[test]
fn addresses_outside_ascii_need_smtputf8() {
    assert_eq!(from("MAIL FROM:<d\u{f6}rte@b.c>"), Err(CommandError::NotAscii));
    assert_eq!(from("MAIL FROM:<d\u{f6}rte@b.c> SMTPUTF8"), Ok("d\u{f6}rte@b.c".to_owned()));
}

#[test]
fn what_travels_with_a_message_is_read_whole() {
    let line = "MAIL FROM:<a@b.c> BODY=BINARYMIME ret=hdrs ENVID=a+2Bb REQUIRETLS HOLDFOR=60 MT-PRIORITY=-3 BY=-5;nt AUTH=<>";
    let Ok(Command::Mail(mail)) = parse(line) else { panic!() };
    assert!(mail.prioritized && mail.submitter);
    assert_eq!(
        mail.options,
        MailOptions {
            body: Body::BinaryMime,
            smtputf8: false,
            require_tls: true,
            ret: Some(Ret::Hdrs),
            envid: Some("a+b".to_owned()),
            hold: Some(Hold::For(60)),
            priority: -3,
            deliver_by: Some(DeliverBy { seconds: -5, mode: ByMode::Notify, trace: true }),
        }
    );
    let Ok(Command::Mail(mail)) = parse("MAIL FROM:<a@b.c> HOLDUNTIL=1970-01-01T00:00:01Z AUTH=e+3Dmc2@b.c")
    else {
        panic!()
    };
    assert_eq!(mail.options.hold, Some(Hold::Until(Timestamp::from_millis(1000))));
}

#[test]
fn whom_to_tell_of_a_recipient_is_read_whole() {
    let rcpt = |parameters: &str| match parse(&format!("RCPT TO:<a@b.c> {parameters}")) {
        Ok(Command::Rcpt(rcpt)) => Ok(*rcpt),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(rcpt("NOTIFY=NEVER").unwrap().notify, Some(Notify::default()));
    let told = Notify { success: true, failure: false, delay: true };
    assert_eq!(rcpt("notify=delay,SUCCESS").unwrap().notify, Some(told));
    let original = |parameters: &str| {
        let original = rcpt(parameters).unwrap().original.unwrap();
        (original.kind, original.address)
    };
    assert_eq!(original("ORCPT=rfc822;a+2Bb@b.c"), ("rfc822".to_owned(), "a+b@b.c".to_owned()));
    assert_eq!(original("ORCPT=UTF-8;d\\x{F6}rte@b.c"), ("utf-8".to_owned(), "d\u{f6}rte@b.c".to_owned()));
    for wrong in [
        "NOTIFY",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=DELAY,DELAY",
        "NOTIFY=ALWAYS",
        "NOTIFY=NEVER NOTIFY=NEVER",
        "ORCPT",
        "ORCPT=a@b.c",
        "ORCPT=;a",
        "ORCPT=rfc822;",
        "ORCPT=rfc822;a+0Ab",
        "ORCPT=utf-8;a\\x{A}b",
        "ORCPT=utf-8;a\\x{110000}",
    ] {
        assert_eq!(rcpt(wrong), Err(CommandError::Parameter), "{wrong}");
    }
}

#[test]
fn a_chunk_says_its_size_and_whether_it_is_the_last() {
    assert_eq!(parse("BDAT 86"), Ok(Command::Bdat(Chunk { octets: 86, last: false })));
    assert_eq!(parse("bdat 0 last"), Ok(Command::Bdat(Chunk { octets: 0, last: true })));
    for wrong in [
        "BDAT",
        "BDAT x",
        "BDAT -1",
        "BDAT 1 LAS",
        "BDAT 1  LAST",
        "BDAT 99999999999999999999",
        "BDAT 1 LAST x",
    ] {
        assert_eq!(parse(wrong), Err(CommandError::ChunkSize), "{wrong}");
    }
}

#[test]
fn auth_names_a_mechanism_and_may_bring_a_response_that_is_never_shown() {
    let auth = |line| match parse(line) {
        Ok(Command::Auth(auth)) => Ok((auth.mechanism, auth.initial.map(|response| response.0))),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(auth("auth plain"), Ok(("PLAIN".to_owned(), None)));
    assert_eq!(auth("AUTH SCRAM-SHA-256-PLUS ="), Ok(("SCRAM-SHA-256-PLUS".to_owned(), Some(Vec::new()))));
    assert_eq!(auth("AUTH PLAIN AGEAYg=="), Ok(("PLAIN".to_owned(), Some(b"\0a\0b".to_vec()))));
    assert_eq!(auth("AUTH PLAIN AGEAYg="), Err(CommandError::Base64));
    for wrong in ["AUTH", "AUTH PL.AIN", "AUTH PLAIN a b", "AUTH ABCDEFGHIJKLMNOPQRSTU"] {
        assert!(matches!(auth(wrong), Err(CommandError::Form(_))), "{wrong}");
    }
    assert!(!format!("{:?}", parse("AUTH PLAIN AGEAYg==")).contains("98"));
}

#[test]
fn xclient_says_for_whom_a_proxy_speaks() {
    let Ok(Command::XClient(said)) =
        parse("XCLIENT ADDR=IPV6:2001:db8::1 NAME=[UNAVAILABLE] HELO=a+2Bb PROTO=ESMTP")
    else {
        panic!()
    };
    assert_eq!(said.ip, Some("2001:db8::1".parse().unwrap()));
    assert_eq!((said.name.as_deref(), said.helo.as_deref(), said.esmtp), (Some(""), Some("a+b"), Some(true)));
    assert_eq!(parse("XCLIENT ADDR=nowhere"), Err(CommandError::Parameter));
    assert_eq!(parse("XCLIENT ADDR=192.0.2.1 ADDR=192.0.2.2"), Err(CommandError::Parameter));
    assert_eq!(parse("XCLIENT COLOUR=red"), Err(CommandError::UnknownParameter));
}
