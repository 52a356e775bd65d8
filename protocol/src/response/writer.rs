//! Appending responses to a connection's output buffer.

use bytes::BytesMut;

use super::metadata::EncodedMetadata;
use super::result::kind;
use super::{
    AuthChallenge, AuthSuccess, Authenticate, ErrorResponse, Event, Extras, Prepared, PreparedMetadata,
    RowsOptions, RowsWriter, SchemaChange, Supported,
};
use crate::envelope_writer::{Encoding, EnvelopeWriter};
use crate::frame::Opcode;
use crate::primitives::{put_int, put_string};
use crate::version::Version;

/// Appends whole responses, each an envelope, to a buffer. Cheap to make: one per response will do.
///
/// In version 5 the envelopes still have to be put into segments:
/// [`SegmentRun`](crate::segment::SegmentRun).
#[derive(Debug)]
pub struct ResponseWriter<'b> {
    out: &'b mut BytesMut,
    encoding: Encoding,
}

impl<'b> ResponseWriter<'b> {
    /// A writer to the end of `out`.
    #[inline]
    pub const fn new(out: &'b mut BytesMut, encoding: Encoding) -> Self {
        Self { out, encoding }
    }

    #[inline]
    fn begin(self, stream: i16, opcode: Opcode, extras: &Extras<'_>) -> EnvelopeWriter<'b> {
        let flags = extras.flags(self.encoding.version);
        let mut envelope = EnvelopeWriter::begin(self.out, self.encoding, stream, opcode, flags);
        if flags != crate::frame::Flags::default() {
            extras.encode(flags, envelope.body());
        }
        envelope
    }

    #[inline]
    fn write(
        self,
        stream: i16,
        opcode: Opcode,
        extras: &Extras<'_>,
        body: impl FnOnce(&mut BytesMut, Version),
    ) {
        let version = self.encoding.version;
        let mut envelope = self.begin(stream, opcode, extras);
        body(envelope.body(), version);
        envelope.finish();
    }

    /// ERROR
    pub fn error(self, stream: i16, extras: &Extras<'_>, error: &ErrorResponse) {
        self.write(stream, Opcode::Error, extras, |out, version| {
            error.encode(version, out);
        });
    }

    /// READY
    pub fn ready(self, stream: i16) {
        self.write(stream, Opcode::Ready, &Extras::default(), |_, _| {});
    }

    /// AUTHENTICATE
    pub fn authenticate(self, stream: i16, response: &Authenticate<'_>) {
        self.write(stream, Opcode::Authenticate, &Extras::default(), |out, _| {
            response.encode(out);
        });
    }

    /// AUTH_CHALLENGE
    pub fn auth_challenge(self, stream: i16, response: &AuthChallenge<'_>) {
        self.write(stream, Opcode::AuthChallenge, &Extras::default(), |out, _| {
            response.encode(out);
        });
    }

    /// AUTH_SUCCESS
    pub fn auth_success(self, stream: i16, response: &AuthSuccess<'_>) {
        self.write(stream, Opcode::AuthSuccess, &Extras::default(), |out, _| {
            response.encode(out);
        });
    }

    /// SUPPORTED
    pub fn supported(self, stream: i16, response: &Supported<'_>) {
        self.write(stream, Opcode::Supported, &Extras::default(), |out, _| {
            response.encode(out);
        });
    }

    /// EVENT, on the stream of events.
    pub fn event(self, event: &Event) {
        self.write(Event::STREAM, Opcode::Event, &Extras::default(), |out, _| {
            event.encode(out);
        });
    }

    /// RESULT of kind Void.
    #[inline]
    pub fn void(self, stream: i16, extras: &Extras<'_>) {
        self.write(stream, Opcode::Result, extras, |out, _| put_int(out, kind::VOID));
    }

    /// RESULT of kind Set_keyspace.
    pub fn set_keyspace(self, stream: i16, extras: &Extras<'_>, keyspace: &str) {
        self.write(stream, Opcode::Result, extras, |out, _| {
            put_int(out, kind::SET_KEYSPACE);
            put_string(out, keyspace);
        });
    }

    /// RESULT of kind Schema_change.
    pub fn schema_change(self, stream: i16, extras: &Extras<'_>, change: &SchemaChange) {
        self.write(stream, Opcode::Result, extras, |out, _| {
            put_int(out, kind::SCHEMA_CHANGE);
            change.encode(out);
        });
    }

    /// RESULT of kind Prepared. `result_metadata_id` is sent in version 5 only; `result` has no
    /// columns if the statement gives no rows.
    pub fn prepared(
        self,
        stream: i16,
        extras: &Extras<'_>,
        id: &[u8],
        result_metadata_id: &[u8],
        bind_markers: &PreparedMetadata,
        result: &EncodedMetadata,
    ) {
        self.write(stream, Opcode::Result, extras, |out, version| {
            put_int(out, kind::PREPARED);
            Prepared::encode(out, version, (id, result_metadata_id), bind_markers, result);
        });
    }

    /// RESULT of kind Rows: the rows go to the sink that this returns.
    #[inline]
    pub fn rows(
        self,
        stream: i16,
        extras: &Extras<'_>,
        metadata: &EncodedMetadata,
        options: &RowsOptions<'_>,
    ) -> RowsWriter<'b> {
        let version = self.encoding.version;
        RowsWriter::begin(self.begin(stream, Opcode::Result, extras), version, metadata, options)
    }
}
