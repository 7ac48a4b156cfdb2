//! Properties of the RDB codec: what is written comes back; how the input is cut does not matter; nothing panics.

use proptest::prelude::*;
use redpoll::rdb::dump::decode_payload;
use redpoll::rdb::{Checksum, Decoder, Error, Eviction, Item, Options, RecordRef, Value, ValueRef, Writer};

#[derive(Clone, Debug)]
struct Record {
    expire_ms: Option<i64>,
    eviction: Eviction,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Strings of every form: short, numeric, compressible, binary, and of the size that is delivered owned.
fn string() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..80),
        3 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        2 => (-40_000i64..40_000).prop_map(|n| n.to_string().into_bytes()),
        2 => (prop::collection::vec(any::<u8>(), 1..9), 1usize..300).prop_map(|(s, n)| s.repeat(n)),
        1 => (any::<u8>(), 16_000usize..20_000).prop_map(|(b, n)| vec![b; n]),
        1 => (any::<u64>(), 16_000usize..20_000).prop_map(|(seed, n)| noise(seed, n)),
    ]
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed | 1;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    })
    .take(len)
    .collect()
}

fn record() -> impl Strategy<Value = Record> {
    let eviction = prop_oneof![
        Just(Eviction::None),
        any::<u64>().prop_map(Eviction::IdleSeconds),
        any::<u8>().prop_map(Eviction::Frequency)
    ];
    (any::<Option<i64>>(), eviction, string(), string())
        .prop_map(|(expire_ms, eviction, key, value)| Record { expire_ms, eviction, key, value })
}

fn write(records: &[Record], options: Options) -> Vec<u8> {
    let mut writer = Writer::new(options);
    writer.header();
    writer.aux(b"redis-ver", b"7.2.4");
    writer.function(b"#!lua name=lib\n");
    writer.select_db(3);
    writer.resize_db(records.len() as u64, 0);
    for Record { expire_ms, eviction, key, value } in records {
        let value = ValueRef::Str(value);
        writer.record(&RecordRef { expire_ms: *expire_ms, eviction: *eviction, key, value });
    }
    writer.eof();
    writer.take()
}

/// Feeds `bytes` in chunks whose sizes are `sizes` in turn, and gives each item to `see`.
fn decode(bytes: &[u8], sizes: &[usize], mut see: impl FnMut(Item<'_>)) -> Result<(), Error> {
    let mut decoder = Decoder::new(true);
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() && !decoder.is_done() {
        let size = sizes.next().map_or(rest.len(), |&size| size.min(rest.len()));
        let mut feed = decoder.feed(&rest[..size]);
        while let Some(item) = feed.next()? {
            see(item);
        }
        rest = &rest[size..];
    }
    decoder.finish()
}

/// All that can be told of a decoding: the items, then how it ended.
fn transcript(bytes: &[u8], sizes: &[usize]) -> (Vec<String>, Result<(), Error>) {
    let mut items = Vec::new();
    let end = decode(bytes, sizes, |item| items.push(format!("{item:?}")));
    (items, end)
}

fn text(value: Value<'_>) -> Vec<u8> {
    match value {
        Value::Int(n) => n.to_string().into_bytes(),
        Value::Str(bytes) => bytes.to_vec(),
        Value::Owned(bytes) => bytes,
        other => panic!("no string: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_comes_back(
        records in prop::collection::vec(record(), 0..12), compress: bool, checksum: bool,
        sizes in prop::collection::vec(1usize..5000, 1..6)) {
        let bytes = write(&records, Options { compress, checksum, ..Options::default() });
        let mut back = Vec::new();
        let mut end = None;
        decode(&bytes, &sizes, |item| match item {
            Item::Record { expire_ms, eviction, key, value } => {
                back.push((expire_ms, eviction, key.to_vec(), text(value)));
            }
            Item::Eof(checksum) => end = Some(checksum),
            _ => {}
        })
        .expect("what was written is right");
        prop_assert_eq!(end, Some(if checksum { Checksum::Verified } else { Checksum::Disabled }));
        let sent: Vec<_> = records.into_iter().map(|r| (r.expire_ms, r.eviction, r.key, r.value)).collect();
        prop_assert_eq!(back, sent);
    }

    #[test]
    fn damaged_files_read_the_same_however_they_are_cut(
        records in prop::collection::vec(record(), 0..4), compress: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<prop::sample::Index>(), cut: bool,
        sizes in prop::collection::vec(1usize..200, 1..6)) {
        let mut bytes = write(&records, Options { compress, checksum: false, ..Options::default() });
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        let whole = transcript(&bytes, &[]);
        prop_assert_eq!(&transcript(&bytes, &sizes), &whole);
        prop_assert_eq!(&transcript(&bytes, &[1]), &whole);
    }

    #[test]
    fn random_bytes_read_the_same_however_they_are_cut(
        body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..4, 0xc0u8..0xc5, 0xf3u8..], 0..300),
        sizes in prop::collection::vec(1usize..50, 1..4)) {
        let bytes = [b"REDIS0011", &body[..]].concat();
        let whole = transcript(&bytes, &[]);
        prop_assert_eq!(&transcript(&bytes, &sizes), &whole);
        prop_assert_eq!(&transcript(&bytes, &[1]), &whole);
        let _ = decode_payload(&body, false);
    }
}
