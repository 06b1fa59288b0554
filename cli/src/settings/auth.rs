//! The keys of `[auth]`.

use std::path::PathBuf;

use ingress::{AuthSettings, Issuer, KeySource, WithoutTls};
use shared::config::{Section, Setting};

pub(super) fn auth(section: &mut Section<'_>) -> AuthSettings {
    let default = AuthSettings::default();
    let Tls(without_tls) = section.value("without_tls", Tls(default.without_tls));
    AuthSettings {
        without_tls,
        cram_md5: section.value("cram_md5", default.cram_md5),
        issuers: section.sections("issuer", issuer).unwrap_or(default.issuers),
    }
}

fn issuer(section: &mut Section<'_>) -> Issuer {
    let Keys(keys) = section.required("keys", Keys(KeySource::File(PathBuf::new())));
    Issuer {
        issuer: section.required("issuer", String::new()),
        audience: section.required("audience", String::new()),
        keys,
        name_claim: section.optional("name_claim"),
    }
}

struct Tls(WithoutTls);

impl Setting for Tls {
    const RIGHT: &'static str = "never or loopback";

    fn read(text: &str) -> Option<Self> {
        match text {
            "never" => Some(Self(WithoutTls::Never)),
            "loopback" => Some(Self(WithoutTls::Loopback)),
            _ => None,
        }
    }
}

struct Keys(KeySource);

impl Setting for Keys {
    const RIGHT: &'static str = "an https:// URL or the path of a file with a JSON Web Key Set";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}
