use workers::deliver::Outcome;

use crate::server::{Asked, Seen, Server, say};
use crate::world::{World, outcomes, smart_host};

fn verbs(seen: &Seen) -> Vec<&str> {
    seen.commands.iter().map(|line| line.split(' ').next().unwrap()).collect()
}

#[tokio::test]
async fn recipients_over_the_limit_have_a_transaction_of_their_own() {
    for extensions in [&["LIMITS RCPTMAX=2", "PIPELINING"][..], &["LIMITS RCPTMAX=2"]] {
        let script = |asked: &Asked| match asked.line.as_str() {
            "RCPT TO:<r3@example.org>" => Some(say("550 5.1.1 nobody")),
            _ => None,
        };
        let server = Server::start(extensions, script).await;
        let world = World::new(0);
        let recipients =
            ["r1@example.org", "r2@example.org", "r3@example.org", "r4@example.org", "r5@example.org"];
        let both = vec![world.message("x\r\n", &recipients), world.message("y\r\n", &["r1@example.org"])];
        let tried = world.attempt(&smart_host(server.port()), both).await;
        let mut told = outcomes(&tried);
        told.sort_by_key(Vec::len);
        assert_eq!(told[0][0].0, Outcome::Delivered);
        for (n, (outcome, reply)) in told[1].iter().enumerate() {
            let expected = if n == 2 { Outcome::Bounced } else { Outcome::Delivered };
            assert_eq!(*outcome, expected, "{n} {reply}");
        }
        let seen = server.seen();
        assert_eq!((seen.connections, seen.contents.len()), (1, 4));
        let mut named = 0;
        for line in &seen.commands {
            named = if line.starts_with("RCPT") { named + 1 } else { 0 };
            assert!(named <= 2, "{:?}", seen.commands);
        }
    }
}

#[tokio::test]
async fn a_message_that_is_cut_in_parts_is_done_though_nothing_follows_it() {
    let server = Server::start(&["LIMITS RCPTMAX=1", "PIPELINING", "CHUNKING"], |_| None).await;
    let world = World::new(0);
    let message = world.message("x\r\n", &["r1@example.org", "r2@example.org", "r3@example.org"]);
    let told = outcomes(&world.attempt(&smart_host(server.port()), vec![message]).await).remove(0);
    assert!(told.iter().all(|(outcome, _)| *outcome == Outcome::Delivered));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.contents.len()), (1, 3));
}

#[tokio::test]
async fn messages_over_the_limit_have_a_connection_of_their_own() {
    for extensions in [&["LIMITS MAILMAX=2", "PIPELINING"][..], &["LIMITS MAILMAX=2"]] {
        let server = Server::start(extensions, |_| None).await;
        let world = World::new(0);
        let five = (1..=5).map(|_| world.message("x\r\n", &["a@example.org"])).collect();
        let tried = world.attempt(&smart_host(server.port()), five).await;
        assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
        assert_eq!(server.seen().connections, 3);
    }
}

#[tokio::test]
async fn domains_over_the_limit_have_a_connection_of_their_own() {
    let server = Server::start(&["LIMITS RCPTDOMAINMAX=1", "PIPELINING"], |_| None).await;
    let world = World::new(0);
    let mail = ["a@example.org", "b@example.org", "a@example.net"].map(|to| world.message("x\r\n", &[to]));
    let tried = world.attempt(&smart_host(server.port()), mail.into()).await;
    assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
    let seen = server.seen();
    assert_eq!(seen.connections, 2);
    assert_eq!(verbs(&seen).iter().filter(|verb| **verb == "MAIL").count(), 3);
}
