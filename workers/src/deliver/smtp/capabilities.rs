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
    /// RFC 3461.
    pub(crate) dsn: bool,
    /// RFC 3030.
    pub(crate) chunking: bool,
    /// RFC 3030.
    pub(crate) binary_mime: bool,
    /// RFC 8689.
    pub(crate) require_tls: bool,
    /// RFC 6710.
    pub(crate) priority: bool,
    /// RFC 2852: the least seconds that a delivery takes, zero where the server does not say.
    pub(crate) deliver_by: Option<u64>,
    /// RFC 9422.
    pub(crate) limits: Limits,
    /// RFC 4954.
    pub(crate) auth: Mechanisms,
}

/// The ways to log in that a server offers and this client knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mechanisms {
    pub(crate) plain: bool,
    pub(crate) login: bool,
    pub(crate) scram_sha_256: bool,
    pub(crate) xoauth2: bool,
}

/// What a server bounds by LIMITS (RFC 9422 §4), where it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// MAILMAX: transactions of a session.
    pub(crate) mail: Option<usize>,
    /// RCPTMAX: recipients of a transaction.
    pub(crate) recipients: Option<usize>,
    /// RCPTDOMAINMAX: domains of the recipients of a session.
    pub(crate) domains: Option<usize>,
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
                "DSN" => offered.dsn = true,
                "CHUNKING" => offered.chunking = true,
                "BINARYMIME" => offered.binary_mime = true,
                "REQUIRETLS" => offered.require_tls = true,
                "MT-PRIORITY" => offered.priority = true,
                "DELIVERBY" => {
                    offered.deliver_by = Some(words.next().and_then(|least| least.parse().ok()).unwrap_or(0));
                }
                "AUTH" => words.for_each(|word| offered.auth.read(word)),
                "LIMITS" => words.for_each(|word| offered.limits.read(word)),
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

impl Mechanisms {
    fn read(&mut self, word: &str) {
        match word.to_ascii_uppercase().as_str() {
            "PLAIN" => self.plain = true,
            "LOGIN" => self.login = true,
            "SCRAM-SHA-256" => self.scram_sha_256 = true,
            "XOAUTH2" => self.xoauth2 = true,
            _ => {}
        }
    }
}

impl Limits {
    /// Reads `NAME=value`. A limit of zero would be none that anybody can keep (RFC 9422 §4 has no such).
    fn read(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let limit = match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => &mut self.mail,
            "RCPTMAX" => &mut self.recipients,
            "RCPTDOMAINMAX" => &mut self.domains,
            _ => return,
        };
        *limit = value.parse().ok().filter(|value| *value != 0);
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
                auth: Mechanisms { plain: true, ..Mechanisms::default() },
                ..Capabilities::default()
            }
        );
        assert_eq!(Capabilities::parse("PIPELINING"), Capabilities::default());
    }

    #[test]
    fn limits_are_read_where_they_are_numbers_to_keep() {
        let limits = |text: &str| Capabilities::parse(text).limits;
        let told = limits("h\nLIMITS mailmax=2 RCPTMAX=30 RCPTDOMAINMAX=1 X-NEW=5 OTHER");
        assert_eq!(told, Limits { mail: Some(2), recipients: Some(30), domains: Some(1) });
        for text in ["h\nLIMITS", "h\nLIMITS RCPTMAX=0", "h\nLIMITS RCPTMAX=x MAILMAX="] {
            assert_eq!(limits(text), Limits::default(), "{text}");
        }
        for (text, least) in [("h\nDELIVERBY", 0), ("h\nDELIVERBY 240", 240), ("h\nDELIVERBY x", 0)] {
            assert_eq!(Capabilities::parse(text).deliver_by, Some(least), "{text}");
        }
    }

    #[test]
    fn a_size_without_a_number_or_of_zero_is_no_limit() {
        for text in ["h\nSIZE", "h\nSIZE 0", "h\nSIZE x", "h\nSIZE 99999999999999999999"] {
            let offered = Capabilities::parse(text);
            assert_eq!((offered.size, offered.size_max), (true, None), "{text}");
        }
    }
}
