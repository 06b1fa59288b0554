//! What a server offers in its answer to EHLO (RFC 5321 §4.1.1.1). Pure.

/// The extensions that change what this client does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// RFC 2920.
    pub(crate) pipelining: bool,
    /// RFC 1870: whether MAIL may tell a size.
    pub(crate) size: bool,
    /// The largest message, where the server has a fixed limit (RFC 1870 §4).
    pub(crate) size_max: Option<u64>,
    /// RFC 6152.
    pub(crate) eight_bit_mime: bool,
    /// RFC 6531.
    pub(crate) smtputf8: bool,
    /// RFC 3207.
    pub(crate) starttls: bool,
}

impl Capabilities {
    /// Reads the text of the reply to EHLO: behind its first line, one keyword with its parameters a line.
    pub(crate) fn parse(text: &str) -> Self {
        let mut offered = Self::default();
        for line in text.split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => offered.pipelining = true,
                "8BITMIME" => offered.eight_bit_mime = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "STARTTLS" => offered.starttls = true,
                "SIZE" => {
                    offered.size = true;
                    // zero says that there is no fixed limit (RFC 1870 §4)
                    offered.size_max =
                        words.next().and_then(|limit| limit.parse().ok()).filter(|limit| *limit != 0);
                }
                _ => {}
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_in_any_case_and_the_greeting_line_is_not_one() {
        let all = Capabilities::parse(
            "STARTTLS\npipelining\nSize 1000\n8BITMIME\nSMTPUTF8\nX-OTHER a b\nAUTH PLAIN",
        );
        assert_eq!(
            all,
            Capabilities {
                pipelining: true,
                size: true,
                size_max: Some(1000),
                eight_bit_mime: true,
                smtputf8: true,
                starttls: false,
            }
        );
        assert_eq!(Capabilities::parse("PIPELINING"), Capabilities::default());
    }

    #[test]
    fn a_size_without_a_number_or_of_zero_is_no_limit() {
        for text in ["h\nSIZE", "h\nSIZE 0", "h\nSIZE x", "h\nSIZE 99999999999999999999"] {
            let offered = Capabilities::parse(text);
            assert_eq!((offered.size, offered.size_max), (true, None), "{text}");
        }
    }
}
