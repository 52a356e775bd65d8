//! The two checksums of segments.

/// Start value of the header's checksum.
const CRC24_INIT: u32 = 0x0087_5060;
/// Generator of the header's checksum, with its leading bit.
const CRC24_POLYNOMIAL: u32 = 0x0197_4F0B;
/// Fed to the CRC32 before the payload, so that zeros do not have the checksum zero.
const CRC32_PREFIX: [u8; 4] = [0xFA, 0x2D, 0x55, 0xCA];
/// CRC32 (IEEE) of [`CRC32_PREFIX`].
const CRC32_INIT: u32 = crc32_of_prefix();
const CRC24_TABLE: [u32; 256] = crc24_table();

/// CRC24 of the fields of a segment's header, in the order of the wire.
#[must_use]
#[inline]
pub fn crc24(fields: &[u8]) -> u32 {
    fields.iter().fold(CRC24_INIT, |crc, byte| {
        let index = (crc >> 16) as u8 ^ byte;
        ((crc << 8) ^ CRC24_TABLE[usize::from(index)]) & 0x00FF_FFFF
    })
}

/// CRC32 of a segment's payload as it travels.
#[must_use]
#[inline]
pub fn crc32(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(CRC32_INIT);
    hasher.update(payload);
    hasher.finalize()
}

/// For each first byte, what the eight shifts that consume it add to the checksum.
const fn crc24_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = (byte as u32) << 16;
        let mut bit = 0;
        while bit < 8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= CRC24_POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

const fn crc32_of_prefix() -> u32 {
    let mut crc = u32::MAX;
    let mut index = 0;
    while index < CRC32_PREFIX.len() {
        crc ^= CRC32_PREFIX[index] as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xEDB8_8320 };
            bit += 1;
        }
        index += 1;
    }
    !crc
}
