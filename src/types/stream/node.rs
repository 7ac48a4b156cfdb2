//! A node of a stream: entries with neighbouring IDs in one listpack, byte for byte as RDB files hold it.
//!
//! ```text
//! master entry: | live | deleted | fields n | field … | 0 |
//! entry:        | flags | ms | seq |                        value … | elements |      SAMEFIELDS
//!               | flags | ms | seq | fields n | field | value | …   | elements |
//! ```
//!
//! IDs are differences to the node's own, which is its first entry's. An entry whose fields are those of the master entry
//! leaves them out. The last element counts those before it, so that one walks backwards from entry to entry. A deleted
//! entry stays where it is with a flag set: closing gaps would make trimming from the front, the common case, a copy of
//! each node per entry.
//!
//! The invariant: the listpack is of exactly this form, IDs ascend, and the counts are right. Foreign bytes come in through
//! [`Node::from_bytes`] alone, which examines all of that.

use super::id::StreamId;
use crate::types::element::Element;
use crate::types::listpack::{Listpack, Pos};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Elements of an entry without its fields, values and their number: flags, two differences.
const FIXED: i64 = 3;

/// What the listpack says where the module's invariant holds.
const WHOLE: &str = "a node's entries are whole";

/// Entries in a row.
#[derive(Clone, Debug)]
pub struct Node {
    id: StreamId,
    pack: Listpack,
}

/// One entry, deleted or not.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: StreamId,
    node: &'a Node,
    flags: i64,
    /// Where its flags are.
    start: Pos,
    /// Its first value if it has the master entry's fields, else its first field.
    body: Pos,
    fields: usize,
}

impl Node {
    /// A node for a first entry with these fields and values, alternating; the entry itself is still to be added.
    pub fn new(id: StreamId, fields: &[&[u8]]) -> Node {
        let mut pack = Listpack::new();
        [0, 0, (fields.len() / 2) as i64].into_iter().for_each(|n| pack.push_back_int(n));
        fields.iter().step_by(2).for_each(|field| pack.push_back(field));
        pack.push_back_int(0);
        Node { id, pack }
    }

    /// A node of foreign bytes, if they are one in every detail. O(bytes).
    pub fn from_bytes(id: StreamId, bytes: &[u8]) -> Option<Node> {
        let node = Node { id, pack: Listpack::from_bytes(bytes)? };
        node.is_whole()?.then_some(node)
    }

    /// The node's own ID, that of its first entry.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The bytes, as RDB files hold them.
    pub fn bytes(&self) -> &[u8] {
        self.pack.bytes()
    }

    /// What the allocator spends on its entries, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.pack.allocated_bytes()
    }

    /// Entries that are not deleted.
    pub fn live(&self) -> u64 {
        self.int(self.live_at()) as u64
    }

    /// Entries that are.
    pub fn deleted(&self) -> u64 {
        self.int(self.after(self.live_at())) as u64
    }

    /// Appends an entry, whose ID is larger than all others here.
    pub fn push(&mut self, id: StreamId, fields: &[&[u8]]) {
        let same = self.has_fields(fields);
        self.pack.push_back_int(if same { SAME_FIELDS } else { 0 });
        let (ms, seq) = id.minus(self.id);
        self.pack.push_back_int(ms);
        self.pack.push_back_int(seq);
        let elements = if same {
            fields.iter().skip(1).step_by(2).for_each(|value| self.pack.push_back(value));
            fields.len() as i64 / 2 + FIXED
        } else {
            self.pack.push_back_int(fields.len() as i64 / 2);
            fields.iter().for_each(|text| self.pack.push_back(text));
            fields.len() as i64 + FIXED + 1
        };
        self.pack.push_back_int(elements);
        self.count(1, 0);
    }

    /// Are these the master entry's fields?
    fn has_fields(&self, fields: &[&[u8]]) -> bool {
        let at = self.fields_at();
        let mut own = self.pack.iter_from(at);
        own.next().is_some_and(|n| n.as_int() == Some(fields.len() as i64 / 2))
            && fields.iter().step_by(2).zip(own).all(|(field, own)| own.eq_bytes(field))
    }

    /// Marks an entry of this node, which is live, as deleted. `at`: [`Entry::mark`].
    pub fn delete(&mut self, at: EntryMark) {
        self.pack.replace_element(at.0, Element::Int(at.1 | DELETED));
        self.count(-1, 1);
    }

    fn count(&mut self, live: i64, deleted: i64) {
        let live_at = self.live_at();
        let n = self.int(live_at) + live;
        self.pack.replace_element(live_at, Element::Int(n));
        if deleted != 0 {
            let deleted_at = self.after(live_at);
            let n = self.int(deleted_at) + deleted;
            self.pack.replace_element(deleted_at, Element::Int(n));
        }
    }

    /// The first entry, deleted or not.
    pub fn first(&self) -> Option<Entry<'_>> {
        let at = self.fields_at();
        let fields = self.int(at);
        let zero = (0..fields).fold(self.after(at), |at, _| self.after(at));
        self.entry_at(self.pack.next(zero)?)
    }

    /// The last entry, deleted or not.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.entry_ending_at(self.pack.last()?)
    }

    /// The entry behind another.
    pub fn next<'a>(&'a self, entry: &Entry<'a>) -> Option<Entry<'a>> {
        let elements = entry.body_elements() + 1;
        let next = (0..elements).try_fold(entry.body, |at, _| self.pack.next(at))?;
        self.entry_at(next)
    }

    /// The entry before another.
    pub fn prev<'a>(&'a self, entry: &Entry<'a>) -> Option<Entry<'a>> {
        self.entry_ending_at(self.pack.prev(entry.start)?)
    }

    /// The entry whose last element is at `at`; none for the master entry.
    fn entry_ending_at(&self, at: Pos) -> Option<Entry<'_>> {
        let elements = self.int(at);
        if elements == 0 {
            return None;
        }
        let start = (0..elements).fold(at, |at, _| self.pack.prev(at).expect(WHOLE));
        self.entry_at(start)
    }

    fn entry_at(&self, start: Pos) -> Option<Entry<'_>> {
        let flags = self.int(start);
        let ms_at = self.after(start);
        let seq_at = self.after(ms_at);
        let body = self.after(seq_at);
        let (fields, body) = if flags & SAME_FIELDS == 0 {
            (self.int(body), self.after(body))
        } else {
            (self.int(self.fields_at()), body)
        };
        let id = self.id.plus(self.int(ms_at), self.int(seq_at));
        Some(Entry { id, node: self, flags, start, body, fields: fields as usize })
    }

    fn live_at(&self) -> Pos {
        self.pack.first().expect(WHOLE)
    }

    /// Where the number of the master entry's fields is.
    fn fields_at(&self) -> Pos {
        self.after(self.after(self.live_at()))
    }

    fn after(&self, at: Pos) -> Pos {
        self.pack.next(at).expect(WHOLE)
    }

    fn int(&self, at: Pos) -> i64 {
        self.pack.get(at).as_int().expect(WHOLE)
    }

    /// Does the module's invariant hold? `None`: it ends too early, or has text for a number.
    fn is_whole(&self) -> Option<bool> {
        let mut elements = self.pack.iter();
        let int = |element: Element<'_>| match element {
            Element::Int(n) => Some(n),
            Element::Str(_) => None,
        };
        let mut left = [int(elements.next()?)?, int(elements.next()?)?];
        let master_fields = usize::try_from(int(elements.next()?)?).ok()?;
        if master_fields > 0 {
            elements.nth(master_fields - 1)?;
        }
        if int(elements.next()?)? != 0 {
            return Some(false);
        }
        let mut before = None;
        while let Some(flags) = elements.next() {
            let flags = int(flags)?;
            let (ms, seq) = (int(elements.next()?)?, int(elements.next()?)?);
            let id = self.id.plus(ms, seq);
            let body = if flags & SAME_FIELDS != 0 {
                master_fields
            } else {
                usize::try_from(int(elements.next()?)?).ok()?.checked_mul(2)?
            };
            if body > 0 {
                elements.nth(body - 1)?;
            }
            let counted = int(elements.next()?)?;
            let expected = body as i64 + FIXED + i64::from(flags & SAME_FIELDS == 0);
            if counted != expected || id < self.id || before.is_some_and(|before| id <= before) {
                return Some(false);
            }
            before = Some(id);
            let left = &mut left[usize::from(flags & DELETED != 0)];
            *left = left.wrapping_sub(1);
        }
        Some(left == [0, 0])
    }
}

/// Where an entry's flags are, and what they are.
#[derive(Clone, Copy, Debug)]
pub struct EntryMark(Pos, i64);

impl<'a> Entry<'a> {
    /// Is it deleted?
    pub fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Number of its fields.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// Has it no fields? (Never, unless it came from a foreign file.)
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// Its place, for [`Node::delete`].
    pub fn mark(&self) -> EntryMark {
        EntryMark(self.start, self.flags)
    }

    fn has_master_fields(&self) -> bool {
        self.flags & SAME_FIELDS != 0
    }

    /// Elements from the body on, the count at the end left out.
    fn body_elements(&self) -> usize {
        if self.has_master_fields() { self.fields } else { 2 * self.fields }
    }

    /// Its fields and values, in the order in which they were given.
    pub fn pairs(&self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> + use<'a> {
        let pack = &self.node.pack;
        let names = if self.has_master_fields() { self.node.after(self.node.fields_at()) } else { self.body };
        let step = if self.has_master_fields() { 1 } else { 2 };
        let skip = step - 1;
        let names = pack.iter_from(names).step_by(step);
        let values = pack.iter_from(self.body).skip(skip).step_by(step);
        names.zip(values).take(self.fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StreamId = StreamId { ms: 1000, seq: 5 };

    /// A node of entries `(ms, seq, "field value …")`.
    fn node(entries: &[(u64, u64, &str)]) -> Node {
        let mut node: Option<Node> = None;
        for (ms, seq, line) in entries {
            let fields: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let id = StreamId { ms: *ms, seq: *seq };
            node.get_or_insert_with(|| Node::new(id, &fields)).push(id, &fields);
        }
        node.expect("there are entries")
    }

    fn shown(entry: &Entry<'_>) -> String {
        let text = |element: Element<'_>| String::from_utf8(element.to_vec()).expect("text");
        let pairs = entry.pairs().map(|(field, value)| format!(" {}={}", text(field), text(value)));
        format!("{}{}{}", if entry.is_deleted() { "!" } else { "" }, entry.id, pairs.collect::<String>())
    }

    fn forwards(node: &Node) -> Vec<String> {
        std::iter::successors(node.first(), |entry| node.next(entry)).map(|entry| shown(&entry)).collect()
    }

    fn backwards(node: &Node) -> Vec<String> {
        std::iter::successors(node.last(), |entry| node.prev(entry)).map(|entry| shown(&entry)).collect()
    }

    #[test]
    fn entries_are_found_from_both_ends() {
        let node =
            node(&[(1000, 5, "a 1 b two"), (1000, 6, "a x b -7"), (2000, 0, "c 1"), (2000, 9, "a 3 b 4")]);
        let expected = ["1000-5 a=1 b=two", "1000-6 a=x b=-7", "2000-0 c=1", "2000-9 a=3 b=4"];
        assert_eq!(forwards(&node), expected);
        assert_eq!(backwards(&node), expected.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!((node.live(), node.deleted()), (4, 0));
        assert!(Node::from_bytes(node.id(), node.bytes()).is_some());
    }

    #[test]
    fn a_deleted_entry_stays_marked() {
        let mut node = node(&[(1, 0, "a 1"), (2, 0, "b 2"), (3, 0, "a 3")]);
        let second = node.first().and_then(|first| node.next(&first)).expect("three");
        let mark = second.mark();
        node.delete(mark);
        assert_eq!(forwards(&node), ["1-0 a=1", "!2-0 b=2", "3-0 a=3"]);
        assert_eq!((node.live(), node.deleted()), (2, 1));
        assert!(Node::from_bytes(node.id(), node.bytes()).is_some());
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        // Observed in a file of redis-server 7.0.15: XADD k 1-1 a 1; XADD k 1-2 b 2.
        let node = node(&[(1, 1, "a 1"), (1, 2, "b 2")]);
        let elements: Vec<String> =
            node.pack.iter().map(|e| String::from_utf8(e.to_vec()).expect("text")).collect();
        assert_eq!(
            elements.join(" "),
            "2 0 1 a 0 2 0 0 1 4 0 0 1 1 b 2 6",
            "live deleted fields a 0 | same 0 0 1 4 | flags 0 1 1 b 2 6"
        );
    }

    #[track_caller]
    fn check_refused(elements: &[&str]) {
        let mut pack = Listpack::new();
        elements.iter().for_each(|text| pack.push_back(text.as_bytes()));
        assert!(Node::from_bytes(ID, pack.bytes()).is_none(), "{elements:?}");
    }

    #[test]
    fn what_is_no_node_is_refused() {
        let split = |line: &'static str| line.split(' ').collect::<Vec<_>>();
        let mut pack = Listpack::new();
        split("1 0 1 a 0 2 0 0 v 4").iter().for_each(|text| pack.push_back(text.as_bytes()));
        assert!(Node::from_bytes(ID, pack.bytes()).is_some());
        for line in [
            "1",
            "1 0 1 a",
            "1 0 1 a 0",
            "1 0 1 a 7 2 0 0 v 4",
            "2 0 1 a 0 2 0 0 v 4",
            "0 1 1 a 0 2 0 0 v 4",
            "1 0 9 a 0 2 0 0 v 4",
            "1 0 -1 a 0 2 0 0 v 4",
            "1 0 9223372036854775807 a 0 2 0 0 v 4",
            "1 0 1 a 0 2 0 0 v 5",
            "1 0 1 a 0 2 0 0 v",
            "1 0 1 a 0 2 x 0 v 4",
            "1 0 1 a 0 2 -1 0 v 4",
            "1 0 1 a 0 0 0 0 9223372036854775807 v 4",
            "2 0 1 a 0 2 1 0 v 4 2 1 0 v 4",
        ] {
            check_refused(&split(line));
        }
        assert!(Node::from_bytes(ID, Listpack::new().bytes()).is_none());
    }
}
