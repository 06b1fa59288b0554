use std::io::Write;
use std::process::{Command, Stdio};

use harness::{Edge, Peer, Setup, Sink, peers_present};

const SMTPLIB: &str = r#"
import smtplib, sys
from email.message import EmailMessage
host, port = sys.argv[1], int(sys.argv[2])
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "App <app@example.com>", "u@b.example", "Gr\u00fc\u00dfe"
m.set_content("h\u00e9llo\n.\n.. dots\n")
with smtplib.SMTP(host, port, timeout=30) as s:
    s.set_debuglevel(0)
    assert s.ehlo()[0] == 250 and s.has_extn("pipelining") and s.has_extn("size")
    s.send_message(m)
    s.sendmail("d\u00f6rte@example.com", ["u@b.example"], "Subject: utf8\r\n\r\nhi\r\n".encode(), mail_options=["SMTPUTF8"])
    assert s.verify("u@b.example")[0] == 252
    assert s.noop()[0] == 250 and s.rset()[0] == 250
    try:
        s.sendmail("a@b.example", ["not an address"], "x")
        raise SystemExit("a broken address was taken")
    except smtplib.SMTPRecipientsRefused as e:
        assert list(e.recipients.values())[0][0] == 501, e.recipients
"#;

#[test]
fn pythons_smtplib_sends_in() {
    if !peers_present("pythons_smtplib_sends_in", &[Peer::Python]) {
        return;
    }
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let mut python = Command::new("/usr/bin/python3")
        .args(["-", &edge.smtp().ip().to_string(), &edge.smtp().port().to_string()])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(SMTPLIB.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sunk = sink.wait_for(2);
    assert!(sunk.iter().any(|copy| copy.from == "d\u{f6}rte@example.com"));
    assert!(sunk.iter().any(|copy| copy.data.windows(5).any(|octets| octets == b"Subje")));
}

#[test]
fn swaks_sends_in_with_pipelining() {
    if !peers_present("swaks_sends_in_with_pipelining", &[Peer::Swaks]) {
        return;
    }
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().route("*", &sink.route()));
    for pipeline in [&["--pipeline"][..], &[]] {
        let output = Command::new("/usr/bin/swaks")
            .args([
                "--server",
                &edge.smtp().to_string(),
                "--from",
                "a@app.example",
                "--to",
                "u@b.example,v@b.example",
            ])
            .args(["--ehlo", "swaks.example", "--body", "hello"])
            .args(pipeline)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let sunk = sink.wait_for(2);
    assert!(sunk.iter().all(|copy| copy.to == ["u@b.example", "v@b.example"]));
}
