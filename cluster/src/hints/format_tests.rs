use super::*;
use proptest::prelude::*;

/// A file in memory.
struct Bytes(Vec<u8>);

impl DiskReader for Bytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = self.0.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn try_read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        self.read_at(offset, buffer).map(|()| true)
    }
}

fn file(mutations: &[Vec<u8>], has_end: bool) -> Vec<u8> {
    let mut out = Header { target: Uuid::from_u128(1), created_seconds: 5 }.encode();
    for mutation in mutations {
        let mutation = mutation.into();
        put_hint(&mut out, &Hint { written_seconds: 7, gc_grace_seconds: 9, mutation });
    }
    if has_end {
        let offset = out.len() as u64;
        put_end(&mut out, offset);
    }
    out
}

/// All mutations of a file, and how it ends.
fn read_all(bytes: Vec<u8>, chunk_bytes: usize) -> (Vec<Vec<u8>>, Next) {
    let (file, mut offset, mut all) = (Bytes(bytes), HEADER_BYTES as u64, Vec::new());
    loop {
        let (hints, next) = read(&file, offset, chunk_bytes).unwrap();
        all.extend(hints.into_iter().map(|hint| hint.mutation.into_owned()));
        match next {
            Next::At(next) => {
                assert!(next > offset);
                offset = next;
            }
            next => return (all, next),
        }
    }
}

#[test]
fn a_file_has_these_bytes() {
    let hex: String = file(&[vec![0xAB, 0xCD]], true).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "444f444f48494e5401000000000000000000000000000000000105000000000000000bbb6aa4\
         1f92de5f0f00000001070000000000000009000000abcd\
         8465094109000000023d00000000000000"
    );
}

#[test]
fn headers_that_are_none_are_told_apart() {
    let header = Header { target: Uuid::from_u128(1), created_seconds: -5 };
    let bytes = header.encode();
    assert_eq!((bytes.len(), Header::decode(&bytes)), (HEADER_BYTES, Ok(header)));
    assert_eq!(Header::decode(&bytes[..20]), Err(BadHeader::Torn));
    assert_eq!(Header::decode(&[0; 100]), Err(BadHeader::Torn));
    let with = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 2;
        Header::decode(&bytes)
    };
    assert_eq!(with(8), Err(BadHeader::Newer(3)));
    assert!(matches!((with(0), with(30)), (Err(BadHeader::Damaged(_)), Err(BadHeader::Damaged(_)))));
}

proptest! {
    #[test]
    fn hints_are_read_in_their_order_in_chunks_of_any_size(
        mutations in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
        chunk_bytes in 1usize..200, has_end: bool,
    ) {
        let (all, next) = read_all(file(&mutations, has_end), chunk_bytes);
        prop_assert_eq!((all, next), (mutations, Next::End));
    }

    #[test]
    fn a_torn_file_gives_what_is_whole(
        mutations in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..10),
        cut: usize, zeros in 0usize..40,
    ) {
        let mut bytes = file(&mutations, false);
        let cut = HEADER_BYTES + cut % (bytes.len() - HEADER_BYTES);
        bytes.truncate(cut);
        bytes.resize(cut + zeros, 0);
        let (all, next) = read_all(bytes, 64);
        prop_assert_eq!(next, Next::End);
        prop_assert!(all.len() < mutations.len() || zeros > 0);
        prop_assert!(mutations.starts_with(&all));
    }

    #[test]
    fn damage_in_a_whole_file_is_noticed_where_it_is(
        mutations in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..10),
        place: usize, bit in 0usize..8,
    ) {
        let mut bytes = file(&mutations, true);
        let at = HEADER_BYTES + place % (bytes.len() - END_BYTES - HEADER_BYTES);
        bytes[at] ^= 1 << bit;
        let (all, next) = read_all(bytes, 64);
        prop_assert!(mutations.starts_with(&all));
        let Next::Damaged(offset) = next else { panic!("{next:?}") };
        prop_assert!(offset <= at as u64);
    }

    #[test]
    fn hostile_bytes_are_read_without_a_panic(bytes: Vec<u8>, chunk_bytes in 8usize..100) {
        let _ = Header::decode(&bytes);
        let _ = read(&Bytes(bytes), 0, chunk_bytes);
    }
}
