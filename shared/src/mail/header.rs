//! A scanner over raw header sections (RFC 5322 §2.2). It splits, and interprets nothing: values keep their
//! folding, names keep their case, and nothing is copied.
//!
//! Lines end at CRLF and at nothing else: what the edge stores has no bare CR or LF in it.

use std::ops::Range;

use memchr::memchr_iter;
use memchr::memmem;

/// A header field as it stands in its section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without white space behind it (RFC 5322 §4.5 lets old messages have some).
    pub name: &'a [u8],
    /// All that stands behind the colon, folding included, without the CRLF that ends the field.
    pub value: &'a [u8],
    /// Where in the section the field stands, its last CRLF included.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Whether the field has this name, in whatever case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// A line of a header section, with its continuations, that is no field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where in the section it stands.
    pub range: Range<usize>,
}

/// Where a header section ends and the body begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separator {
    /// Behind the last CRLF of the section; the empty line stands here.
    pub section_end: usize,
    /// Behind the empty line.
    pub body_start: usize,
}

/// Finds the empty line that ends the header section of `message`, or of the part of it that is here.
/// Octets before `searched` were looked through before, in vain.
pub fn separator(message: &[u8], searched: usize) -> Option<Separator> {
    if message.starts_with(b"\r\n") {
        return Some(Separator { section_end: 0, body_start: 2 });
    }
    // the empty line may lie across the two parts
    let from = searched.saturating_sub(3).min(message.len());
    let at = from + memmem::find(&message[from..], b"\r\n\r\n")?;
    Some(Separator { section_end: at + 2, body_start: at + 4 })
}

/// Splits a whole message into header section and body. Without an empty line all of it is header section.
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    match separator(message, 0) {
        Some(Separator { section_end, body_start }) => (&message[..section_end], &message[body_start..]),
        None => (message, &[]),
    }
}

/// The fields of a header section, from the top.
pub fn fields(section: &[u8]) -> Fields<'_> {
    Fields { section, at: 0 }
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    section: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.section.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = field_length(rest);
        let range = self.at..self.at + length;
        self.at = range.end;
        let text = &rest[..length];
        Some(parse(text.strip_suffix(b"\r\n").unwrap_or(text), range.clone()).ok_or(Malformed { range }))
    }
}

/// The length of the line that `rest` begins with, together with its continuation lines (RFC 5322 §2.2.3).
fn field_length(rest: &[u8]) -> usize {
    memchr_iter(b'\n', rest)
        .map(|line_feed| line_feed + 1)
        .find(|end| rest[..*end].ends_with(b"\r\n") && !matches!(rest.get(*end), Some(b' ' | b'\t')))
        .unwrap_or(rest.len())
}

fn parse(text: &[u8], range: Range<usize>) -> Option<Field<'_>> {
    let colon = memchr::memchr(b':', text)?;
    let mut name = &text[..colon];
    while let [shorter @ .., b' ' | b'\t'] = name {
        name = shorter;
    }
    let fits = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    fits.then(|| Field { name, value: &text[colon + 1..], range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(section: &[u8]) -> Vec<Result<String, String>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields(section)
            .map(|line| match line {
                Ok(field) => Ok(format!("{}={}", text(field.name), text(field.value))),
                Err(malformed) => Err(text(&section[malformed.range])),
            })
            .collect()
    }

    #[test]
    fn fields_keep_their_folding_and_their_place() {
        let section = b"A: 1\r\nB :\r\n\tx\r\n y\r\nC:";
        assert_eq!(
            names(section),
            [Ok("A= 1".to_owned()), Ok("B=\r\n\tx\r\n y".to_owned()), Ok("C=".to_owned())]
        );
        let ranges: Vec<_> = fields(section).map(|field| field.unwrap().range).collect();
        assert_eq!(ranges, [0..6, 6..19, 19..21]);
    }

    #[test]
    fn lines_that_are_no_fields_are_told_and_passed_over() {
        let section = b" folded\r\nFrom a@b: c\r\n: no name\r\nno colon\r\nX: y\r\n";
        let told = names(section);
        assert_eq!(told.len(), 5);
        assert!(told[..4].iter().all(Result::is_err), "{told:?}");
        assert_eq!(told[4], Ok("X= y".to_owned()));
    }

    #[test]
    fn a_bare_line_feed_ends_no_line() {
        assert_eq!(names(b"A: 1\nFrom: x\r\n"), [Ok("A= 1\nFrom: x".to_owned())]);
    }

    #[test]
    fn the_body_begins_behind_the_first_empty_line() {
        assert_eq!(split(b"A: 1\r\n\r\nx\r\n\r\ny"), (&b"A: 1\r\n"[..], &b"x\r\n\r\ny"[..]));
        assert_eq!(split(b"\r\nbody"), (&b""[..], &b"body"[..]));
        assert_eq!(split(b"A: 1\r\n"), (&b"A: 1\r\n"[..], &b""[..]));
        assert_eq!(split(b""), (&b""[..], &b""[..]));
    }

    #[test]
    fn a_separator_is_found_wherever_the_parts_were_cut() {
        let message = b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\n";
        let whole = separator(message, 0);
        for cut in 0..15 {
            assert_eq!(separator(&message[..cut], 0).or_else(|| separator(message, cut)), whole, "{cut}");
        }
    }
}
