//! Mail that is taken by the next server and bounces later: its return path leads back here.

use std::net::SocketAddr;

use harness::{
    Act, Client, Edge, Peer, Postfix, Script, Setup, Sink, Step, eventually, loopback, numbered_message,
    peers_present,
};
use serde_json::Value;

const BOUNCES: &str = "[bounces]\ndomain = \"bounces.example.net\"\n";

/// An edge whose submissions go to `sink`, and whose senders' mail is kept in the inbox; and where strangers hand in mail.
fn edge(sink: &Sink) -> (Edge, SocketAddr) {
    let mx = SocketAddr::from((loopback(), 2526));
    let listener = format!("[[listener]]\naddress = \"{mx}\"\nkind = \"mx\"\n{BOUNCES}");
    let setup = Setup::default().section(&listener).route("app.example", "inbox").route("*", &sink.route());
    (Edge::start(&setup), mx)
}

fn dsn(address: &str) -> Vec<u8> {
    format!(
        "From: Mail Delivery System <mailer-daemon@far.example>\r\nTo: whom it concerns\r\nSubject: Undelivered\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; inside.far.example\r\n\r\n\
         Final-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n--b--\r\n"
    )
    .into_bytes()
}

fn feedback(edge: &Edge, id: &str) -> Value {
    eventually("the bounce is noted", || {
        let trace = edge.json(&["trace", id]);
        let feedback = trace["deliveries"][0]["feedback"].as_array()?.first()?.clone();
        Some(feedback)
    })
}

#[test]
fn a_bounce_that_comes_later_is_told_by_the_trace_and_suppresses_the_address() {
    let sink = Sink::start();
    let (edge, mx) = edge(&sink);
    let id = Client::submit(edge.smtp(), "a@app.example", &["gone@far.example"], &numbered_message(1, 500));
    let path = sink.wait_for(1)[0].from.clone();
    assert!(path.starts_with("b+") && path.ends_with("@bounces.example.net"), "{path}");
    assert_eq!(edge.settled(&id)["deliveries"][0]["recipients"][0]["status"], "delivered");

    let report = Client::submit(mx, "", &[&path], &dsn("gone@far.example"));
    let told = feedback(&edge, &id);
    assert_eq!(
        (told["kind"].as_str(), told["suppressed"].as_bool()),
        (Some("bounced"), Some(true)),
        "{told}"
    );
    assert_eq!(told["report"].as_str(), Some(report.as_str()));
    let text = String::from_utf8(edge.run(&["trace", &id]).stdout).unwrap();
    assert!(text.contains("delivered gone@far.example") && text.contains("bounced later"), "{text}");
    assert!(text.contains("550 5.1.1 user unknown") && text.contains("the address is suppressed"), "{text}");

    // the report has a trace of its own, and goes on to the sender as it came
    let own = eventually("the report is passed on", || {
        let trace = edge.json(&["trace", &report]);
        (trace["deliveries"].as_array()?.len() == 2).then_some(trace)
    });
    let shown = own.to_string();
    assert!(shown.contains(&format!("recorded as a bounce of message {id}")), "{shown}");
    let passed_on = eventually("the sender has it", || {
        std::fs::read_to_string(edge.folder().join("inbox").join(format!("{report}.eml"))).ok()
    });
    assert!(passed_on.starts_with("Return-Path: <>\r\nDelivered-To: a@app.example\r\n"), "{passed_on}");

    let next = Client::submit(edge.smtp(), "a@app.example", &["Gone@far.example"], &numbered_message(2, 500));
    let trace = edge.settled(&next);
    let recipient = &trace["deliveries"][0]["recipients"][0];
    assert_eq!(recipient["status"], "suppressed", "{trace}");
    assert!(recipient["reply"]["text"].as_str().unwrap().contains("suppressed since"), "{trace}");
    assert!(recipient["report"].is_string(), "its sender is told");
    assert_eq!(sink.sunk().len(), 1, "no server was asked");

    let removed = edge.run(&["suppress", "remove", "gone@far.example"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    let last = Client::submit(edge.smtp(), "a@app.example", &["gone@far.example"], &numbered_message(3, 500));
    assert_eq!(edge.settled(&last)["deliveries"][0]["recipients"][0]["status"], "delivered");
}

/// A complaint as providers send it (RFC 5965 §3): about a message that left with `path`, of which it tells by its header alone.
fn complaint(path: &str) -> Vec<u8> {
    format!(
        "From: <fbl@provider.example>\r\nTo: whom it concerns\r\nSubject: FW: order\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Provider-FBL/1.0\r\n\
         Version: 1\r\nOriginal-Mail-From: <{path}>\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: <a@app.example>\r\nSubject: order\r\n\r\n--b--\r\n"
    )
    .into_bytes()
}

#[test]
fn a_complaint_is_noted_with_its_message_and_suppresses_who_complained() {
    let sink = Sink::start();
    let (edge, mx) = edge(&sink);
    let to = ["ann@far.example", "bob@far.example"];
    let id = Client::submit(edge.smtp(), "a@app.example", &to, &numbered_message(1, 500));
    let left = sink.wait_for(2);
    let of_bob = left.iter().find(|sunk| sunk.to == to[1..]).unwrap();
    edge.settled(&id);

    // from a mailbox, to no return path: what it says of itself is all that ties it to the message
    let report = Client::submit(
        mx,
        "fbl@provider.example",
        &["complaints@bounces.example.net"],
        &complaint(&of_bob.from),
    );
    let noted = eventually("the complaint is noted", || {
        let trace = edge.json(&["trace", &id]);
        let deliveries = trace["deliveries"].as_array()?.clone();
        deliveries.iter().any(|one| !one["feedback"].as_array().unwrap().is_empty()).then_some(deliveries)
    });
    assert_eq!(noted.len(), 2, "each left with a path of its own");
    for delivery in noted {
        let recipient = &delivery["recipients"][0];
        assert_eq!(recipient["status"], "delivered", "nothing of what was delivered is changed");
        let told = delivery["feedback"].as_array().unwrap();
        if recipient["address"] == to[0] {
            assert!(told.is_empty(), "{told:?}");
            continue;
        }
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (told[0]["kind"].as_str(), told[0]["suppressed"].as_bool()),
            (Some("complaint"), Some(true))
        );
        assert_eq!((&told[0]["address"], &told[0]["reporter"]), (&to[1].into(), &"Provider-FBL/1.0".into()));
        assert_eq!(told[0]["report"].as_str(), Some(report.as_str()));
    }
    let own = edge.settled(&report);
    assert_eq!(own["deliveries"].as_array().unwrap().len(), 1, "it goes on to nobody: {own}");
    assert!(own.to_string().contains(&format!("recorded as a complaint of message {id}")), "{own}");

    let listed = edge.json(&["suppress", "list"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (&listed[0]["address"], &listed[0]["reason"]),
        (&to[1].into(), &"complaint".into()),
        "{listed:?}"
    );
    let next = Client::submit(edge.smtp(), "a@app.example", &to, &numbered_message(2, 500));
    let trace = edge.settled(&next);
    for delivery in trace["deliveries"].as_array().unwrap() {
        let recipient = &delivery["recipients"][0];
        let wanted = if recipient["address"] == to[0] { "delivered" } else { "suppressed" };
        assert_eq!(recipient["status"], wanted, "{trace}");
    }
    assert_eq!(sink.wait_for(3).len(), 3, "the one who complained was sent nothing more");
}

#[test]
fn a_path_that_was_made_up_is_nobodys_and_changes_nothing() {
    let sink = Sink::start();
    let (edge, mx) = edge(&sink);
    let id = Client::submit(edge.smtp(), "a@app.example", &["ann@far.example"], &numbered_message(1, 500));
    let path = sink.wait_for(1)[0].from.clone();
    let forged = path.replacen("-0-0-", "-0-1-", 1);
    let mut stranger = Client::connect(mx);
    stranger.command("EHLO far.example").unwrap();
    assert!(stranger.command("MAIL FROM:<>").unwrap().starts_with("250"));
    let refused = stranger.command(&format!("RCPT TO:<{forged}>")).unwrap();
    assert!(refused.starts_with("550 5.1.1"), "{refused}");
    assert!(stranger.command("RCPT TO:<complaints@bounces.example.net>").unwrap().starts_with("250"));
    assert!(stranger.command("DATA").unwrap().starts_with("354"));
    let complaint = format!(
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nx\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nOriginal-Mail-From: <{forged}>\r\n--b--\r\n"
    );
    stranger.write(format!("{complaint}.\r\n").as_bytes()).unwrap();
    let queued = stranger.reply().unwrap();
    let report = queued.split_whitespace().last().unwrap().to_owned();
    let trace = edge.settled(&report);
    let recipient = &trace["deliveries"][0]["recipients"][0];
    assert_eq!(recipient["status"], "discarded", "{trace}");
    assert!(recipient["reply"]["text"].as_str().unwrap().contains("discarded by bounces.domain"), "{trace}");
    assert_eq!(edge.json(&["trace", &id])["deliveries"][0]["feedback"].as_array().unwrap().len(), 0);
    assert_eq!(edge.json(&["suppress", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_hard_bounce_at_once_suppresses_and_the_list_can_be_moved() {
    let sink = Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 unknown".into())));
    let setup = Setup::default().route("app.example", "inbox").route("*", &sink.route());
    let edge = Edge::start(&setup);
    let first =
        Client::submit(edge.smtp(), "a@app.example", &["gone@far.example"], &numbered_message(1, 500));
    assert_eq!(edge.settled(&first)["deliveries"][0]["recipients"][0]["status"], "bounced");
    let next = Client::submit(edge.smtp(), "a@app.example", &["gone@far.example"], &numbered_message(2, 500));
    assert_eq!(edge.settled(&next)["deliveries"][0]["recipients"][0]["status"], "suppressed");
    let exported = edge.run(&["suppress", "export"]);
    let text = String::from_utf8(exported.stdout).unwrap();
    assert!(
        text.contains(&format!("default,gone@far.example,hard-bounce,message {first}: 550 5.1.1 unknown,")),
        "{text}"
    );
    let file = edge.folder().join("suppressions.csv");
    std::fs::write(&file, &text).unwrap();
    let other = Edge::start(&setup);
    let imported = other.run(&["suppress", "import", file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_eq!(String::from_utf8(other.run(&["suppress", "export"]).stdout).unwrap(), text);
}

#[test]
fn postfix_takes_our_mail_and_sends_its_bounce_back() {
    if !peers_present("postfix_takes_our_mail_and_sends_its_bounce_back", &[Peer::Postfix]) {
        return;
    }
    let dead = Sink::scripted(Script::default().on(Step::Rcpt, Act::Say("550 5.1.1 user unknown".into())));
    let mx = SocketAddr::from((loopback(), 2526));
    let postfix = Postfix::start(dead.address(), &[("bounces.example.net", mx)]);
    let listener = format!("[[listener]]\naddress = \"{mx}\"\nkind = \"mx\"\n{BOUNCES}");
    let route = format!("smtp://{}", postfix.address());
    let edge =
        Edge::start(&Setup::default().section(&listener).route("app.example", "inbox").route("*", &route));
    let to = ["gone@far.example", "other@far.example"];
    let id = Client::submit(edge.smtp(), "a@app.example", &to, &numbered_message(1, 500));
    let noted = eventually("both bounces are noted", || {
        let trace = edge.json(&["trace", &id]);
        let deliveries = trace["deliveries"].as_array()?.clone();
        let all =
            deliveries.iter().all(|one| one["feedback"].as_array().is_some_and(|told| !told.is_empty()));
        (deliveries.len() == 2 && all).then_some(deliveries)
    });
    for delivery in noted {
        assert_eq!(delivery["recipients"][0]["status"], "delivered");
        let feedback = &delivery["feedback"][0];
        assert_eq!(feedback["kind"], "bounced", "{feedback}");
        assert_eq!(feedback["address"], delivery["recipients"][0]["address"], "each knows its own");
        assert_eq!(feedback["reporter"], "postfix.example");
        assert_eq!(feedback["suppressed"], true);
    }
    let next = Client::submit(edge.smtp(), "a@app.example", &to[..1], &numbered_message(2, 500));
    assert_eq!(edge.settled(&next)["deliveries"][0]["recipients"][0]["status"], "suppressed");
}
