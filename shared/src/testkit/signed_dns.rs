//! A DNS on a loopback address, signed from its own root down.

mod replay;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::runtime::{Time, TokioRuntimeProvider};
use hickory_resolver::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, DnssecSigner, SigningKey};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, TLSA, TXT};
use hickory_resolver::proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType};
use hickory_server::Server;
use hickory_server::dnssec::NxProofKind;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tempfile::TempDir;
use tokio::net::{TcpListener, UdpSocket};

use self::replay::Replays;
use super::resolver::zone::{Data, Zone};
use crate::dns::{Dns, DnsSettings};
use crate::limits::dns::{TEST_SIGNATURES_LAST, TEST_TTL};

/// How a zone stands to DNSSEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Signed, and its parent says so; what is not there is denied by NSEC records.
    Signed,
    /// The same, with NSEC3 records (RFC 5155).
    SignedNsec3,
    /// Not signed, and its parent says so.
    Unsigned,
    /// Not signed, and its parent says that it is: as a server that strips signatures shows it.
    Stripped,
    /// Signed, and then the signatures of its addresses were spoilt.
    Broken,
    /// Signed, and then the signatures of its TLSA records were spoilt.
    BrokenTlsa,
}

/// A name server for zones of the root. It goes when it is dropped.
pub struct SignedDns {
    address: SocketAddr,
    anchors: PathBuf,
    signers: Vec<DnssecSigner>,
    sets: Vec<Arc<RecordSet>>,
    replays: Arc<Replays>,
    _folder: TempDir,
    _server: Server<Zones>,
}

impl SignedDns {
    /// Serves `zones`: the name of each, how it is signed, and its records as [`ZoneResolver`](super::ZoneResolver) reads them, without
    /// SOA and NS. Each is delegated by the next one above it. The root is signed as `root` says.
    ///
    /// # Panics
    /// Where a zone cannot be read, or no loopback address be had.
    pub async fn serve(root: Signing, zones: &[(&str, Signing, &str)]) -> Self {
        let read = |(origin, signing, text): &(&str, Signing, &str)| (name(origin), *signing, records(text));
        let mut zones: Vec<_> = zones.iter().map(read).chain([(Name::root(), root, Vec::new())]).collect();
        // the longest name first, which is the zone that a name is in
        zones.sort_by_key(|(origin, ..)| std::cmp::Reverse(origin.num_labels()));
        let (mut served, mut sets, mut signers) = (Vec::new(), Vec::new(), Vec::new());
        let mut anchor = None;
        while !zones.is_empty() {
            let (origin, signing, records) = zones.remove(0);
            let [signer, kept] = signers_of(&origin);
            match zones.iter_mut().find(|(above, ..)| above.zone_of(&origin)) {
                Some((_, _, above)) => above.extend(delegation(&origin, signing, &signer)),
                None => anchor = Some(signer.to_dnskey()),
            }
            let (catalog, own) = catalog(&origin, signing, signer, records);
            served.push((origin, catalog));
            sets.extend(own);
            signers.push(kept);
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let anchors = folder.path().join("root.key");
        let anchor = anchor.expect("there is a root");
        std::fs::write(&anchors, format!(". 3600 IN DNSKEY {anchor}\n")).expect("a file can be written");
        let replays = Arc::new(Replays::default());
        let (server, address) = start(Zones { served, replays: Arc::clone(&replays) }).await;
        Self { address, anchors, signers, sets, replays, _folder: folder, _server: server }
    }

    /// A resolver that asks this server and validates from the key of its root, unless `settings` say otherwise.
    ///
    /// # Panics
    /// Where there can be none.
    pub fn resolver(&self) -> Dns {
        Dns::new(&DnsSettings { trust_anchors: Some(self.anchors.clone()), ..self.settings() })
            .expect("the anchors are written well")
    }

    /// Settings that name this server, and leave the anchors to be the real root's.
    pub fn settings(&self) -> DnsSettings {
        DnsSettings { servers: vec![self.address], ..DnsSettings::default() }
    }

    /// The section of a configuration that makes an edge ask this server, and validate.
    pub fn section(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]\ntrust_anchors = \"{}\"", self.address, self.anchors.display())
    }
}

/// The zones, each with what answers for it; the root is the last one.
struct Zones {
    served: Vec<(Name, Catalog)>,
    replays: Arc<Replays>,
}

#[async_trait::async_trait]
impl RequestHandler for Zones {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, to: R) -> ResponseInfo {
        let query = request.request_info().map(|info| info.query.clone());
        if let Some(replayed) = query.as_ref().ok().and_then(|query| self.replays.answer(query)) {
            return replayed.send(request, to).await;
        }
        let zone = query.ok().and_then(|query| {
            let asked = Name::from(query.name().clone());
            // whether a zone is signed is for its parent to say (RFC 4035 §3.1.4.1)
            let holds = |zone: &Name| {
                zone.zone_of(&asked)
                    && (query.query_type() != RecordType::DS || *zone != asked || zone.is_root())
            };
            self.served.iter().find(|(zone, _)| holds(zone))
        });
        let (_, catalog) = zone.unwrap_or_else(|| self.served.last().expect("there is a root"));
        catalog.handle_request::<R, T>(request, to).await
    }
}

/// What the zone above says of a zone.
fn delegation(origin: &Name, signing: Signing, signer: &DnssecSigner) -> Vec<(Name, RData)> {
    let ns = (origin.clone(), RData::NS(NS(name("ns.test"))));
    if signing == Signing::Unsigned {
        return vec![ns];
    }
    let key = signer.key().to_public_key().expect("a key has a public half");
    let ds = DS::from_key(&key, origin, DigestType::SHA256).expect("a digest of a key can be made");
    vec![ns, (origin.clone(), RData::DNSSEC(DNSSECRData::DS(ds)))]
}

/// What answers for a zone, and its record sets.
fn catalog(
    origin: &Name,
    signing: Signing,
    signer: DnssecSigner,
    records: Vec<(Name, RData)>,
) -> (Catalog, Vec<Arc<RecordSet>>) {
    let denial = match signing {
        Signing::Signed | Signing::Broken | Signing::BrokenTlsa => Some(NxProofKind::Nsec),
        Signing::SignedNsec3 => Some(NxProofKind::Nsec3 {
            algorithm: Default::default(),
            salt: Arc::new([]),
            iterations: 0,
            opt_out: false,
        }),
        Signing::Unsigned | Signing::Stripped => None,
    };
    let mut zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
        origin.clone(),
        ZoneType::Primary,
        AxfrPolicy::Deny,
        denial.clone(),
    );
    let soa = SOA::new(name("ns.test"), name("postmaster.test"), 1, 3600, 600, 86_400, TEST_TTL);
    let own = [(origin.clone(), RData::SOA(soa)), (origin.clone(), RData::NS(NS(name("ns.test"))))];
    for (owner, data) in own.into_iter().chain(records) {
        zone.upsert_mut(Record::from_rdata(owner, TEST_TTL, data), 0);
    }
    if denial.is_some() {
        zone.add_zone_signing_key_mut(signer).expect("the key is one to sign with");
        zone.secure_zone_mut().expect("the zone can be signed");
    }
    for set in zone.records_get_mut().values_mut().filter(|set| is_spoilt(signing, set.record_type())) {
        let set = Arc::make_mut(set);
        set.set_rrsigs(set.rrsigs().iter().map(spoilt).collect());
    }
    let sets = zone.records_get_mut().values().cloned().collect();
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(origin), vec![Arc::new(zone)]);
    (catalog, sets)
}

fn is_spoilt(signing: Signing, kind: RecordType) -> bool {
    match signing {
        Signing::Broken => matches!(kind, RecordType::A | RecordType::AAAA),
        Signing::BrokenTlsa => kind == RecordType::TLSA,
        Signing::Signed | Signing::SignedNsec3 | Signing::Unsigned | Signing::Stripped => false,
    }
}

/// A signature that does not hold.
fn spoilt(signature: &Record) -> Record {
    let mut spoilt = signature.clone();
    if let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &signature.data {
        let mut octets = signature.sig().to_vec();
        octets.iter_mut().take(1).for_each(|octet| *octet ^= 1);
        spoilt.data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(signature.input().clone(), octets)));
    }
    spoilt
}

async fn start(zones: Zones) -> (Server<Zones>, SocketAddr) {
    let mut server = Server::new(zones);
    // the two kinds of port are given out apart from each other, so that the second one may be taken
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback address can be bound");
        let address = udp.local_addr().expect("a bound socket has an address");
        if let Ok(tcp) = TcpListener::bind(address).await {
            server.register_socket(udp);
            server.register_listener(tcp, Duration::from_secs(30), 4096);
            return (server, address);
        }
    }
}

/// Two signers with the one key of a zone.
fn signers_of(origin: &Name) -> [DnssecSigner; 2] {
    let pkcs8 = EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256).expect("keys can be made");
    [(), ()].map(|()| {
        let key =
            EcdsaSigningKey::from_pkcs8(&pkcs8, Algorithm::ECDSAP256SHA256).expect("it was made for this");
        let dnskey = DNSKEY::from_key(&key.to_public_key().expect("a key has a public half"));
        DnssecSigner::new(dnskey, Box::new(key), origin.clone(), TEST_SIGNATURES_LAST)
    })
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a test writes good names");
    name.set_fqdn(true);
    name
}

fn records(text: &str) -> Vec<(Name, RData)> {
    let zone = Zone::parse(text).expect("a test writes good zones");
    let of = |(owner, data): (&str, &Data)| (name(owner), rdata(data));
    zone.all().map(of).collect()
}

fn rdata(data: &Data) -> RData {
    match data {
        Data::A(ip) => RData::A(A(*ip)),
        Data::Aaaa(ip) => RData::AAAA(AAAA(*ip)),
        Data::Mx(mx) => RData::MX(MX::new(mx.preference, name(&format!("{}.", mx.exchange)))),
        Data::Txt(text) => RData::TXT(TXT::from_bytes(vec![text])),
        Data::Tlsa(tlsa) => RData::TLSA(TLSA::new(
            tlsa.usage.into(),
            tlsa.selector.into(),
            tlsa.matching.into(),
            tlsa.data.clone(),
        )),
        Data::Ptr(target) => RData::PTR(PTR(name(target))),
        Data::Cname(target) => RData::CNAME(CNAME(name(target))),
    }
}
