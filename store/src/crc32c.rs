//! CRC-32C (Castagnoli), the checksum of iSCSI (RFC 3720, B.4) and ext4 metadata.
//!
//! The engine below uses CRC-32/ISO-HDLC for its own frames; a different polynomial here means that
//! one fault does not fool both.

/// Checksum of several byte slices as if they were one.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut crc = !0_u32;
    for byte in parts.iter().copied().flatten() {
        let index = (crc ^ u32::from(*byte)) & 0xff;
        crc = (crc >> 8) ^ TABLE[index as usize];
    }
    !crc
}

const POLYNOMIAL_REFLECTED: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ POLYNOMIAL_REFLECTED
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // RFC 3720 B.4 and the customary check value.
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c(&[&[0xff; 32]]), 0x62a8_ab43);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
    }
}
