//! Numbers, durations, UUIDs and hexadecimal constants.

use super::{Invalid, TokenKind};

/// The length of a UUID in text.
pub(super) const UUID_LENGTH: usize = 36;

/// True if the text starts with a UUID.
pub(super) fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Most words are shorter, or have no minus sign here.
    bytes.get(8) == Some(&b'-')
        && bytes.len() >= UUID_LENGTH
        && bytes[..UUID_LENGTH].iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The kind and the length of the constant that starts with a digit, or a minus sign and one.
pub(super) fn scan(text: &str) -> (TokenKind, usize) {
    if is_uuid(text) {
        return (TokenKind::Uuid, UUID_LENGTH);
    }
    let bytes = text.as_bytes();
    if matches!(bytes, [b'0', b'x' | b'X', ..]) {
        let length = bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        return (TokenKind::Hex, length + 2);
    }
    let sign = usize::from(bytes[0] == b'-');
    let whole = sign + digits(&bytes[sign..]);
    if unit(&text[whole..]).is_some() {
        return duration(text, whole);
    }
    fraction(bytes, whole)
}

/// An integer of `whole` bytes, or a float that starts with it. Two points are a range.
fn fraction(bytes: &[u8], whole: usize) -> (TokenKind, usize) {
    let mut end = whole;
    let points = bytes[whole..].iter().take(3).take_while(|byte| **byte == b'.').count();
    if points == 1 || points == 3 {
        end += 1 + if points == 1 { digits(&bytes[whole + 1..]) } else { 0 };
    }
    end += exponent(&bytes[end..]);
    (if end == whole { TokenKind::Integer } else { TokenKind::Float }, end)
}

/// The length of the exponent that starts here, 0 if there is none.
fn exponent(bytes: &[u8]) -> usize {
    let sign = match bytes {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return 0,
    };
    match digits(&bytes[sign..]) {
        0 => 0,
        count => sign + count,
    }
}

/// The length of the duration's unit that starts here.
fn unit(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let second = bytes.get(1).map(u8::to_ascii_lowercase);
    match bytes.first()?.to_ascii_lowercase() {
        b'm' if matches!(second, Some(b'o' | b's')) => Some(2),
        b'y' | b'w' | b'd' | b'h' | b'm' | b's' => Some(1),
        b'u' | b'n' if second == Some(b's') => Some(2),
        _ if text.starts_with("\u{b5}s") || text.starts_with("\u{b5}S") => Some(3),
        _ => None,
    }
}

/// A duration whose first number is `end` bytes long and has a unit after it.
fn duration(text: &str, mut end: usize) -> (TokenKind, usize) {
    while let Some(length) = unit(&text[end..]) {
        end += length;
        let count = digits(&text.as_bytes()[end..]);
        if count == 0 {
            return (TokenKind::Duration, end);
        }
        end += count;
    }
    (TokenKind::Invalid(Invalid::Character), end)
}

/// The length of the ISO 8601 duration that the text starts with, if it does: `P1Y2M3DT4H5M6S`,
/// `P1W` or `P0001-02-03T04:05:06`.
pub(super) fn iso_duration(text: &str) -> Option<usize> {
    let body = text.strip_prefix('P')?;
    if let Some(length) = iso_alternative(body) {
        return Some(length + 1);
    }
    let mut length = designators(body, b"YMD");
    if length == 0 {
        length = designators(body, b"W");
    }
    if !body[..length].ends_with('W') && body[length..].starts_with('T') {
        let time = designators(&body[length + 1..], b"HMS");
        length += if time == 0 { 0 } else { time + 1 };
    }
    (length > 0).then_some(length + 1)
}

/// The length of numbers that are each followed by one of the designators, in their order.
fn designators(text: &str, mut allowed: &[u8]) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    loop {
        let count = digits(&bytes[end..]);
        let designator = bytes.get(end + count);
        let Some(found) = allowed.iter().position(|byte| Some(byte) == designator).filter(|_| count > 0)
        else {
            return end;
        };
        allowed = &allowed[found + 1..];
        end += count + 1;
    }
}

fn iso_alternative(body: &str) -> Option<usize> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let bytes = body.as_bytes().get(..SHAPE.len())?;
    let fits = |(byte, shape): (&u8, &u8)| {
        if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape }
    };
    bytes.iter().zip(SHAPE).all(fits).then_some(SHAPE.len())
}
