//! Who wants reports of a domain (RFC 8460 §3).

use hyper::Uri;
use shared::mail::Mailbox;

use crate::limits::tls_report::DESTINATIONS_MAX;

/// Where a report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// `mailto:`.
    Mail(Mailbox),
    /// `https:`.
    Https(Uri),
}

/// The name under which a domain says where its reports go.
pub(super) fn record_name(domain: &str) -> String {
    format!("_smtp._tls.{domain}")
}

/// The destinations in the TXT records of that name; none where there is no record of TLSRPT, or more than one, or where it cannot be
/// read.
pub(super) fn read(records: &[Vec<u8>]) -> Vec<Destination> {
    let mut records = records.iter().filter_map(|record| {
        let record = std::str::from_utf8(record).ok()?;
        let (version, rest) = record.split_once(';')?;
        (version.trim_end() == "v=TLSRPTv1").then_some(rest)
    });
    // RFC 8460 §3: records of another version are discarded; of those that are left there must be one
    let (Some(fields), None) = (records.next(), records.next()) else { return Vec::new() };
    let rua = fields.split(';').find_map(|field| {
        let (name, value) = field.split_once('=')?;
        (name.trim() == "rua").then_some(value)
    });
    let destinations = rua.unwrap_or_default().split(',').filter_map(|uri| destination(uri.trim()));
    destinations.take(DESTINATIONS_MAX).collect()
}

fn destination(uri: &str) -> Option<Destination> {
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("mailto") {
        // RFC 6068 §2: header fields behind a question mark are none of ours
        let address = rest.split('?').next()?;
        return Mailbox::parse(&decoded(address)?).ok().filter(Mailbox::is_ascii).map(Destination::Mail);
    }
    if !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let uri: Uri = uri.parse().ok()?;
    (uri.host().is_some_and(|host| !host.is_empty())).then_some(Destination::Https(uri))
}

/// `%2C` and its like, as a comma would end the address (RFC 8460 §3, RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        octets.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(records: &[&str]) -> Vec<String> {
        let records: Vec<Vec<u8>> = records.iter().map(|record| record.as_bytes().to_vec()).collect();
        let text = |destination| match destination {
            Destination::Mail(mailbox) => format!("mail {}", mailbox.as_str()),
            Destination::Https(uri) => format!("post {uri}"),
        };
        read(&records).into_iter().map(text).collect()
    }

    #[test]
    fn mail_addresses_and_urls_are_read_in_their_order() {
        let record = "v=TLSRPTv1; rua=mailto:tls@example.com , https://reports.example.com/v1?a=b";
        assert_eq!(told(&[record]), ["mail tls@example.com", "post https://reports.example.com/v1?a=b"]);
        assert_eq!(
            told(&["v=spf1 -all", "v=TLSRPTv1;rua=MAILTO:tls@example.com;"]),
            ["mail tls@example.com"]
        );
        assert_eq!(
            told(&["v=TLSRPTv1; x=1; rua=mailto:a%2Bb@example.com?subject=x"]),
            ["mail a+b@example.com"]
        );
    }

    #[test]
    fn whatever_is_no_destination_is_left_out() {
        for record in [
            "v=TLSRPTv1; rua=http://example.com/",
            "v=TLSRPTv1; rua=https:///x",
            "v=TLSRPTv1; rua=mailto:nobody",
            "v=TLSRPTv1; rua=mailto:a%4@example.com",
            "v=TLSRPTv1; rua=",
            "v=TLSRPTv1;",
            "v=TLSRPTv1",
            "v=TLSRPTv2; rua=mailto:a@example.com",
            "rua=mailto:a@example.com",
        ] {
            assert_eq!(told(&[record]), [""; 0], "{record}");
        }
        let one = "v=TLSRPTv1; rua=mailto:a@example.com";
        assert_eq!(told(&[one, one]), [""; 0], "two records say nothing");
        let many = format!("v=TLSRPTv1; rua={}", ["mailto:a@example.com"; 50].join(","));
        assert_eq!(told(&[&many]).len(), DESTINATIONS_MAX);
    }
}
