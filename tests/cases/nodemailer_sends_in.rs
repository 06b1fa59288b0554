//! nodemailer, which much of the world's transactional mail is sent with: every mechanism that it knows, over STARTTLS and implicit
//! TLS, and its extensions.

use std::net::SocketAddr;
use std::process::Command;

use harness::{Edge, Identity, Issuer, Peer, Script, Setup, Sink, feed, loopback, peers_present, succeeded};
use serde_json::{Value, json};

struct World {
    sink: Sink,
    edge: Edge,
    /// Where TLS comes first.
    implicit: SocketAddr,
    identity: Identity,
    issuer: Issuer,
    secret: String,
}

/// An edge that trusts nobody's network, with a credential `app` for `@example.com`.
fn world() -> World {
    let implicit = SocketAddr::from((loopback(), 2465));
    let (identity, issuer) = (Identity::new(loopback()), Issuer::start());
    let sink = Sink::scripted(Script::default().offering(&["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"]));
    let setup = Setup::with_logins(&identity)
        .section("[auth]\ncram_md5 = true\n")
        .section(&issuer.section("spoolway"))
        .implicit_tls(implicit)
        .authorities(issuer.authority())
        .route("*", &sink.route());
    let edge = Edge::start(&setup);
    let told = edge.json(&["credential", "add", "app", "--from", "@example.com", "--cram-md5"]);
    let secret = told["secret"].as_str().unwrap().to_owned();
    World { sink, edge, implicit, identity, issuer, secret }
}

impl World {
    /// Runs `script`, which finds what it needs in `world` and makes transports by `transport(secure, auth)`.
    #[track_caller]
    fn run(&self, script: &str) -> Value {
        let world = json!({
            "starttls": {"host": self.edge.smtp().ip(), "port": self.edge.smtp().port()},
            "implicit": {"host": self.implicit.ip(), "port": self.implicit.port()},
            "authority": self.identity.chain(),
            "secret": self.secret,
            "token": self.issuer.token("app", "spoolway", 3_600),
            "expired": self.issuer.token("app", "spoolway", -3_600),
        });
        let mut node = Command::new("node");
        let output = feed(node.arg("-"), &format!("const world = {world};\n{PRELUDE}\n{script}"));
        succeeded("nodemailer", &output);
        serde_json::from_slice(&output.stdout).expect("the script prints JSON")
    }
}

const PRELUDE: &str = r#"
const assert = require("assert");
const nodemailer = require("/usr/share/nodejs/nodemailer");
const ca = require("fs").readFileSync(world.authority);
const transport = (secure, auth) => nodemailer.createTransport({
  ...(secure ? world.implicit : world.starttls), secure, requireTLS: true, name: "node.example", auth,
  tls: { ca, servername: "edge.example" },
});
const failure = (promise) => promise.then(() => assert.fail("it was taken"), (error) => error);
process.on("unhandledRejection", (error) => { console.error(error); process.exit(1); });
"#;

const MECHANISMS: &str = r#"
(async () => {
  const sent = [];
  const take = async (mechanism, client) => {
    const mail = { from: "App <app@example.com>", to: "u@b.example", subject: mechanism, text: "hello" };
    const told = await client.sendMail(mail);
    sent.push({ mechanism, id: told.response.match(/^250 2\.0\.0 queued as (\S+)$/)[1] });
  };
  const refuse = async (mechanism, client) => {
    const error = await failure(client.verify());
    const told = [error.code, error.command, error.responseCode];
    assert.deepStrictEqual(told, ["EAUTH", "AUTH " + mechanism, 535], String(error));
  };
  for (const secure of [false, true]) {
    for (const method of ["PLAIN", "LOGIN", "CRAM-MD5"]) {
      await take(method, transport(secure, { method, user: "app", pass: world.secret }));
      await refuse(method, transport(secure, { method, user: "app", pass: "wrong" }));
    }
    // once it is refused, it asks for another token and tries that in the same session
    const bearer = (first, second) => transport(secure, {
      type: "OAuth2", user: "app", provisionCallback: (user, renew, done) => done(null, renew ? second : first),
    });
    await take("XOAUTH2", bearer(world.token, world.expired));
    await take("XOAUTH2", bearer(world.expired, world.token));
    await refuse("XOAUTH2", bearer(world.expired, world.expired));
  }
  console.log(JSON.stringify(sent));
})();
"#;

#[test]
fn nodemailer_logs_in_with_each_mechanism_that_it_knows() {
    if !peers_present("nodemailer_logs_in_with_each_mechanism_that_it_knows", &[Peer::Nodemailer]) {
        return;
    }
    let world = world();
    let told = world.run(MECHANISMS);
    let sent = told.as_array().unwrap();
    assert_eq!(sent.len(), 10);
    for message in sent {
        let trace = world.edge.settled(message["id"].as_str().unwrap());
        let client = &trace["submission"]["client"];
        assert_eq!((&client["credential"], &trace["subject"]), (&json!("app"), &message["mechanism"]));
        assert!(client["tls"].as_str().unwrap().starts_with("TLSv1.3 "), "{trace}");
    }
    assert_eq!(world.sink.wait_for(10).len(), 10);
}

const EXTENSIONS: &str = r#"
(async () => {
  const auth = { user: "app", pass: world.secret };
  const told = await transport(false, auth).sendMail({
    envelope: {
      from: "d\u00f6rte@example.com", to: ["\u00fcber@b.example", "u@b.example"], use8BitMime: true,
      dsn: { id: "order 7+", return: "headers", notify: ["failure", "delay"], recipient: "rfc822;first@example.com" },
    },
    raw: Buffer.from("From: d\u00f6rte@example.com\r\nSubject: Gr\u00fc\u00dfe\r\n\r\nh\u00e9llo\r\n.\r\n..dots\r\n"),
  });
  assert.deepStrictEqual(told.rejected, []);
  console.log(JSON.stringify(told.response.match(/^250 2\.0\.0 queued as (\S+)$/)[1]));
})();
"#;

#[test]
fn nodemailers_smtputf8_8bitmime_and_dsn_are_carried() {
    if !peers_present("nodemailers_smtputf8_8bitmime_and_dsn_are_carried", &[Peer::Nodemailer]) {
        return;
    }
    let world = world();
    let told = world.run(EXTENSIONS);
    let trace = world.edge.settled(told.as_str().unwrap());
    let submission = &trace["submission"];
    let options = json!({"body": "eightbitmime", "envid": "order 7+", "ret": "hdrs", "smtputf8": true});
    assert_eq!(submission["options"], options);
    let wish = &submission["wishes"][1];
    assert_eq!(wish["original"], json!({"kind": "rfc822", "address": "first@example.com"}));
    let sunk = world.sink.wait_for(1);
    let message =
        "From: d\u{f6}rte@example.com\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\nh\u{e9}llo\r\n.\r\n..dots\r\n";
    assert!(sunk[0].data.ends_with(message.as_bytes()), "{}", String::from_utf8_lossy(&sunk[0].data));
    let wishes = "NOTIFY=FAILURE,DELAY ORCPT=rfc822;first@example.com";
    assert_eq!(
        sunk[0].commands,
        [
            "MAIL FROM:<d\u{f6}rte@example.com> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=order+207+2B"
                .to_owned(),
            format!("RCPT TO:<\u{fc}ber@b.example> {wishes}"),
            format!("RCPT TO:<u@b.example> {wishes}"),
        ]
    );
}

const POOL: &str = r#"
(async () => {
  const MailComposer = require("/usr/share/nodejs/nodemailer/lib/mail-composer");
  const client = nodemailer.createTransport({
    ...world.starttls, requireTLS: true, auth: { user: "app", pass: world.secret }, pool: true, maxConnections: 2,
    tls: { ca, servername: "edge.example" },
  });
  const envelope = { from: "app@example.com", to: ["u@b.example"] };
  const sending = Array.from({ length: 20 }, async (_, number) => {
    const mail = { from: "App <app@example.com>", to: "u@b.example", subject: "number " + number, text: ".\r\n..\r\n",
      html: "<p>h\u00e9llo</p>", attachments: [{ filename: "\u00e4.bin", content: Buffer.alloc(100_000, number) }] };
    const raw = await new MailComposer(mail).compile().build();
    await client.sendMail({ envelope, raw });
    return raw.toString("ascii");
  });
  console.log(JSON.stringify(await Promise.all(sending)));
  client.close();
})();
"#;

#[test]
fn a_pool_of_nodemailers_sends_each_message_once() {
    if !peers_present("a_pool_of_nodemailers_sends_each_message_once", &[Peer::Nodemailer]) {
        return;
    }
    let world = world();
    let told = world.run(POOL);
    let sent = told.as_array().unwrap();
    let sunk = world.sink.wait_for(sent.len());
    assert_eq!((sent.len(), sunk.len()), (20, 20));
    for message in sent {
        let message = message.as_str().unwrap().as_bytes();
        assert_eq!(sunk.iter().filter(|copy| copy.data.ends_with(message)).count(), 1);
    }
}
