use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use dodona_types::Consistency;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::error::DecodeError;
use crate::version::Version;

fn written(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out);
    out
}

#[test]
fn vints_have_the_bytes_of_the_specifications_example() {
    let bytes = written(|out| put_unsigned_vint(out, 256_000));
    assert_eq!(bytes[..], [0b1100_0011, 0b1110_1000, 0]);
    let signed = [(0, 0), (-1, 1), (1, 2), (-2, 3), (2, 4), (-3, 5), (3, 6)];
    for (number, encoded) in signed {
        assert_eq!(written(|out| put_vint(out, number))[..], [encoded], "{number}");
    }
    assert_eq!(written(|out| put_unsigned_vint(out, u64::MAX))[..], [0xFF; 9]);
}

#[test]
fn values_tell_null_and_unset_from_empty() {
    let bytes = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFD];
    let mut reader = Reader::new(&bytes);
    assert_eq!(reader.value(Version::V4), Ok(Value::Null));
    assert_eq!(reader.value(Version::V4), Ok(Value::Unset));
    assert_eq!(reader.value(Version::V4), Ok(Value::Set(&[])));
    assert_eq!(reader.clone().value(Version::V4), Err(DecodeError::InvalidValueLength(-3)));
    assert_eq!(reader.value(Version::V3), Ok(Value::Null));
}

#[test]
fn a_count_that_cannot_fit_is_refused_at_once() {
    let bytes = [0xFF, 0xFF, 0, 1, b'a'];
    let expected = Err(DecodeError::Truncated { needed: 131_070, available: 3 });
    assert_eq!(Reader::new(&bytes).string_list(), expected);
    assert!(Reader::new(&bytes).string_map().is_err());
    assert!(Reader::new(&bytes).string_multimap().is_err());
    assert!(Reader::new(&bytes).bytes_map().is_err());
}

#[test]
fn text_too_long_for_its_length_field_is_cut_between_characters() {
    let text = "é".repeat(40_000);
    let bytes = written(|out| put_string(out, &text));
    assert_eq!(Reader::new(&bytes).string().unwrap(), "é".repeat(32_767));
}

proptest! {
    #[test]
    fn numbers_come_back(long: i64, unsigned: u64, shift in 0_u32..64, address: IpAddr, port: u16, id: u128) {
        let address = SocketAddr::new(address, port);
        let bytes = written(|out| {
            put_long(out, long);
            put_vint(out, long >> shift);
            put_unsigned_vint(out, unsigned >> shift);
            put_inet(out, address);
            put_uuid(out, Uuid::from_u128(id));
        });
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.long(), Ok(long));
        prop_assert_eq!(reader.vint(), Ok(long >> shift));
        prop_assert_eq!(reader.unsigned_vint(), Ok(unsigned >> shift));
        prop_assert_eq!(reader.inet(), Ok(address));
        prop_assert_eq!(reader.uuid(), Ok(Uuid::from_u128(id)));
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn texts_and_maps_come_back(
        text: String,
        list in prop::collection::vec(any::<String>(), 0..4),
        map in prop::collection::vec((any::<String>(), prop::collection::vec(any::<String>(), 0..3)), 0..3),
        payload in prop::collection::vec((any::<String>(), any::<Option<Vec<u8>>>()), 0..4),
    ) {
        let bytes = written(|out| {
            put_string(out, &text);
            put_long_string(out, &text);
            put_string_list(out, &list);
            put_string_multimap(out, &map);
            put_bytes_map(out, &payload);
        });
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.string(), Ok(&text[..]));
        prop_assert_eq!(reader.long_string(), Ok(&text[..]));
        prop_assert_eq!(reader.string_list().unwrap(), list);
        let map: Vec<(&str, Vec<&str>)> =
            map.iter().map(|(k, v)| (&k[..], v.iter().map(|v| &v[..]).collect())).collect();
        prop_assert_eq!(reader.string_multimap().unwrap(), map);
        let payload: BytesMap<'_> = payload.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
        prop_assert_eq!(reader.bytes_map().unwrap(), payload);
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        let reader = Reader::new(&bytes);
        let _ = reader.clone().unsigned_vint();
        let _ = reader.clone().vint();
        let _ = reader.clone().inet();
        let _ = reader.clone().bytes();
        let _ = reader.clone().long_string();
        let _ = reader.clone().string_map();
        let _ = reader.clone().string_multimap();
        let _ = reader.clone().bytes_map();
        for version in Version::ALL {
            let _ = reader.clone().value(version);
        }
    }
}

#[test]
fn every_consistency_level_comes_back_and_no_other_number_does() {
    for level in Consistency::ALL_LEVELS {
        let bytes = written(|out| put_consistency(out, level));
        assert_eq!(Reader::new(&bytes).consistency(), Ok(level));
    }
    assert_eq!(Reader::new(&[0, 11]).consistency(), Err(DecodeError::UnknownConsistency(11)));
}
