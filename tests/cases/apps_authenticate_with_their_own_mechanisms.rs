//! Real clients, each with every mechanism that it knows, over STARTTLS and implicit TLS.

use std::net::SocketAddr;
use std::process::Command;

use harness::{Edge, Identity, Peer, Postfix, Setup, Sink, feed, loopback, peers_present, succeeded};

struct World {
    sink: Sink,
    edge: Edge,
    /// Where TLS comes first.
    implicit: SocketAddr,
    identity: Identity,
    secret: String,
}

/// An edge that trusts nobody's network, with a credential `app` for `@example.com`.
fn world() -> World {
    let implicit = SocketAddr::from((loopback(), 2465));
    let (sink, identity) = (Sink::start(), Identity::new(loopback()));
    let setup = Setup::with_logins(&identity)
        .section("[auth]\ncram_md5 = true\n")
        .implicit_tls(implicit)
        .route("*", &sink.route());
    let edge = Edge::start(&setup);
    let told = edge.json(&["credential", "add", "app", "--from", "@example.com", "--cram-md5"]);
    let secret = told["secret"].as_str().unwrap().to_owned();
    World { sink, edge, implicit, identity, secret }
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, secret, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"]:
    with smtplib.SMTP(host, port, timeout=30) as s:
        s.ehlo()
        assert not s.has_extn("auth"), "AUTH is offered in clear text"
        s.starttls(context=context)
        s.ehlo()
        assert mechanism in s.esmtp_features["auth"].split(), s.esmtp_features
        s.user, s.password = "app", "wrong"
        try:
            s.auth(mechanism, getattr(s, "auth_" + mechanism.lower().replace("-", "_")))
            raise SystemExit("a wrong secret was taken")
        except smtplib.SMTPAuthenticationError as e:
            assert e.smtp_code == 535, e
        s.password = secret
        s.auth(mechanism, getattr(s, "auth_" + mechanism.lower().replace("-", "_")))
        try:
            s.sendmail("boss@elsewhere.example", ["u@b.example"], "From: app@example.com\r\n\r\nx\r\n")
            raise SystemExit("another's address was taken")
        except smtplib.SMTPSenderRefused as e:
            assert e.smtp_code == 553, e
        s.rset()
        try:
            s.sendmail("app@example.com", ["u@b.example"], "From: boss@elsewhere.example\r\n\r\nx\r\n")
            raise SystemExit("another author was taken")
        except smtplib.SMTPDataError as e:
            assert e.smtp_code == 550, e
        s.sendmail("app@example.com", ["u@b.example"], "From: app@example.com\r\nSubject: %s\r\n\r\nx\r\n" % mechanism,
                   mail_options=["RET=HDRS", "ENVID=x"], rcpt_options=["NOTIFY=NEVER"])
"#;

#[test]
fn pythons_smtplib_logs_in_and_is_held_to_its_senders() {
    if !peers_present("pythons_smtplib_logs_in_and_is_held_to_its_senders", &[Peer::Python]) {
        return;
    }
    let World { sink, edge, identity, secret, .. } = world();
    let (host, port) = (edge.smtp().ip().to_string(), edge.smtp().port().to_string());
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-", &host, &port, &secret]).arg(identity.chain());
    succeeded("smtplib", &feed(&mut python, SMTPLIB));
    assert_eq!(sink.wait_for(3).len(), 3);
}

#[test]
fn swaks_logs_in_over_starttls() {
    if !peers_present("swaks_logs_in_over_starttls", &[Peer::SwaksTls]) {
        return;
    }
    let World { sink, edge, secret, .. } = world();
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let output = Command::new("/usr/bin/swaks")
            .args(["--server", &edge.smtp().to_string(), "--tls", "--auth", mechanism])
            .args(["--auth-user", "app", "--auth-password", &secret, "--ehlo", "swaks.example"])
            .args(["--from", "app@example.com", "--to", "u@b.example", "--h-From", "app@example.com"])
            .output()
            .unwrap();
        succeeded(mechanism, &output);
    }
    assert_eq!(sink.wait_for(3).len(), 3);
}

#[test]
fn postfix_submits_with_sasl_and_relays_with_every_extension_it_has() {
    if !peers_present(
        "postfix_submits_with_sasl_and_relays_with_every_extension_it_has",
        &[Peer::Postfix, Peer::Swaks],
    ) {
        return;
    }
    let World { sink, edge, identity, secret, .. } = world();
    let more = format!(
        "smtp_tls_security_level = verify\nsmtp_tls_CAfile = {}\nsmtp_tls_verify_cert_match = edge.example\n\
         smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n\
         smtp_sasl_password_maps = inline:{{ {{ [{}]:{} = app:{secret} }} }}\n",
        identity.chain().display(),
        edge.smtp().ip(),
        edge.smtp().port(),
    );
    let postfix = Postfix::start_with(edge.smtp(), &[], &more);
    let output = Command::new("/usr/bin/swaks")
        .args(["--server", &postfix.address().to_string(), "--ehlo", "swaks.example"])
        .args(["--from", "app@example.com", "--to", "u@b.example", "--h-From", "app@example.com"])
        .output()
        .unwrap();
    succeeded("swaks", &output);
    let sunk = sink.wait_for(1);
    let data = String::from_utf8_lossy(&sunk[0].data);
    assert!(data.contains("with ESMTPSA"), "{data}");
}

const MESSAGE: &str = "From: app@example.com\r\nSubject: x\r\n\r\nhello\r\n";

#[test]
fn curl_logs_in_by_smtp_and_smtps() {
    if !peers_present("curl_logs_in_by_smtp_and_smtps", &[Peer::Curl]) {
        return;
    }
    let World { sink, edge, implicit, identity, secret } = world();
    let mut sent = 0;
    for (url, address) in [("smtp", edge.smtp()), ("smtps", implicit)] {
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--ssl-reqd", "--max-time", "30"]);
            curl.args(["--connect-to", &format!("edge.example:{}:{address}", address.port())]);
            curl.args(["--url", &format!("{url}://edge.example:{}/client.example", address.port())]);
            curl.arg("--cacert").arg(identity.chain());
            curl.args(["--login-options", &format!("AUTH={mechanism}"), "--user", &format!("app:{secret}")]);
            curl.args(["--mail-from", "app@example.com", "--mail-rcpt", "u@b.example", "--upload-file", "-"]);
            succeeded(&format!("{url} {mechanism}"), &feed(&mut curl, MESSAGE));
            sent += 1;
        }
    }
    assert_eq!(sink.wait_for(sent).len(), sent);
}

#[test]
fn msmtp_logs_in_with_scram_too() {
    if !peers_present("msmtp_logs_in_with_scram_too", &[Peer::Msmtp]) {
        return;
    }
    let World { sink, edge, implicit, identity, secret } = world();
    let mut sent = 0;
    for (starttls, address) in [("on", edge.smtp()), ("off", implicit)] {
        for mechanism in ["plain", "login", "cram-md5", "scram-sha-256"] {
            let mut msmtp = Command::new("msmtp");
            msmtp.args(["--file=/dev/null", &format!("--host={}", address.ip())]);
            msmtp.args([
                &format!("--port={}", address.port()),
                "--tls=on",
                &format!("--tls-starttls={starttls}"),
            ]);
            msmtp.arg(format!("--tls-trust-file={}", identity.chain().display()));
            msmtp.args(["--tls-host-override=edge.example", &format!("--auth={mechanism}"), "--user=app"]);
            msmtp.arg(format!("--passwordeval=printf %s {secret}"));
            msmtp.args(["--from=app@example.com", "--timeout=30", "u@b.example"]);
            succeeded(mechanism, &feed(&mut msmtp, MESSAGE));
            sent += 1;
        }
    }
    assert_eq!(sink.wait_for(sent).len(), sent);
}
