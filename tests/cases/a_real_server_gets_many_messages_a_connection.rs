use harness::{Client, Edge, Peer, Postfix, Setup, Sink, eventually, numbered_message, peers_present};

/// Messages to as many domains, of which all are at one site.
const MESSAGES: u64 = 40;

#[test]
fn postfix_takes_messages_of_many_jobs_over_few_connections_and_each_once() {
    let case = "postfix_takes_messages_of_many_jobs_over_few_connections_and_each_once";
    if !peers_present(case, &[Peer::Postfix]) {
        return;
    }
    let sink = Sink::start();
    let postfix = Postfix::start(sink.address(), &[]);
    let setup = Setup::default().route("*", &format!("smtp://{}", postfix.address()));
    // kept for as long as a busy machine may take
    let edge = Edge::start(&setup.section("[deliver]\nconnections = 4\nkeep = \"60s\""));
    std::thread::scope(|scope| {
        for first in 0..4 {
            let address = edge.smtp();
            scope.spawn(move || {
                for number in (first..MESSAGES).step_by(4) {
                    let to = format!("u@domain-{number}.example");
                    Client::submit(address, "a@app.example", &[&to], &numbered_message(number, 3_000));
                }
            });
        }
    });
    let sunk = sink.wait_for(usize::try_from(MESSAGES).unwrap_or(usize::MAX));
    for number in 0..MESSAGES {
        let message = numbered_message(number, 3_000);
        assert_eq!(sunk.iter().filter(|copy| copy.data.ends_with(&message)).count(), 1, "message {number}");
    }
    let log = eventually("postfix tells of its connections", || {
        let log = postfix.log_text();
        log.contains("postfix/smtpd").then_some(log)
    });
    let connections =
        log.lines().filter(|line| line.contains("postfix/smtpd") && line.contains(": connect from")).count();
    // one more looked whether it listens, and went away
    assert!((2..=5).contains(&connections), "{connections} connections:\n{log}");
    for complaint in ["improper command pipelining", "too many errors", "reject:", "after BDAT", "after MAIL"]
    {
        assert!(!log.contains(complaint), "{log}");
    }
}
