use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::job::Delivery;
use workers::deliver::{Outcome, Tried};

use crate::server::{Act, Asked, Server, say};
use crate::world::{World, outcomes, smart_host};

const CHUNKING: &[&str] = &["PIPELINING", "CHUNKING"];

fn keeping() -> World {
    let mut world = World::new(0);
    world.settings.limits.keep = Duration::from_secs(60);
    world
}

fn messages(world: &World, count: usize) -> Vec<Delivery> {
    (1..=count).map(|n| world.message(&format!("{n}\r\n"), &[&format!("r{n}@example.org")])).collect()
}

fn each(tried: &[Tried]) -> Vec<Outcome> {
    outcomes(tried).iter().map(|each| each[0].0).collect()
}

/// Says nothing to an envelope before its content is there.
fn in_one_flight(asked: &Asked) -> Option<Act> {
    matches!(asked.step.as_str(), "MAIL" | "RCPT" | "RSET").then(|| Act::Wait("250 ok\r\n".to_owned()))
}

#[tokio::test]
async fn a_message_takes_one_round_trip_on_a_connection_that_is_kept() {
    let server = Server::start(CHUNKING, in_one_flight).await;
    let world = keeping();
    let tried = world.attempt(&smart_host(server.port()), messages(&world, 1)).await;
    assert_eq!(each(&tried), [Outcome::Delivered]);
    // without CHUNKING, the envelope takes one, and the content one
    let with_data = |asked: &Asked| {
        matches!(asked.step.as_str(), "MAIL" | "RCPT").then(|| Act::Wait("250 ok\r\n".to_owned()))
    };
    let server = Server::start(&["PIPELINING"], with_data).await;
    let tried = world.attempt(&smart_host(server.port()), messages(&world, 1)).await;
    assert_eq!(each(&tried), [Outcome::Delivered]);
}

#[tokio::test]
async fn the_next_messages_go_out_before_the_first_is_answered() {
    // four messages, and then all replies
    let script = |asked: &Asked| match asked.step.as_str() {
        "BDAT" if asked.nth < 4 => Some(Act::Wait("250 taken\r\n".to_owned())),
        _ => in_one_flight(asked),
    };
    let server = Server::start(CHUNKING, script).await;
    let world = keeping();
    let tried = world.attempt(&smart_host(server.port()), messages(&world, 4)).await;
    assert_eq!(each(&tried), [Outcome::Delivered; 4]);
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test]
async fn no_more_go_out_than_may_be_in_doubt() {
    let script = |asked: &Asked| (asked.step == "BDAT" && asked.nth == 2).then_some(Act::Hang);
    let server = Server::start(CHUNKING, script).await;
    let mut world = keeping();
    world.settings.limits.ahead = 1;
    world.settings.limits.connections_lost = 1;
    world.hurry("END");
    let tried = world.attempt(&smart_host(server.port()), messages(&world, 5)).await;
    assert_eq!(each(&tried)[..1], [Outcome::Delivered]);
    // two were out when the server fell silent; the others were certainly not sent
    let in_doubt = outcomes(&tried).iter().filter(|each| each[0].1.contains("may get it twice")).count();
    assert_eq!(in_doubt, 2, "{:?}", outcomes(&tried));
}

#[tokio::test]
async fn what_is_refused_never_lends_its_envelope_to_the_next_message() {
    // a server that keeps an envelope open until RSET, and throws chunks for nobody away
    let (is_open, has_recipient) = (AtomicBool::new(false), AtomicBool::new(false));
    let script = move |asked: &Asked| {
        let flag = |flag: &AtomicBool, on| flag.swap(on, Ordering::Relaxed);
        Some(match asked.step.as_str() {
            "MAIL" if flag(&is_open, true) => say("503 5.5.1 one sender is enough"),
            "RSET" => {
                flag(&is_open, false);
                flag(&has_recipient, false);
                say("250 ok")
            }
            "RCPT" if asked.line.contains("r1@") => say("550 5.1.1 nobody"),
            "RCPT" => {
                flag(&has_recipient, true);
                say("250 ok")
            }
            "BDAT" if flag(&has_recipient, false) => {
                flag(&is_open, false);
                say("250 taken")
            }
            "BDAT" => say("554 5.5.1 no recipients"),
            _ => return None,
        })
    };
    let server = Server::start(CHUNKING, script).await;
    let world = keeping();
    let tried = world.attempt(&smart_host(server.port()), messages(&world, 3)).await;
    assert_eq!(each(&tried), [Outcome::Bounced, Outcome::Delivered, Outcome::Delivered]);
    assert_eq!(outcomes(&tried)[0][0].1, "550 5.1.1 nobody");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_those_in_doubt_that_were_out_whole() {
    let script = |asked: &Asked| (asked.step == "BDAT" && asked.nth == 2).then_some(Act::Close);
    let server = Server::start(CHUNKING, script).await;
    let world = keeping();
    let tried = world.attempt(&smart_host(server.port()), messages(&world, 4)).await;
    let told = outcomes(&tried);
    let doubtful = told.iter().filter(|each| each[0].1.contains("may get it twice")).count();
    let delivered = each(&tried).iter().filter(|outcome| **outcome == Outcome::Delivered).count();
    assert_eq!((delivered, doubtful), (1, 3), "{told:?}");
}

#[tokio::test]
async fn a_server_that_says_that_it_leaves_has_none_of_what_is_out_behind() {
    let script = |asked: &Asked| {
        let leaves = asked.step == "MAIL" && asked.nth == 2 && asked.connection == 1;
        leaves.then(|| Act::Part("421 4.3.2 going down\r\n".to_owned()))
    };
    let server = Server::start(CHUNKING, script).await;
    let world = keeping();
    let tried = world.attempt(&smart_host(server.port()), messages(&world, 4)).await;
    assert_eq!(each(&tried), [Outcome::Delivered; 4]);
    assert_eq!((server.seen().connections, server.seen().contents.len()), (2, 4));
}
