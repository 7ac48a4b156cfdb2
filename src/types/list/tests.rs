use super::*;
use crate::types::limits::tests::LIMITS;
use proptest::prelude::*;
use std::collections::VecDeque;

fn limits(size: i64, depth: usize) -> Limits {
    Limits { list_max_listpack_size: size, list_compress_depth: depth, ..LIMITS }
}

/// Pushes as a command with one element does.
fn push(list: &mut List, end: End, value: &[u8], limits: &Limits) {
    list.make_room(1, value.len(), limits);
    list.push(end, value, limits);
}

fn list_of(count: usize, limits: &Limits) -> List {
    let mut list = List::default();
    for i in 0..count {
        push(&mut list, End::Back, format!("element {i}").as_bytes(), limits);
    }
    list
}

#[test]
fn is_one_pointer_wide_in_each_form() {
    assert_eq!(size_of::<Listpack>(), 8);
    assert_eq!(size_of::<List>(), 16);
}

#[track_caller]
fn check_encoding(list: &List, encoding: &str) {
    assert_eq!(list.encoding(), encoding, "{} elements in {} nodes", list.len(), list.nodes());
}

#[test]
fn converts_beyond_a_node_and_back_at_half_of_it() {
    let limits = limits(8, 0);
    let mut list = list_of(8, &limits);
    check_encoding(&list, "listpack");
    push(&mut list, End::Back, b"x", &limits);
    check_encoding(&list, "quicklist");
    for _ in 0..4 {
        list.pop(End::Back, &limits, |_| ()).unwrap();
        check_encoding(&list, "quicklist");
    }
    list.pop(End::Front, &limits, |_| ()).unwrap();
    check_encoding(&list, "listpack");
    assert_eq!(list.to_vecs(), [b"element 1", b"element 2", b"element 3", b"element 4"]);
}

#[test]
fn room_is_made_for_all_elements_at_once() {
    let limits = limits(-2, 0);
    let mut list = list_of(3, &limits);
    list.make_room(1, 8000, &limits);
    check_encoding(&list, "listpack");
    list.make_room(2, 9000, &limits);
    check_encoding(&list, "quicklist");
}

#[test]
fn a_large_element_has_a_node_of_its_own() {
    let limits = limits(-2, 0);
    let (mut list, large) = (List::default(), vec![b'x'; 10_000]);
    push(&mut list, End::Back, &large, &limits);
    check_encoding(&list, "quicklist");
    assert_eq!((list.len(), list.nodes()), (1, 1));
    push(&mut list, End::Back, b"small", &limits);
    list.insert(1, &large, &limits);
    list.insert(3, b"end", &limits);
    assert_eq!(list.to_vecs(), [&large[..], &large, b"small", b"end"]);
    assert_eq!(list.nodes(), 3);
    list.set(0, b"first", &limits);
    list.remove_range(1, 1, &limits);
    assert_eq!(list.to_vecs(), [&b"first"[..], b"small", b"end"]);
}

#[test]
fn only_nodes_inside_are_compressed() {
    let limits = limits(-1, 2);
    let mut list = list_of(10_000, &limits);
    let squeezed = |list: &List| {
        let mut all = String::new();
        list.for_each_node(|node| all.push(if matches!(node, NodeRef::Squeezed(_)) { 'z' } else { '-' }));
        all
    };
    let all = squeezed(&list);
    assert_eq!(all, format!("--{}--", "z".repeat(list.nodes() - 4)));
    assert!(list.memory_bytes() < list_of(10_000, &super::tests::limits(-1, 0)).memory_bytes());
    list.remove_range(0, 1000, &limits);
    list.remove_range(8000, 1000, &limits);
    assert_eq!(squeezed(&list), format!("--{}--", "z".repeat(list.nodes() - 4)));
    list.remove_range(1000, 7000, &limits);
    assert!(!squeezed(&list)[list.nodes() - 2..].contains('z'));
    list.set(500, b"500", &limits);
    assert_eq!(list.with(500, |element| element.to_vec()).unwrap(), b"500");
    assert_eq!(list.len(), 1000);
}

#[test]
fn growing_at_an_end_leaves_full_nodes_behind() {
    let limits = limits(100, 0);
    for end in [End::Front, End::Back] {
        let mut list = List::default();
        (0..100_000).for_each(|i: u32| push(&mut list, end, i.to_string().as_bytes(), &limits));
        assert_eq!(list.nodes(), 1000);
        assert!(list.free_effort() >= MAX_FREE_EFFORT);
    }
}

#[test]
fn inserting_at_one_place_does_not_leave_tiny_nodes() {
    let limits = limits(100, 0);
    let mut list = list_of(1000, &limits);
    (0..10_000).for_each(|_| list.insert(500, b"x", &limits));
    (0..10_000).for_each(|i| list.insert(500 + i, b"y", &limits));
    assert!(list.nodes() < 21_000 / 50, "{} nodes", list.nodes());
}

#[test]
fn a_loaded_list_is_as_small_as_it_can_be() {
    let limits = limits(-2, 0);
    let pack = |count: usize| {
        let mut pack = Listpack::new();
        (0..count).for_each(|i| pack.push_back_int(i as i64 + 1_000_000));
        pack
    };
    let loaded = |counts: &[usize]| {
        let mut builder = Builder::default();
        counts.iter().for_each(|count| builder.push_pack(pack(*count), &limits));
        builder.finish(&limits)
    };
    assert!(loaded(&[]).is_empty());
    check_encoding(&loaded(&[100]), "listpack");
    let mut list = loaded(&[0, 100, 100, 0]);
    check_encoding(&list, "quicklist");
    assert_eq!((list.len(), list.nodes()), (200, 2));
    list.remove_range(0, 100, &limits);
    check_encoding(&list, "listpack");
    let large = loaded(&[50_000, 2]);
    assert_eq!(large.len(), 50_002);
    assert!(large.nodes() > 30);
}

#[test]
fn a_list_may_be_a_quicklist_from_its_first_element() {
    let limits = Limits { list_bare_listpack: false, ..limits(-2, 0) };
    let mut list = list_of(3, &limits);
    check_encoding(&list, "quicklist");
    list.remove_range(0, 2, &limits);
    check_encoding(&list, "quicklist");
    assert_eq!((list.to_vecs(), list.nodes()), (vec![b"element 2".to_vec()], 1));
    let mut builder = Builder::default();
    builder.push(b"loaded", &limits);
    check_encoding(&builder.finish(&limits), "quicklist");
    assert!(list.pop(End::Back, &limits, |_| ()).is_some() && list.is_empty());
    assert!(Builder::default().finish(&limits).is_empty());
    // One that was small when the limit came.
    let mut list = list_of(3, &super::tests::limits(-2, 0));
    check_encoding(&list, "listpack");
    push(&mut list, End::Front, b"first", &limits);
    check_encoding(&list, "quicklist");
    assert_eq!(list.to_vecs(), [&b"first"[..], b"element 0", b"element 1", b"element 2"]);
}

#[derive(Clone, Debug)]
enum Step {
    Push(End, Vec<u8>),
    Pop(End),
    Set(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    RemoveRange(usize, usize),
    RemoveEqual(Vec<u8>, Direction, usize),
    Clone,
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..4u32).prop_map(|n| n.to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (0..3u8).prop_map(|byte| vec![byte; 200]),
        1 => Just(vec![b'l'; 5000]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let end = || prop_oneof![Just(End::Front), Just(End::Back)];
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    prop_oneof![
        12 => (end(), element()).prop_map(|(end, value)| Step::Push(end, value)),
        5 => end().prop_map(Step::Pop),
        2 => (any::<usize>(), element()).prop_map(|(at, value)| Step::Set(at, value)),
        4 => (any::<usize>(), element()).prop_map(|(at, value)| Step::Insert(at, value)),
        1 => (any::<usize>(), 0..40usize).prop_map(|(at, count)| Step::RemoveRange(at, count)),
        1 => (element(), direction, 1..6usize).prop_map(|(value, dir, count)| Step::RemoveEqual(value, dir, count)),
        1 => Just(Step::Clone),
    ]
}

fn apply(list: &mut List, model: &mut VecDeque<Vec<u8>>, step: Step, limits: &Limits) {
    let len = model.len();
    match step {
        Step::Push(end, value) => {
            push(list, end, &value, limits);
            match end {
                End::Front => model.push_front(value),
                End::Back => model.push_back(value),
            }
        }
        Step::Pop(end) => {
            let expected = match end {
                End::Front => model.pop_front(),
                End::Back => model.pop_back(),
            };
            assert_eq!(list.pop(end, limits, |element| element.to_vec()), expected);
        }
        Step::Set(at, value) if len > 0 => {
            list.make_room(1, value.len(), limits);
            list.set(at % len, &value, limits);
            model[at % len] = value;
        }
        Step::Insert(at, value) => {
            list.make_room(1, value.len(), limits);
            list.insert(at % (len + 1), &value, limits);
            model.insert(at % (len + 1), value);
        }
        Step::RemoveRange(at, count) if len > 0 => {
            list.remove_range(at % len, count, limits);
            model.drain(at % len..len.min(at % len + count));
        }
        Step::RemoveEqual(value, direction, count) => {
            let mut left = count;
            let mut keep = |element: &Vec<u8>| {
                let equal = left > 0 && *element == value;
                left -= usize::from(equal);
                !equal
            };
            if direction == Direction::Forward {
                model.retain(keep);
            } else {
                let mut kept: VecDeque<_> = model.drain(..).rev().filter(|e| keep(e)).collect();
                kept.make_contiguous().reverse();
                *model = kept;
            }
            assert_eq!(list.remove_equal(&value, direction, count, limits), count - left);
        }
        Step::Set(..) | Step::RemoveRange(..) | Step::Clone => {}
    }
}

/// Compares everything that can be read.
fn check_same(list: &List, model: &VecDeque<Vec<u8>>, probe: usize) {
    assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
    assert!(list.to_vecs().iter().eq(model));
    let mut backward = Vec::new();
    list.walk(model.len().wrapping_sub(1), Direction::Backward, |element| {
        backward.push(element.to_vec());
        ControlFlow::Continue(())
    });
    assert!(backward.iter().eq(model.iter().rev()));
    let at = probe % (model.len() + 1);
    assert_eq!(list.with(at, |element| element.to_vec()).as_ref(), model.get(at));
    let mut nodes = 0;
    list.for_each_node(|_| nodes += 1);
    assert_eq!(nodes, list.nodes());
}

proptest! {
    #[test]
    fn behaves_as_a_deque_and_clones_stay_as_they_are(
        steps in prop::collection::vec(step(), 1..250),
        size in prop_oneof![Just(-1), Just(1), Just(3), Just(16)],
        depth in 0..3usize,
        probe in any::<usize>(),
    ) {
        let limits = limits(size, depth);
        let (mut list, mut model) = (List::default(), VecDeque::new());
        let mut clones = Vec::new();
        for step in steps {
            if let Step::Clone = step {
                clones.push((list.clone(), model.clone()));
                check_same(&list, &model, probe);
            }
            apply(&mut list, &mut model, step, &limits);
        }
        check_same(&list, &model, probe);
        clones.iter().for_each(|(list, model)| check_same(list, model, probe));
    }
}
