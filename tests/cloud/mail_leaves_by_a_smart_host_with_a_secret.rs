//! A smart host that asks who comes, named by parameters of the template: its secret is in Secrets Manager, and deliver may read it.

use harness::{Client, CloudEdge, Edge, Identity, Setup, Sink, loopback};

const MESSAGE: &[u8] = b"From: a@app.example\r\nSubject: x\r\n\r\nhello\r\n";

#[test]
fn mail_is_handed_to_a_smart_host_that_wants_a_login() {
    let sink = Sink::start();
    let Some(edge) = CloudEdge::start("mail_is_handed_to_a_smart_host", "*=discard") else { return };
    // another edge, which takes mail of those alone who log in
    let identity = Identity::new(loopback());
    let relay = Edge::start(&Setup::with_logins(&identity).route("*", &sink.route()));
    let told = relay.json(&["credential", "add", "edge", "--from", "@app.example"]);
    let secret = told["secret"].as_str().unwrap();
    let create = ["secretsmanager", "create-secret", "--name", "relay", "--secret-string", secret];
    let arn = edge.aws(&create)["ARN"].as_str().unwrap().to_owned();
    let (host, port) = (relay.smtp().ip(), relay.smtp().port());
    edge.set(&[
        "Routes=*=smart_host:relay".to_owned(),
        format!("SmartHost=name=relay, tls=require, hosts={host}?port={port}, auth.name=edge, auth.unverified=true"),
        format!("SmartHostSecretArn={arn}"),
        // the function begins with all that it may be given
        "ShapingRules=[[rule]]\nname = \"relay\"\nconnections = 2\n".to_owned(),
        "DnsServers=127.0.0.1:53".to_owned(),
        "DnsValidate=never".to_owned(),
        "TlsReportsFrom=tls-reports@edge.example".to_owned(),
        "TlsReportsOrganization=Example, of examples".to_owned(),
    ]);
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], MESSAGE);
    let attempt = edge.settled(&id)["deliveries"][0]["attempts"][0].clone();
    assert_eq!(attempt["route"], "smart_host:relay", "{attempt:#}");
    let sunk = sink.wait_for(1);
    let received = String::from_utf8_lossy(&sunk[0].data).into_owned();
    assert!(received.contains("with ESMTPSA"), "the relay knows who came: {received}");
    // so does sweep, with what it needs to tell reports
    let sweep = edge.output("SweepFunction");
    let swept = edge.aws(&["lambda", "invoke", "--function-name", sweep, "/dev/null"]);
    assert_eq!((&swept["StatusCode"], &swept["FunctionError"]), (&200.into(), &serde_json::Value::Null));
}
