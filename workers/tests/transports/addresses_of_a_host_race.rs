use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use workers::deliver::{Outcome, Route, Tried};

use crate::server::Server;
use crate::world::{World, outcome, zone};

const NONE: &[&str] = &[];
/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(60);

/// An address that answers no connection: its queue is full, and nobody works it off.
struct BlackHole {
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    async fn at(address: SocketAddr) -> Self {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        Self { _listener: listener, _queued: queued }
    }
}

fn at(ip: &str, port: u16) -> SocketAddr {
    (ip.parse::<IpAddr>().unwrap(), port).into()
}

/// One message to this DNS.
async fn send(world: &mut World, dns: &str) -> Vec<Tried> {
    world.dns = zone(dns);
    let message = world.message("x\r\n", &["a@example.org"]);
    // an address that never answers would take as long as a connection may, which is longer than this
    timeout(Duration::from_secs(15), world.attempt(&Route::Mx, vec![message]))
        .await
        .expect("it takes a moment")
}

#[tokio::test]
async fn an_address_that_never_answers_costs_a_moment() {
    let server = Server::start(NONE, |_| None).await;
    let _hole = BlackHole::at(at("::1", server.port())).await;
    let mut world = World::new(server.port());
    world.settings.limits.connect = NEVER;
    let dns = "example.org MX 1 a.example\na.example AAAA ::1\na.example A 127.0.0.1";
    let tried = send(&mut world, dns).await;
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
    assert_eq!(tried[0].attempt.peer.as_deref(), Some(server.address.to_string().as_str()));
}

#[tokio::test]
async fn equal_hosts_race_and_a_worse_one_waits_until_they_have_failed() {
    let server = Server::start_on(at("127.0.0.2", 0), NONE, |_| None).await;
    let _hole = BlackHole::at(at("127.0.0.1", server.port())).await;
    let hosts = "a.example A 127.0.0.1\nb.example A 127.0.0.2\n";
    let mut world = World::new(server.port());
    world.settings.limits.connect = NEVER;
    let equal = format!("{hosts}example.org MX 5 a.example\nexample.org MX 5 b.example");
    assert_eq!(outcome(&send(&mut world, &equal).await).0, Outcome::Delivered);
    // of another preference, it is not raced with: it has its turn when the better one has had its time
    world.settings.limits.connect = Duration::from_millis(300);
    world.settings.limits.stagger = Duration::ZERO;
    let worse = format!("{hosts}example.org MX 5 a.example\nexample.org MX 9 b.example");
    let tried = send(&mut world, &worse).await;
    assert_eq!(tried[0].attempt.host.as_deref(), Some("b.example"));
    assert_eq!(outcome(&tried).0, Outcome::Delivered);
}

#[tokio::test]
async fn an_address_that_refuses_makes_nobody_wait() {
    let server = Server::start(NONE, |_| None).await;
    let mut world = World::new(server.port());
    world.settings.limits.stagger = NEVER;
    // nobody listens on the first one
    let dns = "example.org MX 1 a.example\na.example AAAA ::1\na.example A 127.0.0.1";
    assert_eq!(outcome(&send(&mut world, dns).await).0, Outcome::Delivered);
}

#[tokio::test]
async fn ipv6_goes_first_and_no_other_address_is_bothered_where_it_answers() {
    let server = Server::start(NONE, |_| None).await;
    let sixth = Server::start_on(at("::1", server.port()), NONE, |_| None).await;
    let mut world = World::new(server.port());
    world.settings.limits.stagger = NEVER;
    let dns = "example.org MX 1 a.example\na.example A 127.0.0.1\na.example AAAA ::1";
    assert_eq!(outcome(&send(&mut world, dns).await).0, Outcome::Delivered);
    assert_eq!((sixth.seen().connections, server.seen().connections), (1, 0));
}
