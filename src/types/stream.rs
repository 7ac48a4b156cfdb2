//! A stream: entries of fields and values under ascending IDs, and the groups that read them.
//!
//! Entries stand in nodes, each a listpack in the form that RDB files hold ([`node`]), indexed by their first ID
//! ([`nodes`]); groups know what was delivered and not acknowledged ([`group`]). Everything that can grow is in
//! persistent maps over shared nodes, so that a clone is O(1) and a change copies what it touches: at most one node of
//! `stream-node-max-bytes`, and the path to it.
//!
//! The invariant: IDs ascend within and across nodes, none is above `last_id`; `len` is the number of entries that are
//! not deleted, `first_id` the first of them. A stream without entries is a value like any other, and its key stays.
//!
//! Refused: Redis's radix tree. It shares prefixes of the nodes' IDs, but those are 16 bytes for 4096 of entries, and a tree
//! of fixed fan-out is shared and copied more cheaply.

pub mod group;
pub mod id;
pub mod node;
mod nodes;
mod progress;
mod radix;
mod trim;

pub use group::{Consumer, ConsumerNumber, Group, Pending};
pub use id::{GivenId, IdText, StreamId};
pub use node::{Entry, Node};
pub use progress::Marks;
pub use trim::{Deleted, References, Released, Threshold, Trim};

use super::limits::Limits;
use imbl::OrdMap;
use nodes::Nodes;
use triomphe::Arc;

/// No listpack grows beyond this, in bytes, whatever the configuration says.
const NODE_MAX_BYTES: usize = 1 << 30;

/// A stream; one pointer wide.
#[derive(Clone, Debug, Default)]
pub struct Stream(Box<Log>);

#[derive(Clone, Debug, Default)]
struct Log {
    nodes: Nodes,
    marks: Marks,
    groups: OrdMap<Arc<[u8]>, Arc<Group>>,
}

impl Stream {
    /// A stream of nodes that were stored. Its length and first ID are what the nodes say. O(nodes).
    ///
    /// `None`: IDs do not ascend, or do not agree with `marks`.
    pub fn from_nodes(nodes: impl IntoIterator<Item = Node>, marks: Marks) -> Option<Stream> {
        let mut stream = Stream::default();
        let log = &mut *stream.0;
        let mut before: Option<StreamId> = None;
        for node in nodes {
            if before.is_some_and(|before| node.id() <= before) {
                return None;
            }
            before = Some(node.last().map_or(node.id(), |last| last.id));
            log.marks.len += node.live();
            log.nodes.push(node);
        }
        let len = log.marks.len;
        if len != marks.len || before.is_some_and(|last| last > marks.last_id) {
            return None;
        }
        log.marks = marks;
        stream.find_first();
        Some(stream)
    }

    // What it is.

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.marks.len as usize
    }

    /// Is there no entry? The key stays all the same.
    pub fn is_empty(&self) -> bool {
        self.0.marks.len == 0
    }

    /// Counters and edges.
    pub fn marks(&self) -> Marks {
        self.0.marks
    }

    /// OBJECT ENCODING's name.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// The nodes, as RDB files hold them.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.0.nodes.iter()
    }

    /// Number of nodes.
    pub fn nodes_len(&self) -> usize {
        self.0.nodes.len()
    }

    /// Number of nodes of the radix tree that Redis would keep. O(nodes).
    pub fn radix_nodes(&self) -> usize {
        radix::nodes(self.nodes().map(Node::id))
    }

    /// About how many bytes it occupies: full nodes are judged by a few of them.
    pub fn memory_bytes(&self) -> usize {
        const SAMPLES: usize = 5;
        const INDEX_BYTES: usize = 2 * (size_of::<StreamId>() + size_of::<usize>()) + size_of::<Node>() + 8;
        let last = self.0.nodes.last().map_or(0, Node::allocated_bytes);
        let sampled: Vec<usize> = self.nodes().take(SAMPLES).map(Node::allocated_bytes).collect();
        let full = self.nodes_len().saturating_sub(1);
        let average = sampled.iter().sum::<usize>() / sampled.len().max(1);
        let groups: usize = self.groups().map(|(name, group)| name.len() + group.memory_bytes()).sum();
        size_of::<Log>() + last + full * average + self.nodes_len() * INDEX_BYTES + groups
    }

    /// About how many allocations freeing it frees.
    pub fn free_effort(&self) -> usize {
        2 * self.nodes_len() + self.groups().map(|(_, group)| group.allocations()).sum::<usize>() + 1
    }

    // Entries.

    /// The entries from `start` to `end`, both included, in ascending order.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.0
            .nodes
            .range(start, end)
            .flat_map(|node| std::iter::successors(node.first(), |entry| node.next(entry)))
            .skip_while(move |entry| entry.id < start)
            .take_while(move |entry| entry.id <= end)
            .filter(|entry| !entry.is_deleted())
    }

    /// The entries from `start` to `end`, both included, in descending order.
    pub fn range_rev(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.0
            .nodes
            .range(start, end)
            .rev()
            .flat_map(|node| std::iter::successors(node.last(), |entry| node.prev(entry)))
            .skip_while(move |entry| entry.id > end)
            .take_while(move |entry| entry.id >= start)
            .filter(|entry| !entry.is_deleted())
    }

    /// How many entries there are from `start` to `end`, but at most `limit`. O(nodes), and O(entries) of the first and the
    /// last of them.
    pub fn count(&self, start: StreamId, end: StreamId, limit: u64) -> u64 {
        let mut nodes = self.0.nodes.range(start, end).peekable();
        let (mut count, mut inner) = (0, false);
        while let Some(node) = nodes.next().filter(|_| count < limit) {
            count += if inner && nodes.peek().is_some() {
                node.live()
            } else {
                std::iter::successors(node.first(), |entry| node.next(entry))
                    .filter(|entry| !entry.is_deleted() && (start..=end).contains(&entry.id))
                    .take((limit - count) as usize)
                    .count() as u64
            };
            inner = true;
        }
        count.min(limit)
    }

    /// The ID of the first entry that is stored, deleted or not.
    pub fn first_stored_id(&self) -> Option<StreamId> {
        self.0.nodes.first().and_then(Node::first).map(|entry| entry.id)
    }

    /// The entry with this ID.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX).next()
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.range_rev(StreamId::MIN, StreamId::MAX).next()
    }

    /// The ID of an entry that is added at `now_ms` without one; none is left behind the largest.
    pub fn next_id(&self, now_ms: i64) -> Option<StreamId> {
        let (last, now) = (self.0.marks.last_id, now_ms.max(0) as u64);
        if now > last.ms { Some(StreamId { ms: now, seq: 0 }) } else { last.next() }
    }

    /// The ID of an entry that is added with these milliseconds; not above the last ID if there is no such.
    pub fn next_id_at(&self, ms: u64) -> Option<StreamId> {
        let last = self.0.marks.last_id;
        if last.ms == ms {
            last.seq.checked_add(1).map(|seq| StreamId { ms, seq })
        } else {
            Some(StreamId { ms, seq: 0 })
        }
    }

    /// Can fields and values of so many bytes be stored in one entry?
    pub fn fits(bytes: usize) -> bool {
        bytes <= NODE_MAX_BYTES
    }

    /// Adds an entry of alternating fields and values. Its ID is above the last ID; it [fits](Stream::fits).
    pub fn add(&mut self, id: StreamId, fields: &[&[u8]], limits: &Limits) {
        let log = &mut *self.0;
        assert!(id > log.marks.last_id, "a stream's IDs ascend");
        let bytes: usize = fields.iter().map(|text| text.len()).sum();
        if log.nodes.last().is_none_or(|node| is_full(node, bytes, limits)) {
            log.nodes.push(Node::new(id, fields));
        }
        log.nodes.last_mut().expect("there is one now").push(id, fields);
        let marks = &mut log.marks;
        marks.last_id = id;
        marks.len += 1;
        marks.entries_added += 1;
        if marks.len == 1 {
            marks.first_id = id;
        }
    }

    /// Deletes an entry and leaves a tombstone. Returns whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(mark) = self.get(id).map(|entry| entry.mark()) else { return false };
        let log = &mut *self.0;
        let node = log.nodes.holding(id).expect("the entry is there").id();
        let holding = log.nodes.get_mut(node).expect("it was just found");
        if holding.live() == 1 {
            log.nodes.remove(node);
        } else {
            holding.delete(mark);
        }
        log.marks.len -= 1;
        log.marks.max_deleted_id = log.marks.max_deleted_id.max(id);
        if id == log.marks.first_id {
            self.find_first();
        }
        true
    }

    /// Notes that a group has been given an entry with this ID, if that is news.
    pub fn advance(&mut self, group: &[u8], id: StreamId) -> bool {
        let marks = self.0.marks;
        let Some(group) = self.group_mut(group).filter(|group| id > group.last_id) else { return false };
        group.entries_read = marks.entries_read_after(group.entries_read, id);
        group.last_id = id;
        true
    }

    fn find_first(&mut self) {
        self.0.marks.first_id = self.first().map_or(StreamId::MIN, |entry| entry.id);
    }

    /// Sets the last ID, which is not below that of any entry, and what else is given.
    pub fn set_last_id(&mut self, id: StreamId, entries_added: Option<u64>, max_deleted: Option<StreamId>) {
        let marks = &mut self.0.marks;
        marks.last_id = id;
        marks.entries_added = entries_added.unwrap_or(marks.entries_added);
        marks.max_deleted_id = max_deleted.unwrap_or(marks.max_deleted_id);
    }

    // Groups.

    /// The groups in the order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.0.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.0.groups.get(name).map(|group| &**group)
    }

    /// The group of this name, for a change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.0.groups.get_mut(name).map(Arc::make_mut)
    }

    /// Creates a group that has read up to an ID, unless there is one of that name.
    pub fn create_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> bool {
        let free = !self.0.groups.contains_key(name);
        if free {
            self.0.groups.insert(Arc::from(name), Arc::new(Group::new(last_id, entries_read)));
        }
        free
    }

    /// Removes a group with all that is pending there. Returns whether it was there.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        self.0.groups.remove(name).is_some()
    }
}

/// Does a node take no entry of so many bytes any more?
fn is_full(node: &Node, bytes: usize, limits: &Limits) -> bool {
    let max_bytes = match limits.stream_node_max_bytes {
        0 => NODE_MAX_BYTES,
        max => max.min(NODE_MAX_BYTES),
    };
    let max_entries = limits.stream_node_max_entries as u64;
    node.bytes().len() + bytes >= max_bytes || max_entries > 0 && node.live() + node.deleted() >= max_entries
}

#[cfg(test)]
mod tests;
