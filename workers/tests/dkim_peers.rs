//! Our signatures before other verifiers, and other signatures before ours.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::process::{Command, Stdio};

use shared::mail::header::split;
use shared::mail::{Domain, Timestamp};
use shared::port::{KeyAlgorithm, SigningKey};
use shared::testkit::peer::{Peer, peers_present};
use tempfile::TempDir;
use workers::dkim::{
    BodyHash, Canonicalization, PublicKey, SignedFields, Signer, Verification, generate, verify,
};

const PYTHON: &str = "/usr/bin/python3";
/// Says of each signature of the message in the file that is named first whether it is right; the other arguments are names and records.
const DKIMPY: &str = "
import sys, dkim
records = dict(zip(sys.argv[2::2], sys.argv[3::2]))
def txt(name, timeout=5):
    record = records.get(name.decode().rstrip('.'))
    return record and record.encode()
message = open(sys.argv[1], 'rb').read()
def passes(i):
    try:
        return dkim.DKIM(message).verify(idx=i, dnsfunc=txt)
    except dkim.ValidationError:
        return False
signatures = sum(1 for name, _ in dkim.rfc822_parse(message)[0] if name.lower() == b'dkim-signature')
print(*map(passes, range(signatures)))
";
/// Signs the message in the file that is named first with the key in the second, in each form.
const DKIMPY_SIGNS: &str = "
import sys, dkim
message, key = open(sys.argv[1], 'rb').read(), open(sys.argv[2], 'rb').read()
form = tuple(name.encode() for name in sys.argv[3].split('/'))
sys.stdout.buffer.write(dkim.sign(message, b's1', b'example.com', key, canonicalize=form) + message)
";

const HEADER: &str = "From: Dagny <a@example.com>\r\nTo: b@example.net,\r\n\tc@example.net\r\nSUBJECT:  two  words \t\r\n\
                      Date: Fri, 21 Nov 1997 09:55:06 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n";

/// The messages that the signatures are tried on, each with a name.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let with = |body: &[u8]| [HEADER.as_bytes(), body].concat();
    vec![
        ("plain", with(b"Hello,\r\n\r\n  two  words\t here.\r\n.\r\n")),
        ("8-bit", with("Gr\u{fc}\u{df}e \u{2709}\r\n".as_bytes())),
        ("8-bit, not UTF-8", with(b"Gr\xfc\xdfe\r\n")),
        ("empty body", with(b"")),
        ("no body", HEADER.as_bytes()[..HEADER.len() - 2].to_vec()),
        ("body of empty lines", with(b"\r\n\r\n\r\n")),
        ("trailing white space", with(b"one \t\r\ntwo\t \r\n")),
        ("trailing white-space-only lines", with(b"one\r\n \r\n\t\t\r\n\r\n  \r\n")),
        ("white-space-only lines inside", with(b" \r\none\r\n \t \r\ntwo\r\n\r\n")),
        ("no line end at the end", with(b"one\r\ntwo")),
        (
            "empty subject",
            with(b"x\r\n").strip_prefix(b"From").map(|rest| [b"Subject:\r\nFrom", rest].concat()).unwrap(),
        ),
    ]
}

fn large() -> Vec<u8> {
    let line = "The quick brown fox  jumps over\tthe lazy dog; 72 characters a line \r\n";
    [HEADER, &line.repeat(50 * 1024 * 1024 / line.len()), " \r\n\r\n"].concat().into_bytes()
}

struct Keys {
    signers: Vec<Signer>,
    records: Vec<(String, String)>,
}

impl Keys {
    fn new() -> Self {
        let (mut signers, mut records) = (Vec::new(), Vec::new());
        for (selector, algorithm) in [("e1", KeyAlgorithm::Ed25519), ("r1", KeyAlgorithm::Rsa)] {
            let (key, public) = generate(algorithm).unwrap();
            let signer = Signer::new(&Domain::parse("example.com").unwrap(), selector, &key).unwrap();
            records.push((signer.name(), public.dns_record()));
            signers.push(signer);
        }
        Self { signers, records }
    }

    /// The message with both signatures in front, its body hashed in pieces of a socket's size.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (section, body) = split(message);
        let mut hash = BodyHash::new(Canonicalization::Relaxed);
        body.chunks(16 * 1024 - 1).for_each(|piece| hash.update(piece));
        let hash = hash.finish();
        let picked = SignedFields::pick(&[section]).unwrap();
        let mut out = String::new();
        for signer in &self.signers {
            signer.sign(&picked, &hash, Timestamp::from_millis(1_700_000_000_000), &mut out).unwrap();
        }
        [out.as_bytes(), message].concat()
    }

    fn record(&self, name: &str) -> Option<String> {
        self.records.iter().find(|(known, _)| known == name).map(|(_, record)| record.clone())
    }
}

fn dkimpy_says(keys: &Keys, signed: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(signed).unwrap();
    let mut command = Command::new(PYTHON);
    command.args(["-c", DKIMPY]).arg(file.path());
    for (name, record) in &keys.records {
        command.args([name, record]);
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn passes(keys: &Keys, message: &[u8]) -> bool {
    let told = verify(message, |name| keys.record(name));
    !told.is_empty() && told.iter().all(|(_, verdict)| *verdict == Verification::Pass)
}

#[test]
fn dkimpy_passes_both_signatures_of_every_kind_of_message() {
    if !peers_present("dkimpy verifies our signatures", &[Peer::Dkimpy]) {
        return;
    }
    let keys = Keys::new();
    for (name, message) in messages() {
        let signed = keys.sign(&message);
        assert!(passes(&keys, &signed), "{name}");
        assert_eq!(dkimpy_says(&keys, &signed), "True True", "{name}");
    }
    let mut forged = keys.sign(&messages()[0].1);
    *forged.iter_mut().rev().find(|byte| **byte == b'w').unwrap() = b'W';
    assert_eq!(dkimpy_says(&keys, &forged), "False False");
}

#[test]
fn dkimpy_passes_both_signatures_of_a_message_of_50_mb() {
    if !peers_present("dkimpy verifies our signatures of 50 MB", &[Peer::Dkimpy]) {
        return;
    }
    let keys = Keys::new();
    assert_eq!(dkimpy_says(&keys, &keys.sign(&large())), "True True");
}

/// A key as other programs read it, and its record.
fn pem(folder: &TempDir) -> (std::path::PathBuf, String) {
    let (SigningKey { pkcs8, .. }, public) = generate(KeyAlgorithm::Rsa).unwrap();
    let path = folder.path().join("key.pem");
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pkcs8);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    std::fs::write(
        &path,
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")),
    )
    .unwrap();
    (path, PublicKey::dns_record(&public))
}

fn all_pass(signed: &[u8], record: &str) -> bool {
    let told = verify(signed, |name| (name == "s1._domainkey.example.com").then(|| record.to_owned()));
    told.iter().map(|(_, verdict)| verdict).eq([&Verification::Pass])
}

#[test]
fn signatures_of_dkimpy_pass_in_every_form() {
    if !peers_present("we verify dkimpy's signatures", &[Peer::Dkimpy]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (key, record) = pem(&folder);
    for (name, message) in messages() {
        let path = folder.path().join("message");
        std::fs::write(&path, &message).unwrap();
        for form in ["relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"] {
            let mut command = Command::new(PYTHON);
            command.args(["-c", DKIMPY_SIGNS]).args([&path, &key]).arg(form);
            let signed = command.stderr(Stdio::inherit()).output().unwrap().stdout;
            assert!(all_pass(&signed, &record), "{name}, {form}");
        }
    }
}
