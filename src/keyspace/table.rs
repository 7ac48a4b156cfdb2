//! A hash table that never stops to rehash: linear hashing over buckets of one cache line.
//!
//! The table grows and shrinks by one bucket at a time: when it is fuller than `GROW_AT` entries per bucket, the next
//! bucket in line is split in two. So there is no pause at any size, the load (and with it the memory per key) is the
//! same at every number of keys, and no second table exists for a while. The directory of segments is the only thing
//! that is ever copied: 8 bytes per 16 buckets.
//!
//! A bucket is addressed by the low bits of the hash, and a split adds one more bit to an address. [`Table::scan`]
//! visits buckets in the order of the reversed bits of their address: in that order a bucket is a contiguous interval
//! of hash space whatever number of bits it has, so an element that is present all along is returned even if
//! buckets split and merge between two calls (SCAN's promise). Extendible hashing (Dash) gives the same but its load varies
//! by a factor of two as all segments fill at the same time.

use super::entry::Entry;
use std::iter::{once, successors};

/// Entries in one bucket before it chains links.
const BUCKET_ENTRIES: usize = 7;
/// Entries in a link: two of five buckets need a few places more, hardly any a second link.
const LINK_ENTRIES: usize = 3;
/// Split when there are more entries per bucket than this. Memory is 11.5 to 12 bytes a key, links included; one key in seven
/// stands in a link.
const GROW_AT: usize = 7;
/// Merge when there are fewer entries per bucket than this.
const SHRINK_AT: usize = 3;
/// Sixteen buckets, a kilobyte: what is allocated ahead in each of the shards is nothing beside the keys.
const SEGMENT_BITS: usize = 4;
const SEGMENT_BUCKETS: usize = 1 << SEGMENT_BITS;

/// One cache line: entries in no order, gaps allowed, and a chain for the few that do not fit.
#[derive(Default)]
#[repr(align(64))]
struct Bucket {
    slots: [Option<Entry>; BUCKET_ENTRIES],
    next: Option<Box<Link>>,
}

/// Half a cache line of a chain.
#[derive(Default)]
#[repr(align(32))]
struct Link {
    slots: [Option<Entry>; LINK_ENTRIES],
    next: Option<Box<Link>>,
}

type Segment = Box<[Bucket; SEGMENT_BUCKETS]>;

/// A hash table of [`Entry`]s. The caller hashes; only bits from 0 up address buckets, so they must be uniform.
#[derive(Default)]
pub struct Table {
    segments: Vec<Segment>,
    /// Number of buckets in use; 0 for a table that never held anything.
    buckets: usize,
    len: usize,
}

const VALID: &str = "a position stays valid until the table changes";

/// Where an entry stands, until the table changes.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    index: usize,
    depth: u32,
    slot: u32,
}

impl Table {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Holds nothing?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of buckets, for statistics.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// Bytes of the table itself, entries not included (chains not counted).
    pub fn overhead_bytes(&self) -> usize {
        self.segments.len() * (SEGMENT_BUCKETS * size_of::<Bucket>() + size_of::<Segment>())
    }

    /// Bits of the address of the bucket that `hash` falls into: one more where the bucket has been split.
    fn address_bits(&self, hash: u64) -> u32 {
        let level = self.buckets.ilog2();
        let low = hash as usize & ((1usize << level) - 1);
        if low + (1usize << level) < self.buckets { level + 1 } else { level }
    }

    #[inline]
    fn bucket_index(&self, hash: u64) -> usize {
        let level = self.buckets.ilog2();
        let wide = hash as usize & ((2usize << level) - 1);
        if wide < self.buckets { wide } else { wide & ((1usize << level) - 1) }
    }

    #[inline]
    fn bucket(&self, index: usize) -> &Bucket {
        &self.segments[index >> SEGMENT_BITS][index & (SEGMENT_BUCKETS - 1)]
    }

    #[inline]
    fn bucket_mut(&mut self, index: usize) -> &mut Bucket {
        &mut self.segments[index >> SEGMENT_BITS][index & (SEGMENT_BUCKETS - 1)]
    }

    /// Finds a key. O(1).
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Position> {
        if self.len == 0 {
            return None;
        }
        let index = self.bucket_index(hash);
        let bucket = self.bucket(index);
        if let Some(slot) = slot_of(&bucket.slots, hash, key) {
            return Some(Position { index, depth: 0, slot });
        }
        let links = successors(bucket.next.as_deref(), |link| link.next.as_deref());
        (1..).zip(links).find_map(|(depth, link)| {
            let slot = slot_of(&link.slots, hash, key)?;
            Some(Position { index, depth, slot })
        })
    }

    /// Asks for the memory of the bucket of `hash`. False: not worth it, the table is small.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) -> bool {
        const FITS_THE_CACHE_BUCKETS: usize = 32;
        if self.buckets < FITS_THE_CACHE_BUCKETS {
            return false;
        }
        super::entry::prefetch(self.bucket(self.bucket_index(hash)));
        true
    }

    /// Asks for the memory of the entry that `hash` may belong to.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if self.len > 0 {
            let bucket = self.bucket(self.bucket_index(hash));
            bucket.slots.iter().flatten().filter(|entry| entry.may_match(hash)).for_each(Entry::prefetch);
        }
    }

    /// The entry at a position that [`Table::find`] gave and no change has come after.
    #[inline]
    pub fn at(&self, position: Position) -> &Entry {
        let slots = self.bucket(position.index).groups().nth(position.depth as usize).expect(VALID);
        slots[position.slot as usize].as_ref().expect("a position names an entry")
    }

    /// As [`Table::at`], for changing the entry (its key excepted).
    #[inline]
    pub fn at_mut(&mut self, position: Position) -> &mut Entry {
        self.slot_mut(position).as_mut().expect("a position names an entry")
    }

    #[inline]
    fn slot_mut(&mut self, position: Position) -> &mut Option<Entry> {
        &mut self.bucket_mut(position.index).group_mut(position.depth)[position.slot as usize]
    }

    /// Adds an entry whose key is not there yet. `hash_of` rehashes the keys of the bucket that may be split, where the entries'
    /// fingerprints do not tell.
    pub fn insert(&mut self, hash: u64, entry: Entry, hash_of: impl Fn(&[u8]) -> u64) {
        debug_assert!(self.find(hash, entry.key()).is_none(), "a key is inserted once");
        if self.len >= self.buckets * GROW_AT {
            self.grow(&hash_of);
        }
        self.len += 1;
        let index = self.bucket_index(hash);
        self.bucket_mut(index).put(entry);
    }

    /// Takes an entry out. O(1).
    pub fn remove(&mut self, position: Position) -> Entry {
        let entry = self.slot_mut(position).take().expect("a position names an entry");
        self.len -= 1;
        if self.buckets > 1 && self.len < self.buckets * SHRINK_AT {
            self.shrink();
        }
        entry
    }

    fn grow(&mut self, hash_of: &impl Fn(&[u8]) -> u64) {
        if self.buckets.is_multiple_of(SEGMENT_BUCKETS) {
            self.segments.push(Box::default());
        }
        let new = self.buckets;
        self.buckets += 1;
        if new == 0 {
            return;
        }
        let level = new.ilog2();
        let low = new - (1usize << level);
        let old = std::mem::take(self.bucket_mut(low));
        old.drain(|entry| {
            let goes_up = entry.hash_bit(level).unwrap_or_else(|| hash_of(entry.key()) >> level & 1 == 1);
            self.bucket_mut(if goes_up { new } else { low }).put(entry);
        });
    }

    fn shrink(&mut self) {
        let last = self.buckets - 1;
        let into = last - (1usize << last.ilog2());
        let bucket = std::mem::take(self.bucket_mut(last));
        self.buckets = last;
        bucket.drain(|entry| self.bucket_mut(into).put(entry));
        if last.is_multiple_of(SEGMENT_BUCKETS) {
            self.segments.pop();
        }
    }

    /// Asks for the memory of what a walk that is at `cursor` comes to next: the following bucket's entries, and the bucket
    /// after it.
    #[inline]
    pub fn prefetch_behind(&self, cursor: u64) {
        if self.buckets > 0 {
            let next = next_cursor(cursor, self.address_bits(cursor));
            self.bucket(self.bucket_index(next)).slots.iter().flatten().for_each(Entry::prefetch);
            let second = next_cursor(next, self.address_bits(next));
            super::entry::prefetch(self.bucket(self.bucket_index(second)));
        }
    }

    /// Visits the entries of the bucket at `cursor` (0 to begin) and returns the next cursor, 0 when all were
    /// visited. An element that is there from the first call to the last is visited at least once.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&Entry)) -> u64 {
        if self.buckets == 0 {
            return 0;
        }
        self.bucket(self.bucket_index(cursor)).groups().flatten().flatten().for_each(&mut visit);
        next_cursor(cursor, self.address_bits(cursor))
    }

    /// As [`Table::scan`], for changing entries on the way (keys excepted).
    pub fn scan_mut(&mut self, cursor: u64, mut visit: impl FnMut(&mut Entry)) -> u64 {
        if self.buckets == 0 {
            return 0;
        }
        let bits = self.address_bits(cursor);
        let index = self.bucket_index(cursor);
        let bucket = self.bucket_mut(index);
        bucket.slots.iter_mut().flatten().for_each(&mut visit);
        let mut link = bucket.next.as_deref_mut();
        while let Some(l) = link {
            l.slots.iter_mut().flatten().for_each(&mut visit);
            link = l.next.as_deref_mut();
        }
        next_cursor(cursor, bits)
    }

    /// Calls `visit` with every entry, in no particular order.
    pub fn for_each(&self, mut visit: impl FnMut(&Entry)) {
        let mut cursor = 0;
        loop {
            cursor = self.scan(cursor, &mut visit);
            if cursor == 0 {
                return;
            }
        }
    }

    /// Entries in the buckets whose address agrees with `hash` in its lowest `bits` bits (one bucket, unless the table
    /// addresses more bits than that), for which `visit` is called.
    pub fn for_each_near(&self, hash: u64, bits: u32, mut visit: impl FnMut(&Entry)) {
        if self.len == 0 {
            return;
        }
        let address = self.address_bits(hash);
        let step = 1usize << bits.min(address);
        let first = if bits < address { hash as usize & (step - 1) } else { self.bucket_index(hash) };
        let end = if bits < address { self.buckets } else { first + 1 };
        for index in (first..end).step_by(step) {
            self.bucket(index).groups().flatten().flatten().for_each(&mut visit);
        }
    }
}

/// Where among these a key is.
#[inline]
fn slot_of(slots: &[Option<Entry>], hash: u64, key: &[u8]) -> Option<u32> {
    let is_it = |entry: &Entry| entry.may_match(hash) && entry.key() == key;
    slots.iter().position(|slot| slot.as_ref().is_some_and(is_it)).map(|slot| slot as u32)
}

/// The next address after `cursor` in the order of reversed bits, when `bits` of it address a bucket.
pub fn next_cursor(cursor: u64, bits: u32) -> u64 {
    let low_ones = if bits == 0 { u64::MAX } else { u64::MAX >> bits };
    (cursor.reverse_bits() | low_ones).wrapping_add(1).reverse_bits()
}

impl Bucket {
    /// The bucket's places, then each link's.
    #[inline]
    fn groups(&self) -> impl Iterator<Item = &[Option<Entry>]> {
        let links = successors(self.next.as_deref(), |link| link.next.as_deref());
        once(&self.slots[..]).chain(links.map(|link| &link.slots[..]))
    }

    /// The places at `depth` links from the bucket, which must be there.
    #[inline]
    fn group_mut(&mut self, depth: u32) -> &mut [Option<Entry>] {
        if depth == 0 {
            return &mut self.slots;
        }
        let mut link = self.next.as_deref_mut().expect(VALID);
        for _ in 1..depth {
            link = link.next.as_deref_mut().expect(VALID);
        }
        &mut link.slots
    }

    fn put(&mut self, entry: Entry) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(entry);
            return;
        }
        let mut link = self.next.get_or_insert_default();
        while link.slots.iter().all(Option::is_some) {
            link = link.next.get_or_insert_default();
        }
        *link.slots.iter_mut().find(|slot| slot.is_none()).expect("a free place") = Some(entry);
    }

    fn drain(self, mut take: impl FnMut(Entry)) {
        self.slots.into_iter().flatten().for_each(&mut take);
        let mut next = self.next;
        while let Some(link) = next {
            link.slots.into_iter().flatten().for_each(&mut take);
            next = link.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{NewValue, ValueRef};
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn hash_of(key: &[u8]) -> u64 {
        key.iter().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        })
    }

    fn put(table: &mut Table, key: &[u8], n: i64) {
        table.insert(hash_of(key), Entry::new(hash_of(key), key, NewValue::Int(n), None, 0), hash_of);
    }

    #[test]
    fn buckets_are_cache_lines() {
        assert_eq!((size_of::<Bucket>(), size_of::<Link>(), size_of::<Option<Entry>>()), (64, 32, 8));
    }

    #[test]
    fn agrees_with_a_hash_map() {
        let mut table = Table::default();
        let mut model = HashMap::new();
        let mut state = 1u64;
        for step in 0..60_000i64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let range = if step < 30_000 { 20_000 } else { 500 };
            let key = format!("key{}", (state >> 33) % range).into_bytes();
            if (state >> 20).is_multiple_of(3) || step > 45_000 {
                let found = table.find(hash_of(&key), &key);
                assert_eq!(found.map(|at| table.remove(at)).is_some(), model.remove(&key).is_some());
            } else if model.insert(key.clone(), step).is_none() {
                put(&mut table, &key, step);
            } else {
                let at = table.find(hash_of(&key), &key).unwrap();
                table.at_mut(at).overwrite(NewValue::Int(step), None).unwrap();
            }
            assert_eq!(table.len(), model.len());
        }
        for (key, n) in &model {
            let entry = table.at(table.find(hash_of(key), key).expect("present"));
            assert!(matches!(entry.string(), Some(ValueRef::Int(m)) if m == *n));
        }
    }

    #[test]
    fn a_scan_returns_what_was_there_throughout_growth_and_shrinking() {
        for (before, during) in [(5_000, 20_000i64), (20_000, -15_000)] {
            let mut table = Table::default();
            let keys: Vec<Vec<u8>> = (0..before.max(25_000)).map(|n| format!("k{n}").into_bytes()).collect();
            (0..before).for_each(|n| put(&mut table, &keys[n], 0));
            let stays = if during > 0 { before } else { before - during.unsigned_abs() as usize };
            let (mut seen, mut cursor, mut changed) = (HashSet::new(), 0, 0);
            loop {
                cursor = table.scan(cursor, |entry| {
                    seen.insert(entry.key().to_vec());
                });
                for _ in 0..20 {
                    if changed < during.abs() {
                        changed += 1;
                        if during > 0 {
                            put(&mut table, &keys[before + changed as usize - 1], 0);
                        } else {
                            let key = &keys[before - changed as usize];
                            let at = table.find(hash_of(key), key).expect("present");
                            table.remove(at);
                        }
                    }
                }
                if cursor == 0 {
                    break;
                }
            }
            assert!(keys[..stays].iter().all(|key| seen.contains(key)), "lost with {before} {during}");
        }
    }

    #[test]
    fn a_walk_visits_every_entry_once() {
        let mut table = Table::default();
        for n in 0..2_000 {
            put(&mut table, format!("k{n}").as_bytes(), n);
            if n % 61 == 0 || n < 100 {
                let (mut visits, mut seen) = (0, HashSet::new());
                table.for_each(|entry| {
                    visits += 1;
                    seen.insert(entry.key().to_vec());
                });
                assert_eq!((visits, seen.len()), (table.len(), table.len()));
            }
        }
    }

    #[test]
    fn near_entries_are_found_by_few_bits() {
        let mut table = Table::default();
        (0..3_000).for_each(|n| put(&mut table, format!("{n}").as_bytes(), n));
        for n in 0..3_000 {
            let key = format!("{n}").into_bytes();
            for bits in [0, 4, 20] {
                let mut found = false;
                table.for_each_near(hash_of(&key) & ((1 << bits) - 1), bits, |entry| {
                    found |= entry.key() == key
                });
                assert!(found, "{n} by {bits} bits");
            }
        }
    }
}
