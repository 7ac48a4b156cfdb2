//! The expiry index: which keys of a shard's database expire when, in order, at 8 to 16 bytes a key.
//!
//! An item is one word: the expiry in milliseconds (44 bits, until the year 2527; later ones count as that and are looked
//! at again when it comes) and 20 bits of the hash, enough to find the key's bucket. Items are kept sorted in
//! chunks, a B-tree of two levels: a lookup is two binary searches, a change moves at most one chunk's tail, and
//! nothing is ever rebuilt as a whole. Every key with a TTL has exactly one item; an item names a bucket, not a key, so
//! that equal items of two keys in one bucket are interchangeable.
//!
//! Redis samples its expires at random instead: it cannot tell what is due and leaves dead keys in memory. A heap
//! has no removal, a timing wheel has to cascade.

/// Items per chunk: 4 KiB, so that a move within a chunk stays below 100 ns.
const CHUNK_ITEMS: usize = 512;
/// Bits of the hash in an item.
pub const HASH_BITS: u32 = 20;
const LATEST_MS: i64 = (1 << 44) - 1;

/// An ordered multiset of (expiry, bucket).
#[derive(Default)]
pub struct ExpiryIndex {
    /// Non-empty, sorted, each chunk's last item at most the next one's first.
    chunks: Vec<Vec<u64>>,
    len: usize,
}

fn item(expiry_ms: i64, hash: u64) -> u64 {
    (expiry_ms.clamp(0, LATEST_MS) as u64) << HASH_BITS | hash & ((1 << HASH_BITS) - 1)
}

impl ExpiryIndex {
    /// Number of keys with a TTL.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No key with a TTL?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in use.
    pub fn size_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.capacity() * 8 + size_of::<Vec<u64>>()).sum()
    }

    fn chunk_for(&self, item: u64) -> usize {
        self.chunks.partition_point(|chunk| chunk[0] <= item).saturating_sub(1)
    }

    /// Adds a key. O(log n).
    pub fn insert(&mut self, expiry_ms: i64, hash: u64) {
        let item = item(expiry_ms, hash);
        self.len += 1;
        if self.chunks.is_empty() {
            self.chunks.push(vec![item]);
            return;
        }
        let at = self.chunk_for(item);
        let chunk = &mut self.chunks[at];
        let position = chunk.partition_point(|other| *other <= item);
        if chunk.len() < CHUNK_ITEMS {
            chunk.insert(position, item);
        } else if position == CHUNK_ITEMS {
            self.chunks.insert(at + 1, vec![item]);
        } else {
            let upper = chunk.split_off(CHUNK_ITEMS / 2);
            let (into, position) = if position <= CHUNK_ITEMS / 2 {
                (at, position)
            } else {
                (at + 1, position - CHUNK_ITEMS / 2)
            };
            self.chunks.insert(at + 1, upper);
            self.chunks[into].insert(position, item);
        }
    }

    /// Removes a key that was added with the same expiry and hash. O(log n).
    pub fn remove(&mut self, expiry_ms: i64, hash: u64) {
        let item = item(expiry_ms, hash);
        let found = (!self.chunks.is_empty())
            .then(|| self.chunk_for(item))
            .and_then(|at| self.chunks[at].binary_search(&item).ok().map(|position| (at, position)));
        let Some((at, position)) = found else {
            debug_assert!(false, "every key with a TTL has an item");
            return;
        };
        self.len -= 1;
        let chunk = &mut self.chunks[at];
        chunk.remove(position);
        if chunk.is_empty() {
            self.chunks.remove(at);
        } else if chunk.len() < CHUNK_ITEMS / 4 {
            self.join(at);
        }
    }

    /// A key expires at another time than before, or began or ceased to expire. O(log n).
    pub fn change(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.remove(at, hash);
        }
        if let Some(at) = new {
            self.insert(at, hash);
        }
    }

    fn join(&mut self, at: usize) {
        let right = if at + 1 < self.chunks.len() { at + 1 } else { at };
        if right == 0 || self.chunks[right - 1].len() + self.chunks[right].len() > CHUNK_ITEMS * 3 / 4 {
            return;
        }
        let upper = self.chunks.remove(right);
        self.chunks[right - 1].extend_from_slice(&upper);
    }

    /// The earliest item, if it is due at `now_ms`: its expiry and the [`HASH_BITS`] low bits of its hash. The item stays.
    pub fn first_due(&self, now_ms: i64) -> Option<(i64, u64)> {
        let first = *self.chunks.first()?.first()?;
        let expiry = (first >> HASH_BITS) as i64;
        (expiry < now_ms && expiry < LATEST_MS).then_some((expiry, first & ((1 << HASH_BITS) - 1)))
    }

    /// The mean time that keys have still to live, in milliseconds, estimated over the chunks.
    pub fn mean_ttl_ms(&self, now_ms: i64) -> i64 {
        if self.len == 0 {
            return 0;
        }
        let sum: i128 = self
            .chunks
            .iter()
            .map(|chunk| {
                let middle = (chunk[chunk.len() / 2] >> HASH_BITS) as i64;
                i128::from((middle - now_ms).max(0)) * chunk.len() as i128
            })
            .sum();
        (sum / self.len as i128) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(span: i64, steps: usize) {
        let mut index = ExpiryIndex::default();
        let mut model: Vec<u64> = Vec::new();
        let mut state = 7u64;
        for step in 0..steps {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (expiry, hash) = ((state >> 30) as i64 % span, state >> 44);
            if step < steps * 2 / 3 || model.is_empty() {
                index.insert(expiry, hash);
                model.push(item(expiry, hash));
            } else {
                let gone = model.swap_remove(state as usize % model.len());
                index.remove((gone >> HASH_BITS) as i64, gone);
            }
            assert_eq!(index.len(), model.len());
        }
        model.sort_unstable();
        assert_eq!(index.chunks.concat(), model);
        let first = model.first().map(|first| ((first >> HASH_BITS) as i64, first & ((1 << HASH_BITS) - 1)));
        assert_eq!(index.first_due(span + 1), first);
        assert!(index.size_bytes() <= model.len() * 64 + 8 * CHUNK_ITEMS);
    }

    #[test]
    fn agrees_with_a_sorted_list() {
        [1, 10, 1_000_000].into_iter().for_each(|span| check(span, 20_000));
    }

    #[test]
    fn ascending_expiries_fill_their_chunks() {
        let mut index = ExpiryIndex::default();
        (0..100_000).for_each(|n| index.insert(n, n as u64));
        assert!(index.size_bytes() < 100_000 * 10, "{}", index.size_bytes());
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut index = ExpiryIndex::default();
        index.insert(1_000, 5);
        index.insert(i64::MAX, 6);
        assert_eq!(index.first_due(1_000), None);
        assert_eq!(index.first_due(1_001), Some((1_000, 5)));
        index.remove(1_000, 5);
        assert_eq!(index.first_due(i64::MAX), None);
        assert_eq!(index.mean_ttl_ms(LATEST_MS - 10), 10);
    }
}
