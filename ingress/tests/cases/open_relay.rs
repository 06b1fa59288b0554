//! Tricks by which relays have been made to send mail on for strangers. Each is tried by each of several senders on a listener that takes
//! mail for `ours.example` and is called `edge.example`.

use ingress::{Limits, ListenerKind};

use super::support::client::{Edge, settings};

/// What stands behind `RCPT TO:`.
const TRICKS: [&str; 44] = [
    "<u@far.example>",
    "<u@FAR.EXAMPLE>",
    "<u@sub.ours.example>",
    "<u@ours.example.far.example>",
    "<u@xours.example>",
    "<u@ours.example.>",
    "<u@far.example.>",
    "<u@ours.example..>",
    "<u@edge.example>",
    "<root@edge.example>",
    "<postmaster@far.example>",
    "<u@localhost>",
    // routes in the local part: percent hack, bang path, an address within an address
    "<u%far.example@ours.example>",
    "<u%far.example@edge.example>",
    "<u%far.example%ours.example@edge.example>",
    "<postmaster%far.example@edge.example>",
    "<\"u%far.example\"@ours.example>",
    "<far.example!u@ours.example>",
    "<ours.example!far.example!u@ours.example>",
    "<\"far.example!u\"@ours.example>",
    "<\"u@far.example\"@ours.example>",
    "<\"u@far.example\"@edge.example>",
    "<\"u\\@far.example\"@ours.example>",
    "<\"@far.example:u\"@ours.example>",
    // routes before it
    "<@ours.example:u@far.example>",
    "<@edge.example:u@far.example>",
    "<@ours.example,@edge.example:u@far.example>",
    "<@edge.example:\"u@far.example\"@ours.example>",
    "<@far.example:u%far.example@ours.example>",
    // addresses in place of names
    "<u@[127.0.0.1]>",
    "<u@[IPv6:::1]>",
    "<u@[192.0.2.1]>",
    "<u@127.0.0.1>",
    // what is no address
    "<u>",
    "<u%far.example>",
    "<far.example!u>",
    "<\"u@far.example\">",
    "<u@far.example@ours.example>",
    "<u\\@far.example@ours.example>",
    "<u@far.example,x@ours.example>",
    "<u@far%ours.example>",
    "<u@ours.example:25>",
    "u@far.example",
    "< u@far.example>",
];

/// Nobody, our own names forged, an address, and a stranger.
const SENDERS: [&str; 6] = [
    "<>",
    "<boss@ours.example>",
    "<root@edge.example>",
    "<postmaster@edge.example>",
    "<root@[127.0.0.1]>",
    "<spam@far.example>",
];

#[tokio::test]
async fn no_known_trick_makes_an_open_relay() {
    let unlimited = Limits {
        bad_commands: u32::MAX,
        refused_recipients: u32::MAX,
        idle_commands: u32::MAX,
        ..Limits::default()
    };
    let mut settings = settings(unlimited);
    settings.listeners[0].kind = ListenerKind::Mx;
    settings.relay_domains.push("ours.example".parse().unwrap());
    // to be in a trusted network helps nobody on this kind of listener
    assert!(!settings.trusted_networks.is_empty());
    let edge = Edge::start_with(settings).await;
    let mut client = edge.connect().await;
    client.ask("HELO client.example", "250").await;
    for sender in SENDERS {
        client.ask(&format!("MAIL FROM:{sender}"), "250").await;
        for trick in TRICKS {
            client.ask(&format!("RCPT TO:{trick}"), "5").await;
        }
        client.ask("DATA", "554").await;
        client.ask("RCPT TO:<u@ours.example>", "250").await;
        client.ask("RSET", "250").await;
    }
    assert_eq!(edge.world.packs().await, 0);
}
