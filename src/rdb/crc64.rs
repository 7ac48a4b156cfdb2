//! The checksum of RDB files and DUMP payloads: CRC-64/Jones, as Redis uses it.
//!
//! Polynomial 0xad93d23594c935a9, reflected, initial value zero, no final inversion. The better known CRC-64/XZ has
//! another polynomial and a real server rejects its results, so the check value is pinned by a test.
//!
//! The SIMD kernel has a fixed cost per call: callers gather pieces of several KiB (see [`PIECE_BYTES`]) rather than
//! summing record by record.

use crc_fast::{CrcAlgorithm, Digest};

/// How much the writer and the decoder let gather before they sum it: big enough to hide the cost per call, small
/// enough that the bytes are still in the first-level cache (48 KiB on current cores).
pub const PIECE_BYTES: usize = 16 * 1024;

/// A running checksum.
#[derive(Clone)]
pub struct Crc64 {
    digest: Digest,
}

impl Crc64 {
    /// The checksum of nothing, which is zero.
    pub fn new() -> Crc64 {
        Crc64 { digest: Digest::new(CrcAlgorithm::Crc64Redis) }
    }

    /// Appends `bytes` to what is summed.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The checksum of everything so far; more may follow.
    pub fn value(&self) -> u64 {
        self.digest.finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Crc64 {
        Crc64::new()
    }
}

/// The checksum of one whole buffer.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_is_that_of_the_jones_polynomial() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(b""), 0);
    }

    #[test]
    fn pieces_sum_to_the_whole() {
        let whole: Vec<u8> = (0..5000u32).map(|i| (i * 7 % 251) as u8).collect();
        for piece in [1, 3, 15, 16, 17, 255, 1024, 4999] {
            let mut crc = Crc64::new();
            whole.chunks(piece).for_each(|c| crc.update(c));
            assert_eq!(crc.value(), crc64(&whole), "pieces of {piece}");
        }
    }
}
