//! Which hosts a pattern of a policy fits (RFC 8461 §4.1).

/// Whether `pattern`, in lower case, fits `host`: the same name, or with `*.` one label in front of a name.
pub(super) fn fits(pattern: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_exactly_one_label() {
        for (pattern, host, right) in [
            ("mx.example.com", "MX.example.com.", true),
            ("mx.example.com", "a.mx.example.com", false),
            ("*.example.com", "mx.example.com", true),
            ("*.example.com", "a.mx.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "mx.badexample.com", false),
            ("mx.*.com", "mx.example.com", false),
        ] {
            assert_eq!(fits(pattern, host), right, "{pattern} {host}");
        }
    }
}
