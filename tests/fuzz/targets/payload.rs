//! The payload of RESTORE: any value that is accepted comes back from its own DUMP, in every version that is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::rdb::dump::{OwnedValue, decode_payload, encode_payload};
use redpoll::rdb::{Options, ValueRef};
use redpoll::types::{Limits, Object};
use redpoll_fuzz::expand;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { list_max_listpack_size: 8, hash_max_listpack_entries: 8, ..Limits::default() };
    let _ = decode_payload(data, true, &limits);
    let mut payload = expand(data);
    payload.extend_from_slice(&[10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let Ok(value) = decode_payload(&payload, false, &limits) else { return };
    let compress = payload.len().is_multiple_of(2);
    for version in 10..=12 {
        let options = Options { compress, version, ..Options::default() };
        let again = encode_payload(by_ref(&value), options);
        let back = decode_payload(&again, true, &limits).expect("our own payload");
        assert_eq!(contents(&back), contents(&value), "version {version}");
    }
});

fn by_ref(value: &OwnedValue) -> ValueRef<'_> {
    match value {
        OwnedValue::Int(n) => ValueRef::Int(*n),
        OwnedValue::Str(bytes) => ValueRef::Str(bytes),
        OwnedValue::Object(object) => ValueRef::Object(object),
    }
}

/// What a value holds, whatever its encoding: an integer may come back as text, and text as an integer.
fn contents(value: &OwnedValue) -> Vec<Vec<u8>> {
    let object = match value {
        OwnedValue::Int(n) => return vec![n.to_string().into_bytes()],
        OwnedValue::Str(bytes) => return vec![bytes.clone()],
        OwnedValue::Object(object) => object,
    };
    let mut all = match object {
        Object::List(list) => return list.to_vecs(),
        Object::Set(set) => set.iter().map(|member| member.to_vec()).collect(),
        Object::Zset(zset) => {
            zset.iter().flat_map(|(member, score)| [member.to_vec(), (score + 0.0).to_le_bytes().to_vec()]).collect()
        }
        Object::Hash(hash) => hash
            .iter()
            .map(|field| [field.name.to_vec(), field.value.to_vec(), format!("{:?}", field.expiry_ms).into()].concat())
            .collect(),
        Object::Stream(stream) => {
            let (marks, groups) = (stream.marks(), stream.groups().count());
            vec![format!("{marks:?} {groups} groups").into_bytes()]
        }
    };
    if !matches!(object, Object::Zset(_)) {
        all.sort();
    }
    all
}
