//! The certificate that `dev` makes for itself, so that a client's TLS can be tried without asking anybody for one.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ingress::TlsSettings;
use ingress::tls::{CertificateSource, examine};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};
use shared::mail::{Domain, Timestamp};
use time::OffsetDateTime;

use crate::exit::{Exit, Failure, Outcome};
use crate::limits::{DEV_CERTIFICATE_LEFT, DEV_CERTIFICATE_LIFE};

/// Where the certificate is, and where its key.
pub(super) fn files(data: &Path) -> (PathBuf, PathBuf) {
    (data.join("tls/dev.crt"), data.join("tls/dev.key"))
}

/// TLS by the certificate below `data`.
pub(super) fn settings(data: &Path) -> TlsSettings {
    let (chain, key) = files(data);
    TlsSettings { certificates: vec![CertificateSource::Files { chain, key }], ..TlsSettings::default() }
}

/// Makes the certificate below `data`, unless there is one that is good for `hostname` and for a while.
pub(crate) fn ensure(data: &Path, hostname: &Domain, now: Timestamp) -> Outcome {
    let (chain, key) = files(data);
    let good = examine(&chain, &key, now + DEV_CERTIFICATE_LEFT);
    if good.is_ok_and(|facts| names(hostname).iter().all(|name| facts.covers(name))) {
        return Ok(());
    }
    let made = make(hostname, now).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    if data.exists() && !data.is_dir() {
        let wrong = format!("{} is there and is not a folder; give another as --data", data.display());
        return Err(Failure::new(Exit::Io, wrong));
    }
    let failed = |error: io::Error| Failure::io(chain.display(), &error);
    DirBuilder::new().recursive(true).mode(0o700).create(data.join("tls")).map_err(failed)?;
    write(&key, &made.key, 0o600).map_err(failed)?;
    write(&chain, &made.chain, 0o644).map_err(failed)
}

struct Made {
    chain: String,
    key: String,
}

fn names(hostname: &Domain) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    if hostname.literal().is_none() && hostname.as_str() != "localhost" {
        names.push(hostname.as_str().to_owned());
    }
    names
}

fn make(hostname: &Domain, now: Timestamp) -> Result<Made, rcgen::Error> {
    let mut params = CertificateParams::default();
    for name in names(hostname) {
        params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from(name)?));
    }
    for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.distinguished_name.push(DnType::CommonName, "spoolway dev");
    params.not_before = moment(now);
    params.not_after = moment(now + DEV_CERTIFICATE_LIFE);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok(Made { chain: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.millis().div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Puts `text` in the place of what is there, with these rights from the first moment.
fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = file.with_extension("new");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_735_689_600_000);

    fn ensured(data: &Path, hostname: &str, now: Timestamp) -> String {
        ensure(data, &Domain::parse(hostname).unwrap(), now).unwrap();
        fs::read_to_string(files(data).0).unwrap()
    }

    #[test]
    fn the_certificate_is_made_once_and_its_key_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = ensured(&data, "localhost", NOW);
        assert_eq!(ensured(&data, "localhost", NOW), made);
        let (chain, key) = files(&data);
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&key), mode(&data.join("tls"))), (0o600, 0o700));
        assert_eq!(examine(&chain, &key, NOW).unwrap().names, ["localhost"]);
        assert_eq!(fs::read_dir(data.join("tls")).unwrap().count(), 2);
    }

    #[test]
    fn it_is_made_again_when_it_expires_or_lacks_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensured(folder.path(), "localhost", NOW);
        let named = ensured(folder.path(), "dev.example", NOW);
        assert_ne!(named, first);
        let (chain, key) = files(folder.path());
        let facts = examine(&chain, &key, NOW).unwrap();
        assert_eq!(facts.names, ["localhost", "dev.example"]);
        assert_eq!(facts.expires, NOW + DEV_CERTIFICATE_LIFE);
        let soon = NOW + DEV_CERTIFICATE_LIFE - DEV_CERTIFICATE_LEFT;
        assert_eq!(ensured(folder.path(), "dev.example", soon - Duration::from_secs(1)), named);
        assert_ne!(ensured(folder.path(), "dev.example", soon), named);
        fs::write(&key, "no key").unwrap();
        ensured(folder.path(), "dev.example", soon);
        assert!(examine(&chain, &key, soon).is_ok());
    }
}
