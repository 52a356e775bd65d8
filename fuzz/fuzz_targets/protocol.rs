//! Bytes from a peer, of every version and compression, as they come and inside valid frames.
//! Whatever decodes as a request must be the same request after a round trip.
#![no_main]

use bytes::BytesMut;
use dodona_protocol::segment::{Step, append_segments};
use dodona_protocol::{
    Compression, Direction, Encoding, Envelope, EnvelopeRules, Flags, Header, Opcode, Request, RequestExtras,
    Response, SegmentFormat, SegmentReader, Version,
};
use libfuzzer_sys::fuzz_target;

const MAX_BODY_BYTES: usize = 1 << 16;
const VERSIONS: [Version; 3] = [Version::V3, Version::V4, Version::V5];
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Snappy];

fuzz_target!(|input: &[u8]| {
    let Some((&[choice, opcode, flags], rest)) = input.split_first_chunk() else { return };
    let (version, choice) = (VERSIONS[usize::from(choice) % 3], usize::from(choice) / 3);
    let (compression, choice) = (COMPRESSIONS[choice % 3], choice / 3);
    let direction = if choice % 2 == 0 { Direction::Request } else { Direction::Response };
    let rules = EnvelopeRules { direction, version: Some(version), max_body_bytes: MAX_BODY_BYTES };
    if choice / 2 % 2 == 0 {
        connection(rules, compression, rest);
        return;
    }
    let Some(opcode) = Opcode::from_code(opcode) else { return };
    let body_bytes = rest.len() as u32;
    message(&Header { version, direction, flags: Flags(flags), stream: 7, opcode, body_bytes }, rest);
});

/// The bytes of a connection: envelopes, or segments with envelopes.
fn connection(rules: EnvelopeRules, compression: Compression, bytes: &[u8]) {
    if rules.version < Some(Version::V5) {
        envelopes(rules, compression, bytes);
        return;
    }
    let format = if compression == Compression::Lz4 { SegmentFormat::Lz4 } else { SegmentFormat::Plain };
    segments(SegmentReader::new(format, rules), rules, bytes);
    // The same bytes as the payload of valid segments, which random checksums would never be.
    let mut valid = BytesMut::new();
    append_segments(format, bytes, &mut valid);
    segments(SegmentReader::new(format, rules), rules, &valid);
}

fn segments(mut reader: SegmentReader, rules: EnvelopeRules, mut bytes: &[u8]) {
    loop {
        let consumed = match reader.next(bytes) {
            Err(_) | Ok(Step::Incomplete) => return,
            Ok(Step::Partial { consumed }) => consumed,
            Ok(Step::Envelopes { envelopes: complete, consumed }) => {
                envelopes(rules, Compression::None, complete);
                consumed
            }
        };
        bytes = &bytes[consumed..];
        assert!(reader.held_bytes() <= 4 * MAX_BODY_BYTES + (1 << 18), "memory beyond what has arrived");
    }
}

fn envelopes(rules: EnvelopeRules, compression: Compression, mut bytes: &[u8]) {
    let mut scratch = Vec::new();
    while let Ok(Some((envelope, length))) = rules.next(bytes) {
        let Envelope { header, .. } = envelope;
        let Ok(body) = compression.body(&envelope, MAX_BODY_BYTES, &mut scratch) else { return };
        assert!(body.len() <= MAX_BODY_BYTES);
        message(&header, body);
        bytes = &bytes[length..];
    }
}

fn message(header: &Header, body: &[u8]) {
    if header.direction == Direction::Response {
        let _ = Response::decode(header, body);
        return;
    }
    let Ok(decoded) = Request::decode(header, body) else { return };
    // The bytes of a client may say the same in several ways, ours say it in one.
    let encoded = encode(header, &decoded);
    let rules = EnvelopeRules {
        direction: Direction::Request,
        version: Some(header.version),
        max_body_bytes: usize::MAX,
    };
    let (again, length) = rules.next(&encoded).expect("a valid envelope").expect("a whole envelope");
    assert_eq!(length, encoded.len());
    let again = Request::decode(&again.header, again.body).expect("a request that was encoded");
    assert_eq!(encode(header, &again), encoded, "{decoded:?} came back as {again:?}");
}

fn encode(header: &Header, (extras, request): &(RequestExtras<'_>, Request<'_>)) -> BytesMut {
    let encoding = Encoding { version: header.version, compression: Compression::None };
    let mut encoded = BytesMut::new();
    request.encode(encoding, header.stream, extras, &mut encoded);
    encoded
}
