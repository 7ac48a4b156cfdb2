//! A value as bytes that depend on what it holds alone: not on its encoding, nor on the order of a table.
//!
//! What the log does not carry, as in Redis, is left out: when a group's consumers were last seen, and how many entries a group
//! has read (XCLAIM's LASTID moves a replica's group without counting).

use redpoll::keyspace::{Entry, Stored};
use redpoll::types::Object;
use redpoll::types::element::Element;
use redpoll::types::list::Direction;
use redpoll::types::stream::{Group, Marks, Stream, StreamId};
use std::ops::{ControlFlow, Range};

/// Appends all that the key holds; a string's bytes as they are.
pub fn put_contents(out: &mut Vec<u8>, entry: &Entry) {
    match entry.stored() {
        Stored::String(value) => out.extend_from_slice(value.text(&mut itoa::Buffer::new())),
        Stored::Object(object) => put_object(out, &object.read()),
    }
}

fn put_object(out: &mut Vec<u8>, object: &Object) {
    out.extend_from_slice(object.type_name().as_bytes());
    match object {
        Object::List(list) => list.walk(0, Direction::Forward, |item| {
            put_element(out, item);
            ControlFlow::Continue(())
        }),
        Object::Set(set) => put_sorted(out, set.iter(), |out, member| put_element(out, member)),
        Object::Zset(zset) => {
            for (member, score) in zset.iter() {
                put_element(out, member);
                out.extend(score.to_bits().to_le_bytes());
            }
        }
        Object::Hash(hash) => put_sorted(out, hash.iter(), |out, field| {
            put_element(out, field.name);
            put_element(out, field.value);
            out.extend(field.expiry_ms.unwrap_or(i64::MIN).to_le_bytes());
        }),
        Object::Stream(stream) => put_stream(out, stream),
    }
}

fn put_stream(out: &mut Vec<u8>, stream: &Stream) {
    let Marks { len, first_id, last_id, max_deleted_id, entries_added } = stream.marks();
    [first_id, last_id, max_deleted_id].iter().for_each(|id| out.extend(id.to_bytes()));
    [len, entries_added].iter().for_each(|n| out.extend(n.to_le_bytes()));
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        out.extend(entry.id.to_bytes());
        for (field, value) in entry.pairs() {
            put_element(out, field);
            put_element(out, value);
        }
    }
    for (name, group) in stream.groups() {
        put(out, name);
        put_group(out, group);
    }
}

fn put_group(out: &mut Vec<u8>, group: &Group) {
    out.extend(group.last_id.to_bytes());
    put_sorted(out, group.consumers(), |out, (_, consumer)| put(out, consumer.name()));
    for (id, pending) in group.pending_from(StreamId::MIN) {
        out.extend(id.to_bytes());
        put(out, group.consumer(pending.consumer).name());
        out.extend(pending.delivered_ms.to_le_bytes());
        out.extend(pending.deliveries.to_le_bytes());
    }
}

/// What each item appends, in the order of these bytes.
fn put_sorted<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, put: impl Fn(&mut Vec<u8>, T)) {
    let mut bytes = Vec::new();
    let mut ranges: Vec<Range<usize>> = items
        .map(|item| {
            let start = bytes.len();
            put(&mut bytes, item);
            start..bytes.len()
        })
        .collect();
    ranges.sort_unstable_by(|one, other| bytes[one.clone()].cmp(&bytes[other.clone()]));
    ranges.into_iter().for_each(|range| out.extend_from_slice(&bytes[range]));
}

fn put_element(out: &mut Vec<u8>, element: Element<'_>) {
    put(out, element.text(&mut itoa::Buffer::new()));
}

fn put(out: &mut Vec<u8>, item: &[u8]) {
    out.extend((item.len() as u32).to_le_bytes());
    out.extend_from_slice(item);
}
