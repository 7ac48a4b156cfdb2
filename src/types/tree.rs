//! The ordered half of a large sorted set: a counted B+tree of (score, member), persistent.
//!
//! Every node is behind a counted pointer. A clone of the tree shares its root, O(1); a change copies the nodes on its way that are
//! shared and changes the others in place. So a snapshot may keep the tree as it was while writers go on, and each write
//! pays for a few nodes of at most 2 KiB, never for the whole.
//!
//! Inner nodes know how many entries each child has below it, which gives ranks in O(log n), and how each child begins (score and eight
//! bytes of the member), which leads a search without a look into the children. Leaves hold members and scores side by side: a
//! walk reads memory in order.
//!
//! Redis calls this encoding `skiplist`. A skiplist was refused: a level costs a cache miss and 16 bytes per entry, and its nodes
//! cannot be shared.

mod cut;
mod iter;
mod leaf;
mod node;

pub use cut::Cut;
pub use iter::{Direction, Iter};

use leaf::Leaf;
use node::{Inner, Node};
use std::ops::Range;
use triomphe::Arc;

/// Entries (score, member) in order of score, then of member. Scores are never NaN.
#[derive(Clone)]
pub struct Tree {
    root: Node,
    len: usize,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { root: Node::Leaf(Leaf::default()), len: 0 }
    }
}

impl Tree {
    /// Entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Inserts an entry. Returns whether it is new. O(log n).
    pub fn insert(&mut self, score: f64, member: &[u8]) -> bool {
        let inserted = self.root.insert(score, member, true);
        if let Some(next) = inserted.next {
            let first = std::mem::replace(&mut self.root, Node::Leaf(Leaf::default()));
            self.root = Node::Inner(Arc::new(Inner::over(first, next)));
        }
        self.len += usize::from(inserted.is_new);
        inserted.is_new
    }

    /// Removes an entry. Returns whether it was there. O(log n).
    pub fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let removed = self.root.remove(score, member);
        self.len -= usize::from(removed);
        self.lower_root();
        removed
    }

    /// Removes the entries of some ranks. O(log n) beside what freeing them takes.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        let ranks = self.clamp(ranks);
        if ranks.len() == self.len {
            *self = Tree::default();
            return;
        }
        self.root.remove_range(ranks.start, ranks.end);
        self.len -= ranks.len();
        self.lower_root();
    }

    /// A root with one child is not needed.
    fn lower_root(&mut self) {
        while let Node::Inner(inner) = &self.root {
            match inner.nodes.as_slice() {
                [] => self.root = Node::Leaf(Leaf::default()),
                [only] => self.root = only.clone(),
                _ => return,
            }
        }
    }

    /// How many entries stand before a cut. O(log n).
    pub fn count_before(&self, cut: &Cut<'_>) -> usize {
        let (mut node, mut before) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return before + leaf.count_before(cut),
                Node::Inner(inner) => {
                    let child = inner.child(cut);
                    before += inner.count_before(child);
                    node = &inner.nodes[child];
                }
            }
        }
    }

    /// The rank of an entry that is there: how many stand before it. O(log n).
    pub fn rank(&self, score: f64, member: &[u8]) -> usize {
        self.count_before(&Cut::At(score, member))
    }

    /// The entry of a rank. O(log n).
    pub fn nth(&self, rank: usize) -> Option<(f64, &[u8])> {
        (rank < self.len).then(|| self.range(rank..rank + 1, Direction::Forward).next()).flatten()
    }

    /// The entries of some ranks, from the first to the last or the other way round. O(log n), then O(1) each.
    pub fn range(&self, ranks: Range<usize>, direction: Direction) -> Iter<'_> {
        let ranks = self.clamp(ranks);
        let from = match direction {
            Direction::Forward => ranks.start,
            Direction::Backward => ranks.end.saturating_sub(1),
        };
        Iter::new(&self.root, from, ranks.len(), direction)
    }

    /// All entries in order.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len, Direction::Forward)
    }

    /// About how many bytes the tree takes, told from a few of its leaves. O(log n).
    pub fn memory_bytes(&self) -> usize {
        const SAMPLES: usize = 5;
        let (mut bytes, mut entries) = (0, 0);
        for sample in 0..SAMPLES {
            let leaf = self.leaf_of_rank(self.len * sample / SAMPLES);
            bytes += leaf.memory_bytes();
            entries += leaf.len();
        }
        let leaves = (bytes as u128 * self.len as u128 / entries.max(1) as u128) as usize;
        // An inner node takes 2 KiB for some 40 leaves.
        size_of::<Tree>() + leaves + leaves / 20
    }

    fn leaf_of_rank(&self, mut rank: usize) -> &Leaf {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf,
                Node::Inner(inner) => {
                    let (child, inside) = inner.child_of_rank(rank);
                    (node, rank) = (&inner.nodes[child], inside);
                }
            }
        }
    }

    /// About how many allocations freeing the tree means.
    pub fn free_effort(&self) -> usize {
        match &self.root {
            Node::Leaf(_) => 1,
            Node::Inner(inner) => inner.nodes.len().max(self.len / 24),
        }
    }

    fn clamp(&self, ranks: Range<usize>) -> Range<usize> {
        let end = ranks.end.min(self.len);
        ranks.start.min(end)..end
    }
}

#[cfg(test)]
mod tests;
