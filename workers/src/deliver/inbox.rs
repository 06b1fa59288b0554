//! The inbox route: each message a file, for development and for looking at.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use shared::job::Delivery;
use shared::mail::Mailbox;
use tokio::fs::{self, DirBuilder, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::outcome::Failure;
use super::smtp::{Packs, ends_early, unreadable};
use crate::limits::{INBOX_BLOCK_OCTETS, INBOX_HEAD_OCTETS_MAX, INBOX_LOCKS};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A folder of `.eml` files: `Return-Path`, a `Delivered-To` for each recipient, and the message as it would have left.
pub(super) struct Inbox {
    folder: PathBuf,
    /// Deliveries of one message share a file; its lock is that of its id's hash.
    locks: Vec<Mutex<()>>,
}

impl Inbox {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, locks: (0..INBOX_LOCKS).map(|_| Mutex::new(())).collect() }
    }

    /// Puts the message there for each recipient of `delivery`, once however often it is asked to. Once this is `Ok`, the
    /// file outlives the machine's power.
    pub(super) async fn keep(&self, delivery: &Delivery, packs: &mut Packs) -> Result<(), Failure> {
        let mut hasher = DefaultHasher::new();
        delivery.key.message.hash(&mut hasher);
        let lock = usize::try_from(hasher.finish() % INBOX_LOCKS as u64).unwrap_or(0);
        let _held = self.locks[lock].lock().await;
        let path = self.folder.join(format!("{}.eml", delivery.key.message));
        let known = read_head(&path, delivery).await.map_err(|error| failed(delivery, &error))?;
        let Some(head) = head(delivery, &known) else { return Ok(()) };
        // the name is always the same, so that what a crash left is overwritten and does not pile up
        let temporary = self.folder.join(format!(".{}.eml.new", delivery.key.message));
        let mut file = self.create(&temporary).await.map_err(|error| failed(delivery, &error))?;
        write(&mut file, head, delivery, packs).await?;
        self.publish(file, &temporary, &path).await.map_err(|error| failed(delivery, &error))
    }

    /// An empty file. It is its owner's alone, as everywhere mail lies.
    async fn create(&self, path: &Path) -> io::Result<File> {
        if !fs::try_exists(&self.folder).await? {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder).await?;
            if let Some(parent) = self.folder.parent().filter(|parent| *parent != Path::new("")) {
                File::open(parent).await?.sync_all().await?;
            }
        }
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path).await
    }

    /// Makes `file` durable under its own name: its octets first, then the name.
    async fn publish(&self, file: File, temporary: &Path, path: &Path) -> io::Result<()> {
        file.sync_all().await?;
        fs::rename(temporary, path).await?;
        File::open(&self.folder).await?.sync_all().await
    }
}

/// The lines that an earlier delivery of the same message put in front of it; empty where there was none.
async fn read_head(path: &Path, delivery: &Delivery) -> io::Result<String> {
    let file = match File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    // what follows the head has a known length, so no line of the message itself is taken for one of ours
    let message = delivery.length + delivery.prefix.len() as u64;
    let octets = file.metadata().await?.len().saturating_sub(message).min(INBOX_HEAD_OCTETS_MAX);
    let mut head = Vec::new();
    file.take(octets).read_to_end(&mut head).await?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The head of the file with everyone in it, or `None` where everyone is in `known` already.
fn head(delivery: &Delivery, known: &str) -> Option<String> {
    let return_path = delivery.mail_from().map_or("", Mailbox::as_str);
    let mut head =
        if known.is_empty() { format!("Return-Path: <{return_path}>\r\n") } else { known.to_owned() };
    let mut added = known.is_empty();
    for recipient in &delivery.recipients {
        let line = format!("Delivered-To: {}", recipient.address);
        if !head.split("\r\n").any(|known| known == line) {
            added = true;
            write!(head, "{line}\r\n").expect("a String takes every write");
        }
    }
    added.then_some(head)
}

async fn write(
    file: &mut File,
    mut out: String,
    delivery: &Delivery,
    packs: &mut Packs,
) -> Result<(), Failure> {
    out.push_str(&delivery.prefix);
    let mut out = out.into_bytes();
    let (mut at, end) = (delivery.offset, delivery.offset.saturating_add(delivery.length));
    while at < end {
        let reader = packs.reader(delivery.key.message.pack);
        let piece = reader
            .read(at, INBOX_BLOCK_OCTETS.min(end - at))
            .await
            .map_err(|error| unreadable(delivery, &error))?;
        if piece.is_empty() {
            return Err(ends_early(delivery));
        }
        at += piece.len() as u64;
        out.extend_from_slice(&piece);
        if at < end {
            file.write_all(&out).await.map_err(|error| failed(delivery, &error))?;
            out.clear();
        }
    }
    file.write_all(&out).await.map_err(|error| failed(delivery, &error))?;
    // tokio's files write behind: an error may only come to light here
    file.flush().await.map_err(|error| failed(delivery, &error))
}

fn failed(delivery: &Delivery, error: &io::Error) -> Failure {
    tracing::warn!(message_id = %delivery.key.message, %error, "the inbox cannot be written");
    Failure::Inbox(error.kind().to_string())
}
