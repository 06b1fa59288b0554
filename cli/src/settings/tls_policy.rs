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

#[cfg(test)]
mod tests {
    use crate::settings::{Reader, read};

    fn mistakes(toml: &str) -> Vec<String> {
        match read(&format!("hostname = \"mx.example.com\"\n{toml}"), [], Reader::Edge) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn each_mistake_about_tls_with_others_is_told() {
        let rule = |name: &str, text: &str| mistakes(&format!("[tls_policy.\"{name}\"]\n{text}"));
        assert_eq!(rule("*.example.org", "mode = \"verify\"\nmin_version = \"1.3\""), [""; 0]);
        let key = "tls_policy.\"example.org\"";
        for (text, told) in [
            ("", format!("{key}.mode: it is not set; use may, require, verify, dane or forbid")),
            (
                "mode = \"always\"",
                format!("{key}.mode: `always` cannot be used; use may, require, verify, dane or forbid"),
            ),
            (
                "mode = \"require\"\nmin_version = \"1.1\"",
                format!("{key}.min_version: `1.1` cannot be used; use 1.2 or 1.3"),
            ),
            (
                "mode = \"may\"\nmin_version = \"1.3\"",
                format!(
                    "{key}.min_version: a server that has no such version would get its mail in clear text; \
                     use it with require, verify or dane"
                ),
            ),
        ] {
            assert_eq!(rule("example.org", text), [told]);
        }
        let told = rule("a b", "mode = \"may\"");
        assert_eq!(told, ["tls_policy: `a b` is no domain; use example.org, *.example.org or *"]);
        let told = mistakes("[dns]\nvalidate = \"never\"\ntrust_anchors = \"root.key\"");
        assert_eq!(
            told,
            ["dns.trust_anchors: nothing is validated, and so nothing by these; leave one of the two out"]
        );
        let told = mistakes("[dns]\nvalidate = true");
        assert_eq!(told, ["dns.validate: `true` cannot be used; use auto, always or never"]);
    }
}
