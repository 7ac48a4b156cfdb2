//! A walk over entries, in either direction.

use super::leaf::Leaf;
use super::node::{Inner, Node};
use smallvec::SmallVec;

/// The way of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// Entries from a rank on. One step is O(1) amortised.
pub struct Iter<'a> {
    /// The inner nodes above the leaf, and which child of each the walk is in.
    path: SmallVec<[(&'a Inner, usize); 6]>,
    leaf: &'a Leaf,
    /// The entry that comes next; for a walk backward the one after it.
    at: usize,
    left: usize,
    direction: Direction,
}

impl<'a> Iter<'a> {
    /// A walk of `count` entries that starts with that of rank `rank`; all of them must be there.
    pub(super) fn new(root: &'a Node, rank: usize, count: usize, direction: Direction) -> Iter<'a> {
        let (mut path, mut node, mut rank) = (SmallVec::new(), root, rank);
        let leaf = loop {
            match node {
                Node::Leaf(leaf) => break leaf,
                Node::Inner(inner) => {
                    let (child, inside) = inner.child_of_rank(rank);
                    path.push((&**inner, child));
                    (node, rank) = (&inner.nodes[child], inside);
                }
            }
        };
        let at = rank + usize::from(direction == Direction::Backward);
        Iter { path, leaf, at, left: count, direction }
    }

    /// Goes to the neighbouring leaf.
    fn turn(&mut self) {
        loop {
            let (inner, child) = self.path.pop().expect("a walk ends before its tree does");
            let next = match self.direction {
                Direction::Forward => child + 1,
                Direction::Backward => child.wrapping_sub(1),
            };
            if next < inner.nodes.len() {
                self.path.push((inner, next));
                return self.descend(&inner.nodes[next]);
            }
        }
    }

    fn descend(&mut self, mut node: &'a Node) {
        while let Node::Inner(inner) = node {
            let child = if self.direction == Direction::Forward { 0 } else { inner.nodes.len() - 1 };
            self.path.push((&**inner, child));
            node = &inner.nodes[child];
        }
        if let Node::Leaf(leaf) = node {
            self.leaf = leaf;
            self.at = if self.direction == Direction::Forward { 0 } else { leaf.len() };
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (f64, &'a [u8]);

    fn next(&mut self) -> Option<(f64, &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let at = match self.direction {
            Direction::Forward => {
                if self.at == self.leaf.len() {
                    self.turn();
                }
                self.at += 1;
                self.at - 1
            }
            Direction::Backward => {
                if self.at == 0 {
                    self.turn();
                }
                self.at -= 1;
                self.at
            }
        };
        let leaf = self.leaf;
        Some((leaf.score(at), leaf.member(at)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
