//! A server whose TLS broke is not asked for it again for a while, by whoever would go on in clear text. Who must have TLS, or is to tell
//! how it went, asks.

use std::sync::{Arc, Mutex};

use workers::deliver::{
    ObserveTls, Observer, Outcome, ResultType, Route, TlsMode, TlsObservation, TlsOverride, TlsVersion,
    Transports, Tried, TrustAnchors,
};

use crate::certificates::Authority;
use crate::policy_site::PolicySite;
use crate::server::{Act, Asked, Server};
use crate::world::{World, outcome, zone};

/// What was found out of TLS with the hosts of `strict.example`.
#[derive(Default)]
struct Observed(Mutex<Vec<Result<(), ResultType>>>);

impl ObserveTls for Observed {
    fn observe(&self, observation: TlsObservation) {
        if observation.policy_domain.as_str() == "strict.example" {
            self.0.lock().unwrap().push(observation.result);
        }
    }
}

/// A server whose handshakes break, at one address for two domains: `any.example`, which asks for nothing, and `strict.example`.
struct Broken {
    server: Server,
    world: World,
    observed: Arc<Observed>,
    _policy: Option<PolicySite>,
}

const ZONE: &str = "any.example MX 1 mx.example\nstrict.example MX 1 mx.example\nmx.example A 127.0.0.1\n";

impl Broken {
    async fn new() -> Self {
        let garbage = |asked: &Asked| {
            (asked.step == "STARTTLS").then(|| Act::Part("220 go\r\nthis is not TLS\r\n".to_owned()))
        };
        let server = Server::start(&["STARTTLS", "PIPELINING"], garbage).await;
        let (mut world, observed) = (World::new(server.port()), Arc::<Observed>::default());
        world.settings.observer = Observer(observed.clone());
        world.dns = zone(ZONE);
        Self { server, world, observed, _policy: None }
    }

    async fn with_mta_sts(mode: &str) -> Self {
        let mut broken = Self::new().await;
        let authority = Authority::new();
        let policy = format!("version: STSv1\nmode: {mode}\nmx: mx.example\nmax_age: 604800\n");
        let site = PolicySite::start(&authority.issue(&["mta-sts.strict.example"], false), &policy).await;
        broken.world.settings.trust = TrustAnchors::These(vec![authority.certificate()]);
        broken.world.settings.mta_sts_port = site.port;
        let record = "_mta-sts.strict.example TXT \"v=STSv1; id=1;\"\nmta-sts.strict.example A 127.0.0.1\n";
        broken.world.dns = zone(&format!("{ZONE}{record}"));
        broken._policy = Some(site);
        broken
    }

    /// Transports that remember the server: a message went in clear text after a handshake that broke, and the next one at once.
    async fn remembered(&self) -> Transports {
        let transports = self.world.transports().await;
        for _ in 0..2 {
            let tried = self.send(&transports, "a@any.example").await;
            assert_eq!((outcome(&tried).0, tried[0].attempt.tls.clone()), (Outcome::Delivered, None));
        }
        assert_eq!((self.said("STARTTLS"), self.said("MAIL"), self.server.seen().connections), (1, 2, 3));
        transports
    }

    async fn send(&self, transports: &Transports, address: &str) -> Vec<Tried> {
        let message = self.world.message("x\r\n", &[address]);
        // puts the message into the spool
        let _ = self.world.transports().await;
        self.world.attempt_by(transports, &Route::Mx, vec![message]).await
    }

    /// How often the verb was said.
    fn said(&self, verb: &str) -> usize {
        self.server.seen().commands.iter().filter(|line| line.split(' ').next() == Some(verb)).count()
    }

    /// A message to the strict domain goes nowhere: TLS is asked for once more, and no MAIL is said.
    async fn defers(&self) {
        let transports = self.remembered().await;
        let (outcome, reply) = outcome(&self.send(&transports, "a@strict.example").await);
        assert_eq!(outcome, Outcome::Deferred, "{reply}");
        assert!(reply.contains("no TLS"), "{reply}");
        assert_eq!((self.said("STARTTLS"), self.said("MAIL")), (2, 2));
        assert_eq!(self.server.seen().contents.len(), 2);
    }

    fn results(&self) -> Vec<Result<(), ResultType>> {
        self.observed.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn the_operators_word_that_there_must_be_tls_holds() {
    for mode in [TlsMode::Require, TlsMode::Verify] {
        let mut broken = Broken::new().await;
        let rule = TlsOverride { mode, min_version: TlsVersion::V1_2 };
        broken.world.settings.tls_overrides.add("strict.example", rule).unwrap();
        broken.defers().await;
    }
}

#[tokio::test]
async fn a_policy_that_is_enforced_holds() {
    let broken = Broken::with_mta_sts("enforce").await;
    broken.defers().await;
    assert_eq!(broken.results(), [Err(ResultType::ValidationFailure)]);
}

#[tokio::test]
async fn a_policy_in_testing_is_told_of_it_each_time_and_the_mail_goes() {
    let broken = Broken::with_mta_sts("testing").await;
    let transports = broken.remembered().await;
    for times in 1..=2 {
        let tried = broken.send(&transports, "a@strict.example").await;
        assert_eq!((outcome(&tried).0, tried[0].attempt.tls.clone()), (Outcome::Delivered, None));
        assert_eq!((broken.said("STARTTLS"), broken.said("MAIL")), (1 + times, 2 + times));
        assert_eq!(broken.results(), vec![Err(ResultType::ValidationFailure); times]);
    }
}
