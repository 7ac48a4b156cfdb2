//! LZF: what is packed unpacks to itself, and arbitrary bytes unpack to the declared length or not at all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::rdb::lzf::{Compressor, decompress};
use redpoll_fuzz::expand;
use std::cell::RefCell;

thread_local! {
    /// Outlives an input, as in the server: what an earlier one left in its table must not matter.
    static COMPRESSOR: RefCell<Compressor> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let Some((len, packed)) = data.split_first_chunk() else { return };
    let len = u32::from_le_bytes(*len) as usize;
    let mut out = Vec::new();
    for len in [len, len & 0xfff, len & 0x3f] {
        if decompress(packed, len, &mut out) {
            assert_eq!(out.len(), len);
            round_trip(&out);
        }
    }
    round_trip(&expand(packed));
});

fn round_trip(input: &[u8]) {
    let mut packed = b"before".to_vec();
    let limit = input.len().saturating_sub(4);
    match COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(input, &mut packed, limit)) {
        Some(len) => {
            assert!(len <= limit && packed.len() == 6 + len);
            let mut out = Vec::new();
            assert!(decompress(&packed[6..], input.len(), &mut out));
            assert_eq!(out, input);
        }
        None => assert_eq!(packed, b"before"),
    }
}
