//! Bounded readers and writers of the pieces that wire values are made of.

use super::ValueError;

/// Takes the first `length` bytes, `None` if there are fewer.
pub(crate) fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = input.split_at_checked(length)?;
    *input = tail;
    Some(head)
}

/// Takes the first `N` bytes, `None` if there are fewer.
pub(crate) fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = input.split_first_chunk::<N>()?;
    *input = tail;
    Some(*head)
}

/// Takes a big-endian 32-bit length or count, `None` if fewer than 4 bytes are left.
pub fn read_length(input: &mut &[u8]) -> Option<i32> {
    take_array(input).map(i32::from_be_bytes)
}

/// Takes a `[bytes]`: a 32-bit length and as many bytes. The outer `None` says that too few
/// bytes are left, the inner one is a null (a negative length).
pub fn read_bytes<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match usize::try_from(read_length(input)?) {
        Ok(length) => take(input, length).map(Some),
        Err(_) => Some(None),
    }
}

/// The elements of a list's or a set's wire bytes; a null one is none.
pub fn elements(collection: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = collection;
    let count = read_length(&mut rest).unwrap_or(0).max(0);
    (0..count).map_while(move |_| read_bytes(&mut rest))
}

/// The entries of a map's wire bytes.
pub fn map_entries(map: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = map;
    let count = read_length(&mut rest).unwrap_or(0).max(0);
    (0..count).map_while(move |_| Some((read_bytes(&mut rest)??, read_bytes(&mut rest)??)))
}

/// Appends a `[bytes]`; null has the length -1.
///
/// # Errors
/// The value is longer than 2 GiB.
pub fn write_bytes(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), ValueError> {
    match value {
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(bytes) => {
            out.extend_from_slice(&checked_length(bytes.len())?.to_be_bytes());
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}

/// The wire bytes of a list, or of a set whose elements come in its order.
///
/// # Errors
/// As [`write_bytes`].
pub fn elements_to_wire<'a>(elements: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, ValueError> {
    counted(elements, |element, out| write_bytes(Some(element), out))
}

/// The wire bytes of a map whose entries come in its order.
///
/// # Errors
/// As [`write_bytes`].
pub fn map_to_wire<'a>(
    entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Vec<u8>, ValueError> {
    counted(entries, |(key, value), out| {
        write_bytes(Some(key), out)?;
        write_bytes(Some(value), out)
    })
}

/// What is written one after another, behind how many there were.
fn counted<T>(
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut Vec<u8>) -> Result<(), ValueError>,
) -> Result<Vec<u8>, ValueError> {
    let mut out = vec![0; 4];
    let mut count = 0;
    for item in items {
        write(item, &mut out)?;
        count += 1;
    }
    out[..4].copy_from_slice(&checked_length(count)?.to_be_bytes());
    Ok(out)
}

/// A length as a 32-bit number.
pub(crate) fn checked_length(length: usize) -> Result<i32, ValueError> {
    i32::try_from(length).map_err(|_| ValueError::new("A value is longer than 2 GiB"))
}

/// Appends what `write` appends as a `[bytes]`, with its length before it.
pub(crate) fn write_sized<E: From<ValueError>>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = checked_length(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Takes an unsigned variable-length integer (Cassandra's `VIntCoding`): as many leading one
/// bits in the first byte as bytes follow it.
pub fn read_unsigned_vint(input: &mut &[u8]) -> Option<u64> {
    let (&first, tail) = input.split_first()?;
    let extra = first.leading_ones() as usize;
    let (bytes, rest) = tail.split_at_checked(extra)?;
    let head = u64::from(first) & (0xFFu64.checked_shr(extra as u32 + 1).unwrap_or(0));
    *input = rest;
    Some(bytes.iter().fold(head, |value, byte| (value << 8) | u64::from(*byte)))
}

/// Appends an unsigned variable-length integer in as few bytes as it needs.
pub fn write_unsigned_vint(value: u64, out: &mut Vec<u8>) {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    let extra = if bits > 56 { 8 } else { (bits - 1) / 7 };
    let bytes = value.to_be_bytes();
    if extra == 8 {
        out.push(0xFF);
        out.extend_from_slice(&bytes);
        return;
    }
    let start = out.len();
    out.extend_from_slice(&bytes[7 - extra..]);
    out[start] |= !(0xFFu16 >> extra) as u8;
}

/// Takes a signed variable-length integer (zigzag).
pub fn read_vint(input: &mut &[u8]) -> Option<i64> {
    read_unsigned_vint(input).map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Appends a signed variable-length integer (zigzag).
pub fn write_vint(value: i64, out: &mut Vec<u8>) {
    write_unsigned_vint(((value << 1) ^ (value >> 63)) as u64, out);
}
