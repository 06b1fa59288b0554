//! XOAUTH2 and OAUTHBEARER (RFC 7628) as real clients speak them, with tokens of an issuer whose keys the edge fetches over HTTPS.

use std::net::SocketAddr;
use std::process::{Command, Output};

use harness::{Edge, Identity, Issuer, Peer, Setup, Sink, feed, loopback, peers_present, succeeded};

struct World {
    sink: Sink,
    edge: Edge,
    /// Where TLS comes first.
    implicit: SocketAddr,
    identity: Identity,
    issuer: Issuer,
}

/// An edge that takes tokens for the audience `spoolway`, with credentials `app` and `boss` for `@example.com`.
fn world() -> World {
    let implicit = SocketAddr::from((loopback(), 2465));
    let (sink, identity, issuer) = (Sink::start(), Identity::new(loopback()), Issuer::start());
    let setup = Setup::with_logins(&identity)
        .section(&issuer.section("spoolway"))
        .implicit_tls(implicit)
        .authorities(issuer.authority())
        .route("*", &sink.route());
    let edge = Edge::start(&setup);
    for name in ["app", "boss"] {
        edge.json(&["credential", "add", name, "--from", "@example.com"]);
    }
    World { sink, edge, implicit, identity, issuer }
}

const HOUR: i64 = 3_600;
const MESSAGE: &str = "From: app@example.com\r\nSubject: x\r\n\r\nhello\r\n";

/// Tokens that are not good, each for one reason, by the reason.
fn bad(issuer: &Issuer) -> [(&'static str, String); 4] {
    let good = issuer.token("app", "spoolway", HOUR);
    let other = issuer.token("boss", "spoolway", HOUR);
    let (said, signature) = (good.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    [
        ("it has expired", issuer.token("app", "spoolway", -HOUR)),
        ("it is for another audience", issuer.token("app", "elsewhere", HOUR)),
        ("its signature is another's", format!("{said}.{signature}")),
        ("it names another credential", other),
    ]
}

/// curl takes OAUTHBEARER wherever that is offered, whatever it is told.
fn curl(world: &World, scheme: &str, token: &str) -> Output {
    let address = if scheme == "smtps" { world.implicit } else { world.edge.smtp() };
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--verbose", "--ssl-reqd", "--max-time", "30"]);
    curl.args(["--connect-to", &format!("edge.example:{}:{address}", address.port())]);
    curl.args(["--url", &format!("{scheme}://edge.example:{}/client.example", address.port())]);
    curl.arg("--cacert").arg(world.identity.chain());
    curl.args(["--user", "app:", "--oauth2-bearer", token, "--login-options", "AUTH=OAUTHBEARER"]);
    curl.args(["--mail-from", "app@example.com", "--mail-rcpt", "u@b.example", "--upload-file", "-"]);
    feed(&mut curl, MESSAGE)
}

#[test]
fn curl_logs_in_with_a_token_and_is_refused_with_a_bad_one() {
    let case = "curl_logs_in_with_a_token_and_is_refused_with_a_bad_one";
    if !peers_present(case, &[Peer::Curl]) {
        return;
    }
    let world = world();
    let good = world.issuer.token("app", "spoolway", HOUR);
    for scheme in ["smtp", "smtps"] {
        let output = curl(&world, scheme, &good);
        succeeded(scheme, &output);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("> AUTH OAUTHBEARER") && said.contains("< 235 2.7.0 "), "{said}");
        for (why, token) in bad(&world.issuer) {
            let output = curl(&world, scheme, &token);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("< 535 5.7.8 "), "{scheme}, {why}: {said}");
        }
    }
    assert_eq!(world.sink.wait_for(2).len(), 2);
}

fn msmtp(world: &World, address: SocketAddr, starttls: &str, mechanism: &str, token: &str) -> Output {
    let mut msmtp = Command::new("msmtp");
    msmtp.args(["--file=/dev/null", &format!("--host={}", address.ip())]);
    msmtp.args([&format!("--port={}", address.port()), "--tls=on", &format!("--tls-starttls={starttls}")]);
    msmtp.arg(format!("--tls-trust-file={}", world.identity.chain().display()));
    msmtp.args(["--tls-host-override=edge.example", &format!("--auth={}", mechanism.to_lowercase())]);
    msmtp.args(["--user=app", &format!("--passwordeval=printf %s {token}")]);
    msmtp.args(["--from=app@example.com", "--timeout=30", "u@b.example"]);
    feed(&mut msmtp, MESSAGE)
}

#[test]
fn msmtp_logs_in_with_a_token_and_is_refused_with_a_bad_one() {
    let case = "msmtp_logs_in_with_a_token_and_is_refused_with_a_bad_one";
    if !peers_present(case, &[Peer::Msmtp]) {
        return;
    }
    let world = world();
    let good = world.issuer.token("app", "spoolway", HOUR);
    let mut sent = 0;
    for (starttls, address) in [("on", world.edge.smtp()), ("off", world.implicit)] {
        for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
            let run = |token: &str| msmtp(&world, address, starttls, mechanism, token);
            succeeded(mechanism, &run(&good));
            sent += 1;
            for (why, token) in bad(&world.issuer) {
                let output = run(&token);
                let said = String::from_utf8_lossy(&output.stderr);
                let refused = format!("authentication failed (method {mechanism})");
                assert!(!output.status.success() && said.contains(&refused), "{mechanism}, {why}: {said}");
                assert!(said.contains("server message: 535 5.7.8 "), "{mechanism}, {why}: {said}");
            }
        }
    }
    assert_eq!(world.sink.wait_for(sent).len(), sent);
}
