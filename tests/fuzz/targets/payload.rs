//! The payload of RESTORE: any value that is accepted comes back from its own DUMP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::rdb::dump::{OwnedValue, decode_payload, encode_payload};
use redpoll::rdb::{Options, ValueRef};
use redpoll_fuzz::expand;

fuzz_target!(|data: &[u8]| {
    let _ = decode_payload(data, true, &Limits::default());
    let mut payload = expand(data);
    payload.extend_from_slice(&[10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let Ok(value) = decode_payload(&payload, false, &Limits::default()) else { return };
    let compress = payload.len().is_multiple_of(2);
    let again = encode_payload(by_ref(&value), Options { compress, ..Options::default() });
    let back = decode_payload(&again, true, &Limits::default()).expect("our own payload");
    assert_eq!(text(&back), text(&value));
});

fn by_ref(value: &OwnedValue) -> ValueRef<'_> {
    match value {
        OwnedValue::Int(n) => ValueRef::Int(*n),
        OwnedValue::Str(bytes) => ValueRef::Str(bytes),
        _ => unreachable!("strings are all there is"),
    }
}

/// A value's bytes: an integer may come back as text, and text as an integer.
fn text(value: &OwnedValue) -> Vec<u8> {
    match value {
        OwnedValue::Int(n) => n.to_string().into_bytes(),
        OwnedValue::Str(bytes) => bytes.clone(),
        _ => unreachable!("strings are all there is"),
    }
}
