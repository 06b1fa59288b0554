//! CRAM-MD5 (RFC 2195), for what can do nothing better.

use aws_lc_rs::constant_time;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;

/// The challenge: a new Message-ID (RFC 2195 §2).
pub(super) fn challenge(random: u64, millis: i64, hostname: &str) -> String {
    format!("<{random}.{millis}@{hostname}>")
}

/// The name and the digest of a response.
pub(super) fn read(response: &[u8]) -> Option<(&str, &str)> {
    let (name, digest) = std::str::from_utf8(response).ok()?.rsplit_once(' ')?;
    (!name.is_empty() && !digest.is_empty()).then_some((name, digest))
}

/// Whether `digest` is that of `challenge` under `secret`.
pub(super) fn proves(secret: &str, challenge: &str, digest: &str) -> bool {
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(challenge.as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
    constant_time::verify_slices_are_equal(expected.as_bytes(), digest.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2195_is_right() {
        let challenge = "<1896.697170952@postoffice.reston.mci.net>";
        let (name, digest) = read(b"tim b913a602c7eda7a495b4e6e7334d3890").unwrap();
        assert_eq!(name, "tim");
        assert!(proves("tanstaaftanstaaf", challenge, digest));
        assert!(!proves("tanstaaf", challenge, digest) && !proves("tanstaaftanstaaf", "<1@a>", digest));
        assert!(!proves("tanstaaftanstaaf", challenge, &digest[1..]));
    }

    #[test]
    fn a_response_is_a_name_and_a_digest() {
        assert_eq!(read(b"a b c"), Some(("a b", "c")));
        for wrong in [&b""[..], b"name", b"name ", b" digest", b"\xff x"] {
            assert_eq!(read(wrong), None);
        }
    }
}
