//! SCRAM-SHA-256-PLUS on a real socket (RFC 5802 §6): whoever passes a login on between two sessions of TLS has it refused, even
//! with the server's own certificate and key.

use std::net::SocketAddr;
use std::process::{Command, Output};

use harness::{Edge, Identity, ManInTheMiddle, Peer, Setup, Sink, feed, loopback, peers_present, succeeded};

struct World {
    sink: Sink,
    _edge: Edge,
    /// Where the edge listens; the certificate names it.
    address: SocketAddr,
    identity: Identity,
    secret: String,
}

fn world() -> World {
    let ip = loopback();
    let (address, identity, sink) = (SocketAddr::from((ip, 2587)), Identity::new(ip), Sink::start());
    let setup = Setup::with_logins(&identity)
        .section(&format!("[[listener]]\naddress = \"{address}\"\n"))
        .route("*", &sink.route());
    let edge = Edge::start(&setup);
    let told = edge.json(&["credential", "add", "app", "--from", "@example.com"]);
    let secret = told["secret"].as_str().unwrap().to_owned();
    World { sink, _edge: edge, address, identity, secret }
}

/// One login of GNU SASL over STARTTLS. It binds by tls-exporter (RFC 9266) in TLS 1.3, and by tls-unique before.
fn gsasl(world: &World, server: SocketAddr, options: &[&str]) -> Output {
    let mut gsasl = Command::new("gsasl");
    gsasl.args(["--smtp", "--starttls", "--verbose"]).args(options);
    gsasl.arg(format!("--connect={}:{}", server.ip(), server.port()));
    gsasl.arg(format!("--x509-ca-file={}", world.identity.chain().display()));
    gsasl.args(["--authentication-id=app", "--authorization-id=app"]);
    gsasl.arg(format!("--password={}", world.secret));
    feed(&mut gsasl, "")
}

#[track_caller]
fn refused(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("\n535 5.7.8 "), "{said}");
}

const PLUS: &str = "--mechanism=SCRAM-SHA-256-PLUS";

#[test]
fn gnu_sasl_binds_its_login_by_tls_exporter() {
    if !peers_present("gnu_sasl_binds_its_login_by_tls_exporter", &[Peer::Gsasl]) {
        return;
    }
    let world = world();
    let output = gsasl(&world, world.address, &[PLUS]);
    succeeded("gsasl", &output);
    let said = String::from_utf8_lossy(&output.stdout);
    // `p=tls-exporter` in base64
    assert!(said.contains("\ncD10bHMtZXhwb3J0ZXIs") && said.contains("\n235 2.7.0 "), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("(TLS1.3)"));

    let output = gsasl(&world, world.address, &[PLUS, "--priority=NORMAL:-VERS-TLS1.3"]);
    refused(&output);
}

#[test]
fn a_bound_login_cannot_be_passed_on_by_a_man_in_the_middle() {
    if !peers_present("a_bound_login_cannot_be_passed_on_by_a_man_in_the_middle", &[Peer::Gsasl]) {
        return;
    }
    let world = world();
    let man = ManInTheMiddle::before(world.address, &world.identity);
    succeeded("unbound", &gsasl(&world, man.address(), &["--mechanism=SCRAM-SHA-256", "--no-cb"]));
    refused(&gsasl(&world, man.address(), &[PLUS]));
}

/// The client's side of RFC 5802 §3, bound by tls-server-end-point (RFC 5929 §4), which no client in Debian does.
const SCRAM: &str = r#"
import base64, hashlib, hmac, os, smtplib, ssl, sys
host, port, secret, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]

def mac(key, text):
    return hmac.digest(key, text.encode(), "sha256")

def login(s, endpoint):
    header, bare = "p=tls-server-end-point,,", "n=app,r=" + base64.b64encode(os.urandom(18)).decode()
    encoded = lambda text: base64.b64encode(text.encode()).decode()
    code, first = s.docmd("AUTH", "SCRAM-SHA-256-PLUS " + encoded(header + bare))
    assert code == 334, (code, first)
    first = base64.b64decode(first).decode()
    part = dict(one.split("=", 1) for one in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), base64.b64decode(part["s"]), int(part["i"]))
    last = "c=%s,r=%s" % (base64.b64encode(header.encode() + endpoint).decode(), part["r"])
    said = ",".join([bare, first, last])
    key = mac(salted, "Client Key")
    proof = bytes(a ^ b for a, b in zip(key, mac(hashlib.sha256(key).digest(), said)))
    code, answer = s.docmd(encoded(last + ",p=" + base64.b64encode(proof).decode()))
    if code != 334:
        return code
    signature = base64.b64encode(mac(mac(salted, "Server Key"), said)).decode()
    assert base64.b64decode(answer).decode() == "v=" + signature
    return s.docmd("")[0]

for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = version
    with smtplib.SMTP(host, port, timeout=30) as s:
        s.starttls(context=context)
        s.ehlo()
        assert "SCRAM-SHA-256-PLUS" in s.esmtp_features["auth"].split(), s.esmtp_features
        # the certificate is signed with ECDSA and SHA-256
        endpoint = hashlib.sha256(s.sock.getpeercert(binary_form=True)).digest()
        other = hashlib.sha256(b"another certificate").digest()
        assert login(s, other) == 535, "another certificate was taken"
        assert login(s, endpoint) == 235, "the certificate was not taken"
        s.sendmail("app@example.com", ["u@b.example"], "From: app@example.com\r\n\r\nx\r\n")
"#;

#[test]
fn a_login_is_bound_by_the_servers_certificate_in_each_version_of_tls() {
    let case = "a_login_is_bound_by_the_servers_certificate_in_each_version_of_tls";
    if !peers_present(case, &[Peer::Python]) {
        return;
    }
    let world = world();
    let (host, port) = (world.address.ip().to_string(), world.address.port().to_string());
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-", &host, &port, &world.secret]).arg(world.identity.chain());
    succeeded("smtplib", &feed(&mut python, SCRAM));
    assert_eq!(world.sink.wait_for(2).len(), 2);
}
