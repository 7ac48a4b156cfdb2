//! The inner nodes of the [`Map`](super::Map), and the ways down.
//!
//! A node reads four bits of the hash: sixteen slots. A leaf covers one, two, four, eight or all sixteen of them, and a leaf
//! that overflows is split in halves, by one bit, so that leaves are more than half full on average whatever the number of
//! elements; splitting sixteenfold would leave them at two entries each after every split. Only a leaf of a single slot becomes
//! a node of its own. Removal goes the way back: halves that fit together are joined, a node with a single leaf becomes
//! that leaf.

use super::leaf::{Item, Leaf};
use super::{Entry, Hashing, Inserted};
use crate::keyspace::entry::prefetch;
use smallvec::SmallVec;
use triomphe::Arc;

/// Bits of the hash that a node reads.
const LEVEL_BITS: u32 = 4;
const SLOTS: usize = 1 << LEVEL_BITS;

/// What is below a slot, or below the root. Cloning shares it.
#[derive(Clone, Default)]
pub enum Child {
    #[default]
    Empty,
    Leaf(Leaf),
    Node(Arc<Node>),
}

/// Sixteen slots. What every way down or up asks for stands together with the reference count, in the first cache line: a
/// large table's nodes are in no cache, and each line is a wait.
#[derive(Clone)]
#[repr(C)]
pub struct Node {
    /// The earliest expiry below each child, `i64::MAX` for none; absent while nothing below expires.
    soonest_ms: Option<Box<[i64; SLOTS]>>,
    /// Bit `i`: a child begins at slot `i`. Bit 0 is always set.
    starts: u16,
    /// Elements below each child.
    counts: [u32; SLOTS],
    children: [Child; SLOTS],
}

/// An element on its way in.
pub struct Put<'a> {
    pub hash: u64,
    pub item: Item<'a>,
    pub entry: Entry<'a>,
    /// An element of the same key gives way.
    pub replaces: bool,
    pub hashing: &'a Hashing,
}

/// Of an interval of hashes: what holds it and where it ends.
pub struct Interval<'a> {
    pub leaf: Option<&'a Leaf>,
    /// The first hash beyond, 0 at the end of all.
    pub end: u64,
}

impl Child {
    /// The earliest expiry below, `i64::MAX` for none. O(1).
    fn soonest_ms(&self) -> i64 {
        match self {
            Child::Empty => i64::MAX,
            Child::Leaf(leaf) => leaf.soonest_ms(),
            Child::Node(node) => node.soonest_ms(),
        }
    }

    /// The earliest expiry below. O(1).
    pub fn next_expiry_ms(&self) -> Option<i64> {
        Some(self.soonest_ms()).filter(|at| *at != i64::MAX)
    }

    /// The leaf and the entry in it of a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<(&Leaf, usize)> {
        let (mut child, mut unread) = (self, u64::BITS);
        loop {
            match child {
                Child::Node(node) => {
                    unread -= LEVEL_BITS;
                    child = &node.children[node.start_of(slot(hash, unread))];
                }
                Child::Leaf(leaf) => return leaf.find(hash as u8, key).map(|i| (leaf, i)),
                Child::Empty => return None,
            }
        }
    }

    /// Asks for the memory on the ways to these hashes and at their ends.
    pub fn prefetch(&self, hashes: impl Iterator<Item = u64>) {
        let mut ways: SmallVec<[(&Child, u64); 16]> = hashes.map(|hash| (self, hash)).collect();
        for unread in (0..=u64::BITS - LEVEL_BITS).rev().step_by(LEVEL_BITS as usize) {
            let mut deeper = false;
            for (child, hash) in &mut ways {
                if let Child::Node(node) = child {
                    *child = &node.children[node.start_of(slot(*hash, unread))];
                    match child {
                        Child::Node(next) => {
                            prefetch(&raw const **next);
                            // The child is at its slot or a little before.
                            prefetch(
                                &raw const next.children[slot(*hash, unread.saturating_sub(LEVEL_BITS))],
                            );
                        }
                        Child::Leaf(leaf) => leaf.prefetch(),
                        Child::Empty => {}
                    }
                    deeper = true;
                }
            }
            if !deeper {
                break;
            }
        }
        for (child, hash) in ways {
            if let Child::Leaf(leaf) = child {
                leaf.prefetch_entry(hash as u8);
            }
        }
    }

    /// The leaf and the entry in it of the `index`th element.
    pub fn nth(&self, mut index: usize) -> Option<(&Leaf, usize)> {
        let mut child = self;
        loop {
            match child {
                Child::Node(node) => {
                    let mut starts = node.starts();
                    let start = starts.find(|start| {
                        let below = node.counts[*start] as usize;
                        let here = index < below;
                        index -= if here { 0 } else { below };
                        here
                    })?;
                    child = &node.children[start];
                }
                Child::Leaf(leaf) => return (index < leaf.len()).then_some((leaf, index)),
                Child::Empty => return None,
            }
        }
    }

    /// The leaf whose interval `hash` is in, and the interval's end.
    pub fn interval(&self, hash: u64) -> Interval<'_> {
        let (mut child, mut unread, mut end) = (self, u64::BITS, 0u64);
        loop {
            match child {
                Child::Node(node) => {
                    unread -= LEVEL_BITS;
                    let start = node.start_of(slot(hash, unread));
                    let beyond = (start + node.width(start)) as u64;
                    if beyond < SLOTS as u64 {
                        // The bits above are those of the hash; there is no carry into them.
                        let above = u64::MAX.checked_shl(unread + LEVEL_BITS).unwrap_or(0);
                        end = hash & above | beyond << unread;
                    }
                    child = &node.children[start];
                }
                Child::Leaf(leaf) => return Interval { leaf: Some(leaf), end },
                Child::Empty => return Interval { leaf: None, end },
            }
        }
    }

    /// The element that expires first, if its time has come before `now_ms`.
    pub fn first_due(&self, now_ms: i64) -> Option<Entry<'_>> {
        let mut child = self;
        loop {
            let soonest_ms = child.soonest_ms();
            if soonest_ms >= now_ms {
                return None;
            }
            match child {
                Child::Node(node) => {
                    child = &node.children[node.starts().find(|s| node.soonest_of(*s) == soonest_ms)?];
                }
                Child::Leaf(leaf) => {
                    let mut entries = (0..leaf.len()).map(|i| leaf.entry(i));
                    return entries.find(|entry| entry.expiry_ms == Some(soonest_ms));
                }
                Child::Empty => return None,
            }
        }
    }

    /// Puts an element in; `unread` bits of its hash are not in the path yet.
    pub fn put(&mut self, unread: u32, put: &Put<'_>) -> Inserted {
        match self {
            Child::Empty => {
                *self = Child::Leaf(Leaf::one(put.hash as u8, &put.item));
                Inserted::New
            }
            Child::Leaf(leaf) => match leaf.find(put.hash as u8, put.entry.key) {
                None => {
                    leaf.push(put.hash as u8, &put.item);
                    Inserted::New
                }
                Some(i) if !put.replaces || leaf.entry(i) == put.entry => Inserted::Same,
                Some(i) => {
                    leaf.replace(i, &put.item);
                    Inserted::Replaced
                }
            },
            Child::Node(node) => Arc::make_mut(node).put(unread - LEVEL_BITS, put),
        }
    }

    /// Changes the expiry of the element of a key. The key must be there.
    pub fn set_expiry(&mut self, unread: u32, put: &Put<'_>) {
        match self {
            Child::Empty => {}
            Child::Leaf(leaf) => {
                if let Some(i) = leaf.find(put.hash as u8, put.entry.key) {
                    leaf.set_expiry(i, put.entry.expiry_ms);
                }
            }
            Child::Node(node) => {
                let node = Arc::make_mut(node);
                let unread = unread - LEVEL_BITS;
                let start = node.start_of(slot(put.hash, unread));
                node.children[start].set_expiry(unread, put);
                node.update_soonest(start);
                node.split_if_overfull(start, unread, put.hashing);
            }
        }
    }

    /// Removes a key after showing its entry to `last`.
    pub fn remove<R>(
        &mut self,
        unread: u32,
        hash: u64,
        key: &[u8],
        last: impl FnOnce(Entry<'_>) -> R,
    ) -> Option<R> {
        match self {
            Child::Empty => None,
            Child::Leaf(leaf) => {
                let i = leaf.find(hash as u8, key)?;
                let result = last(leaf.entry(i));
                if leaf.len() == 1 {
                    *self = Child::Empty;
                } else {
                    leaf.remove(i);
                }
                Some(result)
            }
            Child::Node(node) => {
                let result = Arc::make_mut(node).remove(unread - LEVEL_BITS, hash, key, last);
                self.collapse();
                result
            }
        }
    }

    /// Splits a leaf at the root that has become too large.
    pub fn split_root(&mut self, hashing: &Hashing) {
        if let Child::Leaf(leaf) = self
            && leaf.is_overfull()
        {
            let mut node = Node::over(leaf.clone());
            *self = Child::Empty;
            node.split_if_overfull(0, u64::BITS - LEVEL_BITS, hashing);
            *self = Child::Node(Arc::new(node));
        }
    }

    /// A node with a single leaf becomes that leaf.
    fn collapse(&mut self) {
        let Child::Node(node) = self else { return };
        if node.starts == 1 && !matches!(node.children[0], Child::Node(_)) {
            *self = node.children[0].clone();
        }
    }

    fn is_sparse(&self) -> bool {
        match self {
            Child::Empty => true,
            Child::Leaf(leaf) => leaf.is_sparse(),
            Child::Node(_) => false,
        }
    }
}

fn slot(hash: u64, unread: u32) -> usize {
    (hash >> unread) as usize & (SLOTS - 1)
}

impl Node {
    /// A node with a single leaf.
    fn over(leaf: Leaf) -> Node {
        let mut node = Node {
            starts: 1,
            counts: [leaf.len() as u32; SLOTS],
            children: Default::default(),
            soonest_ms: None,
        };
        node.children[0] = Child::Leaf(leaf);
        node.update_soonest(0);
        node
    }

    /// The slot where the child begins that covers `slot`.
    #[inline]
    fn start_of(&self, slot: usize) -> usize {
        slot - (self.starts << (SLOTS - 1 - slot)).leading_zeros() as usize
    }

    /// Number of slots that the child at `start` covers.
    fn width(&self, start: usize) -> usize {
        let next = (self.starts >> start >> 1).trailing_zeros() as usize + 1;
        next.min(SLOTS - start)
    }

    /// The slots where children begin, ascending.
    pub fn starts(&self) -> impl Iterator<Item = usize> + use<> {
        let starts = self.starts;
        (0..SLOTS).filter(move |slot| starts >> slot & 1 == 1)
    }

    /// The child that begins at a slot.
    pub fn child(&self, start: usize) -> &Child {
        &self.children[start]
    }

    fn soonest_of(&self, start: usize) -> i64 {
        self.soonest_ms.as_ref().map_or(i64::MAX, |soonest| soonest[start])
    }

    fn soonest_ms(&self) -> i64 {
        let Some(soonest) = &self.soonest_ms else { return i64::MAX };
        self.starts().map(|start| soonest[start]).min().unwrap_or(i64::MAX)
    }

    /// Takes over what the child at `start` says of its earliest expiry.
    fn update_soonest(&mut self, start: usize) {
        let new = self.children[start].soonest_ms();
        if new == self.soonest_of(start) {
            return;
        }
        self.soonest_ms.get_or_insert_with(|| Box::new([i64::MAX; SLOTS]))[start] = new;
        if self.soonest_ms() == i64::MAX {
            self.soonest_ms = None;
        }
    }

    /// `unread`: bits of the hash below this node's own.
    fn put(&mut self, unread: u32, put: &Put<'_>) -> Inserted {
        let start = self.start_of(slot(put.hash, unread));
        let inserted = self.children[start].put(unread, put);
        if inserted == Inserted::Same {
            return inserted;
        }
        if inserted == Inserted::New {
            self.counts[start] += 1;
        }
        self.update_soonest(start);
        self.split_if_overfull(start, unread, put.hashing);
        inserted
    }

    fn remove<R>(
        &mut self,
        unread: u32,
        hash: u64,
        key: &[u8],
        last: impl FnOnce(Entry<'_>) -> R,
    ) -> Option<R> {
        let start = self.start_of(slot(hash, unread));
        let result = self.children[start].remove(unread, hash, key, last)?;
        self.counts[start] -= 1;
        self.update_soonest(start);
        self.join(start);
        Some(result)
    }

    /// Splits the leaf at `start` until none is too large, as far as its hashes differ.
    fn split_if_overfull(&mut self, mut start: usize, unread: u32, hashing: &Hashing) {
        while let Child::Leaf(leaf) = &self.children[start]
            && leaf.is_overfull()
        {
            let half = self.width(start) / 2;
            if half == 0 {
                if unread > 0 {
                    let mut node = Node::over(leaf.clone());
                    self.children[start] = Child::Empty;
                    node.split_if_overfull(0, unread - LEVEL_BITS, hashing);
                    self.children[start] = Child::Node(Arc::new(node));
                }
                return;
            }
            let bit = half.trailing_zeros() + unread;
            let (low, high) = leaf.split(|key| hashing.hash(key) >> bit & 1 == 1);
            let high_is_larger = high.as_ref().is_some_and(Leaf::is_overfull);
            self.starts |= 1 << (start + half);
            self.set_leaf(start, low);
            self.set_leaf(start + half, high);
            start += if high_is_larger { half } else { 0 };
        }
    }

    fn set_leaf(&mut self, start: usize, leaf: Option<Leaf>) {
        self.counts[start] = leaf.as_ref().map_or(0, |leaf| leaf.len() as u32);
        self.children[start] = leaf.map_or(Child::Empty, Child::Leaf);
        self.update_soonest(start);
    }

    /// Joins the leaf at `start` with its other half for as long as both are small.
    fn join(&mut self, mut start: usize) {
        loop {
            let width = self.width(start);
            let other = start ^ width;
            if width == SLOTS
                || !self.children[start].is_sparse()
                || !self.children[other].is_sparse()
                || self.width(other) != width
            {
                return;
            }
            let joined = match (&self.children[start], &self.children[other]) {
                (Child::Leaf(a), Child::Leaf(b)) if !Leaf::fit_together(a, b) => return,
                (Child::Leaf(a), Child::Leaf(b)) => Some(Leaf::join(a, b)),
                (Child::Leaf(one), _) | (_, Child::Leaf(one)) => Some(one.clone()),
                _ => None,
            };
            let upper = start.max(other);
            start = start.min(other);
            self.set_leaf(upper, None);
            self.starts &= !(1 << upper);
            self.set_leaf(start, joined);
        }
    }
}
