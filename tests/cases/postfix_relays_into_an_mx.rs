//! Postfix as the world's MX that relays into ours: STARTTLS whose certificate it verifies, and each extension that it knows, carried
//! to the end.

use std::net::SocketAddr;

use harness::{Client, Edge, Identity, Peer, Postfix, Script, Setup, Sink, loopback, peers_present};
use serde_json::json;

struct World {
    sink: Sink,
    edge: Edge,
    mx: SocketAddr,
    identity: Identity,
}

/// An edge whose MX has the recipients `app` and `über` at `example.com`.
fn world() -> World {
    let (mx, identity) = (SocketAddr::from((loopback(), 2526)), Identity::new(loopback()));
    let sink = Sink::scripted(Script::default().offering(&["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"]));
    let setup = Setup::default()
        .top("trusted_networks = [\"192.0.2.0/24\"]")
        .section(&identity.section())
        .section(&format!("[[listener]]\naddress = \"{mx}\"\nkind = \"mx\"\n"))
        .route("*", &sink.route());
    let edge = Edge::start(&setup);
    let added = edge.run(&["recipient", "add", "app@example.com", "\u{fc}ber@example.com"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    World { sink, edge, mx, identity }
}

impl World {
    /// A Postfix that relays to the MX if its certificate is for `name`.
    fn postfix(&self, name: &str) -> Postfix {
        let more = format!(
            "smtp_tls_security_level = verify\nsmtp_tls_CAfile = {}\nsmtp_tls_verify_cert_match = {name}\n\
             smtp_tls_loglevel = 1\n",
            self.identity.chain().display(),
        );
        Postfix::start_with(self.mx, &[], &more)
    }
}

/// 8bit, with dots to stuff, spaces at ends of lines and a line as long as RFC 5321 §4.5.3.1.6 allows; with all headers that
/// Postfix would add.
fn message() -> Vec<u8> {
    let head = "From: D\u{f6}rte <d\u{f6}rte@far.example>\r\nSubject: Gr\u{fc}\u{df}e\r\n\
                Date: Wed, 25 Nov 2026 09:49:24 +0000\r\nMessage-ID: <1@far.example>\r\n\r\n";
    let body = b".\r\n..two\r\nspace \t \r\nlatin 1: \xe9\xff\r\n";
    [head.as_bytes(), body, &[b'x'; 998], b"\r\n\r\nend\r\n"].concat()
}

/// Gives Postfix a message with these commands, which it passes on.
fn submit(postfix: &Postfix, commands: &[&str], message: &[u8]) {
    let mut client = Client::connect(postfix.address());
    client.command("EHLO app.far.example").unwrap();
    for command in commands {
        let reply = client.command(command).unwrap();
        assert!(reply.starts_with("250 "), "{command}: {reply}");
    }
    let reply = client.data(message).unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
}

/// Postfix sends no BDAT (as of 3.7 its smtp(8) knows only DATA): that CHUNKING is offered to it does it no harm.
#[test]
fn postfix_relays_with_verified_tls_smtputf8_8bitmime_and_dsn() {
    let case = "postfix_relays_with_verified_tls_smtputf8_8bitmime_and_dsn";
    if !peers_present(case, &[Peer::Postfix]) {
        return;
    }
    let world = world();
    let offered = Client::connect(world.mx).command("EHLO far.example").unwrap();
    for keyword in ["STARTTLS", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME"] {
        assert!(offered.contains(keyword), "{offered}");
    }
    let postfix = world.postfix("edge.example");
    let message = message();
    let commands = [
        "MAIL FROM:<d\u{f6}rte@far.example> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=order+2B7",
        "RCPT TO:<\u{fc}ber@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;first@elsewhere.example",
        "RCPT TO:<app@example.com> NOTIFY=NEVER",
    ];
    submit(&postfix, &commands, &message);

    postfix.logged(&["Verified TLS connection established to", "TLSv1.3"]);
    let sent = postfix.logged(&["to=<app@example.com>", "status=sent", "queued as"]);
    let id = sent.rsplit_once("queued as ").unwrap().1.trim_end_matches(')');
    let trace = world.edge.settled(id);
    let submission = &trace["submission"];
    assert!(submission["client"]["tls"].as_str().unwrap().starts_with("TLSv1.3 "), "{trace}");
    assert_eq!(submission["client"]["helo"], "postfix.example");
    let options = json!({"body": "eightbitmime", "envid": "order+7", "ret": "hdrs", "smtputf8": true});
    assert_eq!(submission["options"], options);

    let sunk = world.sink.wait_for(1);
    assert!(sunk[0].data.ends_with(&message), "{}", String::from_utf8_lossy(&sunk[0].data));
    let received = String::from_utf8_lossy(&sunk[0].data);
    assert!(received.contains("by edge.example with UTF8SMTPS\r\n"), "RFC 6531 §4.3: {received}");
    assert_eq!(
        sunk[0].commands,
        [
            "MAIL FROM:<d\u{f6}rte@far.example> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=order+2B7",
            "RCPT TO:<app@example.com> NOTIFY=NEVER ORCPT=rfc822;app@example.com",
            "RCPT TO:<\u{fc}ber@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;first@elsewhere.example",
        ]
    );
}

#[test]
fn postfix_bounces_for_those_whom_we_refuse_and_delivers_to_the_others() {
    let case = "postfix_bounces_for_those_whom_we_refuse_and_delivers_to_the_others";
    if !peers_present(case, &[Peer::Postfix]) {
        return;
    }
    let world = world();
    let postfix = world.postfix("edge.example");
    let commands = [
        "MAIL FROM:<> BODY=8BITMIME SMTPUTF8",
        "RCPT TO:<nobody@example.com>",
        "RCPT TO:<app@example.com>",
        "RCPT TO:<app@example.org>",
    ];
    submit(&postfix, &commands, &message());
    postfix.logged(&["to=<nobody@example.com>", "status=bounced", "said: 550 5.1.1 "]);
    postfix.logged(&["to=<app@example.org>", "status=bounced", "said: 550 5.7.1 "]);
    postfix.logged(&["to=<app@example.com>", "status=sent", "queued as"]);
    assert_eq!(world.sink.wait_for(1)[0].to, ["app@example.com"]);
}

#[test]
fn postfix_keeps_its_mail_where_our_certificate_is_for_another_name() {
    let case = "postfix_keeps_its_mail_where_our_certificate_is_for_another_name";
    if !peers_present(case, &[Peer::Postfix]) {
        return;
    }
    let world = world();
    let postfix = world.postfix("other.example");
    submit(
        &postfix,
        &["MAIL FROM:<a@far.example> BODY=8BITMIME SMTPUTF8", "RCPT TO:<app@example.com>"],
        &message(),
    );
    postfix.logged(&["to=<app@example.com>", "status=deferred", "Server certificate not verified"]);
    assert_eq!(world.sink.count(), 0);
}
