//! Every form a collection can have in an RDB, old ones included, encoded by hand: what is read in it, and that
//! whatever is damaged or cut is refused.
//!
//! Sources: the layouts of types 1 to 5 and 9 to 13 are documented in the redis-rdb-tools wiki ("Redis RDB Dump File Format"),
//! ziplists and zipmaps at the heads of Redis's ziplist.c and zipmap.c, streams and listpacks by payloads of redis-server
//! 7.0.15 (DUMP); types 20 to 25 by the release notes of Redis 7.2 and 7.4 and the comments of rdb.h; Valkey's 22 by its
//! RFC on hash field expiration.

use redpoll::rdb::dump::{OwnedValue, decode_payload};
use redpoll::types::{Limits, Object};

/// A RESTORE payload of `body`, of Redis's version 12 or Valkey's 80; its checksum is not looked at.
fn payload(body: &[u8], valkey: bool) -> Vec<u8> {
    [body, &[if valkey { 80 } else { 12 }, 0], &[0; 8]].concat()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A value's encoding and contents, or the error.
fn read(body: &[u8], valkey: bool) -> Result<String, String> {
    let value = decode_payload(&payload(body, valkey), false, &Limits::default());
    let object = match value.map_err(|error| error.to_string())? {
        OwnedValue::Object(object) => object,
        other => return Err(format!("{other:?}")),
    };
    let mut all: Vec<String> = match &object {
        Object::List(list) => list.to_vecs().into_iter().map(text).collect(),
        Object::Set(set) => set.iter().map(|member| text(member.to_vec())).collect(),
        Object::Zset(zset) => {
            zset.iter().map(|(member, score)| format!("{}={score}", text(member.to_vec()))).collect()
        }
        Object::Hash(hash) => hash
            .iter()
            .map(|field| {
                let expiry = field.expiry_ms.map_or(String::new(), |at| format!("@{at}"));
                format!("{}={}{expiry}", text(field.name.to_vec()), text(field.value.to_vec()))
            })
            .collect(),
        Object::Stream(stream) => {
            let (marks, entries) = (stream.marks(), stream.range(Default::default(), marks_end()));
            let entries = entries.map(|entry| format!("{}-{}", entry.id.ms, entry.id.seq));
            let groups = stream.groups().map(|(name, group)| {
                let pending = group.pending_len();
                let consumers: Vec<_> = group
                    .consumers()
                    .map(|(_, c)| format!("{}:{}:{:?}", text(c.name().to_vec()), c.seen_ms, c.active_ms))
                    .collect();
                format!("{}:{:?}:{pending}:{}", text(name.to_vec()), group.entries_read, consumers.join("+"))
            });
            let added = format!("added {}", marks.entries_added);
            entries.chain(std::iter::once(added)).chain(groups).collect()
        }
    };
    if matches!(object, Object::Set(_) | Object::Hash(_)) {
        all.sort();
    }
    Ok(format!("{}: {}", object.encoding(), all.join(" ")))
}

fn marks_end() -> redpoll::types::stream::StreamId {
    redpoll::types::stream::StreamId::MAX
}

#[track_caller]
fn check(body: &[u8], shown: &str) {
    check_of(body, false, shown);
}

/// Reads `body`, and every beginning of it, which must not be whole.
#[track_caller]
fn check_of(body: &[u8], valkey: bool, shown: &str) {
    assert_eq!(read(body, valkey).as_deref(), Ok(shown));
    for short in 0..body.len() {
        assert!(read(&body[..short], valkey).is_err(), "the first {short} bytes");
    }
}

#[track_caller]
fn refused(body: &[u8]) {
    assert_eq!(read(body, false), Err("Bad data format".into()));
}

#[test]
fn plain_forms() {
    check(b"\x01\x03\x01a\xc0\x05\x01a", "listpack: a 5 a");
    check(b"\x02\x03\xc0\x01\xc1\xe8\x03\xc0\x02", "intset: 1 1000 2");
    check(b"\x02\x02\x01b\xc0\x01", "listpack: 1 b");
    check(b"\x03\x04\x01a\x011\x01b\x03-.5\x01c\xfe\x01d\xff", "listpack: d=-inf b=-0.5 a=1 c=inf");
    check(b"\x04\x02\x01f\x01v\x01g\xc0\x0c", "listpack: f=v g=12");
    check(b"\x05\x02\x01b\0\0\0\0\0\0\x04@\x01c\0\0\0\0\0\0\xf0\xff", "listpack: c=-inf b=2.5");
}

#[test]
fn ziplists() {
    check(b"\x0a\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\0\xf3\x02\xf6\xff", "listpack: 2 5");
    check(b"\x0d\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\0\xf3\x02\xf6\xff", "listpack: 2=5");
    // "a" 2, "b" 1: out of order, as no server writes it, but it means something.
    let zset = b"\x0c\x15\x15\0\0\0\x12\0\0\0\x04\0\0\x01a\x03\xf3\x02\x01b\x03\xf2\xff";
    check(zset, "listpack: b=1 a=2");
    check(
        b"\x0e\x02\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\0\xf3\x02\xf6\xff\x0d\x0d\0\0\0\x0a\0\0\0\x01\0\0\xf7\xff",
        "listpack: 2 5 6",
    );
    for odd in [&b"\x0d"[..], b"\x0c"] {
        refused(&[odd, b"\x0d\x0d\0\0\0\x0a\0\0\0\x01\0\0\xf7\xff"].concat());
    }
}

#[test]
fn a_zipmap() {
    check(b"\x09\x18\x02\x03foo\x03\0bar\x05hello\x03\x02war??\xff", "listpack: foo=bar hello=war");
    refused(b"\x09\x0c\x02\x01f\x01\0a\x01f\x01\0b\xff");
}

#[test]
fn an_intset() {
    check(b"\x0b\x0c\x02\0\0\0\x02\0\0\0\xff\xff\x05\0", "intset: -1 5");
    refused(b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x05\0\xff\xff");
    refused(b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x05\0\x05\0");
    refused(b"\x0b\x08\x02\0\0\0\0\0\0\0");
}

#[test]
fn listpacks() {
    // As redis-server 7.0.15 dumps the hash f=v g=12.
    let pairs = b"\x12\x12\0\0\0\x04\0\x81f\x02\x81v\x02\x81g\x02\x0c\x01\xff";
    check(&[b"\x10", &pairs[..]].concat(), "listpack: f=v g=12");
    check(&[b"\x14", &pairs[..]].concat(), "listpack: 12 f g v");
    // -inf, 1 and 2.5, as 7.0.15 dumps them.
    let zset = b"\x1d\x1d\0\0\0\x06\0\x81c\x02\x84-inf\x05\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff";
    check(&[b"\x11", &zset[..]].concat(), "listpack: c=-inf a=1 b=2.5");
    // Scores beyond a double are infinite or zero; a set that would not read them does not keep them as they are.
    for (text, score) in [("1e400", "inf"), ("-1e400", "-inf"), ("1e-9999", "0"), ("-1e-999", "0")] {
        let len = text.len() as u8;
        let bytes = [0x11, 12 + len, 12 + len, 0, 0, 0, 2, 0, 0x81, b'a', 2, 0x80 + len];
        check(&[&bytes, text.as_bytes(), &[len + 1, 0xff]].concat(), &format!("listpack: a={score}"));
    }
    let nodes = [b"\x12\x02\x02", &pairs[..], b"\x01\x05large"].concat();
    check(&nodes, "listpack: f v g 12 large");
    // A score that is no number; fields and members that come twice.
    refused(&[b"\x11", &pairs[..]].concat());
    refused(b"\x10\x12\x12\0\0\0\x04\0\x81f\x02\x81v\x02\x81f\x02\x01\x01\xff");
    refused(b"\x14\x0d\x0d\0\0\0\x02\0\x81f\x02\x81f\x02\xff");
    // An integer kept as text is the integer still.
    check(b"\x14\x0d\x0d\0\0\0\x02\0\x815\x02\x81f\x02\xff", "listpack: 5 f");
    refused(b"\x14\x0c\x0c\0\0\0\x02\0\x815\x02\x05\x01\xff");
}

#[test]
fn nothing_is_empty_or_doubled() {
    for empty in [&b"\x01\0"[..], b"\x02\0", b"\x03\0", b"\x04\0", b"\x05\0", b"\x0e\0", b"\x12\0"] {
        refused(empty);
    }
    refused(b"\x0a\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff");
    refused(b"\x10\x07\x07\0\0\0\0\0\xff");
    refused(b"\x02\x02\x01a\x01a");
    refused(b"\x04\x02\x01a\x01b\x01a\x01c");
    refused(b"\x03\x02\x01a\x011\x01a\x012");
    refused(b"\x03\x01\x01a\xfd");
    refused(b"\x05\x01\x01b\0\0\0\0\0\0\xf8\x7f");
}

#[test]
fn hashes_whose_fields_expire() {
    // Redis 7.4: the earliest, then distances from it, plus one.
    let earliest = 1_000i64.to_le_bytes();
    let fields = b"\x03\x01\x01a\x01A\x40\x65\x01b\x01B\0\x01c\x01C";
    check(&[b"\x18", &earliest[..], fields].concat(), "listpackex: a=A@1000 b=B@1100 c=C");
    // Its release candidates: times.
    check(b"\x16\x02\x43\xe8\x01a\x01A\0\x01c\x01C", "listpackex: a=A@1000 c=C");
    // Valkey 9: times behind the values, -1 for none.
    let none = (-1i64).to_le_bytes();
    let valkey = [b"\x16\x02\x01a\x01A", &earliest[..], b"\x01c\x01C", &none[..]].concat();
    check_of(&valkey, true, "listpackex: a=A@1000 c=C");
    // Packed triples, in order and not.
    let triples = b"\x18\x18\0\0\0\x06\0\x81a\x02\x81A\x02\xc3\xe8\x02\x81c\x02\x81C\x02\0\x01\xff";
    check(&[b"\x19", &earliest[..], triples].concat(), "listpackex: a=A@1000 c=C");
    check(&[b"\x17", &triples[..]].concat(), "listpackex: a=A@1000 c=C");
    let unsorted = b"\x18\x18\0\0\0\x06\0\x81c\x02\x81C\x02\0\x01\x81a\x02\x81A\x02\xc3\xe8\x02\xff";
    check(&[b"\x17", &unsorted[..]].concat(), "listpackex: a=A@1000 c=C");
}

/// A node with the entry 1-1, of a field "a" with the value 5: its ID, its listpack.
const NODE: &[u8] = b"\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\
    \x1c\x1c\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81a\x02\0\x01\x02\x01\0\x01\0\x01\x05\x01\x04\x01\xff";

#[test]
fn streams() {
    let id = b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01";
    let (seen, active) = (7i64.to_le_bytes(), 5i64.to_le_bytes());
    let pending = [&id[..], &seen, b"\x03"].concat();
    let group = b"\x01\x01g\x01\x01";
    let v1 =
        [&b"\x0f\x01"[..], NODE, b"\x01\x01\x01", group, b"\x01", &pending, b"\x01\x01c", &seen, b"\x01", id]
            .concat();
    check(&v1, "stream: 1-1 added 1 g:Some(1):1:c:7:Some(7)");
    let head = b"\x01\x01\x01\x01\x01\0\0\x02";
    let v2 = [&b"\x13\x01"[..], NODE, head, group, b"\x02\x01", &pending, b"\x01\x01c", &seen, b"\x01", id]
        .concat();
    check(&v2, "stream: 1-1 added 2 g:Some(2):1:c:7:Some(7)");
    let v3 = [
        &b"\x15\x01"[..],
        NODE,
        head,
        group,
        b"\x02\x01",
        &pending,
        b"\x01\x01c",
        &seen,
        &active,
        b"\x01",
        id,
    ]
    .concat();
    check(&v3, "stream: 1-1 added 2 g:Some(2):1:c:7:Some(5)");
    check(b"\x0f\0\0\0\0\0", "stream: added 0");
    // A pending entry that nobody claims, one that is claimed but not pending, a length that the nodes deny.
    refused(&[&b"\x0f\x01"[..], NODE, b"\x01\x01\x01", group, b"\x01", &pending, b"\0"].concat());
    refused(&[&b"\x0f\x01"[..], NODE, b"\x01\x01\x01", group, b"\0\x01\x01c", &seen, b"\x01", id].concat());
    refused(&[&b"\x0f\x01"[..], NODE, b"\x02\x01\x01\0"].concat());
    refused(b"\x0f\0\x01\x01\x01\0");
}

#[test]
fn modules_are_not_read() {
    let error = read(b"\x07\x81\0\0\0\0\0\0\0\x01\0", false).expect_err("no module is there");
    assert_eq!(error, "Bad data format");
}
