//! The TXT record by which a domain names its policy (RFC 8461 §3.1).

use crate::limits::policy::STS_ID_CHARS_MAX;

/// The id in the one record that is one of MTA-STS; `None` where there is none, or more than one, or it cannot be read.
pub(super) fn id(records: &[Vec<u8>]) -> Option<String> {
    let mut ours = records.iter().filter(|record| record.starts_with(b"v=STSv1;"));
    let (record, other) = (ours.next()?, ours.next());
    if other.is_some() {
        return None;
    }
    let text = str::from_utf8(record).ok()?;
    let mut fields = text.split(';').skip(1).map(|field| field.trim_matches([' ', '\t']));
    let id = fields.find_map(|field| field.strip_prefix("id="))?;
    let right =
        (1..=STS_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    right.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(records: &[&str]) -> Option<String> {
        id(&records.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn one_record_with_an_id_names_a_policy() {
        for text in [
            "v=STSv1; id=20160831085700Z;",
            "v=STSv1;id=20160831085700Z",
            "v=STSv1 ; x",
            "v=STSv1; x=1; id=20160831085700Z",
        ] {
            let right = !text.contains(" ; x");
            assert_eq!(of(&[text]).is_some(), right, "{text}");
        }
        assert_eq!(of(&["v=spf1 -all", "v=STSv1; id=a1;"]).as_deref(), Some("a1"));
        for records in [
            &[][..],
            &["v=spf1 -all"],
            &["v=STSv1; id=a;", "v=STSv1; id=b;"],
            &["v=STSv1;"],
            &["v=STSv1; id=;"],
            &["v=STSv1; id=a-b;"],
            &["V=STSv1; id=a;"],
            &["v=STSv1; id=012345678901234567890123456789012"],
        ] {
            assert_eq!(of(records), None, "{records:?}");
        }
    }
}
