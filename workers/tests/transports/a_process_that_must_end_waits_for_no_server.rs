use std::time::Duration;

use tokio_util::sync::CancellationToken;
use workers::deliver::{Outcome, Transport as _};

use super::server::{Act, Asked, Server};
use super::world::{World, outcome, rule, smart_host};

const PIPELINING: &[&str] = &["PIPELINING"];

/// What one message comes to with a server that does not answer `step`, once nobody waits any more.
async fn cut_at(step: &'static str) -> (Outcome, String) {
    let silent = CancellationToken::new();
    let told = silent.clone();
    let server = Server::start(PIPELINING, move |asked: &Asked| {
        (asked.step == step).then(|| {
            told.cancel();
            Act::Hang
        })
    })
    .await;
    let world = World::new(0);
    let message = world.message("x\r\n", &["a@example.org"]);
    let cut = CancellationToken::new();
    let transports = world.transports().await.cut_by(cut.clone());
    let (tried, mut back) = tokio::sync::mpsc::channel(64);
    let route = smart_host(server.port());
    let ending = async {
        silent.cancelled().await;
        cut.cancel();
    };
    let both = async { tokio::join!(transports.attempt(rule(&route), vec![message], &tried), ending) };
    // every step has twice this time where nobody cuts it short
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("nothing is waited for any more");
    drop(tried);
    outcome(&[back.recv().await.expect("it is handed back")])
}

#[tokio::test]
async fn a_message_whose_final_dot_is_not_answered_is_deferred_as_one_that_may_be_there() {
    let (outcome, reply) = cut_at("END").await;
    assert_eq!(outcome, Outcome::Deferred);
    assert!(reply.contains("too long at the final dot; the server may have the message"), "{reply}");
}

#[tokio::test]
async fn a_server_that_is_silent_before_the_content_has_taken_too_long() {
    for step in ["GREETING", "EHLO", "MAIL", "DATA"] {
        assert_eq!(cut_at(step).await.0, Outcome::Deferred, "{step}");
    }
}
