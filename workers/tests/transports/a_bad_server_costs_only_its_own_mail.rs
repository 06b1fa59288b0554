use std::sync::Arc;

use shared::testkit::{Fate, Mode};
use workers::deliver::Outcome;

use crate::server::{Act, Asked, Server, say};
use crate::world::{World, outcome, outcomes, smart_host};

const ALL: &[&str] = &["PIPELINING", "8BITMIME", "SIZE 1000000"];
const NONE: &[&str] = &[];

/// One message to a server that acts like this at one step, with and without PIPELINING.
async fn at(
    step: &'static str,
    act: impl Fn() -> Act + Send + Sync + Clone + 'static,
) -> Vec<(Outcome, String)> {
    let mut all = Vec::new();
    for extensions in [ALL, NONE] {
        let answer = act.clone();
        let script = move |asked: &Asked| (asked.step == step).then(&answer);
        let server = Server::start(extensions, script).await;
        let mut world = World::new(0);
        if matches!(act(), Act::Hang | Act::Drip(_)) {
            world.hurry(step);
        }
        let message = world.message("Subject: x\r\n\r\nhello\r\n", &["a@example.org"]);
        all.push(outcome(&world.attempt(&smart_host(server.port()), vec![message]).await));
    }
    all
}

fn both(outcome: Outcome, reply: &str) -> Vec<(Outcome, String)> {
    vec![(outcome, reply.to_owned()); 2]
}

#[tokio::test]
async fn a_4yz_at_any_step_defers_and_is_told() {
    for step in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"] {
        let told = at(step, || say("450 4.2.0 not now")).await;
        assert_eq!(told, both(Outcome::Deferred, "450 4.2.0 not now"), "{step}");
    }
}

#[tokio::test]
async fn a_5yz_at_a_step_of_the_transaction_bounces_and_is_told() {
    for step in ["MAIL", "RCPT", "DATA", "END"] {
        let told = at(step, || say("550 5.7.1 go away")).await;
        assert_eq!(told, both(Outcome::Bounced, "550 5.7.1 go away"), "{step}");
    }
}

#[tokio::test]
async fn a_server_that_gives_no_service_defers_unless_it_says_never() {
    let told = at("GREETING", || say("554 5.3.2 no service")).await;
    assert_eq!(told, both(Outcome::Deferred, "454 4.3.2 (said as 554) no service"));
    assert_eq!(at("GREETING", || say("521 never")).await, both(Outcome::Bounced, "521 never"));
}

#[tokio::test]
async fn a_server_without_ehlo_is_greeted_with_helo() {
    let server = Server::start(NONE, |asked| (asked.step == "EHLO").then(|| say("502 what?"))).await;
    let world = World::new(0);
    let message = world.message("x\r\n", &["a@example.org"]);
    let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
    assert_eq!(
        server.seen().commands[..3],
        ["EHLO edge.example", "HELO edge.example", "MAIL FROM:<sender@edge.example>"]
    );
}

#[tokio::test]
async fn too_many_recipients_is_not_for_ever() {
    let told = at("RCPT", || say("552 5.5.3 too many")).await;
    assert_eq!(told, both(Outcome::Deferred, "452 4.5.3 (said as 552) too many"));
}

#[tokio::test]
async fn a_421_at_any_step_defers() {
    for step in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"] {
        let told = at(step, || Act::Part("421 4.3.2 closing\r\n".to_owned())).await;
        assert_eq!(told, both(Outcome::Deferred, "421 4.3.2 closing"), "{step}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_step_defers() {
    for (step, told) in [
        ("GREETING", "451 4.4.2 the connection was lost at the greeting"),
        ("EHLO", "451 4.4.2 the connection was lost at EHLO"),
        ("MAIL", "451 4.4.2 the connection was lost at MAIL"),
        ("RCPT", "451 4.4.2 the connection was lost at RCPT"),
        ("DATA", "451 4.4.2 the connection was lost at DATA"),
    ] {
        assert_eq!(at(step, || Act::Close).await, both(Outcome::Deferred, told), "{step}");
    }
}

#[tokio::test]
async fn a_message_that_may_have_been_taken_is_deferred_and_the_trace_says_so() {
    for act in [Act::Close, Act::Hang, say("hello"), say("354 more")] {
        for (outcome, reply) in at("END", move || act.clone()).await {
            assert_eq!(outcome, Outcome::Deferred);
            assert!(reply.starts_with("451 4.4.2") && reply.contains("may get it twice"), "{reply}");
        }
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_into_the_time_of_each_step() {
    for (step, named) in
        [("GREETING", "the greeting"), ("EHLO", "EHLO"), ("MAIL", "MAIL"), ("RCPT", "RCPT"), ("DATA", "DATA")]
    {
        let told = format!("451 4.4.2 the server took too long at {named}");
        assert_eq!(at(step, || Act::Hang).await, both(Outcome::Deferred, &told));
    }
}

#[tokio::test]
async fn an_octet_now_and_then_does_not_stretch_the_time_of_a_reply() {
    let drip = || Act::Drip("250 this takes longer than the client waits\r\n".to_owned());
    let told = both(Outcome::Deferred, "451 4.4.2 the server took too long at MAIL");
    assert_eq!(at("MAIL", drip).await, told);
}

#[tokio::test]
async fn a_reply_of_ten_thousand_octets_counts_and_is_cut() {
    for (outcome, reply) in at("END", || say(&format!("250 {}", "x".repeat(10_000)))).await {
        assert_eq!(outcome, Outcome::Delivered);
        assert!(reply.len() <= 1_010, "{}", reply.len());
    }
}

#[tokio::test]
async fn a_reply_without_end_is_no_reply() {
    for flood in ["250-and so on\r\n", "2"] {
        for (outcome, reply) in at("MAIL", move || Act::Flood(flood.to_owned())).await {
            assert_eq!(outcome, Outcome::Deferred);
            assert!(reply.starts_with("451 4.5.0 the reply at MAIL is no reply"), "{reply}");
        }
    }
}

#[tokio::test]
async fn what_is_no_reply_defers() {
    for text in ["hello", "250-a\r\n550 b", "354 go on", "199 x"] {
        for (outcome, reply) in at("RCPT", move || say(text)).await {
            assert_eq!(outcome, Outcome::Deferred, "{text}");
            assert!(reply.starts_with("451 4.5.0"), "{reply}");
        }
    }
}

#[tokio::test]
async fn no_connection_defers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let world = World::new(0);
    let message = world.message("x\r\n", &["a@example.org"]);
    let tried = world.attempt(&smart_host(port), vec![message]).await;
    assert_eq!(
        outcome(&tried),
        (Outcome::Deferred, "451 4.4.1 no connection: connection refused".to_owned())
    );
}

#[tokio::test]
async fn each_recipient_gets_its_own_outcome() {
    for extensions in [ALL, NONE] {
        let script = |asked: &Asked| match asked.line.as_str() {
            "RCPT TO:<b@example.org>" => Some(say("550 5.1.1 unknown")),
            "RCPT TO:<c@example.org>" => Some(say("450 4.2.1 greylisted")),
            _ => None,
        };
        let server = Server::start(extensions, script).await;
        let world = World::new(0);
        let message =
            world.message("x\r\n", &["a@example.org", "b@example.org", "c@example.org", "d@example.org"]);
        let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
        let (taken, text) = (Outcome::Delivered, "250 2.0.0 taken".to_owned());
        assert_eq!(
            outcomes(&tried)[0],
            [
                (taken, text.clone()),
                (Outcome::Bounced, "550 5.1.1 unknown".to_owned()),
                (Outcome::Deferred, "450 4.2.1 greylisted".to_owned()),
                (taken, text),
            ]
        );
        assert_eq!(server.seen().contents, ["Received: from here\r\nx\r\n"]);
    }
}

#[tokio::test]
async fn a_354_although_nobody_was_accepted_is_answered_with_a_lone_dot() {
    let script = |asked: &Asked| (asked.step == "RCPT" && asked.nth == 1).then(|| say("550 5.1.1 unknown"));
    let server = Server::start(ALL, script).await;
    let world = World::new(0);
    let messages = ["one\r\n", "two\r\n"].map(|text| world.message(text, &["a@example.org"]));
    let tried = world.attempt(&smart_host(server.port()), messages.into()).await;
    assert_eq!(outcomes(&tried)[0], [(Outcome::Bounced, "550 5.1.1 unknown".to_owned())]);
    assert_eq!(outcomes(&tried)[1], [(Outcome::Delivered, "250 2.0.0 taken".to_owned())]);
    let seen = server.seen();
    assert_eq!(seen.contents, ["", "Received: from here\r\ntwo\r\n"]);
    assert_eq!(seen.connections, 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_whole_is_never_ended() {
    // the break lies behind what is read ahead, so that it comes in the middle of DATA
    let content = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(40_000);
    for broken in [true, false] {
        let world = World::new(0);
        let message = world.message(&content, &["a@example.org"]);
        if !broken {
            world.truncate(100);
        }
        let faults = Arc::clone(&world.faults);
        let server = Server::start(&["PIPELINING"], move |asked| {
            if broken && asked.step == "DATA" {
                faults.set(Mode::Always(Fate::Refused));
            }
            None
        })
        .await;
        let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
        let (outcome, reply) = outcome(&tried);
        assert_eq!(outcome, Outcome::Deferred);
        assert!(reply.starts_with("451 4.3.0 the content cannot be read"), "{reply}");
        let seen = server.seen();
        assert_eq!(seen.commands.last().map(String::as_str), Some("DATA"));
        assert!(seen.contents.is_empty());
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_the_content_is_believed() {
    let script = |asked: &Asked| {
        (asked.step == "DATA").then(|| Act::Part("354 go on\r\n552 5.3.4 too large\r\n".to_owned()))
    };
    let server = Server::start(ALL, script).await;
    let world = World::new(0);
    let mut message = world.message(&"x\r\n".repeat(3_000_000), &["a@example.org"]);
    // told its size, the server could have said no to MAIL
    message.length = 900_000;
    let told = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
    assert_eq!(told, (Outcome::Bounced, "552 5.3.4 too large".to_owned()));
}
