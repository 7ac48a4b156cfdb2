//! The RDB decoder: the same items and the same error, at the same offsets, however the bytes are cut; nothing consumed past the end; and
//! memory for what has come, not for what is declared (libFuzzer's malloc limit).
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::rdb::{Decoder, Item, Value};
use redpoll::types::Limits;
use redpoll_fuzz::{expand, pieces, split};

#[derive(PartialEq, Debug)]
struct Decoded {
    /// Each item's text, its value if that is large, and the offset after it.
    items: Vec<(String, Vec<u8>, u64)>,
    error: Option<String>,
    consumed: usize,
}

fuzz_target!(|data: &[u8]| {
    let Some((seed, rest)) = split(data) else { return };
    let input = expand(rest);
    // The lowest bit: checksums are verified or not (wrong ones end an input early).
    let verify = seed & 1 == 0;
    assert_eq!(decode(0, &input, verify), decode(seed | 1, &input, verify));
});

fn decode(seed: u32, input: &[u8], verify: bool) -> Decoded {
    let mut decoder = Decoder::new(verify, Limits::default());
    let mut decoded = Decoded { items: Vec::new(), error: None, consumed: 0 };
    for piece in pieces(seed, input) {
        let mut feed = decoder.feed(piece);
        let ended = loop {
            match feed.next().map(|item| item.map(described)) {
                Ok(Some((text, value))) => decoded.items.push((text, value, feed.offset())),
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        let consumed = feed.consumed();
        drop(feed);
        decoded.consumed += consumed;
        if ended.is_some() {
            decoded.error = ended;
            // How much of the chunk was looked at depends on the chunks.
            decoded.consumed = 0;
            return decoded;
        }
        assert!(consumed == piece.len() || decoder.is_done(), "bytes were left over before the end");
        if decoder.is_done() {
            break;
        }
    }
    decoded.error = decoder.finish().err().map(|error| error.to_string());
    decoded
}

fn described(item: Item<'_>) -> (String, Vec<u8>) {
    match item {
        Item::Record { expire_ms, eviction, key, value: Value::Owned(bytes) } => {
            (format!("{expire_ms:?} {eviction:?} {key:?}"), bytes)
        }
        other => (format!("{other:?}"), Vec::new()),
    }
}
