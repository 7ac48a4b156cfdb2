use super::node::FANOUT;
use super::*;
use proptest::prelude::*;

/// The naive model.
#[derive(Clone, Default)]
struct Model(Vec<(f64, Vec<u8>)>);

impl Model {
    fn place(&self, score: f64, member: &[u8]) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(s, m)| s.partial_cmp(&score).expect("no NaN").then_with(|| m[..].cmp(member)))
    }

    fn insert(&mut self, score: f64, member: &[u8]) -> bool {
        let place = self.place(score, member);
        if let Err(at) = place {
            self.0.insert(at, (score, member.to_vec()));
        }
        place.is_err()
    }

    fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        self.place(score, member).map(|at| self.0.remove(at)).is_ok()
    }
}

/// Compares everything that a tree tells with the model, and the nodes' own books with their contents.
#[track_caller]
fn check(tree: &Tree, model: &Model) {
    assert_eq!(tree.len(), model.0.len());
    assert_eq!(tree.is_empty(), model.0.is_empty());
    let expected = || model.0.iter().map(|(score, member)| (*score, &member[..]));
    assert!(tree.iter().eq(expected()));
    assert!(tree.range(0..tree.len(), Direction::Backward).eq(expected().rev()));
    audit(&tree.root, true);
}

/// Checks a subtree's invariants. Returns its depth.
#[track_caller]
fn audit(node: &Node, is_root: bool) -> usize {
    let Node::Inner(inner) = node else {
        assert!(is_root || node.len() > 0, "an empty leaf");
        return 0;
    };
    assert!(inner.nodes.len() >= if is_root { 2 } else { 1 });
    assert_eq!(inner.nodes.len(), inner.counts.len());
    let mut depths = inner.nodes.iter().enumerate().map(|(at, child)| {
        let first = Tree { root: child.clone(), len: child.len() }.nth(0).map(|(s, m)| (s, m.to_vec()));
        let (score, member) = first.expect("a child is not empty");
        assert_eq!(inner.seps[at], cut::Sep::new(score, &member));
        assert_eq!(inner.counts[at] as usize, child.len());
        audit(child, false)
    });
    let depth = depths.next().expect("an inner node has children");
    assert!(depths.all(|other| other == depth), "all leaves are equally deep");
    depth + 1
}

fn member(n: u32) -> Vec<u8> {
    match n % 50 {
        0 => vec![b'x'; 200 + n as usize],
        1 => format!("{n}").into_bytes(),
        2 => vec![0; (n % 20) as usize],
        _ => format!("member:with a common beginning:{n}").into_bytes(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(i8, u32),
    Remove(usize),
    RemoveAbsent(i8, u32),
    RemoveRange(usize, usize),
    Share,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        600 => (any::<i8>(), 0..2000_u32).prop_map(|(s, m)| Step::Insert(s % 4, m)),
        250 => any::<usize>().prop_map(Step::Remove),
        10 => (any::<i8>(), 0..2000_u32).prop_map(|(s, m)| Step::RemoveAbsent(s % 4, m)),
        2 => (any::<usize>(), 0..400_usize).prop_map(|(from, n)| Step::RemoveRange(from, n)),
        5 => Just(Step::Share),
    ];
    prop::collection::vec(step, 0..2500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_a_sorted_vec(steps in steps()) {
        let (mut tree, mut model) = (Tree::default(), Model::default());
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Insert(score, m) => {
                    let (score, member) = (f64::from(score), member(m));
                    prop_assert_eq!(tree.insert(score, &member), model.insert(score, &member));
                }
                Step::Remove(at) if !model.0.is_empty() => {
                    let (score, member) = model.0.remove(at % model.0.len());
                    prop_assert!(tree.remove(score, &member));
                }
                Step::Remove(_) => {}
                Step::RemoveAbsent(score, m) => {
                    let (score, member) = (f64::from(score) + 0.5, member(m));
                    prop_assert_eq!(tree.remove(score, &member), model.remove(score, &member));
                }
                Step::RemoveRange(from, n) => {
                    let from = from % (model.0.len() + 1);
                    tree.remove_range(from..from + n);
                    model.0.drain(from..(from + n).min(model.0.len()));
                }
                Step::Share => kept.push((tree.clone(), model.clone())),
            }
        }
        check(&tree, &model);
        kept.iter().for_each(|(tree, model)| check(tree, model));
    }

    #[test]
    fn cuts_and_ranks(members in prop::collection::btree_set(0..3000_u32, 1..1500), probe in 0..3000_u32, one_score: bool) {
        let (mut tree, mut model) = (Tree::default(), Model::default());
        let score = |n: u32| if one_score { 0.0 } else { f64::from(n % 7) - 3.0 };
        for &n in &members {
            tree.insert(score(n), &member(n));
            model.insert(score(n), &member(n));
        }
        for (rank, (score, member)) in model.0.iter().enumerate() {
            prop_assert_eq!(tree.rank(*score, member), rank);
            prop_assert_eq!(tree.nth(rank), Some((*score, &member[..])));
        }
        prop_assert_eq!(tree.nth(model.0.len()), None);
        let (s, m) = (score(probe), member(probe));
        type Before<'a> = &'a dyn Fn(&(f64, Vec<u8>)) -> bool;
        let count = |before: Before<'_>| model.0.iter().filter(|entry| before(entry)).count();
        prop_assert_eq!(tree.count_before(&Cut::BelowScore(s)), count(&|e| e.0 < s));
        prop_assert_eq!(tree.count_before(&Cut::AboveScore(s)), count(&|e| e.0 <= s));
        prop_assert_eq!(tree.count_before(&Cut::At(s, &m)), count(&|e| e.0 < s || e.0 == s && e.1 < m));
        if one_score {
            prop_assert_eq!(tree.count_before(&Cut::BelowMember(&m)), count(&|e| e.1 < m));
            prop_assert_eq!(tree.count_before(&Cut::AboveMember(&m)), count(&|e| e.1 <= m));
        }
        let (from, to) = (probe as usize % model.0.len(), model.0.len() * 2 / 3);
        let expected = model.0.get(from..to).unwrap_or(&[]).iter().map(|(score, member)| (*score, &member[..]));
        prop_assert!(tree.range(from..to, Direction::Forward).eq(expected.clone()));
        prop_assert!(tree.range(from..to, Direction::Backward).eq(expected.rev()));
    }
}

/// Inserts numbers in an order, and removes them in it.
fn fill_and_drain(numbers: impl Iterator<Item = u32> + Clone) {
    let (mut tree, mut model) = (Tree::default(), Model::default());
    for n in numbers.clone() {
        tree.insert(f64::from(n), &member(n));
        model.insert(f64::from(n), &member(n));
    }
    check(&tree, &model);
    for n in numbers {
        assert!(tree.remove(f64::from(n), &member(n)));
    }
    check(&tree, &Model::default());
    assert!(matches!(tree.root, Node::Leaf(_)));
}

#[test]
fn every_order_of_insertion_and_removal() {
    const N: u32 = 5000;
    fill_and_drain(0..N);
    fill_and_drain((0..N).rev());
    fill_and_drain((0..N).map(|n| n * 7919 % N));
    fill_and_drain((0..N / 2).flat_map(|n| [n, N - 1 - n]));
}

#[test]
fn ascending_insertions_leave_full_leaves() {
    let mut tree = Tree::default();
    (0..100_000).for_each(|n| assert!(tree.insert(f64::from(n), format!("member:{n:09}").as_bytes())));
    let per_entry = tree.memory_bytes() / tree.len();
    assert!(per_entry < 32, "{per_entry} bytes for a member of 16");
}

#[test]
fn a_range_may_be_everything_or_nothing() {
    let mut tree = Tree::default();
    (0..10_000).for_each(|n| assert!(tree.insert(f64::from(n), &member(n))));
    let whole = tree.clone();
    tree.remove_range(5..5);
    tree.remove_range(20_000..30_000);
    assert_eq!(tree.len(), 10_000);
    tree.remove_range(1..usize::MAX);
    check(&tree, &Model(vec![(0.0, member(0))]));
    tree.remove_range(0..1);
    check(&tree, &Model::default());
    assert_eq!(whole.iter().count(), 10_000);
    assert!(whole.free_effort() > FANOUT);
}

/// Nodes of the first tree that the second does not share, if both have the same shape.
fn nodes_apart(old: &Node, new: &Node) -> usize {
    match (old, new) {
        (Node::Inner(old), Node::Inner(new)) if Arc::ptr_eq(old, new) => 0,
        (Node::Inner(old), Node::Inner(new)) => {
            1 + old.nodes.iter().zip(&new.nodes).map(|(old, new)| nodes_apart(old, new)).sum::<usize>()
        }
        (Node::Leaf(old), Node::Leaf(new)) => usize::from(!old.is_shared_with(new)),
        _ => panic!("another shape"),
    }
}

#[test]
fn a_write_beside_a_clone_copies_one_path() {
    let mut tree = Tree::default();
    (0..100_000).for_each(|n| assert!(tree.insert(f64::from(n), &member(n))));
    let snapshot = tree.clone();
    tree.insert(50_000.5, b"new");
    assert_eq!(nodes_apart(&snapshot.root, &tree.root), 4, "root, two inner nodes, leaf");
    assert_eq!(snapshot.rank(50_001.0, &member(50_001)) + 1, tree.rank(50_001.0, &member(50_001)));
}

#[test]
fn zero_has_no_sign_in_the_order_but_keeps_it() {
    let mut tree = Tree::default();
    tree.insert(-0.0, b"a");
    assert!(!tree.insert(0.0, b"a"));
    tree.insert(0.0, b"b");
    assert_eq!(tree.count_before(&Cut::BelowScore(0.0)), 0);
    assert!(tree.nth(0).is_some_and(|(score, _)| score.is_sign_negative()));
    assert!(tree.remove(0.0, b"a"));
}
