//! A consumer group: how far its consumers have read together, and what they have read but not acknowledged.
//!
//! An entry that is pending stands twice: in the group's list with all that is known about it, and as a mere ID in the list of the
//! consumer that it was delivered to. Redis shares one record between both lists; sharing by pointer would tie clones
//! together here, so the consumer's list says only *which*. The invariant: the ID is in the list of exactly the consumer that the
//! group's record names.
//!
//! Consumers are known by a number inside, which is never used again, so that a record costs no name and changing hands
//! looks nothing up by name. All maps are persistent: cloning a group is O(1).

use super::id::StreamId;
use imbl::{OrdMap, OrdSet};
use triomphe::Arc;

/// A consumer of a group, by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConsumerNumber(u64);

/// An entry that was delivered and is not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    pub consumer: ConsumerNumber,
    /// Unix time in milliseconds of the last delivery.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// One of those who read as a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// Unix time in milliseconds of its last attempt to read or claim.
    pub seen_ms: i64,
    /// Unix time in milliseconds of its last success, if there was one.
    pub active_ms: Option<i64>,
    pending: OrdSet<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Number of its pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The IDs of its pending entries from `from` on.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(from..).copied()
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The largest ID that was delivered.
    pub last_id: StreamId,
    /// How many entries of those ever added are before or at `last_id`, if that is known.
    pub entries_read: Option<u64>,
    pending: OrdMap<StreamId, Pending>,
    consumers: OrdMap<ConsumerNumber, Arc<Consumer>>,
    names: OrdMap<Arc<[u8]>, ConsumerNumber>,
    next_number: u64,
}

impl Group {
    /// A group without consumers that has read up to an ID.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            last_id,
            entries_read,
            pending: OrdMap::new(),
            consumers: OrdMap::new(),
            names: OrdMap::new(),
            next_number: 0,
        }
    }

    // Consumers.

    /// Number of consumers.
    pub fn consumers_len(&self) -> usize {
        self.consumers.len()
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerNumber, &Consumer)> {
        self.names.iter().map(|(_, number)| (*number, self.consumer(*number)))
    }

    /// The consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.names.get(name).copied()
    }

    /// The consumer of a number that this group gave and that is still there.
    pub fn consumer(&self, number: ConsumerNumber) -> &Consumer {
        self.consumers.get(&number).expect("a consumer's number is forgotten with it")
    }

    /// As [`Group::consumer`], for a change.
    pub fn consumer_mut(&mut self, number: ConsumerNumber) -> &mut Consumer {
        let consumer = self.consumers.get_mut(&number);
        Arc::make_mut(consumer.expect("a consumer's number is forgotten with it"))
    }

    /// Adds a consumer whose name is not taken, seen at `now_ms`.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: i64) -> ConsumerNumber {
        let number = ConsumerNumber(self.next_number);
        self.next_number += 1;
        let name: Arc<[u8]> = Arc::from(name);
        self.names.insert(name.clone(), number);
        let consumer = Consumer { name, seen_ms: now_ms, active_ms: None, pending: OrdSet::new() };
        self.consumers.insert(number, Arc::new(consumer));
        number
    }

    /// Removes a consumer with all that is pending for it, and returns how much that was. O(pending · log n).
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = self.names.remove(name)?;
        let consumer = self.consumers.remove(&number).expect("a name leads to its consumer");
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending_len())
    }

    // Pending entries.

    /// Number of pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entries from `from` on.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = (StreamId, Pending)> {
        self.pending.range(from..).map(|(id, pending)| (*id, *pending))
    }

    /// The smallest and the largest ID that is pending.
    pub fn pending_edges(&self) -> Option<(StreamId, StreamId)> {
        Some((self.pending.get_min()?.0, self.pending.get_max()?.0))
    }

    /// What is known of an entry that is pending.
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(&id).copied()
    }

    /// Makes an entry pending, or changes what is known of it.
    pub fn set_pending(&mut self, id: StreamId, pending: Pending) {
        let old = self.pending.insert(id, pending).map(|old| old.consumer);
        if old == Some(pending.consumer) {
            return;
        }
        if let Some(old) = old {
            self.consumer_mut(old).pending.remove(&id);
        }
        self.consumer_mut(pending.consumer).pending.insert(id);
    }

    /// Makes an entry pending no more. Returns whether it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.consumer_mut(pending.consumer).pending.remove(&id);
        true
    }

    /// Can an entry not be missed by this group any more: read and acknowledged?
    pub fn is_done_with(&self, id: StreamId) -> bool {
        id <= self.last_id && !self.pending.contains_key(&id)
    }

    /// About how many allocations it has.
    pub fn allocations(&self) -> usize {
        // Leaves of the maps hold 8 to 16 entries; a name is shared by two maps.
        self.pending.len() / 4 + 2 * self.consumers.len() + 1
    }

    /// About how many bytes it occupies.
    pub fn memory_bytes(&self) -> usize {
        const PENDING_BYTES: usize = 2 * (size_of::<StreamId>() * 2 + size_of::<Pending>());
        const CONSUMER_BYTES: usize = size_of::<Consumer>() + 128;
        size_of::<Group>() + self.pending.len() * PENDING_BYTES + self.consumers.len() * CONSUMER_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn group() -> (Group, [ConsumerNumber; 2]) {
        let mut group = Group::new(StreamId::MIN, Some(0));
        let consumers = [group.add_consumer(b"b", 5), group.add_consumer(b"a", 6)];
        (group, consumers)
    }

    fn give(group: &mut Group, ms: u64, consumer: ConsumerNumber) {
        group.set_pending(id(ms), Pending { consumer, delivered_ms: 7, deliveries: 1 });
    }

    /// The pending entries of each consumer, in the order of their names.
    fn shown(group: &Group) -> Vec<Vec<u64>> {
        let ids = |consumer: &Consumer| consumer.pending_from(StreamId::MIN).map(|id| id.ms).collect();
        let all = group.consumers().map(|(number, consumer)| {
            for id in consumer.pending_from(StreamId::MIN) {
                assert_eq!(group.pending(id).map(|pending| pending.consumer), Some(number));
            }
            ids(consumer)
        });
        let all: Vec<Vec<u64>> = all.collect();
        assert_eq!(group.pending_len(), all.iter().map(Vec::len).sum::<usize>());
        all
    }

    #[test]
    fn an_entry_is_pending_for_one_consumer() {
        let (mut group, [b, a]) = group();
        (1..=3).for_each(|ms| give(&mut group, ms, b));
        give(&mut group, 2, a);
        give(&mut group, 2, a);
        assert_eq!(shown(&group), [vec![2], vec![1, 3]]);
        assert!(group.acknowledge(id(2)) && !group.acknowledge(id(2)));
        assert_eq!(shown(&group), [vec![], vec![1, 3]]);
        assert_eq!(group.pending_edges(), Some((id(1), id(3))));
    }

    #[test]
    fn a_consumer_takes_its_pending_entries_along() {
        let (mut group, [b, a]) = group();
        (1..=3).for_each(|ms| give(&mut group, ms, b));
        give(&mut group, 4, a);
        assert_eq!(group.remove_consumer(b"b"), Some(3));
        assert_eq!(group.remove_consumer(b"b"), None);
        assert_eq!(shown(&group), [vec![4]]);
        let again = group.add_consumer(b"b", 8);
        assert_ne!(again, b);
        assert_eq!(group.consumer(again).pending_len(), 0);
    }

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let (mut group, [b, a]) = group();
        (1..=100).for_each(|ms| give(&mut group, ms, b));
        let old = group.clone();
        give(&mut group, 50, a);
        group.acknowledge(id(1));
        group.consumer_mut(b).seen_ms = 99;
        assert_eq!(shown(&old)[1].len(), 100);
        assert_eq!(old.consumer(b).seen_ms, 5);
        assert_eq!((shown(&group)[0].len(), shown(&group)[1].len()), (1, 98));
    }
}
