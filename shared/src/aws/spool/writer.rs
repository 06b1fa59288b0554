//! A pack that is put in parts, each held whole before it is sent: the SDK ends a request whose body stalls, as a client's may.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tracing::debug;

use super::{Bucket, PUT, checksum};
use crate::aws::error::{is_unmet, of_write};
use crate::limits::aws::PART_OCTETS;
use crate::mail::PackId;
use crate::port::{PortError, PortResult, SpoolWriter};

/// A pack being put. Dropped unfinished, its upload is aborted.
pub(super) struct PartWriter {
    bucket: Arc<Bucket>,
    id: PackId,
    held: BytesMut,
    upload: Option<Upload>,
    /// A part is missing for ever: a write of one failed, or was given up half way.
    broken: bool,
}

/// An upload that S3 knows of.
struct Upload {
    bucket: Arc<Bucket>,
    key: String,
    id: String,
    parts: Vec<CompletedPart>,
    ended: bool,
}

impl PartWriter {
    pub(super) fn new(bucket: Arc<Bucket>, id: PackId) -> Self {
        Self { bucket, id, held: BytesMut::new(), upload: None, broken: false }
    }

    async fn send_part(&mut self) -> PortResult<()> {
        if self.broken {
            return Err(PortError::refused(PUT, "an earlier write of this pack failed"));
        }
        self.broken = true;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(Upload::begin(&self.bucket, self.id).await?),
        };
        upload.send(self.held.split().freeze()).await?;
        self.broken = false;
        Ok(())
    }
}

#[async_trait]
impl SpoolWriter for PartWriter {
    async fn write(&mut self, bytes: Bytes) -> PortResult<()> {
        if self.held.is_empty() {
            // a part and the piece that completes it; a buffer that grows by doubling would take more
            self.held.reserve(PART_OCTETS + bytes.len());
        }
        self.held.extend_from_slice(&bytes);
        if self.held.len() >= PART_OCTETS { self.send_part().await } else { Ok(()) }
    }

    async fn finish(mut self: Box<Self>) -> PortResult<()> {
        if self.upload.is_none() && !self.broken {
            return self.bucket.put(PUT, self.id, self.held.split().freeze()).await;
        }
        if !self.held.is_empty() || self.broken {
            self.send_part().await?;
        }
        match self.upload.take() {
            Some(upload) => upload.complete().await,
            None => Err(PortError::refused(PUT, "an earlier write of this pack failed")),
        }
    }

    async fn abort(mut self: Box<Self>) -> PortResult<()> {
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        upload.ended = true;
        upload.abort().await
    }
}

impl Upload {
    async fn begin(bucket: &Arc<Bucket>, id: PackId) -> PortResult<Self> {
        let key = bucket.key(id);
        let begin = bucket.client.create_multipart_upload().bucket(&bucket.name).key(&key);
        let begun = begin.checksum_algorithm(ChecksumAlgorithm::Crc32C).send().await;
        let id = begun.map_err(|error| of_write(PUT, error))?.upload_id.unwrap_or_default();
        Ok(Self { bucket: Arc::clone(bucket), key, id, parts: Vec::new(), ended: false })
    }

    async fn send(&mut self, bytes: Bytes) -> PortResult<()> {
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let crc = checksum(&bytes);
        let Bucket { client, name, .. } = &*self.bucket;
        let part = client.upload_part().bucket(name).key(&self.key).upload_id(&self.id).part_number(number);
        let sent = part.checksum_crc32_c(&crc).body(ByteStream::from(bytes)).send().await;
        let sent = sent.map_err(|error| of_write(PUT, error))?;
        let done = CompletedPart::builder().part_number(number).checksum_crc32_c(crc);
        self.parts.push(done.set_e_tag(sent.e_tag).build());
        Ok(())
    }

    async fn complete(mut self) -> PortResult<()> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone())).build();
        let Bucket { client, name, .. } = &*self.bucket;
        let complete = client.complete_multipart_upload().bucket(name).key(&self.key).upload_id(&self.id);
        match complete.if_none_match("*").multipart_upload(parts).send().await {
            Ok(_) => {
                self.ended = true;
                Ok(())
            }
            // another one's pack, or ours and its answer was lost: what is left of the upload goes when this is dropped
            Err(error) if is_unmet(&error) => Ok(()),
            // also of a conflict with another write: the parts would have to be sent anew (AWS, CompleteMultipartUpload)
            Err(error) => Err(of_write(PUT, error)),
        }
    }

    async fn abort(&self) -> PortResult<()> {
        let Bucket { client, name, .. } = &*self.bucket;
        let aborted =
            client.abort_multipart_upload().bucket(name).key(&self.key).upload_id(&self.id).send().await;
        aborted.map(drop).map_err(|error| of_write(PUT, error))
    }
}

/// Parts that belong to nothing are paid for until the bucket's lifecycle finds them.
impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let rest = Self {
            bucket: Arc::clone(&self.bucket),
            key: std::mem::take(&mut self.key),
            id: std::mem::take(&mut self.id),
            parts: Vec::new(),
            ended: true,
        };
        runtime.spawn(async move {
            if let Err(error) = rest.abort().await {
                debug!(cause = error.chain(), "an upload could not be aborted; the bucket's lifecycle will");
            }
        });
    }
}
