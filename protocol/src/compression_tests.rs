use proptest::prelude::*;

use super::*;
use crate::envelope_writer::{Encoding, EnvelopeWriter};
use crate::frame::{EnvelopeRules, Opcode};

fn envelope_of(compression: Compression, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let encoding = Encoding::new(Version::V4, compression);
    let mut envelope = EnvelopeWriter::begin(&mut out, encoding, 1, Opcode::Query, Flags::default());
    envelope.body().put_slice(body);
    envelope.finish();
    out
}

proptest! {
    #[test]
    fn a_body_comes_back(body in proptest::collection::vec(0_u8..4, 0..5_000), random: Vec<u8>) {
        for compression in [Compression::None, Compression::Lz4, Compression::Snappy] {
            for body in [&body, &random] {
                let bytes = envelope_of(compression, body);
                let (envelope, used) = EnvelopeRules::server(1 << 20).next(&bytes).unwrap().unwrap();
                prop_assert_eq!(used, bytes.len());
                prop_assert!(envelope.body.len() <= body.len());
                let mut scratch = Vec::new();
                prop_assert_eq!(compression.body(&envelope, 1 << 20, &mut scratch).unwrap(), &body[..]);
            }
        }
    }

    #[test]
    fn hostile_bodies_neither_panic_nor_grow(body: Vec<u8>) {
        for compression in [Compression::None, Compression::Lz4, Compression::Snappy] {
            let mut out = Vec::new();
            let _ = compression.decompress(&body, 1 << 20, &mut out);
            prop_assert!(out.len() <= body.len() * 255);
        }
    }
}

#[test]
fn an_lz4_body_starts_with_its_big_endian_length() {
    let bytes = envelope_of(Compression::Lz4, &[7; 1_000]);
    assert_eq!(bytes[1], Flags::COMPRESSED.0);
    assert_eq!(bytes[9..13], [0, 0, 3, 0xE8]);
}

#[test]
fn a_claimed_length_is_refused_before_anything_is_allocated() {
    let mut out = Vec::new();
    let claims_a_gigabyte = [0x40, 0, 0, 0, 0x10, 0x41];
    let error = Compression::Lz4.decompress(&claims_a_gigabyte, 1 << 20, &mut out).unwrap_err();
    assert_eq!(error, DecodeError::TooLong { length: 1 << 30, limit: 1 << 20 });
    assert!(Compression::Lz4.decompress(&claims_a_gigabyte, usize::MAX, &mut out).is_err());
    let snappy_gigabyte = [0x80, 0x80, 0x80, 0x80, 0x04, 0x00];
    assert!(Compression::Snappy.decompress(&snappy_gigabyte, usize::MAX, &mut out).is_err());
    assert_eq!(out.capacity(), 0);
}

#[test]
fn an_empty_body_can_be_compressed() {
    let mut out = vec![1];
    Compression::Lz4.decompress(&[0, 0, 0, 0, 0], 10, &mut out).unwrap();
    assert!(out.is_empty());
    Compression::Snappy.decompress(&[0], 10, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn names_are_found_in_any_case() {
    assert_eq!(Compression::from_name("LZ4"), Some(Compression::Lz4));
    assert_eq!(Compression::from_name("snappy"), Some(Compression::Snappy));
    assert_eq!(Compression::from_name(""), None);
    assert_eq!(Compression::from_name("zstd"), None);
}
