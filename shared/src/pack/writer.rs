use bytes::{BufMut, Bytes, BytesMut};

use super::format::{
    MAGIC, PREAMBLE_OCTETS, PackHeader, PackedMessage, TRAILER_MAGIC, TRAILER_OCTETS, facts_to_bits,
};
use crate::limits::{PACK_DNS_OCTETS_MAX, PACK_MESSAGE_OCTETS_MAX, PACK_RECIPIENT_OCTETS_MAX};
use crate::mail::{Client, ClientDns, ContentFacts, Envelope, PackId, TenantId, Timestamp};
use crate::port::{PortResult, Spool, SpoolWriter};

/// A message that is to go into a pack, but for its bytes.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// When it was received.
    pub received_at: Timestamp,
    /// Its envelope.
    pub envelope: Envelope,
    /// Who handed it in.
    pub client: Client,
    /// Whom it is accounted to.
    pub tenant: TenantId,
}

impl NewMessage {
    /// Until when the message is held; `None` where it is not.
    pub fn held_until(&self) -> Option<Timestamp> {
        self.envelope.options.held_until(self.received_at)
    }

    /// How many octets the message takes in the header of a pack, at most: whoever gathers messages keeps the sum of these below
    /// [`PACK_HEADER_OCTETS_MAX`](crate::limits::PACK_HEADER_OCTETS_MAX), as no reader takes a longer header.
    pub fn header_octets(&self) -> usize {
        let Self { envelope, client, tenant, .. } = self;
        let texts = [envelope.from.as_str(), &client.helo, &tenant.0];
        let optional = [&client.tls, &client.credential, &client.dns.name].into_iter().flatten();
        let optional = optional.chain(&client.dns.listed).map(String::as_str);
        let texts = texts.into_iter().chain(optional).map(json_octets).sum::<usize>();
        let recipients =
            envelope.recipients.iter().map(|to| json_octets(to.address.as_str()) + PACK_RECIPIENT_OCTETS_MAX);
        let dns = if client.dns == ClientDns::default() { 0 } else { PACK_DNS_OCTETS_MAX };
        PACK_MESSAGE_OCTETS_MAX + dns + texts + recipients.sum::<usize>()
    }
}

/// The length of `text` as a JSON string with its quotes and a comma.
fn json_octets(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 1,
        ..0x20 => 5,
        _ => 0,
    });
    text.len() + 3 + escapes.sum::<usize>()
}

/// The parts of a pack of whole messages: their concatenation is the pack. The messages' bytes are not copied.
pub fn encode(
    id: PackId,
    created: Timestamp,
    messages: Vec<(NewMessage, ContentFacts, Bytes)>,
) -> Vec<Bytes> {
    let mut parts = Vec::with_capacity(messages.len() + 1);
    parts.push(Bytes::new());
    let mut header = PackHeader { id, created, messages: Vec::with_capacity(messages.len()) };
    let mut offset = 0;
    for (n, (message, content, bytes)) in (0..).zip(messages) {
        let length = bytes.len() as u64;
        let crc32c = crc32c::crc32c(&bytes);
        header.messages.push(PackedMessage { n, offset, length, crc32c, content, ..packed(message) });
        offset += length;
        parts.push(bytes);
    }
    parts[0] = encode_header(&header);
    parts
}

fn packed(message: NewMessage) -> PackedMessage {
    let NewMessage { received_at, envelope, client, tenant } = message;
    let content = ContentFacts::default();
    PackedMessage {
        n: 0,
        offset: 0,
        length: 0,
        crc32c: 0,
        content,
        streamed: false,
        received_at,
        envelope,
        client,
        tenant,
    }
}

fn encode_header(header: &PackHeader) -> Bytes {
    let json = serde_json::to_vec(header).expect("a header is plain data");
    let mut out = BytesMut::with_capacity(PREAMBLE_OCTETS + json.len());
    out.put_slice(MAGIC);
    out.put_u32(u32::try_from(json.len()).expect("recipients and messages are bounded"));
    out.put_u32(crc32c::crc32c(&json));
    out.put_slice(&json);
    out.freeze()
}

/// A pack of one message that is written while it is received.
pub struct StreamedPack {
    writer: Box<dyn SpoolWriter>,
    length: u64,
    crc32c: u32,
}

impl StreamedPack {
    /// Begins the pack and writes its header.
    pub async fn begin(
        spool: &dyn Spool,
        id: PackId,
        created: Timestamp,
        message: NewMessage,
    ) -> PortResult<Self> {
        let message = PackedMessage { streamed: true, ..packed(message) };
        let mut writer = spool.begin(id).await?;
        writer.write(encode_header(&PackHeader { id, created, messages: vec![message] })).await?;
        Ok(Self { writer, length: 0, crc32c: 0 })
    }

    /// Adds octets of the message.
    pub async fn write(&mut self, bytes: Bytes) -> PortResult<()> {
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes);
        self.length += bytes.len() as u64;
        self.writer.write(bytes).await
    }

    /// Writes the trailer and makes the pack durable.
    pub async fn finish(mut self, content: ContentFacts) -> PortResult<()> {
        let mut trailer = BytesMut::with_capacity(usize::try_from(TRAILER_OCTETS).unwrap_or(0));
        trailer.put_u64(self.length);
        trailer.put_u32(self.crc32c);
        trailer.put_u32(facts_to_bits(content));
        trailer.put_slice(TRAILER_MAGIC);
        self.writer.write(trailer.freeze()).await?;
        self.writer.finish().await
    }

    /// Gives the pack up.
    pub async fn abort(self) -> PortResult<()> {
        self.writer.abort().await
    }
}
