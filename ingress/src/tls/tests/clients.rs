//! Certificates of clients.

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::DnType;

use super::world::{Issued, Session, World};
use crate::tls::{ClientCertificates, Tls, TlsFacts, TlsSettings};

struct Asking {
    world: World,
    tls: Tls,
}

impl Asking {
    async fn new(required: bool) -> Self {
        let world = World::new();
        let authorities = world.authority_file.clone();
        let client_certificates = if required {
            ClientCertificates::Required { authorities }
        } else {
            ClientCertificates::Optional { authorities }
        };
        let certificates = vec![world.put("a", &world.issue(&["mx.example"]))];
        let settings = TlsSettings { certificates, client_certificates, ..TlsSettings::default() };
        let tls = world.load(settings).await.unwrap();
        Self { world, tls }
    }

    fn client(&self) -> Issued {
        self.world.issue_with(&["app.example"], |params| {
            params.distinguished_name.push(DnType::CommonName, "the app");
        })
    }

    async fn open(&self, own: Option<&Issued>) -> Option<TlsFacts> {
        let client = self.world.client(rustls::ALL_VERSIONS, own);
        Session::open(&self.tls, client, "mx.example").await.ok().map(|session| session.facts)
    }
}

#[tokio::test]
async fn a_client_may_show_a_certificate_where_it_is_optional() {
    let asking = Asking::new(false).await;
    assert_eq!(asking.open(None).await.unwrap().client_certificate, None);
    let own = asking.client();
    let facts = asking.open(Some(&own)).await.unwrap();
    assert!(facts.describe().starts_with(&facts.cipher), "{facts:?}");
    assert!(facts.describe().contains(" client certificate "), "{facts:?}");
    assert!(facts.describe().contains("CN=the app"), "{facts:?}");
    let shown = facts.client_certificate.unwrap();
    let fingerprint = digest(&SHA256, &own.der());
    let hexadecimal: String = fingerprint.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(shown.subject.contains("CN=the app"), "{shown:?}");
    assert_eq!((shown.names, shown.fingerprint), (vec!["app.example".to_owned()], hexadecimal));
}

#[tokio::test]
async fn a_client_must_show_one_where_it_is_required() {
    let asking = Asking::new(true).await;
    assert_eq!(asking.open(None).await, None);
    assert!(asking.open(Some(&asking.client())).await.unwrap().client_certificate.is_some());
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused_even_where_none_is_needed() {
    let stranger = World::new().issue(&["app.example"]);
    assert_eq!(Asking::new(false).await.open(Some(&stranger)).await, None);
    assert_eq!(Asking::new(true).await.open(Some(&stranger)).await, None);
}

#[tokio::test]
async fn a_client_certificate_is_good_by_the_time_of_the_clock() {
    let asking = Asking::new(true).await;
    let ended = asking.world.issue_with(&["app.example"], |params| params.not_after = params.not_before);
    asking.world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(asking.open(Some(&ended)).await, None);
}
