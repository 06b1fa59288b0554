//! `tests/hostile/`: a server's worst, line by line, each with what the first attempt must come to.

use std::fs;
use std::path::Path;

use harness::{Client, Edge, Hostile, HostileScript, Setup, eventually_within, numbered_message};
use std::time::Duration;

/// How many there are at least, so that none is lost by a folder that moves.
const SCRIPTS: usize = 75;

fn scripts() -> Vec<HostileScript> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut scripts: Vec<HostileScript> = files
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().replace('_', "-");
            HostileScript::read(&name, &fs::read_to_string(&file).unwrap())
        })
        .collect();
    scripts.sort_by(|one, other| one.name.cmp(&other.name));
    scripts
}

/// All at a time, on one edge: what hangs must not hold up the others.
#[test]
fn each_server_comes_to_what_its_script_says() {
    let servers: Vec<Hostile> = scripts().into_iter().map(Hostile::start).collect();
    assert!(servers.len() >= SCRIPTS, "{}", servers.len());
    let mut setup = Setup::default().route("app.example", "discard");
    for server in &servers {
        setup = setup.route(&format!("{}.example", server.script().name), &server.route());
    }
    let times = ["greeting", "command", "mail", "rcpt", "data", "block", "end"]
        .map(|step| format!("{step} = \"2s\"\n"));
    let edge = Edge::start(&setup.section(&format!("[deliver.timeouts]\n{}", times.concat())));
    let sent: Vec<String> = servers
        .iter()
        .map(|server| {
            let mut message = numbered_message(1, 3_000);
            if server.script().eight_bit {
                message.extend_from_slice(b"h\xc3\xa9\r\n");
            }
            let to = format!("u@{}.example", server.script().name);
            Client::submit(edge.smtp(), "a@app.example", &[&to], &message)
        })
        .collect();
    let mut wrong = Vec::new();
    for (server, id) in servers.iter().zip(&sent) {
        let script = server.script();
        let trace = eventually_within(
            Duration::from_secs(120),
            &format!("the first attempt at {}", script.name),
            || {
                let output = edge.run(&["trace", id, "--json"]);
                let trace: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
                trace["deliveries"].get(0)?.get("recipients")?;
                Some(trace)
            },
        );
        let recipient = &trace["deliveries"][0]["recipients"][0];
        let reply = recipient["reply"].to_string();
        let is_as_told = script.reply.as_ref().is_none_or(|wanted| reply.contains(wanted.as_str()));
        let class = recipient["failure"]["class"].as_str();
        let is_of_its_class = match &script.class {
            Some(wanted) => class == Some(wanted),
            // what fails has a class, and nothing else has one
            None => class.is_some() == (script.outcome != "delivered"),
        };
        if recipient["status"] != script.outcome.as_str()
            || !is_as_told
            || !is_of_its_class
            || server.taken() != script.taken
        {
            let surprises = server.surprises();
            wrong.push(format!("{}: {recipient}, taken {}, {surprises:?}", script.name, server.taken()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), servers.len(), wrong.join("\n"));
}
