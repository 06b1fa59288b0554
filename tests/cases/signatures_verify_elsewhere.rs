use std::io::Write;
use std::process::{Command, Stdio};

use harness::{Client, Edge, Peer, Setup, Sink, numbered_message, peers_present};

const VERIFY: &str = r#"
import dkim, json, sys
records = json.loads(sys.argv[1])
message = sys.stdin.buffer.read()
def txt(name, timeout=5):
    return records.get(name.decode().rstrip("."), "").encode()
d = dkim.DKIM(message)
assert d.verify(0, dnsfunc=txt), "first signature"
d = dkim.DKIM(message)
assert d.verify(1, dnsfunc=txt), "second signature"
"#;

#[test]
fn both_signatures_verify_with_dkimpy_whatever_the_body() {
    if !peers_present("both_signatures_verify_with_dkimpy_whatever_the_body", &[Peer::Dkimpy]) {
        return;
    }
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().route("*", &sink.route()));
    let added = edge.json(&["domain", "add", "example.com"]);
    let mut records = serde_json::Map::new();
    for record in added["records"].as_array().expect("records to publish") {
        let name = record["name"].as_str().unwrap().trim_end_matches('.').to_owned();
        records.insert(name, record["value"].clone());
    }
    let header = "From: App <app@example.com>\r\nSubject: test\r\n";
    let mut bodies: Vec<Vec<u8>> = vec![
        format!("{header}\r\nplain\r\n").into_bytes(),
        format!("{header}Content-Type: text/plain; charset=utf-8\r\n\r\nh\u{e9}llo w\u{f6}rld\r\n")
            .into_bytes(),
        format!("{header}\r\n").into_bytes(),
        format!("{header}\r\ntrailing  \t \r\n \r\n\t\r\n\r\n").into_bytes(),
        format!("{header}\r\n \r\n\t\r\n").into_bytes(),
    ];
    bodies.push(numbered_message(1, 1_000_000));
    for (index, message) in bodies.iter().enumerate() {
        Client::submit(edge.smtp(), "a@example.com", &["u@b.example"], message);
        let copy = sink.wait_for(index + 1).pop().unwrap();
        let mut python = Command::new("/usr/bin/python3")
            .args(["-c", VERIFY, &serde_json::Value::Object(records.clone()).to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&copy.data).unwrap();
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success(), "message {index}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
