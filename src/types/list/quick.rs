//! A quicklist: the tree of nodes with what keeps it in shape, and how one is loaded node by node.

use super::node::Node;
use super::policy::Policy;
use super::tree::Slot;
use super::{Direction, Element, End, Limits, List, Listpack, NodeRef};
use std::ops::ControlFlow;

/// How many nodes are looked at for an estimate of memory.
const SAMPLED_NODES: usize = 5;
/// A loaded listpack beyond this size (bytes) is taken apart: nodes are copied when they are shared and changed.
const MAX_LOADED_NODE_BYTES: usize = 128 << 10;

/// A sequence of nodes. Empty only until its list becomes a listpack again.
#[derive(Clone, Debug)]
pub struct Quicklist {
    root: Slot,
}

impl From<Listpack> for Quicklist {
    /// With the listpack as its only node.
    fn from(pack: Listpack) -> Quicklist {
        let len = pack.len();
        Quicklist { root: Slot::new(Node::Packed(pack), len) }
    }
}

impl Quicklist {
    /// Number of elements. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        self.root.len()
    }

    /// Is there no element?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of nodes, or of some of them if there are at least `enough`.
    pub fn nodes_up_to(&self, enough: usize) -> usize {
        self.root.nodes_up_to(enough)
    }

    pub(super) fn walk(
        &self,
        from: usize,
        direction: Direction,
        f: &mut impl FnMut(Element<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.root.walk(from, direction, f)
    }

    pub(super) fn for_each_node<'a>(&'a self, mut f: impl FnMut(NodeRef<'a>) -> ControlFlow<()>) {
        let _ = self.root.for_each_node(&mut |node| f(NodeRef::from(node)));
    }

    /// Bytes, estimated from the first nodes.
    pub(super) fn memory_bytes(&self) -> usize {
        let (mut sampled, mut bytes) = (0, 0);
        self.for_each_node(|node| {
            sampled += 1;
            bytes += node.memory_bytes();
            if sampled < SAMPLED_NODES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let per_node = bytes / sampled.max(1) + size_of::<Slot>() + size_of::<Node>() + size_of::<usize>();
        size_of::<Quicklist>() + self.nodes_up_to(usize::MAX) * per_node
    }

    #[inline]
    pub(super) fn push(&mut self, end: End, value: &[u8], limits: &Limits) {
        if !self.root.push(end, value, &Policy::of(limits)) {
            let at = match end {
                End::Front => 0,
                End::Back => self.len(),
            };
            self.insert(at, value, limits);
        }
    }

    pub(super) fn insert(&mut self, at: usize, value: &[u8], limits: &Limits) {
        let policy = Policy::of(limits);
        let fits = policy.compress_depth == 0
            || at == 0 && self.root.accepts(End::Front, value, &policy)
            || at == self.len() && self.root.accepts(End::Back, value, &policy);
        let siblings = self.root.insert(at, value, &policy);
        self.root.grow(siblings);
        if !fits {
            self.settle(limits);
        }
    }

    #[inline]
    pub(super) fn pop<R>(&mut self, end: End, limits: &Limits, f: impl FnOnce(Element<'_>) -> R) -> R {
        let takes_node = limits.list_compress_depth > 0 && self.root.outer_len(end) == 1;
        let result = self.root.pop(end, f);
        self.root.shrink();
        if takes_node {
            self.settle(limits);
        }
        result
    }

    pub(super) fn replace(&mut self, at: usize, value: &[u8], limits: &Limits) {
        if !self.root.replace(at, value, &Policy::of(limits)) {
            self.insert(at, value, limits);
            self.remove_range(at + 1, at + 2, limits);
        }
    }

    pub(super) fn remove_range(&mut self, from: usize, to: usize, limits: &Limits) {
        self.root.remove_range(from, to);
        self.removed(limits);
    }

    pub(super) fn remove_equal(
        &mut self,
        value: &[u8],
        direction: Direction,
        left: &mut usize,
        limits: &Limits,
    ) {
        self.root.remove_equal(value, direction, left);
        self.removed(limits);
    }

    fn removed(&mut self, limits: &Limits) {
        self.root.shrink();
        self.settle(limits);
    }

    /// Keeps the nodes at the ends expanded and compresses those that have come to stand behind them. A node that was made by an
    /// insertion between compressed ones stays as it is until it stands there. Done when nodes came or went: what cannot be
    /// compressed is not tried each time.
    fn settle(&mut self, limits: &Limits) {
        let depth = limits.list_compress_depth;
        if depth > 0 && !self.is_empty() {
            let has_inner = self.nodes_up_to(2 * depth + 1) > 2 * depth;
            self.root.settle(End::Front, &mut Some(depth), has_inner);
            self.root.settle(End::Back, &mut Some(depth), has_inner);
        }
    }

    /// The only node, if it is at most half full.
    #[inline]
    pub(super) fn take_if_small(&mut self, limits: &Limits) -> Option<Listpack> {
        if self.is_empty() {
            return Some(Listpack::new());
        }
        self.take_only_pack(|pack, policy| policy.allows_shrunk(pack.byte_len(), pack.len()), limits)
    }

    fn take_only_pack(
        &mut self,
        is_small: impl FnOnce(&Listpack, &Policy) -> bool,
        limits: &Limits,
    ) -> Option<Listpack> {
        let pack = self.root.only_pack()?;
        // A clone may still hold the node; a small one is copied then.
        is_small(pack, &Policy::of(limits)).then(|| self.root.take_pack())
    }
}

/// A list that is loaded from elsewhere, from its head on.
pub struct Builder {
    quick: Quicklist,
}

impl Default for Builder {
    /// Nothing yet.
    fn default() -> Builder {
        Builder { quick: Quicklist::from(Listpack::new()) }
    }
}

impl Builder {
    /// Appends an element.
    pub fn push(&mut self, value: &[u8], limits: &Limits) {
        self.quick.push(End::Back, value, limits);
    }

    /// Appends the elements of a listpack, as a node of their own unless they are too many.
    pub fn push_pack(&mut self, pack: Listpack, limits: &Limits) {
        if pack.byte_len() > MAX_LOADED_NODE_BYTES {
            pack.iter().for_each(|element| self.push(element.text(&mut itoa::Buffer::new()), limits));
        } else if self.quick.is_empty() {
            self.quick = Quicklist::from(pack);
        } else if !pack.is_empty() {
            let len = pack.len();
            let siblings = self.quick.root.append(Node::Packed(pack), len);
            self.quick.root.grow(siblings);
            self.quick.settle(limits);
        }
    }

    /// The list: a listpack if one node holds it.
    pub fn finish(mut self, limits: &Limits) -> List {
        match self
            .quick
            .take_only_pack(|pack, policy| policy.allows_bare(pack.byte_len(), pack.len()), limits)
        {
            Some(pack) => List::Packed(pack),
            None => List::Quick(Box::new(self.quick)),
        }
    }
}
