//! Lists: one listpack while small, a quicklist beyond.
//!
//! A [`List`] is a listpack until it would outgrow one node of a quicklist (`list-max-listpack-size`), becomes a quicklist then, and
//! a listpack again when what is left of it fits in half a node, as Redis 7.2 documents and does. Growth is announced by
//! [`List::make_room`] before elements are added, so that a command with many elements converts once and
//! at the moment Redis does; shrinking is looked after here.
//!
//! A clone of a listpack is a copy of at most a node's bytes; a clone of a quicklist shares everything and costs one reference
//! count (see [`tree`](self::tree)).

mod node;
mod policy;
mod quick;
#[cfg(test)]
mod tests;
mod tree;

use super::element::Element;
use super::limits::Limits;
use super::listpack::Listpack;
pub use super::tree::Direction;
pub use node::{Node, Squeezed};
use policy::Policy;
pub use quick::{Builder, Quicklist};
use std::ops::ControlFlow;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The head, at the left.
    Front,
    /// The tail, at the right.
    Back,
}

/// A list.
#[derive(Clone, Debug)]
pub enum List {
    /// A small one.
    Packed(Listpack),
    /// A large one.
    Quick(Box<Quicklist>),
}

/// Beyond this many the exact number of nodes does not matter to who frees them.
const MAX_FREE_EFFORT: usize = 65;

impl Default for List {
    fn default() -> List {
        List::Packed(Listpack::new())
    }
}

impl List {
    /// Number of elements. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            List::Packed(pack) => pack.len(),
            List::Quick(quick) => quick.len(),
        }
    }

    /// Is there no element?
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            List::Packed(pack) => pack.is_empty(),
            List::Quick(quick) => quick.is_empty(),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            List::Packed(_) => "listpack",
            List::Quick(_) => "quicklist",
        }
    }

    /// Bytes that the list takes, estimated from some of its nodes. O(nodes / 32).
    pub fn memory_bytes(&self) -> usize {
        match self {
            List::Packed(pack) => pack.allocated_bytes(),
            List::Quick(quick) => quick.memory_bytes(),
        }
    }

    /// Number of nodes to free, exactly up to 64.
    pub fn free_effort(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Quick(quick) => quick.nodes_up_to(MAX_FREE_EFFORT),
        }
    }

    /// Tells that `count` elements of `bytes` in all are about to be added (or replace others): a listpack that could not hold them
    /// becomes a quicklist.
    #[inline]
    pub fn make_room(&mut self, count: usize, bytes: usize, limits: &Limits) {
        if let List::Packed(pack) = self
            && !Policy::of(limits).allows_bare(pack.byte_len() + bytes, pack.len() + count)
        {
            let pack = std::mem::take(pack);
            *self = List::Quick(Box::new(Quicklist::from(pack)));
        }
    }

    /// Adds an element at an end. Room for it has been made.
    #[inline]
    pub fn push(&mut self, end: End, value: &[u8], limits: &Limits) {
        match (self, end) {
            (List::Packed(pack), End::Front) => pack.push_front(value),
            (List::Packed(pack), End::Back) => pack.push_back(value),
            (List::Quick(quick), end) => quick.push(end, value, limits),
        }
    }

    /// Shows the element at an end to `f` and removes it. `None` when the list is empty.
    #[inline]
    pub fn pop<R>(&mut self, end: End, limits: &Limits, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self {
            List::Packed(pack) => {
                let at = match end {
                    End::Front => pack.first(),
                    End::Back => pack.last(),
                }?;
                let result = f(pack.get(at));
                pack.remove(at);
                Some(result)
            }
            List::Quick(quick) => {
                let result = quick.pop(end, limits, f);
                self.shrink(limits);
                Some(result)
            }
        }
    }

    /// Shows the element at an index to `f`. O(log n) and a way within a node.
    pub fn with<R>(&self, at: usize, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let (mut f, mut result) = (Some(f), None);
        self.walk(at, Direction::Forward, |element| {
            result = f.take().map(|f| f(element));
            ControlFlow::Break(())
        });
        result
    }

    /// Shows the elements from an index on to `f`, towards an end, until it breaks.
    #[inline]
    pub fn walk(&self, from: usize, direction: Direction, mut f: impl FnMut(Element<'_>) -> ControlFlow<()>) {
        if from >= self.len() {
            return;
        }
        let _ = match self {
            List::Packed(pack) => tree::walk_pack(pack, from, direction, &mut f),
            List::Quick(quick) => quick.walk(from, direction, &mut f),
        };
    }

    /// All elements, copied: for tests and other places where speed does not matter.
    pub fn to_vecs(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::with_capacity(self.len());
        self.walk(0, Direction::Forward, |element| {
            all.push(element.to_vec());
            ControlFlow::Continue(())
        });
        all
    }

    /// Replaces the element at an index that the list has. Room for it has been made. O(log n) and a way within a node.
    pub fn set(&mut self, at: usize, value: &[u8], limits: &Limits) {
        match self {
            List::Packed(pack) => {
                if let Some(pos) = pack.seek(at as i64) {
                    pack.replace(pos, value);
                }
            }
            List::Quick(quick) => {
                quick.replace(at, value, limits);
                self.shrink(limits);
            }
        }
    }

    /// Inserts an element before the one at an index, which may be the length. Room for it has been made.
    pub fn insert(&mut self, at: usize, value: &[u8], limits: &Limits) {
        match self {
            List::Packed(pack) => match pack.seek(at as i64) {
                Some(pos) => {
                    pack.insert_before(pos, value);
                }
                None => pack.push_back(value),
            },
            List::Quick(quick) => quick.insert(at, value, limits),
        }
    }

    /// Removes `count` elements from an index on, or as many as there are. O(log n) and what is freed.
    pub fn remove_range(&mut self, from: usize, count: usize, limits: &Limits) {
        let to = self.len().min(from.saturating_add(count));
        if from >= to {
            return;
        }
        match self {
            List::Packed(pack) => {
                if let Some(pos) = pack.seek(from as i64) {
                    pack.remove_range(pos, to - from);
                }
            }
            List::Quick(quick) => {
                quick.remove_range(from, to, limits);
                self.shrink(limits);
            }
        }
    }

    /// Removes up to `count` elements equal to `value`, in the order of `direction`. Returns how many. O(n).
    pub fn remove_equal(
        &mut self,
        value: &[u8],
        direction: Direction,
        count: usize,
        limits: &Limits,
    ) -> usize {
        let mut left = count;
        match self {
            List::Packed(pack) => tree::remove_equal_in_pack(pack, value, direction, &mut left),
            List::Quick(quick) => {
                quick.remove_equal(value, direction, &mut left, limits);
                self.shrink(limits);
            }
        }
        count - left
    }

    /// Shows the nodes of a quicklist to `f`, in order; the listpack of a small list as its only node.
    pub fn for_each_node<'a>(&'a self, mut f: impl FnMut(NodeRef<'a>)) {
        match self {
            List::Packed(pack) => f(NodeRef::Packed(pack)),
            List::Quick(quick) => quick.for_each_node(|node| {
                f(node);
                ControlFlow::Continue(())
            }),
        }
    }

    /// Number of nodes, that of a listpack being 1. O(nodes / 32).
    pub fn nodes(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Quick(quick) => quick.nodes_up_to(usize::MAX),
        }
    }

    /// Makes a listpack of a quicklist with a single node that is at most half full.
    #[inline]
    fn shrink(&mut self, limits: &Limits) {
        if let List::Quick(quick) = self
            && let Some(pack) = quick.take_if_small(limits)
        {
            *self = List::Packed(pack);
        }
    }
}

/// A node as it is stored, for writing it elsewhere.
#[derive(Clone, Copy, Debug)]
pub enum NodeRef<'a> {
    /// Several elements.
    Packed(&'a Listpack),
    /// A single large one.
    Plain(&'a [u8]),
    /// A compressed listpack.
    Squeezed(&'a Squeezed),
}

impl<'a> From<&'a Node> for NodeRef<'a> {
    fn from(node: &'a Node) -> NodeRef<'a> {
        match node {
            Node::Packed(pack) => NodeRef::Packed(pack),
            Node::Plain(value) => NodeRef::Plain(value),
            Node::Squeezed(squeezed) => NodeRef::Squeezed(squeezed),
        }
    }
}

impl NodeRef<'_> {
    /// What the allocator spends on the contents, about.
    fn memory_bytes(&self) -> usize {
        match self {
            NodeRef::Packed(pack) => pack.allocated_bytes(),
            NodeRef::Plain(value) => value.len(),
            NodeRef::Squeezed(squeezed) => squeezed.lzf.len(),
        }
    }
}
