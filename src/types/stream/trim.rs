//! Trimming a stream from its front, and what becomes of pending entries that are deleted.
//!
//! Trimming removes whole nodes where it can; *approximate* trimming does only that, and stops before it has removed more than
//! its limit. The entries of the node that remains are marked deleted one by one. Trimmed entries leave no tombstone behind:
//! they were the first ones, so no gap opens. With [`References::Acknowledged`] gaps do open, and such entries are
//! deleted as XDEL deletes them.

use super::Stream;
use super::id::StreamId;
use super::node::{EntryMark, Node};

/// What a stream is trimmed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threshold {
    /// At most so many entries stay.
    MaxLen(u64),
    /// Entries with smaller IDs go.
    MinId(StreamId),
}

/// What happens to groups' references to entries that are deleted (8.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum References {
    /// They stay pending.
    #[default]
    Keep,
    /// They are pending no more.
    Delete,
    /// An entry that a group has not read, or not acknowledged, is not deleted.
    Acknowledged,
}

/// How a stream is trimmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trim {
    pub to: Threshold,
    /// Only whole nodes.
    pub approximate: bool,
    /// At most so many entries go.
    pub limit: Option<u64>,
    pub references: References,
}

/// A group's name and an ID that is pending there no more.
pub type Released = (Box<[u8]>, StreamId);

/// What trimming or deleting did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Deleted {
    /// How many entries went.
    pub entries: u64,
    /// Which ones, where they were deleted one by one.
    pub ids: Vec<StreamId>,
    /// Whose pending lists lost what.
    pub released: Vec<Released>,
}

/// What trimming does to a node.
enum Step {
    Stop,
    RemoveNode,
    RemoveEntries,
}

impl Stream {
    /// Trims the stream.
    pub fn trim(&mut self, trim: Trim) -> Deleted {
        match trim.references {
            References::Acknowledged if !self.0.groups.is_empty() => self.trim_acknowledged(trim),
            References::Delete => {
                let before = self.clone();
                let entries = self.trim_front(trim);
                Deleted { entries, ids: Vec::new(), released: self.release_trimmed(&before) }
            }
            _ => Deleted { entries: self.trim_front(trim), ..Deleted::default() },
        }
    }

    fn trim_front(&mut self, trim: Trim) -> u64 {
        let mut removed = 0;
        while let Some(node) = self.0.nodes.first() {
            match self.step(&trim, node, removed) {
                Step::Stop => break,
                Step::RemoveNode => {
                    let (id, live) = (node.id(), node.live());
                    self.0.nodes.remove(id);
                    self.0.marks.len -= live;
                    removed += live;
                }
                Step::RemoveEntries => {
                    removed += self.trim_node(trim.to);
                    break;
                }
            }
        }
        if removed > 0 {
            self.find_first();
        }
        removed
    }

    fn step(&self, trim: &Trim, node: &Node, removed: u64) -> Step {
        let (len, live) = (self.0.marks.len, node.live());
        if matches!(trim.to, Threshold::MaxLen(max) if len <= max)
            || trim.limit.is_some_and(|limit| removed + live > limit)
        {
            return Step::Stop;
        }
        let whole = match trim.to {
            Threshold::MaxLen(max) => len - live >= max,
            Threshold::MinId(min) => node.last().is_some_and(|last| last.id < min),
        };
        match (whole, trim.approximate) {
            (true, _) => Step::RemoveNode,
            (false, true) => Step::Stop,
            (false, false) => Step::RemoveEntries,
        }
    }

    /// Marks entries of the first node as deleted, of which at least one stays.
    fn trim_node(&mut self, to: Threshold) -> u64 {
        let Some(node) = self.0.nodes.first() else { return 0 };
        let mut left = match to {
            Threshold::MaxLen(max) => self.0.marks.len - max,
            Threshold::MinId(_) => u64::MAX,
        };
        let beyond = |id| matches!(to, Threshold::MinId(min) if id >= min);
        let mut marks: Vec<EntryMark> = Vec::new();
        let mut at = node.first();
        while let Some(entry) = at.filter(|entry| left > 0 && !beyond(entry.id)) {
            if !entry.is_deleted() {
                marks.push(entry.mark());
                left -= 1;
            }
            at = node.next(&entry);
        }
        let id = node.id();
        self.0.marks.len -= marks.len() as u64;
        if !marks.is_empty() {
            let node = self.0.nodes.get_mut(id).expect("the first node is there");
            marks.iter().for_each(|mark| node.delete(*mark));
        }
        marks.len() as u64
    }

    /// Releases what was trimmed since `before` from all groups.
    fn release_trimmed(&mut self, before: &Stream) -> Vec<Released> {
        let first_left = self.0.marks.first_id;
        let is_gone = |id: StreamId| self.0.marks.len == 0 || id < first_left;
        if self.0.groups.is_empty() {
            return Vec::new();
        }
        let gone: Vec<StreamId> = before
            .range(StreamId::MIN, StreamId::MAX)
            .map(|entry| entry.id)
            .take_while(|id| is_gone(*id))
            .collect();
        gone.into_iter().flat_map(|id| self.release(id)).collect()
    }

    /// Makes an entry pending in no group any more.
    pub fn release(&mut self, id: StreamId) -> Vec<Released> {
        let holds = |stream: &Stream| -> Vec<Box<[u8]>> {
            let groups = stream.groups().filter(|(_, group)| group.pending(id).is_some());
            groups.map(|(name, _)| name.into()).collect()
        };
        let mut released = Vec::new();
        for name in holds(self) {
            self.group_mut(&name).expect("it was just seen").acknowledge(id);
            released.push((name, id));
        }
        released
    }

    /// Has every group read and acknowledged the entry? No, if there is no group.
    pub fn is_acknowledged(&self, id: StreamId) -> bool {
        !self.0.groups.is_empty() && self.groups().all(|(_, group)| group.is_done_with(id))
    }

    /// Deletes those entries that would be trimmed and that every group has acknowledged. Approximately: of the nodes
    /// that would go as a whole.
    fn trim_acknowledged(&mut self, trim: Trim) -> Deleted {
        let mut candidates = Vec::new();
        let mut len = self.0.marks.len;
        let limit = trim.limit.unwrap_or(u64::MAX);
        let beyond = |len: u64, id: StreamId| match trim.to {
            Threshold::MaxLen(max) => len <= max,
            Threshold::MinId(min) => id >= min,
        };
        for node in self.0.nodes.iter() {
            let whole = match trim.to {
                Threshold::MaxLen(max) => len.saturating_sub(node.live()) >= max,
                Threshold::MinId(min) => node.last().is_some_and(|last| last.id < min),
            };
            if trim.approximate && !whole || candidates.len() as u64 + node.live() > limit {
                break;
            }
            let mut at = node.first();
            while let Some(entry) = at.filter(|entry| !beyond(len, entry.id)) {
                if !entry.is_deleted() && self.is_acknowledged(entry.id) {
                    candidates.push(entry.id);
                    len -= 1;
                }
                at = node.next(&entry);
            }
        }
        let ids: Vec<StreamId> = candidates.into_iter().filter(|id| self.delete(*id)).collect();
        Deleted { entries: ids.len() as u64, ids, released: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{id, limits, stream};
    use super::*;
    use crate::types::stream::group::Pending;

    const EXACT: Trim =
        Trim { to: Threshold::MaxLen(0), approximate: false, limit: None, references: References::Keep };

    fn left(stream: &Stream) -> Vec<u64> {
        stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id.ms).collect()
    }

    #[track_caller]
    fn check(trim: Trim, removed: u64, left_from: u64) {
        // Entries 1 to 20 in nodes of 5.
        let mut stream = stream(20, &limits(5));
        assert_eq!(stream.trim(trim).entries, removed, "{trim:?}");
        assert_eq!(left(&stream), (left_from..=20).collect::<Vec<_>>(), "{trim:?}");
        assert_eq!(stream.len() as u64, 20 - removed);
        assert_eq!(stream.marks().first_id, id(if left_from <= 20 { left_from } else { 0 }));
        assert_eq!(stream.marks().max_deleted_id, StreamId::MIN);
    }

    #[test]
    fn to_a_length_or_an_id() {
        let to = |to| Trim { to, ..EXACT };
        check(to(Threshold::MaxLen(12)), 8, 9);
        check(to(Threshold::MaxLen(10)), 10, 11);
        check(to(Threshold::MaxLen(20)), 0, 1);
        check(to(Threshold::MaxLen(0)), 20, 21);
        check(to(Threshold::MinId(id(9))), 8, 9);
        check(to(Threshold::MinId(id(1))), 0, 1);
        check(to(Threshold::MinId(id(99))), 20, 21);
    }

    #[test]
    fn approximately_and_with_a_limit() {
        let about = |to, limit| Trim { to, approximate: true, limit, ..EXACT };
        check(about(Threshold::MaxLen(12), None), 5, 6);
        check(about(Threshold::MinId(id(9)), None), 5, 6);
        check(about(Threshold::MaxLen(0), Some(12)), 10, 11);
        check(about(Threshold::MaxLen(0), Some(4)), 0, 1);
    }

    /// Entries 1 to 10, all read by one group, 3 and 4 still pending; read up to 8 by another.
    fn shared() -> Stream {
        let mut stream = stream(10, &limits(5));
        stream.create_group(b"a", id(10), None);
        stream.create_group(b"b", id(8), None);
        let a = stream.group_mut(b"a").expect("created");
        let consumer = a.add_consumer(b"c", 0);
        for ms in [3, 4] {
            a.set_pending(id(ms), Pending { consumer, delivered_ms: 0, deliveries: 1 });
        }
        stream
    }

    #[test]
    fn references_may_go_too() {
        let mut stream = shared();
        let deleted = stream.trim(Trim { to: Threshold::MaxLen(7), references: References::Delete, ..EXACT });
        assert_eq!(deleted.released, [(b"a"[..].into(), id(3))]);
        assert_eq!((deleted.entries, left(&stream)), (3, vec![4, 5, 6, 7, 8, 9, 10]));
        assert_eq!(stream.group(b"a").map(|group| group.pending_len()), Some(1));
    }

    #[test]
    fn what_is_not_acknowledged_may_stay() {
        let acked = |to| Trim { to, references: References::Acknowledged, ..EXACT };
        let mut some = shared();
        assert_eq!(some.trim(acked(Threshold::MaxLen(7))).ids, [id(1), id(2), id(5)]);
        let mut all = shared();
        all.trim(acked(Threshold::MaxLen(0)));
        assert_eq!(left(&all), [3, 4, 9, 10]);
        assert_eq!(all.marks().max_deleted_id, id(8));
        let mut about = shared();
        about.trim(Trim { approximate: true, ..acked(Threshold::MaxLen(4)) });
        assert_eq!(left(&about), [3, 4, 6, 7, 8, 9, 10]);
    }
}
