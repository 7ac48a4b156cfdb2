//! Properties of the RDB codec: what is written comes back; how the input is cut does not matter; nothing panics.

use proptest::prelude::*;
use redpoll::rdb::dump::decode_payload;
use redpoll::rdb::{Checksum, Decoder, Error, Eviction, Item, Options, RecordRef, Value, ValueRef, Writer};
use redpoll::types::hash::{Expiry, Field, Hash};
use redpoll::types::list::{End, List};
use redpoll::types::set::Set;
use redpoll::types::stream::{Pending, Stream, StreamId};
use redpoll::types::zset::Zset;
use redpoll::types::{Limits, Object};
use std::collections::{BTreeMap, BTreeSet};

/// What a record holds, whatever its encoding.
#[derive(Clone, Debug, PartialEq)]
enum Contents {
    Str(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    /// Members in the order of their scores.
    Zset(Vec<(u64, Vec<u8>)>),
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>),
    /// As it shows itself.
    Stream(String),
}

impl Contents {
    fn of(value: Value<'_>) -> Contents {
        match value {
            Value::Int(n) => Contents::Str(n.to_string().into_bytes()),
            Value::Str(bytes) => Contents::Str(bytes.to_vec()),
            Value::Owned(bytes) => Contents::Str(bytes),
            Value::Object(object) => Contents::of_object(&object),
            Value::Empty => panic!("nothing empty was written"),
        }
    }

    fn of_object(object: &Object) -> Contents {
        match object {
            Object::List(list) => Contents::List(list.to_vecs()),
            Object::Set(set) => Contents::Set(set.iter().map(|member| member.to_vec()).collect()),
            Object::Zset(zset) => Contents::Zset(
                zset.iter().map(|(member, score)| (score.to_bits(), member.to_vec())).collect(),
            ),
            Object::Hash(hash) => {
                let field = |f: Field<'_>| (f.name.to_vec(), (f.value.to_vec(), f.expiry_ms));
                Contents::Hash(hash.iter().map(field).collect())
            }
            Object::Stream(stream) => Contents::Stream(format!("{stream:?}")),
        }
    }
}

#[derive(Clone, Debug)]
enum Written {
    Str(Vec<u8>),
    Object(Object),
}

impl Written {
    fn by_ref(&self) -> ValueRef<'_> {
        match self {
            Written::Str(bytes) => ValueRef::Str(bytes),
            Written::Object(object) => ValueRef::Object(object),
        }
    }

    fn contents(&self) -> Contents {
        match self {
            Written::Str(bytes) => Contents::Str(bytes.clone()),
            Written::Object(object) => Contents::of_object(object),
        }
    }
}

#[derive(Clone, Debug)]
struct Record {
    expire_ms: Option<i64>,
    eviction: Eviction,
    key: Vec<u8>,
    value: Written,
}

/// Limits that every encoding is reached within.
fn limits() -> Limits {
    Limits {
        hash_max_listpack_entries: 4,
        set_max_intset_entries: 4,
        set_max_listpack_entries: 6,
        zset_max_listpack_entries: 4,
        list_max_listpack_size: 5,
        list_compress_depth: 1,
        stream_node_max_entries: 3,
        ..Limits::default()
    }
}

/// Elements of collections.
fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0u32..40).prop_map(|n| n.to_string().into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..12),
        1 => (any::<u8>(), 1usize..200).prop_map(|(b, n)| vec![b; n]),
    ]
}

fn object() -> impl Strategy<Value = Object> {
    let elements = || prop::collection::vec(element(), 1..14);
    let at = prop_oneof![2 => Just(None), 1 => (1i64..i64::from(u32::MAX)).prop_map(Some)];
    let score = prop_oneof![any::<i32>().prop_map(f64::from), any::<f64>(), Just(f64::NEG_INFINITY)];
    prop_oneof![
        elements().prop_map(|all| {
            let (mut list, limits) = (List::default(), limits());
            for item in all {
                list.make_room(1, item.len(), &limits);
                list.push(End::Back, &item, &limits);
            }
            list.into()
        }),
        elements().prop_map(|all| {
            let mut set = Set::default();
            for member in all {
                set.insert(&member, &limits());
            }
            set.into()
        }),
        prop::collection::vec((element(), score), 1..10).prop_map(|all| {
            let mut zset = Zset::default();
            for (member, score) in all.iter().filter(|(_, score)| !score.is_nan()) {
                zset.insert(member, *score, &limits());
            }
            zset.insert(b"one", 1.0, &limits());
            zset.into()
        }),
        prop::collection::vec((element(), element(), at), 1..10).prop_map(|all| {
            let mut hash = Hash::default();
            for (name, value, at) in all {
                hash.set(&name, &value, at.map_or(Expiry::Clear, Expiry::At), &limits());
            }
            hash.into()
        }),
        (elements(), any::<prop::sample::Index>())
            .prop_map(|(all, cut)| stream(&all, cut.index(all.len())).into()),
    ]
}

/// A stream with an entry for each of `all`; those up to `cut` are read by a group, and some of them deleted.
fn stream(all: &[Vec<u8>], cut: usize) -> Stream {
    let mut stream = Stream::default();
    let id = |n: usize| StreamId { ms: 1_000 + n as u64 / 2, seq: n as u64 % 2 };
    for (n, value) in all.iter().enumerate() {
        stream.add(id(n), &[b"field", value, b"n", n.to_string().as_bytes()], &limits());
    }
    // What an old version does not tell is estimated so.
    let entries_read = stream.marks().entries_up_to(id(cut));
    stream.create_group(b"group", id(cut), entries_read);
    let group = stream.group_mut(b"group").expect("it was created");
    let consumers = [group.add_consumer(b"alice", 17), group.add_consumer(b"bob", 18)];
    for consumer in consumers {
        // And this is taken to be so.
        let seen_ms = group.consumer(consumer).seen_ms;
        group.consumer_mut(consumer).active_ms = Some(seen_ms);
    }
    for n in 0..=cut {
        let pending = Pending { consumer: consumers[n % 2], delivered_ms: n as i64, deliveries: 1 };
        group.set_pending(id(n), pending);
    }
    stream
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
    let value = prop_oneof![string().prop_map(Written::Str), object().prop_map(Written::Object)];
    (any::<Option<i64>>(), eviction, string(), value).prop_map(|(expire_ms, eviction, key, value)| Record {
        expire_ms,
        eviction,
        key,
        value,
    })
}

fn write(records: &[Record], options: Options) -> Vec<u8> {
    let mut writer = Writer::new(options);
    writer.header();
    writer.aux(b"redis-ver", b"7.2.4");
    writer.function(b"#!lua name=lib\n");
    writer.select_db(3);
    writer.resize_db(records.len() as u64, 0);
    for Record { expire_ms, eviction, key, value } in records {
        let value = value.by_ref();
        writer.record(&RecordRef { expire_ms: *expire_ms, eviction: *eviction, key, value });
    }
    writer.eof();
    writer.take()
}

/// Feeds `bytes` in chunks whose sizes are `sizes` in turn, and gives each item to `see`.
fn decode(bytes: &[u8], sizes: &[usize], mut see: impl FnMut(Item<'_>)) -> Result<(), Error> {
    let mut decoder = Decoder::new(true, limits());
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_comes_back(
        records in prop::collection::vec(record(), 0..12), compress: bool, checksum: bool, version in 9u8..=12,
        sizes in prop::collection::vec(1usize..5000, 1..6)) {
        let bytes = write(&records, Options { compress, checksum, version, ..Options::default() });
        let mut back = Vec::new();
        let mut end = None;
        decode(&bytes, &sizes, |item| match item {
            Item::Record { expire_ms, eviction, key, value } => {
                back.push((expire_ms, eviction, key.to_vec(), Contents::of(value)));
            }
            Item::Eof(checksum) => end = Some(checksum),
            _ => {}
        })
        .expect("what was written is right");
        prop_assert_eq!(end, Some(if checksum { Checksum::Verified } else { Checksum::Disabled }));
        let sent: Vec<_> = records.into_iter().map(|r| (r.expire_ms, r.eviction, r.key, r.value.contents())).collect();
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
        body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..26, 0xc0u8..0xc5, 0xf3u8..], 0..300),
        sizes in prop::collection::vec(1usize..50, 1..4)) {
        let bytes = [b"REDIS0011", &body[..]].concat();
        let whole = transcript(&bytes, &[]);
        prop_assert_eq!(&transcript(&bytes, &sizes), &whole);
        prop_assert_eq!(&transcript(&bytes, &[1]), &whole);
        let _ = decode_payload(&body, false, &Limits::default());
    }
}
