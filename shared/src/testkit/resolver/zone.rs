//! The reader of zone text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::ZoneError;
use crate::port::{MxHost, Tlsa};

/// Where neither the record nor the zone has one.
pub(in crate::testkit) const TTL: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(in crate::testkit) struct Zone {
    records: BTreeMap<String, Vec<Record>>,
    secure: Vec<String>,
    pub(super) servfail: BTreeSet<String>,
    pub(super) bogus: BTreeSet<String>,
    pub(super) silent: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) ttl: Duration,
    pub(super) data: Data,
}

#[derive(Debug)]
pub(in crate::testkit) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx(MxHost),
    Txt(Vec<u8>),
    Tlsa(Tlsa),
    Ptr(String),
    Cname(String),
}

/// What holds until another line says otherwise.
struct Context {
    origin: String,
    ttl: Duration,
    owner: String,
}

impl Zone {
    pub(in crate::testkit) fn parse(text: &str) -> Result<Self, ZoneError> {
        let mut zone = Self::default();
        let mut context = Context { origin: String::new(), ttl: TTL, owner: String::new() };
        for (n, line) in (1..).zip(text.lines()) {
            zone.read_line(line, &mut context).map_err(|message| ZoneError { line: n, message })?;
        }
        Ok(zone)
    }

    fn read_line(&mut self, line: &str, context: &mut Context) -> Result<(), String> {
        let words = words(line)?;
        let plain: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        match plain.as_slice() {
            [] => Ok(()),
            ["$ORIGIN", name] => {
                context.origin = bare(name);
                Ok(())
            }
            ["$TTL", seconds] => {
                context.ttl = Duration::from_secs(number(seconds)?);
                Ok(())
            }
            ["$SECURE", name] => {
                self.secure.push(bare(name));
                Ok(())
            }
            ["$SERVFAIL", name] => {
                self.servfail.insert(bare(name));
                Ok(())
            }
            ["$BOGUS", name] => {
                self.bogus.insert(bare(name));
                Ok(())
            }
            ["$SILENT", name] => {
                self.silent.insert(bare(name));
                Ok(())
            }
            [directive, ..] if directive.starts_with('$') => Err(format!("`{directive}` is no directive")),
            _ => self.read_record(&words, context),
        }
    }

    fn read_record(&mut self, words: &[Word], context: &mut Context) -> Result<(), String> {
        // an owner that is left out is the one before; indented text is too usual in tests to go by its first column
        let mut rest = words;
        if !is_type(&rest[0].text) {
            context.owner = match rest[0].text.parse::<IpAddr>() {
                Ok(ip) => reverse_name(ip),
                Err(_) => context.name(&rest[0].text),
            };
            rest = &rest[1..];
        }
        let mut ttl = context.ttl;
        while let Some(word) = rest.first() {
            if word.text.eq_ignore_ascii_case("IN") {
                rest = &rest[1..];
            } else if let (Ok(seconds), false) = (word.text.parse(), rest.len() == 1) {
                ttl = Duration::from_secs(seconds);
                rest = &rest[1..];
            } else {
                break;
            }
        }
        let Some((kind, fields)) = rest.split_first() else {
            return Err("the record has no type".to_owned());
        };
        let data = data(&kind.text, fields, context)?;
        self.records.entry(context.owner.clone()).or_default().push(Record { ttl, data });
        Ok(())
    }

    /// Every record with its owner, in the order of owners.
    pub(in crate::testkit) fn all(&self) -> impl Iterator<Item = (&str, &Data)> {
        self.records
            .iter()
            .flat_map(|(owner, records)| records.iter().map(|record| (owner.as_str(), &record.data)))
    }

    pub(super) fn at(&self, name: &str) -> &[Record] {
        self.records.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether there are records at `name`, or below it (RFC 8020 §2).
    pub(super) fn exists(&self, name: &str) -> bool {
        self.records.keys().any(|known| is_below(known, name))
    }

    pub(super) fn is_secure(&self, name: &str) -> bool {
        self.secure.iter().any(|zone| is_below(name, zone))
    }
}

fn is_below(name: &str, zone: &str) -> bool {
    let rest = name.strip_suffix(zone);
    zone.is_empty() || rest.is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
}

impl Context {
    /// A name as the resolver speaks of it.
    fn name(&self, text: &str) -> String {
        match text {
            "@" => self.origin.clone(),
            "." => String::new(),
            _ if text.ends_with('.') || self.origin.is_empty() => bare(text),
            _ => format!("{}.{}", bare(text), self.origin),
        }
    }
}

fn bare(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits here"))
}

fn is_type(word: &str) -> bool {
    ["A", "AAAA", "MX", "TXT", "TLSA", "PTR", "CNAME"].contains(&word)
}

fn data(kind: &str, fields: &[Word], context: &Context) -> Result<Data, String> {
    let texts: Vec<&str> = fields.iter().map(|field| field.text.as_str()).collect();
    Ok(match (kind, texts.as_slice()) {
        ("A", [ip]) => Data::A(ip.parse().map_err(|_| format!("`{ip}` is no IPv4 address"))?),
        ("AAAA", [ip]) => Data::Aaaa(ip.parse().map_err(|_| format!("`{ip}` is no IPv6 address"))?),
        ("MX", [preference, exchange]) => {
            Data::Mx(MxHost { preference: number(preference)?, exchange: context.name(exchange) })
        }
        ("TXT", [_, ..]) => Data::Txt(texts.concat().into_bytes()),
        ("TLSA", [usage, selector, matching, hex @ ..]) => Data::Tlsa(Tlsa {
            usage: number(usage)?,
            selector: number(selector)?,
            matching: number(matching)?,
            data: octets(&hex.concat())?,
        }),
        ("PTR", [name]) => Data::Ptr(context.name(name)),
        ("CNAME", [name]) => Data::Cname(context.name(name)),
        _ => return Err(format!("a {kind} record with {} fields is none that is known here", texts.len())),
    })
}

fn octets(hex: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("`{hex}` is not hexadecimal");
    let digits = hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).map_err(|_| wrong()),
        _ => Err(wrong()),
    });
    pairs.collect()
}

/// The name that PTR records of `ip` stand at (RFC 1035 §3.5, RFC 3596 §2.5).
pub(super) fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles =
                ip.octets().into_iter().rev().map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4));
            format!("{}ip6.arpa", nibbles.collect::<String>())
        }
    }
}

struct Word {
    text: String,
}

/// Words between blanks, or within quotes; a `;` begins a comment.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with(';') {
        let end = match rest.strip_prefix('"') {
            Some(quoted) => {
                let length = quoted.find('"').ok_or("a quote is not closed")?;
                words.push(Word { text: quoted[..length].to_owned() });
                length + 2
            }
            None => {
                let length = rest.find(|c: char| c.is_whitespace() || c == ';').unwrap_or(rest.len());
                words.push(Word { text: rest[..length].to_owned() });
                length
            }
        };
        rest = rest[end..].trim_start();
    }
    Ok(words)
}
