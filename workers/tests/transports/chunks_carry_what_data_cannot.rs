use shared::job::Delivery;
use shared::mail::Body;
use workers::deliver::Outcome;

use crate::server::{Act, Asked, Seen, Server, say};
use crate::world::{World, outcome, outcomes, smart_host};

const ALL: &[&str] = &["PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"];
const LOCKSTEP: &[&str] = &["CHUNKING", "BINARYMIME"];
const CHUNKING: &[&str] = &["PIPELINING", "CHUNKING"];
const PREFIX: &str = "Received: from here\r\n";
/// No line end at its end, bare ones in it, and dots.
const BINARY: &str = "a\rb\nc\r\n.\r\n..d\0";

fn verbs(seen: &Seen) -> Vec<&str> {
    seen.commands.iter().map(|line| line.split(' ').next().unwrap()).collect()
}

fn binary(world: &World, content: &str, recipients: &[&str]) -> Delivery {
    let mut message = world.message(content, recipients);
    message.options.body = Body::BinaryMime;
    message
}

#[tokio::test]
async fn binary_content_arrives_to_the_octet() {
    for extensions in [ALL, LOCKSTEP] {
        let server = Server::start(extensions, |_| None).await;
        let world = World::new(0);
        let both = (1..=2).map(|_| binary(&world, BINARY, &["a@example.org"])).collect();
        let tried = world.attempt(&smart_host(server.port()), both).await;
        assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
        let seen = server.seen();
        assert_eq!(seen.contents, [format!("{PREFIX}{BINARY}"), format!("{PREFIX}{BINARY}")]);
        // nobody knows yet that the first chunk was taken, where the second message goes out behind it
        let between: &[&str] = if extensions == ALL { &["RSET"] } else { &[] };
        let one = ["MAIL", "RCPT", "BDAT"];
        assert_eq!(verbs(&seen), [&["EHLO"], &one[..], between, &one[..], &["QUIT"]].concat());
        assert!(seen.commands[1].contains(" BODY=BINARYMIME"), "{}", seen.commands[1]);
        assert_eq!(seen.commands[3], format!("BDAT {} LAST", PREFIX.len() + BINARY.len()));
    }
}

#[tokio::test]
async fn binary_content_never_goes_by_data() {
    for extensions in [&["CHUNKING"][..], &["BINARYMIME", "8BITMIME"], &["8BITMIME"]] {
        let server = Server::start(extensions, |_| None).await;
        let world = World::new(0);
        let message = binary(&world, BINARY, &["a@example.org"]);
        let told = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
        assert_eq!(told.0, Outcome::Bounced);
        assert!(told.1.starts_with("554 5.6.3"), "{}", told.1);
        assert!(server.seen().contents.is_empty());
    }
}

#[tokio::test]
async fn a_large_chunk_arrives_whole() {
    let server = Server::start(ALL, |_| None).await;
    let world = World::new(0);
    let content = "0123456789abcde\n".repeat(20_000);
    let message = binary(&world, &content, &["a@example.org"]);
    let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
    assert!(server.seen().contents == [format!("{PREFIX}{content}")]);
}

/// Says nothing before it has seen QUIT.
fn hold_all(asked: &Asked) -> Option<Act> {
    match asked.step.as_str() {
        "MAIL" | "RCPT" | "RSET" => Some(Act::Wait("250 ok\r\n".to_owned())),
        "BDAT" => Some(Act::Wait("250 2.0.0 taken\r\n".to_owned())),
        "QUIT" => Some(say("221 bye")),
        _ => None,
    }
}

#[tokio::test]
async fn small_messages_go_out_whole_before_anything_is_answered() {
    let server = Server::start(CHUNKING, hold_all).await;
    let world = World::new(0);
    let message = world.message(".x\r\n", &["a@example.org", "b@example.org"]);
    let tried = world.attempt(&smart_host(server.port()), vec![message]).await;
    let taken = (Outcome::Delivered, "250 2.0.0 taken".to_owned());
    assert_eq!(outcomes(&tried), [vec![taken.clone(), taken]]);
    assert_eq!(server.seen().contents, [format!("{PREFIX}.x\r\n")]);
    // several go out behind each other, and QUIT behind the last one
    let server = Server::start(CHUNKING, hold_all).await;
    let world = World::new(0);
    let three = (1..=3).map(|_| world.message("x\r\n", &["a@example.org"])).collect();
    let tried = world.attempt(&smart_host(server.port()), three).await;
    assert!(outcomes(&tried).iter().all(|each| each[0].0 == Outcome::Delivered));
    let one = ["MAIL", "RCPT", "BDAT"];
    let expected = [&["EHLO"], &one[..], &["RSET"], &one[..], &["RSET"], &one[..], &["QUIT"]].concat();
    assert_eq!(verbs(&server.seen()), expected);
}

#[tokio::test]
async fn recipients_that_are_refused_have_their_own_reply_whatever_comes_of_the_chunk() {
    for good in [false, true] {
        let script = move |asked: &Asked| match asked.step.as_str() {
            "RCPT" if !asked.line.contains("good") => Some(say("550 5.1.1 nobody")),
            "BDAT" if !good => Some(say("503 5.5.1 no recipients")),
            _ => None,
        };
        let server = Server::start(CHUNKING, script).await;
        let world = World::new(0);
        let recipients = ["bad@example.org", if good { "good@example.org" } else { "bad2@example.org" }];
        let message = world.message("x\r\n", &recipients);
        let told = outcomes(&world.attempt(&smart_host(server.port()), vec![message]).await).remove(0);
        assert_eq!(told[0], (Outcome::Bounced, "550 5.1.1 nobody".to_owned()));
        let second = if good { Outcome::Delivered } else { Outcome::Bounced };
        assert_eq!(told[1].0, second, "{}", told[1].1);
        assert_eq!(server.seen().connections, 1);
    }
    // the same with binary content, which waits for the replies: nothing is sent to nobody
    let nobody = |asked: &Asked| (asked.step == "RCPT").then(|| say("550 5.1.1 nobody"));
    let server = Server::start(LOCKSTEP, nobody).await;
    let world = World::new(0);
    let message = binary(&world, BINARY, &["bad@example.org"]);
    let told = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
    assert_eq!((told.0, server.seen().contents.len()), (Outcome::Bounced, 0));
}

#[tokio::test]
async fn a_chunk_that_is_refused_is_refused_for_all_who_were_accepted() {
    for (reply, expected) in [("554 5.7.1 spam", Outcome::Bounced), ("451 4.3.0 later", Outcome::Deferred)] {
        let server = Server::start(CHUNKING, move |asked| (asked.step == "BDAT").then(|| say(reply))).await;
        let world = World::new(0);
        let message = world.message("x\r\n", &["a@example.org"]);
        let told = outcome(&world.attempt(&smart_host(server.port()), vec![message]).await);
        assert_eq!(told, (expected, reply.to_owned()));
    }
}

#[tokio::test]
async fn what_went_ahead_and_got_no_answer_is_not_sent_to_another_host() {
    for step in ["MAIL", "RCPT", "BDAT"] {
        let close = move |asked: &Asked| (asked.step == step).then_some(Act::Close);
        let first = Server::start(CHUNKING, close).await;
        let _second =
            Server::start_on(format!("127.0.0.2:{}", first.port()).parse().unwrap(), CHUNKING, |_| None)
                .await;
        let mut world = World::new(first.port());
        world.dns = crate::world::zone(
            "example.org MX 1 a.example\nexample.org MX 2 b.example\na.example A 127.0.0.1\nb.example A 127.0.0.2",
        );
        let message = world.message("x\r\n", &["a@example.org"]);
        let told = outcome(&world.attempt(&workers::deliver::Route::Mx, vec![message]).await);
        assert_eq!(told.0, Outcome::Deferred);
        assert!(told.1.contains("may get it twice"), "{step}: {}", told.1);
    }
    // a server that says that it is leaving has said no
    let leave =
        |asked: &Asked| (asked.step == "MAIL").then(|| Act::Part("421 4.3.2 going down\r\n".to_owned()));
    let first = Server::start(CHUNKING, leave).await;
    let second =
        Server::start_on(format!("127.0.0.2:{}", first.port()).parse().unwrap(), CHUNKING, |_| None).await;
    let mut world = World::new(first.port());
    world.dns = crate::world::zone(
        "example.org MX 1 a.example\nexample.org MX 2 b.example\na.example A 127.0.0.1\nb.example A 127.0.0.2",
    );
    let message = world.message("x\r\n", &["a@example.org"]);
    let told = outcome(&world.attempt(&workers::deliver::Route::Mx, vec![message]).await);
    assert_eq!((told.0, second.seen().contents.len()), (Outcome::Delivered, 1));
}
