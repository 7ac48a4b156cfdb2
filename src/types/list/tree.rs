//! The sequence of a quicklist's nodes: a counted B-tree whose leaves are the nodes.
//!
//! Every slot knows how many elements are below it, so an index is found in O(log n), from either end at once. Branches and
//! nodes stand behind reference counts: a clone shares everything, and a change copies the branches on its way and
//! the one node it touches, if they are shared, whatever the length of the list. A doubly linked list of nodes, as Redis has it, would
//! have to be copied as a whole for that; a persistent vector would not know where an element is.
//!
//! Invariants: all nodes are equally deep; no slot below the root is empty; a branch has at most [`FANOUT`] slots. There is no lower
//! bound: a slot is removed when its last element is, and that alone, so that a queue, which grows on one side and shrinks on the
//! other, never moves what lies between.

use super::node::Node;
use super::policy::Policy;
use super::{Direction, Element, End, Listpack};
use smallvec::SmallVec;
use std::ops::ControlFlow;
use triomphe::Arc;

/// Slots of a branch: 768 bytes of them, copied in half a microsecond.
const FANOUT: usize = 32;

/// A part of the sequence.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Elements below.
    len: usize,
    link: Link,
}

#[derive(Clone, Debug)]
enum Link {
    Node(Arc<Node>),
    Branch(Arc<Vec<Slot>>),
}

/// What has to stand to the right of a slot after an insertion into it.
pub type Siblings = SmallVec<[Slot; 2]>;

impl Slot {
    /// A slot with one node of `len` elements.
    pub fn new(node: Node, len: usize) -> Slot {
        Slot { len, link: Link::Node(Arc::new(node)) }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The listpack, if it is the only node.
    #[inline]
    pub fn only_pack(&self) -> Option<&Listpack> {
        match &self.link {
            Link::Node(node) => match &**node {
                Node::Packed(pack) => Some(pack),
                Node::Plain(_) | Node::Squeezed(_) => None,
            },
            Link::Branch(_) => None,
        }
    }

    /// Takes the listpack of the only node away, copied if it is shared; an empty one if there is none.
    pub fn take_pack(&mut self) -> Listpack {
        self.len = 0;
        match &mut self.link {
            Link::Node(node) => match Arc::make_mut(node) {
                Node::Packed(pack) => std::mem::take(pack),
                Node::Plain(_) | Node::Squeezed(_) => Listpack::new(),
            },
            Link::Branch(_) => Listpack::new(),
        }
    }

    /// Adds an element at an end. False: the node there does not take it, and nothing has changed.
    pub fn push(&mut self, end: End, value: &[u8], policy: &Policy) -> bool {
        let pushed = match &mut self.link {
            Link::Node(node) if node.accepts(value, self.len, policy) => {
                Arc::make_mut(node).push(end, value);
                true
            }
            Link::Node(_) => false,
            Link::Branch(branch) => {
                let slots = Arc::make_mut(branch);
                let outer = match end {
                    End::Front => slots.first_mut(),
                    End::Back => slots.last_mut(),
                };
                outer.is_some_and(|slot| slot.push(end, value, policy))
            }
        };
        self.len += usize::from(pushed);
        pushed
    }

    /// Inserts an element before the one at `at`, which may be the length, and returns what comes to stand behind this slot.
    pub fn insert(&mut self, at: usize, value: &[u8], policy: &Policy) -> Siblings {
        let siblings = match &mut self.link {
            Link::Node(node) if node.accepts(value, self.len, policy) => {
                Arc::make_mut(node).insert(at, self.len, value);
                self.len += 1;
                return Siblings::new();
            }
            Link::Node(_) => return self.insert_beside(at, value, policy),
            Link::Branch(branch) => {
                let slots = Arc::make_mut(branch);
                let (child, at) = place(slots, self.len, at, value, policy);
                let siblings = slots[child].insert(at, value, policy);
                self.len += 1;
                if siblings.is_empty() {
                    return siblings;
                }
                slots.splice(child + 1..child + 1, siblings);
                split_full(slots, child)
            }
        };
        self.shed(siblings)
    }

    /// Appends a whole node.
    pub fn append(&mut self, node: Node, len: usize) -> Siblings {
        let siblings = match &mut self.link {
            Link::Node(_) => return SmallVec::from_elem(Slot::new(node, len), 1),
            Link::Branch(branch) => {
                let slots = Arc::make_mut(branch);
                let last = slots.len() - 1;
                let siblings = slots[last].append(node, len);
                self.len += len;
                slots.extend(siblings);
                split_full(slots, last)
            }
        };
        self.shed(siblings)
    }

    /// Accounts for the siblings that a branch has given away.
    fn shed(&mut self, siblings: Option<Slot>) -> Siblings {
        self.len -= siblings.as_ref().map_or(0, Slot::len);
        siblings.into_iter().collect()
    }

    /// Inserts an element that this node cannot take: beside it, or between its halves.
    fn insert_beside(&mut self, at: usize, value: &[u8], policy: &Policy) -> Siblings {
        let fresh = || Slot::new(Node::of(value, policy), 1);
        if self.len == 0 {
            *self = fresh();
            return Siblings::new();
        }
        if at == self.len {
            return SmallVec::from_elem(fresh(), 1);
        }
        if at == 0 {
            return SmallVec::from_elem(std::mem::replace(self, fresh()), 1);
        }
        let Link::Node(node) = &mut self.link else { unreachable!("asked for a node") };
        let mut right = Slot::new(Arc::make_mut(node).split_off(at), self.len - at);
        self.len = at;
        if self.accepts(End::Back, value, policy) {
            self.insert(at, value, policy);
        } else if right.accepts(End::Front, value, policy) {
            right.insert(0, value, policy);
        } else if policy.overfills() && !policy.is_large(value.len()) {
            right.push_anyway(value);
        } else {
            return Siblings::from_buf([fresh(), right]);
        }
        SmallVec::from_elem(right, 1)
    }

    /// Adds an element at the head of this node, beyond its limits or not.
    fn push_anyway(&mut self, value: &[u8]) {
        let Link::Node(node) = &mut self.link else { unreachable!("asked for a node") };
        Arc::make_mut(node).push(End::Front, value);
        self.len += 1;
    }

    /// Does the node at an end have room for the element?
    pub fn accepts(&self, end: End, value: &[u8], policy: &Policy) -> bool {
        match &self.link {
            Link::Node(node) => node.accepts(value, self.len, policy),
            Link::Branch(slots) => match end {
                End::Front => slots.first(),
                End::Back => slots.last(),
            }
            .is_some_and(|slot| slot.accepts(end, value, policy)),
        }
    }

    /// Number of elements of the node at an end.
    pub fn outer_len(&self, end: End) -> usize {
        match &self.link {
            Link::Node(_) => self.len,
            Link::Branch(slots) => match end {
                End::Front => slots.first(),
                End::Back => slots.last(),
            }
            .map_or(0, |slot| slot.outer_len(end)),
        }
    }

    /// A branch over a slot and its siblings: how the tree becomes higher.
    pub fn grow(&mut self, siblings: Siblings) {
        if siblings.is_empty() {
            return;
        }
        let len = self.len + siblings.iter().map(Slot::len).sum::<usize>();
        let first = std::mem::replace(self, Slot { len, link: Link::Branch(Arc::new(Vec::new())) });
        let Link::Branch(branch) = &mut self.link else { unreachable!("made one above") };
        *branch = Arc::new(std::iter::once(first).chain(siblings).collect());
    }

    /// Takes away branches that have a single slot: how the tree becomes lower.
    pub fn shrink(&mut self) {
        while let Link::Branch(branch) = &self.link
            && let [only] = &branch[..]
        {
            *self = only.clone();
        }
    }

    /// Shows the element at an end to `f` and removes it. The slot may be empty then.
    #[inline]
    pub fn pop<R>(&mut self, end: End, f: impl FnOnce(Element<'_>) -> R) -> R {
        self.len -= 1;
        match &mut self.link {
            Link::Node(node) => match &**node {
                Node::Plain(value) => f(Element::Str(value)),
                Node::Packed(_) | Node::Squeezed(_) => Arc::make_mut(node).pop(end, f),
            },
            Link::Branch(branch) => pop_below(Arc::make_mut(branch), end, f),
        }
    }

    /// Removes the elements from `from` to before `to`. The slot may be empty then. O(log n) and what is freed.
    pub fn remove_range(&mut self, from: usize, to: usize) {
        if from >= to {
            return;
        }
        self.len -= to - from;
        match &mut self.link {
            Link::Node(_) if self.len == 0 => {}
            Link::Node(node) => Arc::make_mut(node).edit(|pack| {
                let first = pack.seek(from as i64).expect("the range is within the node");
                pack.remove_range(first, to - from);
            }),
            Link::Branch(branch) => {
                let mut start = 0;
                Arc::make_mut(branch).retain_mut(|slot| {
                    let end = start + slot.len;
                    let (from, to) = (from.clamp(start, end) - start, to.clamp(start, end) - start);
                    start = end;
                    let whole = to - from == slot.len;
                    if !whole {
                        slot.remove_range(from, to);
                    }
                    !whole
                });
            }
        }
    }

    /// Replaces the element at `at` if its node has room for the new one; false otherwise, and nothing has changed.
    pub fn replace(&mut self, at: usize, value: &[u8], policy: &Policy) -> bool {
        match &mut self.link {
            Link::Branch(branch) => {
                let (child, at) = locate(branch, at);
                Arc::make_mut(branch)[child].replace(at, value, policy)
            }
            Link::Node(node) => {
                if matches!(**node, Node::Plain(_)) {
                    *node = Arc::new(Node::of(value, policy));
                    return true;
                }
                let fits = node.accepts(value, self.len - 1, policy)
                    || policy.overfills() && !policy.is_large(value.len());
                if fits {
                    Arc::make_mut(node).edit(|pack| {
                        pack.replace(pack.seek(at as i64).expect("the index is within the node"), value);
                    });
                }
                fits
            }
        }
    }

    /// Removes up to `left` elements equal to `value`, those nearest to the end that one comes from first, and counts
    /// `left` down. The slot may be empty then. O(n), but only nodes with such an element are touched.
    pub fn remove_equal(&mut self, value: &[u8], direction: Direction, left: &mut usize) {
        match &mut self.link {
            Link::Node(node) => self.len -= remove_equal_in_node(node, value, direction, left),
            Link::Branch(branch) => {
                let slots = Arc::make_mut(branch);
                let mut visit = |slot: &mut Slot| {
                    if *left > 0 {
                        slot.remove_equal(value, direction, left);
                    }
                };
                match direction {
                    Direction::Forward => slots.iter_mut().for_each(&mut visit),
                    Direction::Backward => slots.iter_mut().rev().for_each(&mut visit),
                }
                slots.retain(|slot| slot.len > 0);
                self.len = slots.iter().map(Slot::len).sum();
            }
        }
    }

    /// Shows the elements from index `from` on to `f`, towards an end, until it breaks.
    pub fn walk(
        &self,
        from: usize,
        direction: Direction,
        f: &mut impl FnMut(Element<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match &self.link {
            Link::Node(node) => walk_node(node, from, direction, f),
            Link::Branch(slots) => {
                let (child, from) = locate(slots, from);
                slots[child].walk(from, direction, f)?;
                match direction {
                    Direction::Forward => {
                        slots[child + 1..].iter().try_for_each(|slot| slot.walk(0, direction, f))
                    }
                    Direction::Backward => {
                        slots[..child].iter().rev().try_for_each(|slot| slot.walk(slot.len - 1, direction, f))
                    }
                }
            }
        }
    }

    /// Shows the nodes in order, until `f` breaks.
    pub fn for_each_node<'a>(&'a self, f: &mut impl FnMut(&'a Node) -> ControlFlow<()>) -> ControlFlow<()> {
        match &self.link {
            Link::Node(node) => f(node),
            Link::Branch(slots) => slots.iter().try_for_each(|slot| slot.for_each_node(f)),
        }
    }

    /// Number of nodes, or of some of them if there are at least `enough`. O(result / [`FANOUT`]).
    pub fn nodes_up_to(&self, enough: usize) -> usize {
        match &self.link {
            Link::Node(_) => 1,
            Link::Branch(slots) => match slots.first().map(|slot| &slot.link) {
                Some(Link::Node(_)) => slots.len(),
                Some(Link::Branch(_)) | None => slots.iter().fold(0, |nodes, slot| match nodes < enough {
                    true => nodes + slot.nodes_up_to(enough - nodes),
                    false => nodes,
                }),
            },
        }
    }

    /// Expands the `depth` nodes next to an end, and compresses the one behind them if `inner` says so. Counts `depth`
    /// down; `None` when all is done.
    pub fn settle(&mut self, end: End, depth: &mut Option<usize>, inner: bool) {
        match &mut self.link {
            Link::Node(node) => match depth {
                Some(0) => {
                    if inner && matches!(**node, Node::Packed(_)) {
                        Arc::make_mut(node).squeeze();
                    }
                    *depth = None;
                }
                Some(left) => {
                    if matches!(**node, Node::Squeezed(_)) {
                        Arc::make_mut(node).unsqueeze();
                    }
                    *left -= 1;
                }
                None => {}
            },
            Link::Branch(branch) => {
                let mut slots = Arc::make_mut(branch).iter_mut();
                while depth.is_some() {
                    let next = match end {
                        End::Front => slots.next(),
                        End::Back => slots.next_back(),
                    };
                    let Some(slot) = next else { return };
                    slot.settle(end, depth, inner);
                }
            }
        }
    }
}

/// The child with the element at `at`, and that element's index in it.
#[inline]
fn locate(slots: &[Slot], at: usize) -> (usize, usize) {
    let mut start = 0;
    for (child, slot) in slots.iter().enumerate() {
        if at - start < slot.len {
            return (child, at - start);
        }
        start += slot.len;
    }
    panic!("the index is within the list");
}

/// The child that an element is to be inserted into, and where. Between two children the left one is taken, unless it has no room
/// and the right one has.
#[inline]
fn place(slots: &[Slot], len: usize, at: usize, value: &[u8], policy: &Policy) -> (usize, usize) {
    if at == len {
        let last = slots.len() - 1;
        return (last, slots[last].len);
    }
    if at == 0 {
        return (0, 0);
    }
    let (child, within) = locate(slots, at);
    if within > 0 {
        return (child, within);
    }
    let left = &slots[child - 1];
    let right = &slots[child];
    if !left.accepts(End::Back, value, policy) && right.accepts(End::Front, value, policy) {
        return (child, 0);
    }
    (child - 1, left.len)
}

/// Splits a branch that has become too full, such that one that grows at an end leaves full ones behind.
fn split_full(slots: &mut Vec<Slot>, grown: usize) -> Option<Slot> {
    let total = slots.len();
    if total <= FANOUT {
        return None;
    }
    let at = match grown {
        0 => total - FANOUT,
        _ if grown + 1 >= FANOUT => FANOUT,
        _ => total / 2,
    };
    let right: Vec<Slot> = slots.drain(at..).collect();
    let len = right.iter().map(Slot::len).sum();
    Some(Slot { len, link: Link::Branch(Arc::new(right)) })
}

#[inline]
fn pop_below<R>(slots: &mut Vec<Slot>, end: End, f: impl FnOnce(Element<'_>) -> R) -> R {
    let at = match end {
        End::Front => 0,
        End::Back => slots.len() - 1,
    };
    let result = slots[at].pop(end, f);
    if slots[at].len == 0 {
        slots.remove(at);
    }
    result
}

/// Returns how many elements were removed. A large one stays in place: the slot is removed with it.
fn remove_equal_in_node(node: &mut Arc<Node>, value: &[u8], direction: Direction, left: &mut usize) -> usize {
    let before = *left;
    match node.read(|pack| pack.first().and_then(|first| pack.find(first, value, 0)).is_some()) {
        Ok(false) => {}
        Ok(true) => Arc::make_mut(node).edit(|pack| remove_equal_in_pack(pack, value, direction, left)),
        Err(plain) => *left -= usize::from(plain == value),
    }
    before - *left
}

/// As [`Slot::remove_equal`], in one listpack.
pub fn remove_equal_in_pack(pack: &mut Listpack, value: &[u8], direction: Direction, left: &mut usize) {
    let mut at = match direction {
        Direction::Forward => pack.first(),
        Direction::Backward => pack.last(),
    };
    while let Some(pos) = at
        && *left > 0
    {
        let before = if direction == Direction::Backward { pack.prev(pos) } else { None };
        let equal = pack.get(pos).eq_bytes(value);
        let behind = if equal { pack.remove(pos) } else { pack.next(pos) };
        *left -= usize::from(equal);
        at = if direction == Direction::Forward { behind } else { before };
    }
}

fn walk_node(
    node: &Node,
    from: usize,
    direction: Direction,
    f: &mut impl FnMut(Element<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    node.read(|pack| walk_pack(pack, from, direction, f)).unwrap_or_else(|plain| f(Element::Str(plain)))
}

/// As [`Slot::walk`], in one listpack.
#[inline]
pub fn walk_pack(
    pack: &Listpack,
    from: usize,
    direction: Direction,
    f: &mut impl FnMut(Element<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(mut at) = pack.seek(from as i64) else { return ControlFlow::Continue(()) };
    if direction == Direction::Forward {
        return pack.iter_from(at).try_for_each(f);
    }
    loop {
        f(pack.get(at))?;
        match pack.prev(at) {
            Some(before) => at = before,
            None => return ControlFlow::Continue(()),
        }
    }
}
