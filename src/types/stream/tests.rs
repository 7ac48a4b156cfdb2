//! Streams against a naive model.

use super::*;
use crate::types::limits::tests::LIMITS;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(super) fn id(ms: u64) -> StreamId {
    StreamId { ms, seq: 0 }
}

/// Nodes of at most so many entries and 300 bytes.
pub(super) fn limits(entries: usize) -> Limits {
    Limits { stream_node_max_bytes: 300, stream_node_max_entries: entries, ..LIMITS }
}

/// Entries 1 to `n`.
pub(super) fn stream(n: u64, limits: &Limits) -> Stream {
    let mut stream = Stream::default();
    (1..=n).for_each(|ms| stream.add(id(ms), &[b"f", b"v"], limits));
    stream
}

type Model = BTreeMap<StreamId, Vec<Vec<u8>>>;

#[derive(Clone, Debug)]
enum Op {
    /// Milliseconds and sequence numbers beyond the last ID, fields and values.
    Add(u64, u64, Vec<Vec<u8>>),
    Delete(u64),
    Trim(u64, bool),
    TrimId(u64),
    Clone,
}

fn op() -> impl Strategy<Value = Op> {
    let text = prop_oneof![
        "[ab]".prop_map(String::into_bytes),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    let fields = (1..4usize).prop_flat_map(move |n| prop::collection::vec(text.clone(), 2 * n));
    prop_oneof![
        8 => (0..3u64, 0..3u64, fields).prop_map(|(ms, seq, fields)| Op::Add(ms, seq, fields)),
        3 => any::<u64>().prop_map(Op::Delete),
        1 => (0..30u64, any::<bool>()).prop_map(|(len, about)| Op::Trim(len, about)),
        1 => any::<u64>().prop_map(Op::TrimId),
        1 => Just(Op::Clone),
    ]
}

fn picked(model: &Model, n: u64) -> StreamId {
    let at = n as usize % (model.len() + 1);
    model.keys().nth(at).copied().unwrap_or(StreamId { ms: n % 7, seq: 0 })
}

fn content(entry: Entry<'_>) -> (StreamId, Vec<Vec<u8>>) {
    (entry.id, entry.pairs().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect())
}

fn compare(stream: &Stream, model: &Model) {
    let expected: Vec<_> = model.iter().map(|(id, fields)| (*id, fields.clone())).collect();
    let all: Vec<_> = stream.range(StreamId::MIN, StreamId::MAX).map(content).collect();
    assert_eq!(all, expected);
    let back: Vec<_> = stream.range_rev(StreamId::MIN, StreamId::MAX).map(content).collect();
    assert_eq!(back, expected.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(stream.len(), model.len());
    assert_eq!(stream.marks().first_id, model.keys().next().copied().unwrap_or_default());
    let nodes = stream.nodes().map(|node| Node::from_bytes(node.id(), node.bytes()).expect("whole"));
    let copy = Stream::from_nodes(nodes, stream.marks()).expect("whole");
    assert_eq!(copy.marks(), stream.marks());
}

fn apply(stream: &mut Stream, model: &mut Model, op: &Op, limits: &Limits) {
    let last = stream.marks().last_id;
    match op {
        Op::Add(ms, seq, fields) => {
            let id = if *ms == 0 { StreamId { seq: last.seq + 1 + seq, ..last } } else { id(last.ms + ms) };
            let borrowed: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            stream.add(id, &borrowed, limits);
            model.insert(id, fields.clone());
        }
        Op::Delete(n) => {
            let id = picked(model, *n);
            assert_eq!(stream.delete(id), model.remove(&id).is_some());
        }
        Op::Trim(len, approximate) => {
            let to = Threshold::MaxLen(*len);
            let trim = Trim { to, approximate: *approximate, limit: None, references: References::Keep };
            let removed = stream.trim(trim).entries as usize;
            let excess = model.len().saturating_sub(*len as usize);
            assert!(if *approximate { removed <= excess } else { removed == excess });
            (0..removed).for_each(|_| drop(model.pop_first()));
        }
        Op::TrimId(n) => {
            let min = picked(model, *n);
            let to = Threshold::MinId(min);
            stream.trim(Trim { to, approximate: false, limit: None, references: References::Keep });
            model.retain(|id, _| *id >= min);
        }
        Op::Clone => {}
    }
}

proptest! {
    #[test]
    fn streams_agree_with_a_map(ops in prop::collection::vec(op(), 1..120), entries in 0..9usize) {
        let limits = limits(entries);
        let (mut stream, mut model) = (Stream::default(), Model::new());
        let mut kept = Vec::new();
        for op in &ops {
            apply(&mut stream, &mut model, op, &limits);
            if matches!(op, Op::Clone) {
                kept.push((stream.clone(), model.clone()));
            }
        }
        compare(&stream, &model);
        kept.iter().for_each(|(stream, model)| compare(stream, model));
        for n in [0, 3, 17] {
            let (start, end) = (picked(&model, n), picked(&model, n * 5 + 2));
            let expected: Vec<StreamId> = model.keys().filter(|id| (start..=end).contains(id)).copied().collect();
            prop_assert_eq!(stream.range(start, end).map(|entry| entry.id).collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(stream.count(start, end, u64::MAX), expected.len() as u64);
            prop_assert_eq!(stream.count(start, end, n), n.min(expected.len() as u64));
            let back: Vec<StreamId> = stream.range_rev(start, end).map(|entry| entry.id).collect();
            prop_assert_eq!(back, expected.into_iter().rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn foreign_nodes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), n in 1..9u64) {
        let stream = stream(n, &limits(0));
        let node = stream.nodes().next().expect("there is one");
        let mut bytes = node.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(node) = Node::from_bytes(node.id(), &bytes) {
            let marks = Marks { len: node.live(), last_id: StreamId::MAX, ..Marks::default() };
            let mut stream = Stream::from_nodes([node], marks).expect("whole");
            let ids: Vec<StreamId> = stream.range(StreamId::MIN, StreamId::MAX).map(|entry| content(entry).0).collect();
            assert_eq!(ids.len(), stream.len());
            assert_eq!(stream.range_rev(StreamId::MIN, StreamId::MAX).count(), ids.len());
            ids.into_iter().for_each(|id| assert!(stream.delete(id)));
            assert!(stream.is_empty() && stream.nodes_len() == 0);
        }
    }
}

#[test]
fn ids_follow_the_clock_and_never_go_back() {
    let mut stream = Stream::default();
    assert_eq!(stream.next_id(5), Some(id(5)));
    stream.add(StreamId { ms: 7, seq: u64::MAX }, &[b"f", b"v"], &limits(9));
    assert_eq!(stream.next_id(5), Some(id(8)));
    assert_eq!(stream.next_id_at(7), None);
    assert_eq!(stream.next_id_at(9), Some(id(9)));
    stream.set_last_id(StreamId::MAX, None, None);
    assert_eq!(stream.next_id(5), None);
}

#[test]
fn nodes_end_at_their_limits() {
    assert_eq!(stream(20, &limits(5)).nodes_len(), 4);
    // 300 bytes: a header and a master entry of 16 bytes, entries of 13.
    let by_bytes = stream(60, &limits(0));
    assert!(by_bytes.nodes().all(|node| node.bytes().len() < 320));
    assert!((2..=4).contains(&by_bytes.nodes_len()), "{}", by_bytes.nodes_len());
    let unlimited = Limits { stream_node_max_bytes: 0, stream_node_max_entries: 0, ..limits(0) };
    assert_eq!(stream(2000, &unlimited).nodes_len(), 1);
}

#[test]
fn a_node_goes_with_its_last_entry() {
    let mut stream = stream(10, &limits(5));
    assert!((1..=5).all(|ms| stream.delete(id(ms))));
    assert!(!stream.delete(id(3)));
    assert_eq!((stream.nodes_len(), stream.len(), stream.marks().first_id), (1, 5, id(6)));
    assert_eq!(stream.marks().max_deleted_id, id(5));
}

#[test]
fn stored_nodes_must_agree_with_their_stream() {
    let whole = stream(10, &limits(5));
    let nodes: Vec<Node> = whole.nodes().cloned().collect();
    let marks = whole.marks();
    assert!(Stream::from_nodes(nodes.clone(), marks).is_some());
    assert!(Stream::from_nodes(nodes.clone(), Marks { len: 9, ..marks }).is_none());
    assert!(Stream::from_nodes(nodes.clone(), Marks { last_id: id(9), ..marks }).is_none());
    assert!(Stream::from_nodes(nodes.into_iter().rev(), marks).is_none());
}

#[test]
fn groups_are_kept_by_name() {
    let mut stream = stream(3, &limits(5));
    assert!(stream.create_group(b"b", id(1), None) && stream.create_group(b"a", id(2), Some(2)));
    assert!(!stream.create_group(b"b", id(3), None));
    let old = stream.clone();
    stream.group_mut(b"b").expect("is there").last_id = id(3);
    assert!(stream.remove_group(b"a") && !stream.remove_group(b"a"));
    let shown = |stream: &Stream| -> Vec<(Vec<u8>, u64)> {
        stream.groups().map(|(name, group)| (name.to_vec(), group.last_id.ms)).collect()
    };
    assert_eq!(shown(&old), [(b"a".to_vec(), 2), (b"b".to_vec(), 1)]);
    assert_eq!(shown(&stream), [(b"b".to_vec(), 3)]);
}
