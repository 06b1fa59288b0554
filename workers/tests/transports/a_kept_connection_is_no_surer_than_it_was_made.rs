//! Domains share the connections of their site, but none is used for mail that asks for more of TLS, or for less, than was asked for when
//! it was made: what was not verified then is not verified because the next domain wants it so.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use workers::deliver::{Outcome, Route, TlsMode, TlsOverride, TlsVersion, Transports, TrustAnchors};

use crate::certificates::{Authority, Identity};
use crate::policy_site::PolicySite;
use crate::server::{Act, Asked, Server};
use crate::world::{World, outcome, zone};

/// How the second domain asks for a server that proves its name.
#[derive(Debug, Clone, Copy)]
enum Asks {
    Override,
    MtaSts,
}

/// Two domains with one server, whose connections are kept; `two.example` asks for more than `one.example`.
struct Site {
    server: Server,
    said: Said,
    world: World,
    _policy: Option<PolicySite>,
}

/// Every line, with the number of its connection.
type Said = Arc<Mutex<Vec<(usize, String)>>>;

/// A server with the certificate `identity`, or without TLS, and what is said to it.
async fn serve(identity: Option<&Identity>) -> (Server, Said) {
    let said = Said::default();
    let (log, acceptor) = (said.clone(), identity.map(Identity::acceptor));
    let script = move |asked: &Asked| {
        if !matches!(asked.step.as_str(), "GREETING" | "END") {
            log.lock().unwrap().push((asked.connection, asked.line.clone()));
        }
        let acceptor = acceptor.clone().filter(|_| asked.step == "STARTTLS")?;
        Some(Act::Tls(acceptor, String::new()))
    };
    let extensions: &[&str] = if identity.is_some() { &["STARTTLS", "PIPELINING"] } else { &["PIPELINING"] };
    (Server::start(extensions, script).await, said)
}

impl Site {
    async fn new(authority: &Authority, identity: Option<&Identity>, asks: Asks) -> Self {
        let (server, said) = serve(identity).await;
        let mut world = keeping(&server, authority);
        let policy = match asks {
            Asks::Override => {
                world.settings.tls_overrides.add("two.example", rule(TlsMode::Verify)).unwrap();
                None
            }
            Asks::MtaSts => {
                let policy = "version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 604800\n";
                let site = PolicySite::start(&authority.issue(&["mta-sts.two.example"], false), policy).await;
                world.settings.mta_sts_port = site.port;
                let record = "_mta-sts.two.example TXT \"v=STSv1; id=1;\"\nmta-sts.two.example A 127.0.0.1\n";
                world.dns = zone(&format!("{ZONE}{record}"));
                Some(site)
            }
        };
        Self { server, said, world, _policy: policy }
    }

    /// On which connections the address was named.
    fn named(&self, address: &str) -> Vec<usize> {
        let told = format!("RCPT TO:<{address}>");
        let said = self.said.lock().unwrap();
        said.iter().filter(|(_, line)| line.starts_with(&told)).map(|(connection, _)| *connection).collect()
    }

    /// The verbs that were said on a connection.
    fn verbs(&self, connection: usize) -> Vec<String> {
        let said = self.said.lock().unwrap();
        let lines = said.iter().filter(|(on, _)| *on == connection);
        lines.map(|(_, line)| line.split(' ').next().unwrap().to_owned()).collect()
    }
}

const ZONE: &str = "one.example MX 1 mx.example\ntwo.example MX 1 mx.example\nmx.example A 127.0.0.1\n";

fn keeping(server: &Server, authority: &Authority) -> World {
    let mut world = World::new(server.port());
    world.settings.limits.keep = Duration::from_secs(60);
    world.settings.trust = TrustAnchors::These(vec![authority.certificate()]);
    world.dns = zone(ZONE);
    world
}

fn rule(mode: TlsMode) -> TlsOverride {
    TlsOverride { mode, min_version: TlsVersion::V1_2 }
}

/// What became of a message to `address`, in words, and of its TLS.
async fn send(world: &World, transports: &Transports, address: &str) -> (Outcome, String, Option<String>) {
    let message = world.message("x\r\n", &[address]);
    // puts the message into the spool
    let _ = world.transports().await;
    let tried = world.attempt_by(transports, &Route::Mx, vec![message]).await;
    let (outcome, reply) = outcome(&tried);
    (outcome, reply, tried[0].attempt.tls.clone())
}

fn ends(tls: Option<&String>, how: &str) -> bool {
    tls.is_some_and(|tls| tls.ends_with(how))
}

#[tokio::test]
async fn who_wants_the_server_verified_gets_a_connection_that_is() {
    for (asks, how) in [
        (Asks::Override, "(tls_policy \"two.example\", certificate verified)"),
        (Asks::MtaSts, "(MTA-STS enforce)"),
    ] {
        let authority = Authority::new();
        // it would have held, but nobody looked
        let identity = authority.issue(&["mx.example"], false);
        let site = Site::new(&authority, Some(&identity), asks).await;
        let transports = site.world.transports().await;
        for _ in 0..2 {
            let (outcome, reply, tls) = send(&site.world, &transports, "a@one.example").await;
            assert_eq!(outcome, Outcome::Delivered, "{reply}");
            assert!(ends(tls.as_ref(), "(certificate not checked)"), "{tls:?}");
            let (outcome, reply, tls) = send(&site.world, &transports, "a@two.example").await;
            assert_eq!(outcome, Outcome::Delivered, "{reply}");
            assert!(ends(tls.as_ref(), how), "{asks:?}: {tls:?}");
        }
        // both are kept, each for its own
        assert_eq!((site.named("a@one.example"), site.named("a@two.example")), (vec![1, 1], vec![2, 2]));
        assert_eq!(site.verbs(2)[..4], ["EHLO", "STARTTLS", "EHLO", "MAIL"]);
        assert_eq!(site.server.seen().connections, 2);
    }
}

#[tokio::test]
async fn who_wants_a_server_verified_that_is_nobodys_says_nothing_over_the_kept_connection() {
    for asks in [Asks::Override, Asks::MtaSts] {
        let authority = Authority::new();
        let stranger = Identity::self_signed(&["mx.example"], false);
        for (identity, why) in
            [(Some(&stranger), "the server's certificate does not hold"), (None, "the server offers no TLS")]
        {
            let site = Site::new(&authority, identity, asks).await;
            let transports = site.world.transports().await;
            let (outcome, reply, tls) = send(&site.world, &transports, "a@one.example").await;
            assert_eq!((outcome, tls.is_some()), (Outcome::Delivered, identity.is_some()), "{reply}");
            let before = site.verbs(1);
            let (outcome, reply, _) = send(&site.world, &transports, "a@two.example").await;
            assert_eq!(outcome, Outcome::Deferred, "{asks:?}: {reply}");
            assert!(reply.starts_with("454 4.7.5 ") && reply.contains(why), "{asks:?}: {reply}");
            assert_eq!(site.verbs(1), before, "{asks:?}");
            assert!(!site.verbs(2).contains(&"MAIL".to_owned()), "{:?}", site.verbs(2));
            assert_eq!((site.named("a@two.example"), site.server.seen().contents.len()), (vec![], 1));
            // which is there still, for those that are content with it
            assert_eq!(send(&site.world, &transports, "a@one.example").await.0, Outcome::Delivered);
            assert_eq!((site.named("a@one.example"), site.server.seen().connections), (vec![1, 1], 2));
        }
    }
}

#[tokio::test]
async fn who_may_have_tls_does_not_go_over_a_connection_that_may_not() {
    let authority = Authority::new();
    let (server, _) = serve(Some(&Identity::self_signed(&["mx.example"], false))).await;
    let mut world = keeping(&server, &authority);
    world.settings.tls_overrides.add("one.example", rule(TlsMode::Forbid)).unwrap();
    let transports = world.transports().await;
    let (outcome, reply, tls) = send(&world, &transports, "a@one.example").await;
    assert_eq!((outcome, tls), (Outcome::Delivered, None), "{reply}");
    let (outcome, reply, tls) = send(&world, &transports, "a@two.example").await;
    assert_eq!(outcome, Outcome::Delivered, "{reply}");
    assert!(ends(tls.as_ref(), "(certificate not checked)"), "{tls:?}");
    assert_eq!(server.seen().connections, 2);
}
