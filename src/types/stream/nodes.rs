//! The nodes of a stream in the order of their IDs.
//!
//! All but the last stand in a persistent map, so that a clone shares them and a change copies what it touches: one node and
//! the path to it. The last node is kept beside: appending, which is what streams live for, finds it at once, and a stream of
//! one node has no map at all.

use super::id::StreamId;
use super::node::Node;
use imbl::OrdMap;
use triomphe::Arc;

/// Nodes by ID. Every node's entries have smaller IDs than the next one's.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// All but the last.
    before: OrdMap<StreamId, Arc<Node>>,
    last: Option<Arc<Node>>,
}

impl Nodes {
    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.before.len() + usize::from(self.last.is_some())
    }

    /// The first node.
    pub fn first(&self) -> Option<&Node> {
        self.before.get_min().map(|(_, node)| &**node).or(self.last())
    }

    /// The last node.
    pub fn last(&self) -> Option<&Node> {
        self.last.as_deref()
    }

    /// The last node for a change.
    pub fn last_mut(&mut self) -> Option<&mut Node> {
        self.last.as_mut().map(Arc::make_mut)
    }

    /// Appends a node, whose ID is larger than all others here.
    pub fn push(&mut self, node: Node) {
        if let Some(old) = self.last.replace(Arc::new(node)) {
            self.before.insert(old.id(), old);
        }
    }

    /// The node with exactly this ID for a change.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Node> {
        match &mut self.last {
            Some(last) if last.id() == id => Some(Arc::make_mut(last)),
            _ => self.before.get_mut(&id).map(Arc::make_mut),
        }
    }

    /// The node that an entry with this ID would be in.
    pub fn holding(&self, id: StreamId) -> Option<&Node> {
        match &self.last {
            Some(last) if last.id() <= id => Some(last),
            _ => self.before.get_prev(&id).map(|(_, node)| &**node),
        }
    }

    /// Removes the node with this ID.
    pub fn remove(&mut self, id: StreamId) {
        if self.last.as_ref().is_some_and(|last| last.id() == id) {
            let key = self.before.get_max().map(|(key, _)| *key);
            self.last = key.and_then(|key| self.before.remove(&key));
        } else {
            self.before.remove(&id);
        }
    }

    /// The nodes that entries from `from` to `to` may be in.
    pub fn range(&self, from: StreamId, to: StreamId) -> impl DoubleEndedIterator<Item = &Node> + Clone {
        let first = self.holding(from).map_or(StreamId::MIN, Node::id);
        let before = (first <= to).then(|| self.before.range(first..=to)).into_iter().flatten();
        let last = self.last.as_ref().filter(|last| last.id() <= to);
        before.map(|(_, node)| &**node).chain(last.map(|last| &**last))
    }

    /// All nodes.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Node> + Clone {
        self.range(StreamId::MIN, StreamId::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    /// Nodes with the IDs 10, 20, … of one entry each.
    fn nodes(n: u64) -> Nodes {
        let mut nodes = Nodes::default();
        for ms in (1..=n).map(|n| n * 10) {
            let mut node = Node::new(id(ms), &[b"f", b"v"]);
            node.push(id(ms), &[b"f", b"v"]);
            nodes.push(node);
        }
        nodes
    }

    #[track_caller]
    fn check(nodes: &Nodes, from: u64, to: u64, expected: &[u64]) {
        let forwards: Vec<u64> = nodes.range(id(from), id(to)).map(|node| node.id().ms).collect();
        assert_eq!(forwards, expected, "{from} to {to}");
        let backwards: Vec<u64> = nodes.range(id(from), id(to)).rev().map(|node| node.id().ms).collect();
        assert_eq!(backwards, expected.iter().rev().copied().collect::<Vec<_>>());
    }

    #[test]
    fn a_range_begins_in_the_node_that_holds_its_start() {
        for n in [3, 100] {
            let nodes = nodes(n);
            check(&nodes, 0, 5, &[]);
            check(&nodes, 5, 10, &[10]);
            check(&nodes, 15, 25, &[10, 20]);
            check(&nodes, 20, 20, &[20]);
            check(&nodes, 25, 20, &[20]);
            check(&nodes, n * 10, u64::MAX, &[n * 10]);
            check(&nodes, n * 10 - 1, n * 10 + 1, &[n * 10 - 10, n * 10]);
            check(&nodes, 30, 5, &[]);
            assert_eq!(nodes.iter().count(), n as usize);
        }
        check(&Nodes::default(), 0, u64::MAX, &[]);
    }

    #[test]
    fn the_last_node_is_replaced_by_the_one_before() {
        let mut nodes = nodes(3);
        nodes.remove(id(30));
        assert_eq!(nodes.last().map(Node::id), Some(id(20)));
        nodes.remove(id(10));
        check(&nodes, 0, 99, &[20]);
        nodes.remove(id(20));
        assert_eq!((nodes.len(), nodes.last().is_none()), (0, true));
    }

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut nodes = nodes(40);
        let old = nodes.clone();
        nodes.get_mut(id(50)).expect("is there").push(id(51), &[b"f", b"w"]);
        nodes.last_mut().expect("is there").push(id(401), &[b"f", b"w"]);
        nodes.remove(id(100));
        assert_eq!(old.len(), 40);
        assert!(old.iter().all(|node| node.live() == 1));
        assert_eq!(nodes.holding(id(59)).map(Node::live), Some(2));
    }
}
