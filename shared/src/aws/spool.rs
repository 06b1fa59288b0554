//! The spool as a bucket: `packs/<shard>/<pack id>`, and `held/<shard>/<pack id>` for packs whose id says that their messages are
//! held, as a bucket's lifecycle tells ages by prefixes alone; what cannot be read lies below `corrupt/`.
//!
//! A pack is put under the condition that nothing has its key. Where something has, it is the same pack: an id stands for its
//! content, and mostly it was our own try before, whose answer was lost.

mod writer;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::Object;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use super::Aws;
use super::error::{is_beyond, is_conflict, is_missing, is_unmet, of_read, of_write};
use crate::limits::aws::{CONFLICT_PAUSE, CONFLICTS_MAX};
use crate::mail::{PackId, Timestamp};
use crate::port::{Clock, PackInfo, Piece, PortError, PortResult, Spool, SpoolWriter};
use crate::system::SystemClock;
use writer::PartWriter;

const PUT: &str = "the write of a pack";
const READ: &str = "the read of a pack";
const LIST: &str = "the listing of the packs";
const DELETE: &str = "the deletion of a pack";
const SET_ASIDE: &str = "setting a pack aside";
const PROBE: &str = "the probe of the spool";

/// A spool in a bucket, or below a prefix of one.
pub struct S3Spool {
    bucket: Arc<Bucket>,
}

struct Bucket {
    client: Client,
    name: String,
    /// Empty, or ended by `/`.
    prefix: String,
}

impl S3Spool {
    /// The spool below `prefix` of the bucket `name`; an empty prefix is the whole bucket. Nothing is asked of S3 yet.
    pub fn new(aws: &Aws, name: &str, prefix: &str) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self { bucket: Arc::new(Bucket { client: aws.s3(), name: name.to_owned(), prefix }) }
    }
}

impl Bucket {
    /// Below what the packs lie that are held, or those that are not.
    fn packs(&self, held: bool) -> String {
        format!("{}{}/", self.prefix, if held { "held" } else { "packs" })
    }

    fn key(&self, id: PackId) -> String {
        format!("{}{}/{id}", self.packs(id.held_until().is_some()), id.shard())
    }

    /// Adds to `found` the packs below a prefix with keys over `after`, until there are `limit`.
    async fn list(
        &self,
        held: bool,
        mut after: Option<String>,
        limit: usize,
        found: &mut Vec<PackInfo>,
    ) -> PortResult<()> {
        let packs = self.packs(held);
        while found.len() < limit {
            let page = i32::try_from((limit - found.len()).min(1000)).unwrap_or(1000);
            let list = self.client.list_objects_v2().bucket(&self.name).prefix(&packs).max_keys(page);
            let listed = list.set_start_after(after).send().await.map_err(|error| of_read(LIST, error))?;
            // an object of another name is none of ours
            found.extend(listed.contents().iter().filter_map(info));
            after = listed.contents().last().and_then(|last| last.key().map(str::to_owned));
            if !listed.is_truncated().unwrap_or(false) || after.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn put(&self, what: &'static str, id: PackId, bytes: Bytes) -> PortResult<()> {
        let checksum = checksum(&bytes);
        for tried in 1..=CONFLICTS_MAX {
            let put = self.client.put_object().bucket(&self.name).key(self.key(id)).if_none_match("*");
            let put = put.checksum_crc32_c(&checksum).body(ByteStream::from(bytes.clone()));
            match put.send().await {
                Ok(_) => return Ok(()),
                Err(error) if is_unmet(&error) => return Ok(()),
                Err(error) if is_conflict(&error) => {
                    SystemClock.sleep(CONFLICT_PAUSE * tried).await;
                }
                Err(error) => return Err(of_write(what, error)),
            }
        }
        Err(PortError::unknown(what, "others write the same pack again and again"))
    }
}

/// CRC32C as S3 writes it.
fn checksum(bytes: &[u8]) -> String {
    STANDARD.encode(crc32c::crc32c(bytes).to_be_bytes())
}

fn joined(parts: Vec<Bytes>) -> Bytes {
    if let [_] = &parts[..] {
        return parts.into_iter().next().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole.freeze()
}

#[async_trait]
impl Spool for S3Spool {
    async fn put(&self, id: PackId, parts: Vec<Bytes>) -> PortResult<()> {
        self.bucket.put(PUT, id, joined(parts)).await
    }

    async fn begin(&self, id: PackId) -> PortResult<Box<dyn SpoolWriter>> {
        Ok(Box::new(PartWriter::new(Arc::clone(&self.bucket), id)))
    }

    async fn get(&self, id: PackId, range: Range<u64>) -> PortResult<Option<Piece>> {
        let Bucket { client, name, .. } = &*self.bucket;
        if range.is_empty() {
            return self.length(id).await.map(|length| length.map(nothing_of));
        }
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let got = match client.get_object().bucket(name).key(self.bucket.key(id)).range(asked).send().await {
            Ok(got) => got,
            Err(error) => {
                if is_missing(&error) {
                    return Ok(None);
                }
                if is_beyond(&error) {
                    return self.length(id).await.map(|length| length.map(nothing_of));
                }
                return Err(of_read(READ, error));
            }
        };
        let whole = got.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let bytes = got.body.collect().await.map_err(|error| PortError::refused(READ, error))?.into_bytes();
        // without a range in the answer, it is the whole object
        let pack_length = whole.unwrap_or(bytes.len() as u64);
        Ok(Some(Piece { bytes, pack_length }))
    }

    async fn delete(&self, id: PackId) -> PortResult<()> {
        let Bucket { client, name, .. } = &*self.bucket;
        let deleted = client.delete_object().bucket(name).key(self.bucket.key(id)).send().await;
        deleted.map(drop).map_err(|error| of_write(DELETE, error))
    }

    /// Those that are not held come first.
    async fn list(&self, after: Option<PackId>, limit: usize) -> PortResult<Vec<PackInfo>> {
        let mut found = Vec::new();
        let key = after.map(|id| self.bucket.key(id));
        if after.is_some_and(|id| id.held_until().is_some()) {
            self.bucket.list(true, key, limit, &mut found).await?;
        } else {
            self.bucket.list(false, key, limit, &mut found).await?;
            self.bucket.list(true, None, limit, &mut found).await?;
        }
        Ok(found)
    }

    async fn set_aside(&self, id: PackId) -> PortResult<()> {
        let Bucket { client, name, prefix } = &*self.bucket;
        let key = self.bucket.key(id);
        let head = match client.head_object().bucket(name).key(&key).send().await {
            Ok(head) => head,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(of_write(SET_ASIDE, error)),
        };
        // named by its content: set aside twice it is kept once, and another content beside it
        let content = head.e_tag().unwrap_or_default().trim_matches('"').to_owned();
        let copied = client.copy_object().bucket(name).copy_source(format!("{name}/{key}"));
        let copied = copied.key(format!("{prefix}corrupt/{id}.{content}")).send().await;
        if let Err(error) = copied {
            // another worker was quicker
            let gone = is_missing(&error);
            return if gone { Ok(()) } else { Err(of_write(SET_ASIDE, error)) };
        }
        let deleted = client.delete_object().bucket(name).key(&key).send().await;
        deleted.map(drop).map_err(|error| of_write(SET_ASIDE, error))
    }

    /// It is not removed: whoever may put packs need not be able to delete any. The bucket's lifecycle does.
    async fn probe(&self) -> PortResult<()> {
        let Bucket { client, name, prefix } = &*self.bucket;
        let put = client.put_object().bucket(name).key(format!("{prefix}probe"));
        let put = put.body(ByteStream::from_static(b"probe")).send().await;
        put.map(drop).map_err(|error| of_write(PROBE, error))
    }
}

impl S3Spool {
    async fn length(&self, id: PackId) -> PortResult<Option<u64>> {
        let Bucket { client, name, .. } = &*self.bucket;
        match client.head_object().bucket(name).key(self.bucket.key(id)).send().await {
            Ok(head) => {
                Ok(Some(head.content_length().and_then(|length| length.try_into().ok()).unwrap_or(0)))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(of_read(READ, error)),
        }
    }
}

fn nothing_of(pack_length: u64) -> Piece {
    Piece { bytes: Bytes::new(), pack_length }
}

fn info(object: &Object) -> Option<PackInfo> {
    let id = object.key()?.rsplit_once('/')?.1.parse().ok()?;
    let length = object.size()?.try_into().ok()?;
    let written_at = object.last_modified()?.to_millis().ok()?;
    Some(PackInfo { id, length, written_at: Timestamp::from_millis(written_at) })
}
