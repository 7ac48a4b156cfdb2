//! How far along a stream an ID is: the arithmetic behind a group's `entries-read` and `lag`.
//!
//! A stream counts the entries ever added. Where no entry behind an ID was deleted one by one, its distance from the first
//! entry ever follows from the counters; where there may be a gap (a tombstone), nobody knows without counting, and
//! Redis does not count. What is known when is Redis's, to the letter, since both replies and replication show it.
//! Observed: redis-server 7.0.15.

use super::id::StreamId;

/// A stream's counters and edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// Entries that are there.
    pub len: u64,
    /// The first of them; zero if there is none.
    pub first_id: StreamId,
    /// The last ID that was given to an entry.
    pub last_id: StreamId,
    /// The largest ID that was deleted by itself, not trimmed.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

impl Marks {
    /// May there be a gap at or behind `start`? Not before the first entry: what was deleted there is as if trimmed.
    fn has_gap_from(&self, start: StreamId) -> bool {
        self.len > 0 && self.max_deleted_id >= self.first_id && start <= self.max_deleted_id
    }

    /// The number of entries ever added up to `id`, where that can be told.
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if id == self.last_id || self.len == 0 && id < self.last_id {
            return Some(self.entries_added);
        }
        if id > self.last_id || self.max_deleted_id >= self.first_id {
            return None;
        }
        // No gap: what is there is what was added last.
        let before = self.entries_added.wrapping_sub(self.len);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// The number of entries read by a group that had read so many and now reads `id`.
    pub fn entries_read_after(&self, entries_read: Option<u64>, id: StreamId) -> Option<u64> {
        match entries_read {
            Some(read) if !self.has_gap_from(id) => Some(read.wrapping_add(1)),
            read if self.entries_added == 0 => read,
            _ => self.entries_up_to(id),
        }
    }

    /// How many entries a group has not read, where that can be told. Negative if the group claims to have read more.
    pub fn lag(&self, entries_read: Option<u64>, last_id: StreamId) -> Option<i64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        let read = match entries_read {
            Some(read) if !self.has_gap_from(last_id) => read,
            _ => self.entries_up_to(last_id)?,
        };
        Some(self.entries_added.wrapping_sub(read) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    /// Entries 1 to 5 of which the first two were trimmed.
    const TRIMMED: Marks = Marks {
        len: 3,
        first_id: StreamId { ms: 3, seq: 0 },
        last_id: StreamId { ms: 5, seq: 0 },
        max_deleted_id: StreamId::MIN,
        entries_added: 5,
    };

    #[test]
    fn only_edges_are_known() {
        for (ms, known) in [(0, Some(2)), (2, Some(2)), (3, Some(3)), (4, None), (5, Some(5)), (6, None)] {
            assert_eq!(TRIMMED.entries_up_to(id(ms)), known, "{ms}");
        }
        let gap = Marks { max_deleted_id: id(4), len: 2, ..TRIMMED };
        for (ms, known) in [(2, None), (3, None), (5, Some(5))] {
            assert_eq!(gap.entries_up_to(id(ms)), known, "{ms}");
        }
        let empty = Marks { len: 0, first_id: StreamId::MIN, ..TRIMMED };
        assert_eq!(empty.entries_up_to(id(1)), Some(5));
        assert_eq!(Marks::default().entries_up_to(id(9)), Some(0));
    }

    #[test]
    fn a_gap_ahead_makes_the_lag_unknown() {
        assert_eq!(TRIMMED.lag(Some(4), id(4)), Some(1));
        assert_eq!(TRIMMED.lag(None, id(4)), None);
        assert_eq!(TRIMMED.lag(None, id(3)), Some(2));
        let gap = Marks { max_deleted_id: id(4), len: 2, ..TRIMMED };
        assert_eq!(gap.lag(Some(3), id(3)), None);
        assert_eq!(gap.lag(Some(5), id(5)), Some(0));
        let before = Marks { max_deleted_id: id(2), ..TRIMMED };
        assert_eq!(before.lag(Some(1), id(1)), Some(4));
        assert_eq!(Marks::default().lag(None, id(0)), Some(0));
    }

    #[test]
    fn reading_counts_on_where_it_can() {
        assert_eq!(TRIMMED.entries_read_after(Some(3), id(4)), Some(4));
        assert_eq!(TRIMMED.entries_read_after(None, id(4)), None);
        assert_eq!(TRIMMED.entries_read_after(None, id(5)), Some(5));
        let gap = Marks { max_deleted_id: id(4), len: 2, ..TRIMMED };
        assert_eq!(gap.entries_read_after(Some(2), id(3)), None);
        assert_eq!(gap.entries_read_after(Some(4), id(5)), Some(5));
    }
}
