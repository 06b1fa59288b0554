//! The header lines that are put in front of a message. Nothing that a client said gets into them as it is.

use std::fmt::Write;
use std::net::IpAddr;

use shared::mail::{Client, Domain, MessageId, Timestamp};
use shared::pack::PackedMessage;

use super::scan::Scan;
use crate::limits::prepare::{HELO_OCTETS_MAX, TLS_OCTETS_MAX};

/// The Received line (RFC 5321 §4.4), which begins every prefix. The credential is not told: it is nobody's business.
pub(super) fn received(hostname: &str, id: MessageId, message: &PackedMessage) -> String {
    let client = &message.client;
    let mut out = String::with_capacity(320);
    out.push_str("Received: from ");
    push_name(&client.helo, &mut out);
    out.push_str(" (");
    if let Some(name) = &client.dns.name {
        push_name(name, &mut out);
        out.push(' ');
    }
    _ = write!(out, "{})", Domain::from_ip(client.ip.to_canonical()));
    let protocol = protocol(client, message.envelope.options.smtputf8);
    _ = write!(out, "\r\n by {hostname} with {protocol}");
    if let Some(tls) = &client.tls {
        out.push_str("\r\n (");
        push_tls(tls, &mut out);
        out.push(')');
    }
    _ = write!(out, "\r\n id {id}");
    // with several recipients it would tell one of the other (RFC 5321 §7.6)
    if let [only] = &message.envelope.recipients[..]
        && only.address.is_ascii()
    {
        _ = write!(out, "\r\n for <{}>", only.address);
    }
    _ = write!(out, ";\r\n {}\r\n", message.received_at.rfc5322());
    out
}

/// Adds what the DNS said of the client, where policy tags by it: iprev in Authentication-Results (RFC 8601 §2.7.3), and a line for
/// each block list.
pub(super) fn dns(out: &mut String, hostname: &str, client: &Client) {
    if let Some(reverse) = client.dns.reverse {
        _ = write!(out, "Authentication-Results: {hostname};\r\n iprev={} policy.iprev=", reverse.as_str());
        match client.ip.to_canonical() {
            IpAddr::V4(ip) => _ = write!(out, "{ip}\r\n"),
            // a token has no colon (RFC 2045 §5.1)
            IpAddr::V6(ip) => _ = write!(out, "\"{ip}\"\r\n"),
        }
    }
    for zone in &client.dns.listed {
        out.push_str("X-Spoolway-Listed: ");
        push_name(zone, out);
        out.push_str("\r\n");
    }
}

/// Adds the Date and the Message-ID that a submission lacks (RFC 6409 §8.2, §8.3).
pub(super) fn complete(out: &mut String, hostname: &str, id: MessageId, at: Timestamp, scan: &Scan<'_>) {
    if !scan.whole {
        return;
    }
    if !scan.date {
        _ = write!(out, "Date: {}\r\n", at.rfc5322());
    }
    if !scan.message_id {
        _ = write!(out, "Message-ID: <{id}@{hostname}>\r\n");
    }
}

/// The `with` clause (RFC 3848; RFC 6531 §4.3).
fn protocol(client: &Client, smtputf8: bool) -> &'static str {
    if !client.esmtp {
        return "SMTP";
    }
    match (smtputf8, client.tls.is_some(), client.credential.is_some()) {
        (false, false, false) => "ESMTP",
        (false, true, false) => "ESMTPS",
        (false, false, true) => "ESMTPA",
        (false, true, true) => "ESMTPSA",
        (true, false, false) => "UTF8SMTP",
        (true, true, false) => "UTF8SMTPS",
        (true, false, true) => "UTF8SMTPA",
        (true, true, true) => "UTF8SMTPSA",
    }
}

/// The version, the cipher and the client's certificate, in characters that a comment can hold.
fn push_tls(tls: &str, out: &mut String) {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '=' | ',' | '@');
    out.extend(tls.chars().take(TLS_OCTETS_MAX).map(|c| if safe(c) { c } else { '?' }));
}

/// A name that came from outside: as given where it consists of what domains and address literals consist of, A-labels for U-labels,
/// and `?` for anything else.
fn push_name(name: &str, out: &mut String) {
    if !name.is_ascii()
        && let Ok(domain) = Domain::parse(name)
    {
        out.push_str(domain.as_str());
        return;
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let name = name.chars().take(HELO_OCTETS_MAX).map(|c| if safe(c) { c } else { '?' });
    let empty = out.len();
    out.extend(name);
    if out.len() == empty {
        out.push_str("unknown");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::mail::{ClientDns, Envelope, MailOptions, Mailbox, PackId, ReverseDns, ReversePath};

    use super::*;

    fn message(helo: &str, recipients: &[&str]) -> PackedMessage {
        PackedMessage {
            n: 0,
            offset: 0,
            length: 0,
            crc32c: 0,
            content: Default::default(),
            streamed: false,
            received_at: Timestamp::from_millis(880_106_106_000),
            envelope: Envelope {
                from: ReversePath::Null,
                recipients: recipients.iter().map(|to| Mailbox::parse(to).unwrap().into()).collect(),
                options: MailOptions::default(),
            },
            client: Client {
                ip: "192.0.2.1".parse().unwrap(),
                helo: helo.to_owned(),
                esmtp: true,
                tls: None,
                credential: None,
                submission: true,
                dns: Default::default(),
            },
            tenant: Default::default(),
        }
    }

    fn id() -> MessageId {
        MessageId { pack: PackId::derived(Timestamp::from_millis(880_106_106_000), "x"), n: 3 }
    }

    #[test]
    fn a_received_line_says_who_how_what_and_when() {
        let mut one = message("client.example", &["a@example.com"]);
        let id = id();
        assert_eq!(
            received("mx.example", id, &one),
            format!(
                "Received: from client.example ([192.0.2.1])\r\n by mx.example with ESMTP\r\n id {id}\r\n \
                 for <a@example.com>;\r\n Fri, 21 Nov 1997 09:55:06 +0000\r\n"
            )
        );
        one.client.ip = "2001:db8::1".parse().unwrap();
        one.client.esmtp = false;
        let line = received("mx.example", id, &one);
        assert!(line.contains("([IPv6:2001:db8::1])\r\n by mx.example with SMTP\r\n"), "{line}");
    }

    #[test]
    fn recipients_are_not_told_of_each_other() {
        let line = received("mx.example", id(), &message("c", &["a@example.com", "b@example.com"]));
        assert!(!line.contains('@') && !line.contains(" for "), "{line}");
    }

    #[test]
    fn the_protocol_tells_utf8_tls_and_authentication() {
        let mut one = message("c", &["a@example.com"]);
        one.client.credential = Some("app".to_owned());
        assert_eq!(protocol(&one.client, false), "ESMTPA");
        one.client.tls = Some("TLSv1.3".to_owned());
        assert_eq!(protocol(&one.client, true), "UTF8SMTPSA");
    }

    #[test]
    fn a_received_line_tells_the_confirmed_name_and_the_cipher_and_never_the_credential() {
        let mut one = message("client.example", &["a@example.com"]);
        one.client.credential = Some("app".to_owned());
        one.client.tls = Some("TLSv1.3 TLS13_AES_256_GCM_SHA384)\r\nX: (".to_owned());
        one.client.dns.name = Some("mail.client.example".to_owned());
        let line = received("mx.example", id(), &one);
        let wanted = "Received: from client.example (mail.client.example [192.0.2.1])\r\n by mx.example with ESMTPSA\r\n \
                      (TLSv1.3 TLS13_AES_256_GCM_SHA384???X? ?)\r\n id ";
        assert!(line.starts_with(wanted), "{line}");
        assert!(!line.contains("app"), "{line}");
    }

    #[test]
    fn what_the_dns_says_is_told_where_policy_tags_by_it() {
        let told = |ip: &str, dns: ClientDns| {
            let mut one = message("c", &["a@example.com"]);
            (one.client.ip, one.client.dns) = (ip.parse().unwrap(), dns);
            let mut out = String::new();
            super::dns(&mut out, "mx.example", &one.client);
            out
        };
        let named = ClientDns { name: Some("mail.client.example".to_owned()), ..ClientDns::default() };
        assert_eq!(told("192.0.2.1", named), "");
        let listed = vec!["bl.example".to_owned(), "bl.example\r\nX-Evil: 1".to_owned()];
        let failed = ClientDns { name: None, reverse: Some(ReverseDns::Fail), listed };
        assert_eq!(
            told("::ffff:192.0.2.1", failed),
            "Authentication-Results: mx.example;\r\n iprev=fail policy.iprev=192.0.2.1\r\n\
             X-Spoolway-Listed: bl.example\r\nX-Spoolway-Listed: bl.example??X-Evil:?1\r\n"
        );
        let passed = ClientDns { reverse: Some(ReverseDns::Pass), ..ClientDns::default() };
        assert_eq!(
            told("2001:db8::1", passed),
            "Authentication-Results: mx.example;\r\n iprev=pass policy.iprev=\"2001:db8::1\"\r\n"
        );
    }

    #[test]
    fn a_name_of_u_labels_becomes_one_of_a_labels() {
        let line = received("mx.example", id(), &message("b\u{fc}cher.example", &[]));
        assert!(line.starts_with("Received: from xn--bcher-kva.example ("), "{line}");
    }

    proptest! {
        #[test]
        fn no_name_of_a_client_leaves_its_place(
            helo in prop_oneof![any::<String>(), "[a-z(){}<>;\r\n\t \"\\\\@]{0,40}", "\\PC*\r\nX-Evil: 1\r\n\r\n"],
        ) {
            let line = received("mx.example", id(), &message(&helo, &["a@example.com"]));
            let plain = received("mx.example", id(), &message("x", &["a@example.com"]));
            let behind = plain.strip_prefix("Received: from x").unwrap();
            let name = line.strip_prefix("Received: from ").unwrap().strip_suffix(behind).unwrap();
            prop_assert!((1..=255).contains(&name.len()));
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]?".contains(&b)), "{}", name);
        }
    }
}
