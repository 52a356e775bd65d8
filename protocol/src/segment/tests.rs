use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::frame::{Direction, EnvelopeRules, Flags, HEADER_BYTES, Header, Opcode};
use crate::version::Version;

const RULES: EnvelopeRules = EnvelopeRules::server(1 << 20);
const FORMATS: [SegmentFormat; 2] = [SegmentFormat::Plain, SegmentFormat::Lz4];

fn envelope(body: &[u8]) -> Vec<u8> {
    let header = Header {
        version: Version::V5,
        direction: Direction::Request,
        flags: Flags::default(),
        stream: 3,
        opcode: Opcode::Query,
        body_bytes: u32::try_from(body.len()).unwrap(),
    };
    [&header.encode()[..], body].concat()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(step).collect()
}

/// All envelopes' bytes, and how many runs they came in.
fn read_all(format: SegmentFormat, mut bytes: &[u8]) -> Result<(Vec<u8>, usize), SegmentError> {
    let mut reader = SegmentReader::new(format, RULES);
    let (mut all, mut runs) = (Vec::new(), 0);
    loop {
        let consumed = match reader.next(bytes)? {
            Step::Incomplete => return Ok((all, runs)),
            Step::Partial { consumed } => consumed,
            Step::Envelopes { envelopes, consumed } => {
                all.extend_from_slice(envelopes);
                runs += 1;
                consumed
            }
        };
        bytes = &bytes[consumed..];
    }
}

fn sealed(format: SegmentFormat, envelopes: &[u8]) -> BytesMut {
    let mut out = BytesMut::from(&b"before"[..]);
    let run = SegmentRun::begin(&mut out, format);
    out.put_slice(envelopes);
    run.seal(&mut out);
    assert_eq!(out.split_to(6)[..], b"before"[..]);
    out
}

#[test]
fn a_plain_segment_has_the_bytes_of_the_specification() {
    let options = [5, 0, 0, 0, 5, 0, 0, 0, 0];
    // 9 | self-contained << 17, little-endian; checksums by an independent implementation.
    let expected = [&[0x09, 0x00, 0x02, 0xA4, 0xC8, 0xC1][..], &options, &[0x10, 0x86, 0x28, 0x4D]].concat();
    assert_eq!(sealed(SegmentFormat::Plain, &options)[..], expected);
}

#[test]
fn small_envelopes_share_a_segment_and_a_large_one_spans_several() {
    for format in FORMATS {
        let (small, large) = (envelope(b"abc"), envelope(&noise(300_000)));
        let run = [&small[..], &small, &large, &small].concat();
        let bytes = sealed(format, &run);
        assert_eq!(read_all(format, &bytes), Ok((run, 3)));
        let full = envelope(&noise(MAX_PAYLOAD_BYTES - HEADER_BYTES));
        assert_eq!(read_all(format, &sealed(format, &full)), Ok((full, 1)));
    }
}

#[test]
fn nothing_written_is_no_segment() {
    for format in FORMATS {
        assert!(sealed(format, &[]).is_empty());
    }
}

#[test]
fn what_does_not_compress_is_sent_as_it_is_with_an_uncompressed_length_of_zero() {
    let run = envelope(&noise(100));
    let bytes = sealed(SegmentFormat::Lz4, &run);
    assert_eq!(bytes.len(), 8 + run.len() + 4);
    let fields = u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], 0, 0, 0]);
    assert_eq!(fields, run.len() as u64 | 1 << 34);
    assert_eq!(read_all(SegmentFormat::Lz4, &bytes), Ok((run, 1)));
}

#[test]
fn every_flipped_bit_is_noticed() {
    for format in FORMATS {
        let bytes = sealed(format, &envelope(&[b"abcdefgh".repeat(20), noise(20)].concat())).to_vec();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read_all(format, &damaged).is_err(), "{format:?}, bit {bit}");
        }
    }
}

#[test]
fn a_message_above_the_limit_is_refused_by_its_first_segment() {
    let run = envelope(&noise((1 << 20) + 1));
    let bytes = sealed(SegmentFormat::Plain, &run);
    let mut reader = SegmentReader::new(SegmentFormat::Plain, RULES);
    assert!(matches!(reader.next(&bytes), Err(SegmentError::Frame(_))));
}

#[test]
fn a_self_contained_segment_within_a_message_is_refused() {
    let large = sealed(SegmentFormat::Plain, &envelope(&noise(200_000)));
    let first = &large[..6 + MAX_PAYLOAD_BYTES + 4];
    let mixed = [first, &sealed(SegmentFormat::Plain, &envelope(b"x"))].concat();
    assert_eq!(read_all(SegmentFormat::Plain, &mixed), Err(SegmentError::MixedSegments));
}

#[test]
fn the_memory_of_a_long_message_is_given_back() {
    let bytes = sealed(SegmentFormat::Plain, &envelope(&noise(900_000)));
    let mut reader = SegmentReader::new(SegmentFormat::Plain, RULES);
    let mut rest = &bytes[..];
    loop {
        match reader.next(rest).unwrap() {
            Step::Incomplete => break,
            Step::Partial { consumed } | Step::Envelopes { consumed, .. } => rest = &rest[consumed..],
        }
    }
    assert!(reader.held_bytes() <= MAX_PAYLOAD_BYTES);
}

proptest! {
    #[test]
    fn envelopes_of_all_lengths_come_back(lengths in proptest::collection::vec(0_usize..100_000, 0..8)) {
        let body = noise(100_000);
        let run = lengths.iter().map(|length| envelope(&body[..*length])).collect::<Vec<_>>().concat();
        for format in FORMATS {
            prop_assert_eq!(read_all(format, &sealed(format, &run)).unwrap().0, run.clone());
        }
    }

    #[test]
    fn a_cut_segment_is_incomplete_and_noise_is_an_error_or_incomplete(cut in 0.0..1.0_f64, bytes: Vec<u8>) {
        for format in FORMATS {
            let whole = sealed(format, &envelope(b"some text, some text, some text"));
            let cut = (whole.len() as f64 * cut) as usize;
            prop_assert_eq!(read_all(format, &whole[..cut]), Ok((vec![], 0)));
            let _ = read_all(format, &bytes);
        }
    }
}
