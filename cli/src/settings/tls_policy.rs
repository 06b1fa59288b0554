//! What is said about TLS with those that mail goes to, and about the DNS that it rests on.

use shared::config::{Section, Setting};
use shared::dns::{DnsSettings, Validation};
use workers::deliver::{TlsMode, TlsOverride, TlsOverrides, TlsVersion};

/// A mode as the configuration writes it.
struct Mode(TlsMode);

impl Setting for Mode {
    const RIGHT: &'static str = "may, require, verify, dane or forbid";

    fn read(text: &str) -> Option<Self> {
        Some(Self(match text {
            "may" => TlsMode::May,
            "require" => TlsMode::Require,
            "verify" => TlsMode::Verify,
            "dane" => TlsMode::Dane,
            "forbid" => TlsMode::Forbid,
            _ => return None,
        }))
    }
}

/// A version as the configuration writes it.
struct Version(TlsVersion);

impl Setting for Version {
    const RIGHT: &'static str = "1.2 or 1.3";

    fn read(text: &str) -> Option<Self> {
        match text {
            "1.2" => Some(Self(TlsVersion::V1_2)),
            "1.3" => Some(Self(TlsVersion::V1_3)),
            _ => None,
        }
    }
}

/// The rules of `[tls_policy."PATTERN"]`.
pub(super) fn overrides(root: &mut Section<'_>) -> TlsOverrides {
    let named = root.named("tls_policy", |pattern, own| (pattern.to_owned(), rule(own)));
    let mut overrides = TlsOverrides::default();
    for (pattern, rule) in named {
        if overrides.add(&pattern, rule).is_err() {
            let wrong = format!("`{}` is no domain", pattern.escape_debug());
            root.mistake("tls_policy", wrong, "use example.org, *.example.org or *");
        }
    }
    overrides
}

fn rule(section: &mut Section<'_>) -> TlsOverride {
    let Mode(mode) = section.required("mode", Mode(TlsMode::Require));
    let version: Option<Version> = section.optional("min_version");
    if version.is_some() && matches!(mode, TlsMode::May | TlsMode::Forbid) {
        let wrong = "a server that has no such version would get its mail in clear text";
        section.mistake("min_version", wrong, "use it with require, verify or dane");
    }
    TlsOverride { mode, min_version: version.map(|Version(version)| version).unwrap_or_default() }
}

/// Whether answers are validated, as the configuration writes it.
struct Validate(Validation);

impl Setting for Validate {
    const RIGHT: &'static str = "auto, always or never";

    fn read(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self(Validation::Auto)),
            "always" => Some(Self(Validation::Always)),
            "never" => Some(Self(Validation::Never)),
            _ => None,
        }
    }
}

/// The section `[dns]`.
pub(super) fn dns(section: &mut Section<'_>, default: DnsSettings) -> DnsSettings {
    let Validate(validation) = section.value("validate", Validate(default.validation));
    let trust_anchors = section.optional("trust_anchors");
    if validation == Validation::Never && trust_anchors.is_some() {
        let wrong = "nothing is validated, and so nothing by these";
        section.mistake("trust_anchors", wrong, "leave one of the two out");
    }
    DnsSettings { servers: section.list("servers", default.servers), validation, trust_anchors, ..default }
}
