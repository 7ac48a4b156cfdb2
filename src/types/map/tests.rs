//! The table against a sorted map.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn hasher() -> Hasher {
    Hasher::new((1, 2))
}

fn map_with_mask(mask: u64) -> Map {
    let mut map = Map::new(hasher());
    map.hashing.mask = mask;
    map
}

/// Compares all that can be asked.
fn check(map: &Map, model: &Model) {
    assert_eq!(map.len(), model.len());
    let listed: Model = map.iter().map(|e| (e.key.to_vec(), (e.value.to_vec(), e.expiry_ms))).collect();
    assert_eq!(map.iter().count(), model.len());
    assert_eq!(&listed, model);
    for (index, entry) in map.iter().enumerate() {
        assert_eq!(map.nth(index), Some(entry));
        assert_eq!(map.entry(entry.key), Some(entry));
    }
    assert_eq!(map.nth(model.len()), None);
    let soonest = model.values().filter_map(|(_, expiry)| *expiry).min();
    assert_eq!(map.next_expiry_ms(), soonest);
    assert_eq!(map.first_due(i64::MAX).map(|e| e.expiry_ms), soonest.map(Some));
    assert_eq!(soonest.and_then(|at| map.first_due(at)), None);
    // Whatever the shape, the ways down are within it.
    map.root.prefetch(model.keys().map(|key| map.hashing.hash(key)).chain([0, u64::MAX]));
    let mut scanned = BTreeSet::new();
    let mut cursor = 0;
    loop {
        cursor = map.scan(cursor, 3, |entry| {
            scanned.insert(entry.key.to_vec());
        });
        assert!(cursor < 1 << CURSOR_BITS);
        if cursor == 0 {
            break;
        }
    }
    assert!(scanned.iter().eq(model.keys()));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, usize, Option<i64>),
    SetExpiry(u16, Option<i64>),
    Remove(u16),
    RemoveMany(u16),
}

fn key(n: u16) -> Vec<u8> {
    let mut key = n.to_le_bytes().to_vec();
    match n % 50 {
        0 => key.resize(300, b'k'),
        1 => key.resize(250, b'k'),
        n => key.resize(2 + usize::from(n) / 4, b'k'),
    }
    key
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = || prop_oneof![4 => Just(None), 1 => (1..50i64).prop_map(Some)];
    let len = prop_oneof![0..20usize, 200..300usize];
    prop_oneof![
        10 => (0..600u16, len, expiry()).prop_map(|(n, len, expiry)| Step::Insert(n, len, expiry)),
        1 => (0..600u16, expiry()).prop_map(|(n, expiry)| Step::SetExpiry(n, expiry)),
        4 => (0..600u16).prop_map(Step::Remove),
        1 => (0..600u16).prop_map(Step::RemoveMany),
    ]
}

fn run(map: &mut Map, model: &mut Model, step: &Step) {
    match *step {
        Step::Insert(n, len, expiry) => {
            let new = (vec![b'v'; len], expiry);
            let inserted = map.insert_expiring(&key(n), &new.0, expiry);
            let expected = match model.insert(key(n), new.clone()) {
                None => Inserted::New,
                Some(old) if old == new => Inserted::Same,
                Some(_) => Inserted::Replaced,
            };
            assert_eq!(inserted, expected);
        }
        Step::SetExpiry(n, expiry) => {
            let there = model.get_mut(&key(n)).map(|value| value.1 = expiry).is_some();
            assert_eq!(map.set_expiry(&key(n), expiry), there);
        }
        Step::Remove(n) => {
            let removed = map.remove_with(&key(n), |e| (e.value.to_vec(), e.expiry_ms));
            assert_eq!(removed, model.remove(&key(n)));
        }
        Step::RemoveMany(n) => (n..n + 100).for_each(|n| run(map, model, &Step::Remove(n))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// With hashes of many bits, of few, and all equal; clones taken on the way never change.
    #[test]
    fn agrees_with_a_sorted_map(
        steps in prop::collection::vec(step(), 1..700),
        mask in prop_oneof![Just(u64::MAX), Just(0), Just(0xff), Just(0b1001 << 60), Just(0x10)],
    ) {
        let mut map = map_with_mask(mask);
        let mut model = Model::new();
        let mut clones = Vec::new();
        for (n, step) in steps.iter().enumerate() {
            if n % 100 == 50 {
                clones.push((map.clone(), model.clone()));
            }
            run(&mut map, &mut model, step);
        }
        check(&map, &model);
        clones.iter().for_each(|(map, model)| check(map, model));
        while let Some(key) = map.nth(0).map(|entry| entry.key.to_vec()) {
            prop_assert!(map.remove(&key));
        }
        prop_assert!(matches!(map.root, Child::Empty | Child::Node(_)));
        prop_assert_eq!(map.next_expiry_ms(), None);
    }
}

fn filled(n: u32) -> Map {
    let mut map = Map::new(hasher());
    (0..n).for_each(|n| assert_eq!(map.insert(&n.to_le_bytes(), b"value"), Inserted::New));
    map
}

#[test]
fn an_emptied_table_is_one_empty_root() {
    let mut map = filled(5_000);
    (0..5_000u32).for_each(|n| assert!(map.remove(&n.to_le_bytes())));
    assert!(map.is_empty() && matches!(map.root, Child::Empty));
}

/// What is there throughout is returned, although the table grows and shrinks by a factor of a hundred in between.
#[test]
fn scan_keeps_its_promise_across_growth_and_shrinking() {
    let staying: BTreeSet<Vec<u8>> = (0..300u32).map(|n| n.to_le_bytes().to_vec()).collect();
    let mut map = filled(300);
    let (mut seen, mut cursor, mut round) = (BTreeSet::new(), 0, 0);
    loop {
        cursor = map.scan(cursor, 10, |entry| {
            seen.insert(entry.key.to_vec());
        });
        if cursor == 0 {
            break;
        }
        for n in 1_000..30_000u32 {
            match round % 4 {
                0 => assert_eq!(map.insert(&n.to_le_bytes(), b""), Inserted::New),
                2 => assert!(map.remove(&n.to_le_bytes())),
                _ => break,
            }
        }
        round += 1;
    }
    assert!(round > 4 && seen.is_superset(&staying));
}

#[test]
fn any_number_is_a_cursor() {
    let map = filled(1_000);
    for cursor in [1, 7 << 49, (1 << 52) - 1, 1 << 52, u64::MAX] {
        let mut at = cursor;
        let calls = std::iter::from_fn(|| {
            at = map.scan(at, 10, |_| ());
            (at != 0).then_some(())
        });
        assert!(calls.count() <= 100);
    }
}

/// More equal hashes than two-byte offsets can address.
#[test]
fn equal_hashes_work_beyond_any_leaf() {
    let mut map = map_with_mask(0);
    let mut model = Model::new();
    for n in 0..400u16 {
        run(&mut map, &mut model, &Step::Insert(n, 200, (n % 7 == 0).then_some(i64::from(n))));
    }
    check(&map, &model);
    let clone = (map.clone(), model.clone());
    (10..390).for_each(|n| run(&mut map, &mut model, &Step::Remove(n)));
    check(&map, &model);
    check(&clone.0, &clone.1);
}

#[test]
fn random_members_are_uniform() {
    let map = filled(10_000);
    let all: BTreeSet<_> = (0..map.len()).map(|n| map.nth(n).unwrap().key.to_vec()).collect();
    assert_eq!(all.len(), 10_000);
}

#[test]
fn a_write_beside_a_clone_copies_one_path() {
    let mut map = filled(100_000);
    let clone = map.clone();
    map.insert(&77u32.to_le_bytes(), b"other");
    let shared = map.iter().zip(clone.iter()).filter(|(a, b)| std::ptr::eq(a.key, b.key)).count();
    assert!((99_900..100_000).contains(&shared), "{shared}");
    assert_eq!(clone.get(&77u32.to_le_bytes()), Some(&b"value"[..]));
}

#[test]
fn memory_is_some_bytes_beside_the_elements() {
    let map = filled(100_000);
    let per_element = map.memory_bytes() as f64 / 100_000.0;
    assert!((13.0..21.0).contains(&per_element), "{per_element}");
    let mut map = Map::new(hasher());
    map.insert(b"key", &[b'v'; 100_000]);
    assert!((100_000..101_000).contains(&map.memory_bytes()));
}
