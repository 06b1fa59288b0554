//! Parameters of MAIL and RCPT (RFC 5321 §4.1.2), and xtext in their values (RFC 3461 §4).

use super::CommandError;

/// A keyword with its value.
pub(super) type Parameter<'a> = (&'a str, Option<&'a str>);

/// `*(SP keyword ["=" value])`.
pub(super) fn parameters(
    text: &str,
) -> Result<impl Iterator<Item = Result<Parameter<'_>, CommandError>>, CommandError> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(CommandError::Parameter);
    }
    Ok(text.split(' ').skip(1).map(|parameter| {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let keyword_fits = keyword
            .bytes()
            .enumerate()
            .all(|(n, byte)| byte.is_ascii_alphanumeric() || (n > 0 && byte == b'-'));
        let value_fits = value.is_none_or(|value| !value.is_empty() && !value.contains('='));
        if keyword.is_empty() || !keyword_fits || !value_fits {
            return Err(CommandError::Parameter);
        }
        Ok((keyword, value))
    }))
}

/// Fills a parameter's place, which must have been empty.
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Result<(), CommandError> {
    if place.replace(value).is_none() { Ok(()) } else { Err(CommandError::Parameter) }
}

/// Decodes xtext: printable ASCII, where `+` and two upper-case hexadecimal digits stand for one octet. What comes out must be
/// printable ASCII or a space too.
pub(super) fn xtext(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let octet = match byte {
            b'+' => 16 * hex(bytes.next()?)? + hex(bytes.next()?)?,
            b'!'..=b'~' if byte != b'=' => byte,
            _ => return None,
        };
        if !matches!(octet, b' '..=b'~') {
            return None;
        }
        decoded.push(char::from(octet));
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Up to `digits` decimal digits.
pub(super) fn number<T: std::str::FromStr>(text: &str, digits: usize) -> Option<T> {
    let fits = (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_has_upper_case_digits_and_nothing_that_breaks_a_line() {
        assert_eq!(xtext("a+2Bb+3D+20c"), Some("a+b= c".to_owned()));
        for wrong in ["+", "+2", "+2b", "+0D", "+0A", "+00", "a=b", "a b", "\u{e4}", "+C3+A4"] {
            assert_eq!(xtext(wrong), None, "{wrong}");
        }
    }
}
