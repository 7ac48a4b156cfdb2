//! The table behind large sets, large hashes and the index of large sorted sets: byte strings to byte strings.
//!
//! A trie over the keyed 64-bit hash, read from the top bits down: [`node`] holds sixteen slots and the number of elements
//! below each, [`leaf`] packs some dozens of entries into one allocation, at four bytes beside the bytes of key and value.
//!
//! - **Persistent.** All nodes are reference-counted; `clone` copies the root pointer, a change copies the nodes on its
//!   path that are shared and changes the others in place. So a snapshot holds an old version for the price of what is written
//!   meanwhile, and no step, growth included, costs more than one leaf and its path.
//! - **Counted.** [`Map::nth`] finds any element by its number in O(depth): random members are uniform.
//! - **Ordered by hash.** [`Map::scan`]'s cursor is a hash: an element that is there from the first call to the last is
//!   in one of the intervals between two cursors, whatever is split or joined in between.
//! - **Expiries** cost nothing where there are none. Where there are, each node knows the earliest one below each child, so that
//!   the next that is due is found on one path and no second index has to be kept true.
//!
//! A table of pointers to entries (Redis's dict) costs two or three times the memory and has to be rehashed in steps; it
//! cannot be shared with a snapshot. Splitting open-addressing tables would copy kilobytes more per shared write.

mod leaf;
mod node;
#[cfg(test)]
mod tests;

use crate::keyspace::Hasher;
use leaf::{Item, Leaf};
use node::{Child, Node, Put};

/// Bits of a scan's cursor: doubles, which is what some clients keep cursors in, are exact so far.
const CURSOR_BITS: u32 = 52;
/// Places that [`Map::memory_bytes`] looks at.
const SAMPLES: usize = 16;
/// Smaller tables are in the cache, or soon will be.
const WORTH_PREFETCHING: usize = 10_000;
/// A leaf's share of the inner nodes, measured.
const NODE_SHARE_BYTES: usize = 32;

/// An element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// When the element expires, in Unix milliseconds.
    pub expiry_ms: Option<i64>,
}

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// The key was not there.
    New,
    /// The key was there with another value or expiry.
    Replaced,
    /// The key was there with this value and this expiry.
    Same,
}

/// A persistent hash table. Cloning is O(1).
#[derive(Clone)]
pub struct Map {
    root: Child,
    len: usize,
    hashing: Hashing,
}

/// The hash function.
#[derive(Clone, Copy)]
struct Hashing {
    hasher: Hasher,
    /// Bits of hashes that tests leave.
    #[cfg(test)]
    mask: u64,
}

impl Hashing {
    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        let hash = self.hasher.hash(key);
        #[cfg(test)]
        let hash = hash & self.mask;
        hash
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Map({} elements)", self.len)
    }
}

impl Map {
    /// An empty table.
    pub fn new(hasher: Hasher) -> Map {
        let hashing = Hashing {
            hasher,
            #[cfg(test)]
            mask: u64::MAX,
        };
        Map { root: Child::Empty, len: 0, hashing }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No elements?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element of a key. O(depth).
    #[inline]
    pub fn entry(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.root.find(self.hashing.hash(key), key).map(|(leaf, i)| leaf.entry(i))
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entry(key).map(|entry| entry.value)
    }

    /// Is the key there?
    #[inline]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.root.find(self.hashing.hash(key), key).is_some()
    }

    /// Asks for the memory where these keys are, or would be, for all of them at once: down level by level, so that one waits
    /// for a level and not for a key. Worth it where the table is in no cache.
    pub fn prefetch(&self, keys: &[&[u8]]) {
        if self.len >= WORTH_PREFETCHING {
            self.root.prefetch(keys.iter().map(|key| self.hashing.hash(key)));
        }
    }

    /// Puts a key with a value in; an expiry that it had is gone. Copies the nodes on the path that are shared.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Inserted {
        self.insert_expiring(key, value, None)
    }

    /// As [`Map::insert`], with an expiry.
    pub fn insert_expiring(&mut self, key: &[u8], value: &[u8], expiry_ms: Option<i64>) -> Inserted {
        self.put(Entry { key, value, expiry_ms }, true)
    }

    /// Puts a key with a value in, unless it is there. Returns whether it was not.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.put(Entry { key, value, expiry_ms: None }, false) == Inserted::New
    }

    fn put(&mut self, entry: Entry<'_>, replaces: bool) -> Inserted {
        let hashing = self.hashing;
        let put = Put {
            hash: hashing.hash(entry.key),
            item: Item::new(entry.key, entry.value, entry.expiry_ms),
            entry,
            replaces,
            hashing: &hashing,
        };
        let inserted = self.root.put(u64::BITS, &put);
        if inserted != Inserted::Same {
            self.root.split_root(&hashing);
        }
        self.len += usize::from(inserted == Inserted::New);
        inserted
    }

    /// Gives an element another expiry, or none. Returns whether the key is there.
    pub fn set_expiry(&mut self, key: &[u8], expiry_ms: Option<i64>) -> bool {
        match self.entry(key) {
            None => return false,
            Some(entry) if entry.expiry_ms == expiry_ms => return true,
            Some(_) => {}
        }
        let hashing = self.hashing;
        let entry = Entry { key, value: &[], expiry_ms };
        let item = Item::new(&[], &[], None);
        let put = Put { hash: hashing.hash(key), item, entry, replaces: true, hashing: &hashing };
        self.root.set_expiry(u64::BITS, &put);
        self.root.split_root(&hashing);
        true
    }

    /// Removes a key. Returns whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.remove_with(key, |_| ()).is_some()
    }

    /// Removes a key after `last` has seen the element. `None` if it is not there.
    pub fn remove_with<R>(&mut self, key: &[u8], last: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        let result = self.root.remove(u64::BITS, self.hashing.hash(key), key, last)?;
        self.len -= 1;
        Some(result)
    }

    /// The element of that number, in the order of [`Map::iter`]. O(depth).
    pub fn nth(&self, index: usize) -> Option<Entry<'_>> {
        self.root.nth(index).map(|(leaf, i)| leaf.entry(i))
    }

    /// All elements, leaf by leaf in the order of their hashes.
    pub fn iter(&self) -> Iter<'_> {
        let mut iter = Iter { stack: Vec::new(), leaf: None, left: self.len };
        iter.enter(&self.root);
        iter
    }

    /// Gives the elements from `cursor` on to `f`, `at_least` of them if there are so many, and the next cursor, 0 at the
    /// end. An element that is there in every call from cursor 0 to cursor 0 is given at least once. Any number is a cursor.
    pub fn scan(&self, cursor: u64, at_least: usize, mut f: impl FnMut(Entry<'_>)) -> u64 {
        const FINE: u32 = u64::BITS - CURSOR_BITS;
        let (mut at, mut given) = (cursor << FINE, 0);
        loop {
            let interval = self.root.interval(at);
            if let Some(leaf) = interval.leaf {
                (0..leaf.len()).for_each(|i| f(leaf.entry(i)));
                given += leaf.len();
            }
            at = interval.end;
            if at == 0 || given >= at_least && at.trailing_zeros() >= FINE {
                return at >> FINE;
            }
        }
    }

    /// The earliest expiry of all elements. O(1).
    pub fn next_expiry_ms(&self) -> Option<i64> {
        self.root.next_expiry_ms()
    }

    /// The element with the earliest expiry, if that is before `now_ms`. O(depth).
    pub fn first_due(&self, now_ms: i64) -> Option<Entry<'_>> {
        self.root.first_due(now_ms)
    }

    /// Bytes of memory, estimated from some elements' leaves. O(depth).
    pub fn memory_bytes(&self) -> usize {
        let samples = SAMPLES.min(self.len);
        let per_element =
            |(leaf, _): (&Leaf, usize)| (leaf.memory_bytes() + NODE_SHARE_BYTES) as f64 / leaf.len() as f64;
        let sum: f64 =
            (0..samples).filter_map(|n| self.root.nth(n * self.len / samples)).map(per_element).sum();
        size_of::<Map>() + (sum * self.len as f64 / samples.max(1) as f64) as usize
    }

    /// The work of freeing it, in elements.
    pub fn free_effort(&self) -> usize {
        self.len
    }
}

/// The elements of a [`Map`].
pub struct Iter<'a> {
    /// The nodes on the path, each with the first slot that is still to be visited.
    stack: Vec<(&'a Node, usize)>,
    leaf: Option<(&'a Leaf, usize)>,
    left: usize,
}

impl<'a> Iter<'a> {
    fn enter(&mut self, child: &'a Child) {
        match child {
            Child::Empty => {}
            Child::Leaf(leaf) => self.leaf = Some((leaf, 0)),
            Child::Node(node) => self.stack.push((node, 0)),
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some((leaf, i)) = &mut self.leaf
                && *i < leaf.len()
            {
                *i += 1;
                self.left -= 1;
                return Some(leaf.entry(*i - 1));
            }
            let (node, from) = self.stack.last_mut()?;
            let start = node.starts().find(|start| start >= from);
            match start {
                Some(start) => {
                    *from = start + 1;
                    let child = node.child(start);
                    self.enter(child);
                }
                None => {
                    self.stack.pop();
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
