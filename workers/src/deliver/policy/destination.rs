//! The policy of one destination, host by host.

use std::net::IpAddr;
use std::sync::Arc;

use shared::mail::Domain;
use tokio::sync::OnceCell;

use super::dane::{self, Dane};
use super::mta_sts::{Cached, Discovered, StsMode};
use super::observe::{PolicyFound, ResultType, TlsObservation};
use super::overrides::{TlsMode, TlsOverride};
use super::{Assurance, HostPolicy, Origin, TlsPolicies, tlsa};
use crate::deliver::mx::Target;
use crate::deliver::outcome::Failure;
use crate::deliver::smtp::tls::Connector;
use crate::deliver::{SmartHostTls, SmartHosts};

/// What a message asks of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// REQUIRETLS (RFC 8689 §4.2.1): a proven server, or back.
    Required,
    /// Nothing: what its destination asks for.
    Usual,
    /// `TLS-Required: No` (RFC 8689 §5): better delivered than held back by the destination's policy.
    NotRequired,
}

/// How the next hop was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextHop<'a> {
    /// By MX records; `authentic` where DNSSEC proves them.
    Mx {
        /// Whether it does.
        authentic: bool,
    },
    /// The operator named it.
    SmartHost(&'a SmartHosts),
}

/// What holds for the hosts of one domain, and messages of one wish.
pub(crate) struct DestinationTls<'a> {
    policies: &'a TlsPolicies,
    /// The domain of the recipients, whose policies count.
    domain: &'a Domain,
    hop: NextHop<'a>,
    wish: Wish,
    /// Looked for once, when the first host needs it.
    mta_sts: OnceCell<Option<Arc<Cached>>>,
}

impl TlsPolicies {
    /// The policy for mail to `domain`.
    pub(crate) fn of<'a>(&'a self, domain: &'a Domain, hop: NextHop<'a>, wish: Wish) -> DestinationTls<'a> {
        DestinationTls { policies: self, domain, hop, wish, mta_sts: OnceCell::new() }
    }
}

impl DestinationTls<'_> {
    /// What holds for sessions with `target`; a failure where mail may not go there, now or ever.
    pub(crate) async fn of_host(&self, target: &Target) -> Result<HostPolicy, Failure> {
        let ruled_by = match self.hop {
            NextHop::Mx { .. } => self.domain.as_str(),
            // the rule of the host that the operator named, not of those whose mail goes through it
            NextHop::SmartHost(_) => &target.host,
        };
        let rule = self.policies.overrides.find(ruled_by);
        match (self.wish, rule) {
            (Wish::Required, rule) => self.required(target, rule.map(|(_, rule)| rule)).await,
            (Wish::Usual | Wish::NotRequired, Some((pattern, rule))) => {
                self.by_override(target, pattern, rule).await
            }
            (wish, None) => match (self.hop, wish) {
                (NextHop::SmartHost(relay), _) if relay.tls != SmartHostTls::May => {
                    Ok(by_smart_host(relay, target))
                }
                (_, Wish::NotRequired) => Ok(opportunistic(Origin::NotRequired, target)),
                (_, Wish::Usual | Wish::Required) => self.usual(target).await,
            },
        }
    }

    async fn usual(&self, target: &Target) -> Result<HostPolicy, Failure> {
        if let Some(dane) = self.dane(target).await? {
            return Ok(self.by_dane(dane, Origin::Dane, target));
        }
        match self.mta_sts().await {
            Some(policy) => self.by_mta_sts(&policy, target),
            None => Ok(opportunistic(Origin::Opportunistic, target)),
        }
    }

    async fn by_override(
        &self,
        target: &Target,
        pattern: &str,
        rule: TlsOverride,
    ) -> Result<HostPolicy, Failure> {
        let origin = Origin::Override(pattern.to_owned());
        let policy = match rule.mode {
            TlsMode::May => opportunistic(origin, target),
            TlsMode::Require => HostPolicy::new(Assurance::Encrypted, origin, &target.host),
            TlsMode::Verify => HostPolicy::new(verified(target), origin, &target.host),
            TlsMode::Forbid => HostPolicy::new(Assurance::Clear, origin, &target.host),
            TlsMode::Dane => match self.dane(target).await? {
                Some(dane) => self.by_dane(dane, origin, target),
                None => {
                    self.observe(target, PolicyFound::Tlsa(Vec::new()), Err(ResultType::DaneRequired), None);
                    let why = format!(
                        "DNSSEC proves no TLSA records of {}, and {origin} asks for DANE",
                        target.host
                    );
                    return Err(Failure::TlsPolicy(why));
                }
            },
        };
        Ok(HostPolicy { min_version: rule.min_version, ..policy })
    }

    /// RFC 7672 §2.2: where no record can be used, TLS is still mandatory, and not authenticated.
    fn by_dane(&self, dane: Dane, origin: Origin, target: &Target) -> HostPolicy {
        let found = PolicyFound::Tlsa(dane.published);
        let assurance = if dane.usable.is_empty() {
            Assurance::Encrypted
        } else {
            // RFC 7672 §3.2.2: the base domain of the records, the name of the MX host, the next-hop domain
            let mut names = vec![dane.base.clone()];
            for name in [&target.host, self.domain.as_str()] {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            // RFC 7672 §3.1.1: DANE-EE asks for none, and so a session is as good for every domain of the host
            if dane.usable.iter().all(|record| tlsa::usage(record) == Some(tlsa::Usage::DaneEe)) {
                names.clear();
            }
            Assurance::Dane { tlsa: dane.usable, names }
        };
        // RFC 7672 §8.1: the base domain is what the server is told
        HostPolicy { found, ..HostPolicy::new(assurance, origin, &dane.base) }
    }

    fn by_mta_sts(&self, cached: &Cached, target: &Target) -> Result<HostPolicy, Failure> {
        let found = PolicyFound::Sts(cached.policy.strings());
        let origin = Origin::MtaSts { id: cached.id.clone(), mode: cached.policy.mode };
        let fits = cached.policy.fits(&target.host);
        if !fits {
            self.observe(target, found.clone(), Err(ResultType::ValidationFailure), None);
        }
        match (cached.policy.mode, fits) {
            // RFC 8461 §4.1, §5: such a host is none of the domain's
            (StsMode::Enforce, false) => Err(Failure::TlsPolicy(format!(
                "the MTA-STS policy of {} does not have {}",
                self.domain, target.host
            ))),
            (StsMode::Enforce, true) => {
                Ok(HostPolicy { found, ..HostPolicy::new(verified(target), origin, &target.host) })
            }
            // RFC 8461 §5: what would have failed is only reported
            (StsMode::Testing, fits) => {
                Ok(HostPolicy { found, audits: fits, ..opportunistic(origin, target) })
            }
            (StsMode::None, _) => Ok(opportunistic(Origin::Opportunistic, target)),
        }
    }

    /// RFC 8689 §4.2.1: the host must be proved to be the domain's, by DNSSEC or MTA-STS, or be the operator's choice; and its
    /// certificate must hold, by DANE or for its name.
    async fn required(&self, target: &Target, rule: Option<TlsOverride>) -> Result<HostPolicy, Failure> {
        if rule.is_some_and(|rule| rule.mode == TlsMode::Forbid) {
            return Err(Failure::NeedsRequireTls("the configuration forbids TLS".to_owned()));
        }
        let dane = self.dane(target).await?.filter(|dane| !dane.usable.is_empty());
        let policy = match dane {
            Some(dane) => self.by_dane(dane, Origin::RequireTls, target),
            None => {
                self.prove_host(target).await?;
                HostPolicy::new(verified(target), Origin::RequireTls, &target.host)
            }
        };
        let min_version = rule.map_or(policy.min_version, |rule| rule.min_version);
        Ok(HostPolicy { require_tls: true, min_version, ..policy })
    }

    async fn prove_host(&self, target: &Target) -> Result<(), Failure> {
        let policy = match self.hop {
            NextHop::SmartHost(_) | NextHop::Mx { authentic: true } => return Ok(()),
            NextHop::Mx { authentic: false } => self.mta_sts().await,
        };
        match policy {
            Some(cached) if cached.policy.mode != StsMode::None && cached.policy.fits(&target.host) => Ok(()),
            _ => Err(Failure::NeedsRequireTls(format!(
                "neither DNSSEC nor MTA-STS proves that {} takes mail for the recipient's domain",
                target.host
            ))),
        }
    }

    async fn dane(&self, target: &Target) -> Result<Option<Dane>, Failure> {
        let authentic = match self.hop {
            NextHop::Mx { authentic } => authentic,
            NextHop::SmartHost(_) => true,
        };
        // RFC 7672 §2.2.1: TLSA records prove nothing of a host that is not proved to be the domain's
        if !authentic || target.host.parse::<IpAddr>().is_ok() {
            return Ok(None);
        }
        let found = dane::look_up(self.policies.resolver.as_ref(), &target.host, target.address.port()).await;
        found.map_err(|why| {
            self.observe(target, PolicyFound::Tlsa(Vec::new()), Err(ResultType::DnssecInvalid), None);
            Failure::LookupFailed(why)
        })
    }

    async fn mta_sts(&self) -> Option<Arc<Cached>> {
        if matches!(self.hop, NextHop::SmartHost(_)) || self.domain.literal().is_some() {
            return None;
        }
        let discover = || async {
            let Discovered { policy, failed } = self.policies.mta_sts.discover(self.domain).await;
            if let Some(failed) = failed {
                let strings = policy.as_ref().map(|cached| cached.policy.strings()).unwrap_or_default();
                self.policies.observer.observe(TlsObservation {
                    policy_domain: self.domain.clone(),
                    policy: PolicyFound::Sts(strings),
                    mx_host: String::new(),
                    sending_ip: None,
                    receiving_ip: None,
                    result: Err(failed),
                });
            }
            policy
        };
        self.mta_sts.get_or_init(discover).await.clone()
    }

    /// Whether TLS is not even to be asked for.
    pub(crate) fn goes_without(&self, policy: &HostPolicy, target: &Target) -> bool {
        match policy.assurance {
            Assurance::Clear => true,
            Assurance::Opportunistic => !policy.audits && self.policies.broken.has(target.address),
            Assurance::Encrypted | Assurance::Verified { .. } | Assurance::Dane { .. } => false,
        }
    }

    /// Notes that TLS with `target` is broken, so that the next session does not try it where that is all the same.
    pub(crate) fn note_broken(&self, target: &Target) {
        self.policies.broken.note(target.address);
    }

    /// What makes the handshakes that `policy` asks for.
    pub(crate) async fn connector(&self, policy: &HostPolicy) -> Result<Connector, Failure> {
        self.policies.tls.connector(policy).await
    }

    /// Tells of a session with `target`, from the address `sending`. One with a smart host is no matter of the recipients' domain, whose
    /// owner would get a report of somebody else's servers (RFC 8460 §1).
    pub(crate) fn observe(
        &self,
        target: &Target,
        policy: PolicyFound,
        result: Result<(), ResultType>,
        sending: Option<IpAddr>,
    ) {
        if matches!(self.hop, NextHop::SmartHost(_)) {
            return;
        }
        self.policies.observer.observe(TlsObservation {
            policy_domain: self.domain.clone(),
            policy,
            mx_host: target.host.clone(),
            sending_ip: sending,
            receiving_ip: Some(target.address.ip()),
            result,
        });
    }
}

/// The operator's word on a smart host of his.
fn by_smart_host(relay: &SmartHosts, target: &Target) -> HostPolicy {
    let assurance = match relay.tls {
        SmartHostTls::Verify => verified(target),
        SmartHostTls::Require => Assurance::Encrypted,
        SmartHostTls::May => Assurance::Opportunistic,
        SmartHostTls::Off => Assurance::Clear,
    };
    HostPolicy::new(assurance, Origin::SmartHost(relay.name.clone()), &target.host)
}

fn opportunistic(origin: Origin, target: &Target) -> HostPolicy {
    HostPolicy::new(Assurance::Opportunistic, origin, &target.host)
}

/// RFC 8461 §4.2: the certificate is to have the name of the MX host.
fn verified(target: &Target) -> Assurance {
    Assurance::Verified { names: vec![target.host.clone()] }
}
