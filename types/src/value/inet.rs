//! `inet` text, as Java's `InetAddress` prints it and reads it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ValueError;

/// The address as `InetAddress.getHostAddress` prints it: an IPv6 address has all its eight
/// groups, and one that maps an IPv4 address is that address.
#[must_use]
pub fn format_inet(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => v6.segments().map(|group| format!("{group:x}")).join(":"),
        },
    }
}

/// The wire bytes of an address.
#[must_use]
pub fn inet_to_wire(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Reads an address. Names are refused: they would have to be looked up in the network.
///
/// # Errors
/// The text is not an IPv4 or IPv6 address.
pub fn parse_inet(text: &str) -> Result<IpAddr, ValueError> {
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => Ok(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)),
        Ok(address) => Ok(address),
        Err(_) => match parse_short_v4(bare) {
            Some(v4) => Ok(IpAddr::V4(v4)),
            None => Err(ValueError::new(format!("Unable to make inet address from '{text}'"))),
        },
    }
}

/// Reads one to three numbers with points between them: the last fills the bytes that are left.
fn parse_short_v4(text: &str) -> Option<Ipv4Addr> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 3 || !parts.iter().all(|part| is_number(part)) {
        return None;
    }
    let (last, first) = parts.split_last()?;
    let last: u32 = last.parse().ok()?;
    let bytes_left = 4 - first.len();
    if bytes_left < 4 && last >> (8 * bytes_left) != 0 {
        return None;
    }
    let mut address = last.to_be_bytes();
    for (place, part) in address.iter_mut().zip(first) {
        *place = part.parse().ok()?;
    }
    Some(Ipv4Addr::from(address))
}

/// The address that 4 or 16 wire bytes stand for.
pub(crate) fn decode_inet(wire: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(wire) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    <[u8; 16]>::try_from(wire).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
}

/// Appends the address's 4 or 16 bytes.
pub(crate) fn encode_inet(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
}
