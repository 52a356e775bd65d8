//! Decoding hostile bytes allocates no more than a constant times their length.

#[path = "common/counting.rs"]
mod counting;

use counting::allocated;
use dodona_protocol::frame::{Direction, Flags, Header, Opcode};
use dodona_protocol::primitives::Reader;
use dodona_protocol::types_option::read_type;
use dodona_protocol::{Request, Response, Version};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// An element of 2 bytes on the wire can become a type of 24 bytes in a vector that doubles, and
/// then be copied once; nothing is worse.
const MOST_PER_BYTE: usize = 100;
/// Texts of errors and the like.
const FIXED: usize = 8_192;

/// Lengths of bodies; Miri, which runs this for what is unsafe here, is slow.
const LENGTHS: &[usize] = if cfg!(miri) { &[2] } else { &[0, 2, 64, 4_096, 140_000] };

fn assert_bounded(length: usize, what: &str, decode: impl FnOnce()) {
    let before = allocated();
    decode();
    let allocated = allocated() - before;
    assert!(allocated <= FIXED + MOST_PER_BYTE * length, "{what}: {allocated} bytes for {length}");
}

fn decode_everything(body: &[u8]) {
    for version in Version::ALL {
        for opcode in (0..=0x10).filter_map(Opcode::from_code) {
            let direction = opcode.direction();
            for flags in [0, 0x04, 0x0E] {
                let header =
                    Header { version, direction, flags: Flags(flags), stream: 0, opcode, body_bytes: 0 };
                assert_bounded(body.len(), opcode.name(), || match direction {
                    Direction::Request => drop(Request::decode(&header, body)),
                    Direction::Response => drop(Response::decode(&header, body)),
                });
            }
        }
    }
    assert_bounded(body.len(), "type", || drop(read_type(&mut Reader::new(body))));
}

#[test]
fn noise_and_lying_counts_allocate_in_proportion_to_their_length() {
    // Small numbers make counts and lengths that hold; 0xFF makes those that lie.
    let byte = prop_oneof![Just(0_u8), Just(0xFF), 0_u8..8, any::<u8>()];
    let bytes = prop::collection::vec(byte, 0..200);
    let config = if cfg!(miri) {
        Config { cases: 1, failure_persistence: None, ..Config::default() }
    } else {
        Config::default()
    };
    TestRunner::new(config)
        .run(&bytes, |bytes| {
            decode_everything(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn counts_at_their_limit_allocate_in_proportion_to_their_length() {
    for start in [&[][..], &[0, 0, 0, 2], &[0, 0, 0, 4], &[0, 0, 0x13, 0], &[0, 0x31], &[0, 0x30, 0, 0, 0, 0]]
    {
        for fill in [[0xFF, 0xFF], [0x7F, 0xFF], [0, 0x09], [0, 0x00], [0, 0x31]] {
            for length in LENGTHS {
                let body = [start, &[0xFF, 0xFF], &fill.repeat(length / 2)].concat();
                decode_everything(&body);
            }
        }
    }
}
