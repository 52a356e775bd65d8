//! What goes to a client: the answers of one round in one buffer, sent by one write.

use crate::buffers::Buffers;
use bytes::BytesMut;
use dodona_cluster::coordinator::served::Operation;
use dodona_env::net::Stream;
use dodona_protocol::segment::SegmentRun;
use dodona_protocol::{
    Encoding, ErrorResponse, Extras, Flags, Opcode, ResponseWriter, SegmentFormat, Version, WriteType,
};
use dodona_types::{Consistency, TableId};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;

/// What a write asked for, which an error about it names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) consistency: Consistency,
    pub(crate) write: WriteType,
}

/// Once this many bytes wait to be sent, a round ends.
const ROUND_BYTES: usize = 1 << 20;

/// The acknowledgement of a write that may not be safe yet.
#[derive(Debug)]
struct Acknowledgement {
    start: usize,
    end: usize,
    stream: i16,
    position: u64,
    asked: Asked,
}

/// The answers of a round.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    pub(crate) bytes: BytesMut,
    run: Option<SegmentRun>,
    acknowledgements: Vec<Acknowledgement>,
    safe_at: u64,
    /// What the round's statements did with tables.
    pub(crate) served: Vec<(TableId, Operation)>,
}

impl Outbound {
    /// Begins a round, in segments if the connection has come so far.
    pub(crate) fn begin(&mut self, segments: Option<SegmentFormat>, buffers: &Buffers) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take_outbound();
        }
        self.run = segments.map(|format| SegmentRun::begin(&mut self.bytes, format));
    }

    /// True if enough waits to be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= ROUND_BYTES
    }

    /// Notes that the bytes from `start` on acknowledge a write on `stream`.
    #[inline]
    pub(crate) fn acknowledges(&mut self, start: usize, stream: i16, position: u64, asked: Asked) {
        self.safe_at = self.safe_at.max(position);
        self.acknowledgements.push(Acknowledgement { start, end: self.bytes.len(), stream, position, asked });
    }

    /// The position that must be safe before the round is sent; 0 if nothing was written.
    pub(crate) const fn safe_at(&self) -> u64 {
        self.safe_at
    }

    /// Replaces the acknowledgements of writes that are not safe by what `error` gives.
    pub(crate) fn withdraw(
        &mut self,
        encoding: Encoding,
        is_safe: impl Fn(u64) -> bool,
        error: impl Fn(Asked) -> ErrorResponse,
    ) {
        let before = std::mem::take(&mut self.bytes);
        let mut copied = 0;
        for written in self.acknowledgements.drain(..) {
            if is_safe(written.position) {
                continue;
            }
            self.bytes.extend_from_slice(&before[copied..written.start]);
            copied = written.end;
            let response = error(written.asked);
            ResponseWriter::new(&mut self.bytes, encoding).error(
                written.stream,
                &Extras::default(),
                &response,
            );
        }
        self.bytes.extend_from_slice(&before[copied..]);
    }

    /// Ends the round: what has been appended is ready to be sent.
    pub(crate) fn end(&mut self) {
        self.acknowledgements.clear();
        self.served.clear();
        self.safe_at = 0;
        if let Some(run) = self.run.take() {
            run.seal(&mut self.bytes);
        }
    }

    /// Sends everything. Returns how many bytes that were.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) async fn send(&mut self, stream: &mut dyn Stream, buffers: &Buffers) -> io::Result<usize> {
        let mut sent = 0;
        let bytes = &self.bytes;
        if !bytes.is_empty() {
            poll_fn(|context| {
                while sent < bytes.len() {
                    let written = ready!(Pin::new(&mut *stream).poll_write(context, &bytes[sent..]))?;
                    if written == 0 {
                        return std::task::Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    sent += written;
                }
                Pin::new(&mut *stream).poll_flush(context)
            })
            .await?;
        }
        self.bytes.clear();
        buffers.give_outbound(std::mem::take(&mut self.bytes));
        Ok(sent)
    }
}

/// Puts warnings into the response at `start` of `out`, the last one there. Warnings come before
/// the message in the body but are known only after it.
pub(crate) fn insert_warnings(out: &mut BytesMut, start: usize, encoding: Encoding, warnings: &[String]) {
    const HEADER_BYTES: usize = dodona_protocol::frame::HEADER_BYTES;
    const TRACING_ID_BYTES: usize = 16;
    if warnings.is_empty() || encoding.version < Version::V4 {
        return;
    }
    let response = out.split_off(start);
    let (Some(&[_, flags, s0, s1, ..]), Some(body)) =
        (response.first_chunk::<5>(), response.get(HEADER_BYTES..))
    else {
        return out.unsplit(response);
    };
    let flags = Flags(flags);
    let mut scratch = Vec::new();
    let body = if flags.contains(Flags::COMPRESSED) && encoding.version < Version::V5 {
        if encoding.compression.decompress(body, usize::MAX, &mut scratch).is_err() {
            return out.unsplit(response);
        }
        &scratch[..]
    } else {
        body
    };
    let traced = if flags.contains(Flags::TRACING) { TRACING_ID_BYTES.min(body.len()) } else { 0 };
    let flags = Flags(flags.0 & !Flags::COMPRESSED.0).with(Flags::WARNING);
    let stream = i16::from_be_bytes([s0, s1]);
    let mut envelope = dodona_protocol::EnvelopeWriter::begin(out, encoding, stream, Opcode::Result, flags);
    envelope.body().extend_from_slice(&body[..traced]);
    dodona_protocol::primitives::put_string_list(envelope.body(), warnings);
    envelope.body().extend_from_slice(&body[traced..]);
    envelope.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked { consistency: Consistency::One, write: WriteType::Simple };
    use dodona_protocol::{Compression, ErrorBody, Header, Response};

    fn header_of(bytes: &[u8]) -> Header {
        dodona_protocol::EnvelopeRules::client(Version::V4).peek(bytes).unwrap().unwrap()
    }

    const V4: Encoding = Encoding::new(Version::V4, Compression::None);

    #[test]
    fn only_the_writes_that_are_not_safe_become_errors() {
        let mut out = Outbound::default();
        for stream in 0..4_i16 {
            let start = out.bytes.len();
            ResponseWriter::new(&mut out.bytes, V4).void(stream, &Extras::default());
            if stream != 1 {
                out.acknowledges(start, stream, u64::from(stream.cast_unsigned()), ASKED);
            }
        }
        assert_eq!(out.safe_at(), 3);
        out.withdraw(V4, |position| position < 3, |_| ErrorResponse::new(ErrorBody::ServerError, "lost"));
        let mut bytes = &out.bytes[..];
        let mut opcodes = Vec::new();
        while !bytes.is_empty() {
            let header = header_of(bytes);
            opcodes.push((header.stream, header.opcode));
            bytes = &bytes[9 + header.body_bytes as usize..];
        }
        let ok = Opcode::Result;
        assert_eq!(opcodes, [(0, ok), (1, ok), (2, ok), (3, Opcode::Error)]);
    }

    #[test]
    fn warnings_go_before_the_message_whether_or_not_it_is_compressed() {
        for compression in [Compression::None, Compression::Lz4, Compression::Snappy] {
            let encoding = Encoding::new(Version::V4, compression);
            let mut out = BytesMut::from(&b"before"[..]);
            let keyspace = "k".repeat(2_000);
            ResponseWriter::new(&mut out, encoding).set_keyspace(7, &Extras::default(), &keyspace);
            insert_warnings(&mut out, 6, encoding, &["careful".to_owned()]);
            let header = header_of(&out[6..]);
            let envelope = dodona_protocol::Envelope { header, body: &out[15..] };
            let mut scratch = Vec::new();
            let body = compression.body(&envelope, 1 << 20, &mut scratch).unwrap();
            let (extras, response) = Response::decode(&header, body).unwrap();
            assert_eq!(extras.warnings, ["careful"]);
            assert!(format!("{response:?}").contains(&keyspace));
        }
    }
}
