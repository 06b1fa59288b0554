use std::sync::{Arc, Mutex};

use workers::deliver::{Outcome, Transport as _};

use crate::server::{Act, Asked, Server, say};
use crate::world::{World, outcomes, rule, smart_host};

const PIPELINING: &[&str] = &["PIPELINING"];
const NONE: &[&str] = &[];

fn content(n: usize) -> String {
    format!("message {n}\r\n.dots\r\n..\r\n")
}

fn five(world: &World) -> Vec<shared::job::Delivery> {
    (1..=5).map(|n| world.message(&content(n), &[&format!("r{n}@example.org")])).collect()
}

fn received(n: usize) -> String {
    format!("Received: from here\r\n{}", content(n))
}

#[tokio::test]
async fn messages_follow_each_other_without_rset_and_arrive_as_they_are() {
    for extensions in [PIPELINING, NONE] {
        let server = Server::start(extensions, |_| None).await;
        let world = World::new(0);
        let tried = world.attempt(&smart_host(server.port()), five(&world)).await;
        assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
        let seen = server.seen();
        assert_eq!(seen.connections, 1);
        assert_eq!(seen.contents, (1..=5).map(received).collect::<Vec<_>>());
        let mut verbs: Vec<&str> = seen.commands.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(verbs.pop(), Some("QUIT"));
        assert_eq!(verbs.remove(0), "EHLO");
        assert_eq!(verbs, ["MAIL", "RCPT", "DATA"].repeat(5));
        let first = &tried[0].attempt;
        assert_eq!((first.number, first.host.as_deref(), first.tls.as_deref()), (3, Some("127.0.0.1"), None));
        assert_eq!(first.peer, Some(server.address.to_string()));
    }
}

#[tokio::test]
async fn with_pipelining_the_next_envelope_does_not_wait_for_the_reply_to_the_dot() {
    // the server says nothing before it has seen the next DATA, or QUIT
    let hold = |asked: &Asked| match asked.step.as_str() {
        "MAIL" | "RCPT" => Some(Act::Wait("250 ok\r\n".to_owned())),
        "END" => Some(Act::Wait("250 taken\r\n".to_owned())),
        "QUIT" => Some(say("221 bye")),
        _ => None,
    };
    let server = Server::start(PIPELINING, hold).await;
    let world = World::new(0);
    let tried = world.attempt(&smart_host(server.port()), five(&world)).await;
    assert!(outcomes(&tried).iter().all(|each| each[0] == (Outcome::Delivered, "250 taken".to_owned())));
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test]
async fn what_was_refused_is_taken_back_before_the_next_message() {
    for step in ["MAIL", "RCPT", "DATA"] {
        for extensions in [PIPELINING, NONE] {
            let script = move |asked: &Asked| match asked.step.as_str() {
                // a server that has no recipients refuses DATA
                "DATA" if step != "DATA" && asked.nth == 1 && asked.connection == 1 => {
                    Some(say("554 no recipients"))
                }
                _ => (asked.step == step && asked.nth == 1).then(|| say("550 5.7.1 no")),
            };
            // without PIPELINING, DATA is not even sent for nobody
            let script = move |asked: &Asked| {
                if extensions.is_empty() && asked.step == "DATA" && step != "DATA" {
                    None
                } else {
                    script(asked)
                }
            };
            let server = Server::start(extensions, script).await;
            let world = World::new(0);
            let tried = world.attempt(&smart_host(server.port()), five(&world)).await;
            let told = outcomes(&tried);
            assert_eq!(told[0], [(Outcome::Bounced, "550 5.7.1 no".to_owned())], "{step}");
            assert!(told[1..].iter().all(|each| each[0].0 == Outcome::Delivered), "{step}: {told:?}");
            let seen = server.seen();
            assert_eq!(seen.connections, 1);
            assert_eq!(seen.commands.iter().filter(|line| *line == "RSET").count(), 1);
            assert_eq!(seen.contents, (2..=5).map(received).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn a_refused_message_does_not_touch_its_neighbours() {
    for extensions in [PIPELINING, NONE] {
        let script = |asked: &Asked| (asked.step == "END" && asked.nth == 2).then(|| say("554 5.7.1 spam"));
        let server = Server::start(extensions, script).await;
        let world = World::new(0);
        let told = outcomes(&world.attempt(&smart_host(server.port()), five(&world)).await);
        let expected = [1, 2, 3, 4, 5].map(|n| if n == 2 { Outcome::Bounced } else { Outcome::Delivered });
        assert_eq!(told.iter().map(|each| each[0].0).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_lost_connection_costs_only_the_message_whose_fate_is_unknown() {
    for extensions in [PIPELINING, NONE] {
        let script = |asked: &Asked| (asked.step == "END" && asked.nth == 2).then_some(Act::Close);
        let server = Server::start(extensions, script).await;
        let world = World::new(0);
        let tried = world.attempt(&smart_host(server.port()), five(&world)).await;
        let told: Vec<Outcome> = outcomes(&tried).iter().map(|each| each[0].0).collect();
        assert_eq!(
            told,
            [1, 2, 3, 4, 5].map(|n| if n == 2 { Outcome::Deferred } else { Outcome::Delivered })
        );
        // the second one is not sent again: the server may have it
        assert_eq!(server.seen().contents, (1..=5).map(received).collect::<Vec<_>>());
        assert_eq!(server.seen().connections, 2);
    }
}

#[tokio::test]
async fn a_server_that_closes_after_each_message_still_gets_all_of_them() {
    for act in [Act::Close, Act::Part("421 4.7.0 one is enough\r\n".to_owned())] {
        for extensions in [PIPELINING, NONE] {
            let act = act.clone();
            // 1, then 2 refused at once on the same connection; 3 is the first on the next one, and so on
            let script = move |asked: &Asked| {
                (asked.step == "MAIL" && asked.nth.is_multiple_of(2)).then(|| act.clone())
            };
            let server = Server::start(extensions, script).await;
            let world = World::new(0);
            let tried = world.attempt(&smart_host(server.port()), five(&world)).await;
            assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
            assert_eq!(server.seen().connections, 5);
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_the_dot_is_given_up_after_a_few_messages() {
    let server = Server::start(PIPELINING, |asked| (asked.step == "END").then_some(Act::Close)).await;
    let world = World::new(0);
    let tried = world.attempt(&smart_host(server.port()), five(&world)).await;
    assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Deferred));
    assert_eq!(server.seen().connections, 3);
    assert_eq!(outcomes(&tried)[4][0].1, "451 4.4.2 the connection was lost at the final dot");
}

#[tokio::test]
async fn a_connection_takes_as_many_messages_as_the_limit_says() {
    for extensions in [PIPELINING, NONE] {
        let server = Server::start(extensions, |_| None).await;
        let mut world = World::new(0);
        world.settings.limits.messages_per_connection = 2;
        let tried = world.attempt(&smart_host(server.port()), five(&world)).await;
        assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
        assert_eq!(server.seen().connections, 3);
    }
}

#[tokio::test]
async fn a_large_message_between_small_ones_arrives_whole() {
    let server = Server::start(PIPELINING, |_| None).await;
    let world = World::new(0);
    let large = ".a line that begins with a dot, and is neither short nor long\r\n".repeat(60_000);
    let messages = ["small\r\n", &large, "last\r\n"].map(|text| world.message(text, &["a@example.org"]));
    let tried = world.attempt(&smart_host(server.port()), messages.into()).await;
    assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
    let expected = ["small\r\n", &large, "last\r\n"].map(|text| format!("Received: from here\r\n{text}"));
    assert!(server.seen().contents == expected);
}

#[tokio::test]
async fn once_the_caller_has_closed_what_was_sent_is_handed_over_and_nothing_else_is_sent() {
    // the replies to a dot and to the next envelope come together, as from a server that answers a burst with a burst
    let burst = |asked: &Asked| match asked.step.as_str() {
        "END" => Some(Act::Wait("250 taken\r\n".to_owned())),
        "MAIL" | "RCPT" => Some(Act::Wait("250 ok\r\n".to_owned())),
        "QUIT" => Some(say("221 bye")),
        _ => None,
    };
    for extensions in [PIPELINING, NONE] {
        let server = if extensions.is_empty() {
            Server::start(extensions, |_| None).await
        } else {
            Server::start(extensions, burst).await
        };
        let world = World::new(0);
        let messages =
            (1..=20).map(|n| world.message(&content(n), &[&format!("r{n}@example.org")])).collect();
        let transports = world.transports().await;
        let (tried, mut back) = tokio::sync::mpsc::channel(64);
        let route = smart_host(server.port());
        let attempt = async {
            transports.attempt(rule(&route), messages, &tried).await;
            drop(tried);
        };
        let close_after_first = async {
            let mut handed = vec![back.recv().await.unwrap()];
            back.close();
            while let Some(tried) = back.recv().await {
                handed.push(tried);
            }
            handed
        };
        let ((), handed) = tokio::join!(attempt, close_after_first);
        let contents = server.seen().contents;
        assert_eq!(contents, (1..=handed.len()).map(received).collect::<Vec<_>>());
        assert!(handed.len() < 20, "it went on as if nobody had closed");
        assert!(outcomes(&handed).iter().all(|each| each[0].0 == Outcome::Delivered));
    }
}

#[tokio::test]
async fn once_the_caller_has_closed_what_was_sent_of_a_message_in_parts_is_handed_over() {
    for extensions in [PIPELINING, NONE] {
        let (tried, back) = tokio::sync::mpsc::channel(64);
        let back = Arc::new(Mutex::new(back));
        let closes = Arc::clone(&back);
        let server = Server::start(extensions, move |asked: &Asked| {
            if asked.step == "END" {
                closes.lock().unwrap().close();
            }
            None
        })
        .await;
        let mut world = World::new(0);
        world.settings.limits.recipients_per_transaction = 2;
        let to: Vec<String> = (1..=6).map(|n| format!("r{n}@example.org")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let route = smart_host(server.port());
        let message = world.message(&content(1), &to);
        world.transports().await.attempt(rule(&route), vec![message], &tried).await;
        let handed = back.lock().unwrap().try_recv().unwrap();
        let outcomes: Vec<Outcome> = handed.outcomes.iter().map(|one| one.outcome).collect();
        let taken = server.seen().contents.len() * 2;
        assert!((1..6).contains(&taken), "{taken}");
        assert!(outcomes[..taken].iter().all(|outcome| *outcome == Outcome::Delivered), "{outcomes:?}");
        assert!(outcomes[taken..].iter().all(|outcome| *outcome == Outcome::Deferred), "{outcomes:?}");
    }
}
