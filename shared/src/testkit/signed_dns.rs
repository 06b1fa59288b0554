//! A DNS on a loopback address, signed from its own root down.

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
    _folder: TempDir,
    _server: Server<Zones>,
}

impl SignedDns {
    /// Serves `zones`: the name of each, how it is signed, and its records as [`ZoneResolver`](super::ZoneResolver) reads them, without
    /// SOA and NS. The root is signed as `root` says.
    ///
    /// # Panics
    /// Where a zone cannot be read, or no loopback address be had.
    pub async fn serve(root: Signing, zones: &[(&str, Signing, &str)]) -> Self {
        let mut signed = Vec::new();
        let mut delegations = Vec::new();
        for (origin, signing, text) in zones {
            let origin = name(origin);
            let key = key();
            let ds = DS::from_key(
                &key.to_public_key().expect("a key has a public half"),
                &origin,
                DigestType::SHA256,
            );
            let ds = RData::DNSSEC(DNSSECRData::DS(ds.expect("a digest of a key can be made")));
            delegations.push((origin.clone(), RData::NS(NS(name("ns.test")))));
            match signing {
                Signing::Signed
                | Signing::SignedNsec3
                | Signing::Stripped
                | Signing::Broken
                | Signing::BrokenTlsa => delegations.push((origin.clone(), ds)),
                Signing::Unsigned => {}
            }
            signed.push((origin.clone(), catalog(&origin, *signing, key, records(text))));
        }
        let key = key();
        let dnskey = DNSKEY::from_key(&key.to_public_key().expect("a key has a public half"));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let anchors = folder.path().join("root.key");
        std::fs::write(&anchors, format!(". 3600 IN DNSKEY {dnskey}\n")).expect("a file can be written");
        signed.push((Name::root(), catalog(&Name::root(), root, key, delegations)));
        let (server, address) = start(Zones(signed)).await;
        Self { address, anchors, _folder: folder, _server: server }
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
struct Zones(Vec<(Name, Catalog)>);

#[async_trait::async_trait]
impl RequestHandler for Zones {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, to: R) -> ResponseInfo {
        let query = request.request_info().map(|info| info.query.clone());
        let zone = query.ok().and_then(|query| {
            let asked = Name::from(query.name().clone());
            // whether a zone is signed is for its parent to say (RFC 4035 §3.1.4.1)
            let holds = |zone: &Name| {
                zone.zone_of(&asked)
                    && (query.query_type() != RecordType::DS || *zone != asked || zone.is_root())
            };
            self.0.iter().find(|(zone, _)| holds(zone))
        });
        let (_, catalog) = zone.unwrap_or_else(|| self.0.last().expect("there is a root"));
        catalog.handle_request::<R, T>(request, to).await
    }
}

fn catalog(origin: &Name, signing: Signing, key: EcdsaSigningKey, records: Vec<(Name, RData)>) -> Catalog {
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
        let dnskey = DNSKEY::from_key(&key.to_public_key().expect("a key has a public half"));
        let signer = DnssecSigner::new(dnskey, Box::new(key), origin.clone(), TEST_SIGNATURES_LAST);
        zone.add_zone_signing_key_mut(signer).expect("the key is one to sign with");
        zone.secure_zone_mut().expect("the zone can be signed");
    }
    for set in zone.records_get_mut().values_mut().filter(|set| is_spoilt(signing, set.record_type())) {
        spoil_signatures(Arc::make_mut(set));
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(origin), vec![Arc::new(zone)]);
    catalog
}

fn is_spoilt(signing: Signing, kind: RecordType) -> bool {
    match signing {
        Signing::Broken => matches!(kind, RecordType::A | RecordType::AAAA),
        Signing::BrokenTlsa => kind == RecordType::TLSA,
        Signing::Signed | Signing::SignedNsec3 | Signing::Unsigned | Signing::Stripped => false,
    }
}

fn spoil_signatures(set: &mut RecordSet) {
    let mut spoilt = set.rrsigs().to_vec();
    for record in &mut spoilt {
        if let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data {
            let mut octets = signature.sig().to_vec();
            octets.iter_mut().take(1).for_each(|octet| *octet ^= 1);
            record.data =
                RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(signature.input().clone(), octets)));
        }
    }
    set.set_rrsigs(spoilt);
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

fn key() -> EcdsaSigningKey {
    let pkcs8 = EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256).expect("keys can be made");
    EcdsaSigningKey::from_pkcs8(&pkcs8, Algorithm::ECDSAP256SHA256).expect("it was made for this")
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
