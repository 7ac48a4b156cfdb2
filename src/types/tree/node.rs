//! Nodes: leaves, and inner nodes that count what is below each of their children.
//!
//! Invariants: no node below the root is empty; `seps[i]` begins with exactly the first entry of `nodes[i]`, `counts[i]` is its number
//! of entries; all leaves are equally deep. A node that becomes small joins a neighbour if both together leave room for more;
//! so a few small nodes may stay, but never two beside each other.

use super::cut::{Cut, Sep};
use super::leaf::{Grown, Leaf, PAGE_MAX_BYTES};
use arrayvec::ArrayVec;
use triomphe::Arc;

/// Children of an inner node: it fills an allocation of 2 KiB.
pub(super) const FANOUT: usize = 56;

/// A subtree; `clone` shares it.
#[derive(Clone)]
pub(super) enum Node {
    Leaf(Leaf),
    Inner(Arc<Inner>),
}

#[derive(Clone, Default)]
pub(super) struct Inner {
    pub seps: ArrayVec<Sep, FANOUT>,
    pub nodes: ArrayVec<Node, FANOUT>,
    pub counts: ArrayVec<u32, FANOUT>,
}

/// What came of an insertion.
pub(super) struct Inserted {
    /// The entry was not there before.
    pub is_new: bool,
    /// The node was full; this one comes after it.
    pub next: Option<Node>,
}

impl Node {
    /// Entries; O(1) for a leaf, O(fan-out) for an inner node.
    pub fn len(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len(),
            Node::Inner(inner) => inner.counts.iter().map(|&count| count as usize).sum(),
        }
    }

    /// The leftmost leaf.
    fn first_leaf(&self) -> &Leaf {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf,
                Node::Inner(inner) => node = &inner.nodes[0],
            }
        }
    }

    fn sep(&self) -> Sep {
        match self {
            Node::Leaf(leaf) => Sep::new(leaf.score(0), leaf.member(0)),
            Node::Inner(inner) => inner.seps[0],
        }
    }

    /// Inserts an entry; `is_last` says that nothing stands to the right of this subtree.
    pub fn insert(&mut self, score: f64, member: &[u8], is_last: bool) -> Inserted {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.count_before(&Cut::At(score, member));
                if at < leaf.len() && leaf.score(at) == score && leaf.member(at) == member {
                    return Inserted { is_new: false, next: None };
                }
                let next = match leaf.insert(at, score, member, is_last) {
                    Grown::Here => None,
                    Grown::Split(next) => Some(Node::Leaf(next)),
                };
                Inserted { is_new: true, next }
            }
            Node::Inner(inner) => Arc::make_mut(inner).insert(score, member, is_last),
        }
    }

    /// Removes the entry. Returns whether it was there.
    pub fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.count_before(&Cut::At(score, member));
                let found = at < leaf.len() && leaf.score(at) == score && leaf.member(at) == member;
                if found {
                    leaf.remove(at);
                }
                found
            }
            Node::Inner(inner) => Arc::make_mut(inner).remove(score, member),
        }
    }

    /// Removes the entries of some ranks, `from` to before `to`.
    pub fn remove_range(&mut self, from: usize, to: usize) {
        match self {
            Node::Leaf(leaf) => (from..to).rev().for_each(|at| leaf.remove(at)),
            Node::Inner(inner) => Arc::make_mut(inner).remove_range(from, to),
        }
    }

    /// Is there so little in it that it should join a neighbour?
    fn is_small(&self) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.used_bytes() < PAGE_MAX_BYTES / 4,
            Node::Inner(inner) => inner.nodes.len() < FANOUT / 4,
        }
    }

    /// Would the two together leave room for more?
    fn may_join(&self, next: &Node) -> bool {
        match (self, next) {
            (Node::Leaf(a), Node::Leaf(b)) => a.used_bytes() + b.used_bytes() <= PAGE_MAX_BYTES * 3 / 4,
            (Node::Inner(a), Node::Inner(b)) => a.nodes.len() + b.nodes.len() <= FANOUT * 3 / 4,
            _ => unreachable!("all leaves are equally deep"),
        }
    }

    fn join(&mut self, next: Node) {
        match (self, next) {
            (Node::Leaf(a), Node::Leaf(b)) => a.merge(&b),
            (Node::Inner(a), Node::Inner(mut b)) => Arc::make_mut(a).append(Arc::make_mut(&mut b)),
            _ => unreachable!("all leaves are equally deep"),
        }
    }
}

impl Inner {
    /// A new root over two nodes.
    pub fn over(first: Node, second: Node) -> Inner {
        let mut inner = Inner::default();
        inner.put(0, first);
        inner.put(1, second);
        inner
    }

    /// The child in which the cut lies.
    #[inline]
    pub fn child(&self, cut: &Cut<'_>) -> usize {
        let (mut low, mut high) = (1, self.seps.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if cut.admits(&self.seps[middle], || self.nodes[middle].first_leaf().member(0)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low - 1
    }

    /// The child with the entry of this rank (or the last, for those beyond), and the rank inside of it.
    pub fn child_of_rank(&self, mut rank: usize) -> (usize, usize) {
        for (at, &count) in self.counts.iter().enumerate() {
            let count = count as usize;
            if rank < count || at + 1 == self.counts.len() {
                return (at, rank);
            }
            rank -= count;
        }
        unreachable!("an inner node has children")
    }

    /// Entries before a child.
    pub fn count_before(&self, child: usize) -> usize {
        self.counts[..child].iter().map(|&count| count as usize).sum()
    }

    fn insert(&mut self, score: f64, member: &[u8], is_last: bool) -> Inserted {
        let at = self.child(&Cut::At(score, member));
        let is_last = is_last && at + 1 == self.nodes.len();
        let Inserted { is_new, next } = self.nodes[at].insert(score, member, is_last);
        self.counts[at] += u32::from(is_new);
        if at == 0 {
            self.seps[0] = self.nodes[0].sep();
        }
        let Some(next) = next else { return Inserted { is_new, next: None } };
        self.refresh(at);
        Inserted { is_new, next: self.put_or_split(at + 1, next, is_last) }
    }

    /// Puts a child in; what no longer fits is returned as a node of its own.
    fn put_or_split(&mut self, at: usize, node: Node, is_last: bool) -> Option<Node> {
        if self.nodes.len() < FANOUT {
            self.put(at, node);
            return None;
        }
        let middle = if is_last { FANOUT } else { FANOUT / 2 };
        let mut right = Inner {
            seps: self.seps.drain(middle..).collect(),
            nodes: self.nodes.drain(middle..).collect(),
            counts: self.counts.drain(middle..).collect(),
        };
        match at.checked_sub(middle) {
            Some(at) if at > 0 || middle == FANOUT => right.put(at, node),
            _ => self.put(at, node),
        }
        Some(Node::Inner(Arc::new(right)))
    }

    fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let at = self.child(&Cut::At(score, member));
        if !self.nodes[at].remove(score, member) {
            return false;
        }
        self.counts[at] -= 1;
        if self.counts[at] == 0 {
            self.take(at);
        } else {
            self.seps[at] = self.nodes[at].sep();
            self.mend(at);
        }
        true
    }

    fn remove_range(&mut self, from: usize, to: usize) {
        let (mut at, mut start) = (0, 0);
        let mut touched = 0;
        while at < self.nodes.len() && start < to {
            let count = self.counts[at] as usize;
            let [first, end] = [from, to].map(|rank| rank.saturating_sub(start).min(count));
            start += count;
            if end - first == count {
                self.take(at);
                touched = at;
                continue;
            }
            if first < end {
                self.nodes[at].remove_range(first, end);
                self.refresh(at);
                touched = at;
            }
            at += 1;
        }
        // At most the two children at the ends of the range are there in part.
        (touched.saturating_sub(1)..=touched).rev().for_each(|at| self.mend(at));
    }

    /// Lets a child that has become small join a neighbour.
    fn mend(&mut self, at: usize) {
        if !self.nodes.get(at).is_some_and(Node::is_small) {
            return;
        }
        let may_join = |at: usize| {
            self.nodes.get(at).zip(self.nodes.get(at + 1)).is_some_and(|(node, next)| node.may_join(next))
        };
        let left = match at.checked_sub(1) {
            _ if may_join(at) => at,
            Some(left) if may_join(left) => left,
            _ => return,
        };
        let next = self.take(left + 1);
        self.nodes[left].join(next);
        self.refresh(left);
    }

    fn put(&mut self, at: usize, node: Node) {
        self.seps.insert(at, node.sep());
        self.counts.insert(at, count(&node));
        self.nodes.insert(at, node);
    }

    fn take(&mut self, at: usize) -> Node {
        self.seps.remove(at);
        self.counts.remove(at);
        self.nodes.remove(at)
    }

    fn append(&mut self, next: &mut Inner) {
        self.seps.extend(next.seps.drain(..));
        self.counts.extend(next.counts.drain(..));
        self.nodes.extend(next.nodes.drain(..));
    }

    fn refresh(&mut self, at: usize) {
        self.counts[at] = count(&self.nodes[at]);
        self.seps[at] = self.nodes[at].sep();
    }
}

/// A child's number of entries.
fn count(node: &Node) -> u32 {
    u32::try_from(node.len()).expect("fewer than four thousand million entries below a child")
}
