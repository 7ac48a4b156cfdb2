//! Hashes against a sorted map.

use super::*;
use crate::keyspace::Hasher;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn limits(entries: usize) -> Limits {
    Limits {
        hash_max_listpack_entries: entries,
        hash_max_listpack_value: 20,
        hasher: Hasher::new((3, 4)),
        ..Limits::DEFAULT
    }
}

fn check(hash: &Hash, model: &Model) {
    let owned = |f: Field<'_>| (f.name.to_vec(), (f.value.to_vec(), f.expiry_ms));
    assert_eq!(hash.len(), model.len());
    assert_eq!(&hash.iter().map(owned).collect::<Model>(), model);
    assert!(hash.iter().enumerate().all(|(i, field)| hash.nth(i) == Some(field)));
    assert!(model.iter().all(|(name, _)| hash.field(name).map(|f| f.name.eq_bytes(name)) == Some(true)));
    let soonest = model.values().filter_map(|value| value.1).min();
    assert_eq!(hash.next_expiry_ms(), soonest);
    assert_eq!(hash.first_due(i64::MAX).map(|f| f.expiry_ms), soonest.map(Some));
    let now = 25;
    assert_eq!(hash.live_len(now), model.values().filter(|v| v.1.is_none_or(|at| at >= now)).count());
    if let Hash::PackedTtl(pack) = hash {
        assert!(Hash::from_triples(pack.clone()).is_some());
    }
    if let Hash::Packed(pack) = hash {
        assert!(Hash::from_pairs(pack.clone()).is_some());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, i32, Expiry),
    Expire(u8, Option<i64>),
    Remove(u8),
    RemoveDue(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 1..50i64;
    let expiry =
        prop_oneof![3 => Just(Expiry::Clear), 2 => Just(Expiry::Keep), 1 => at().prop_map(Expiry::At)];
    prop_oneof![
        6 => (0..40u8, any::<i32>(), expiry).prop_map(|(n, value, expiry)| Step::Set(n, value, expiry)),
        2 => (0..40u8, prop::option::of(at())).prop_map(|(n, at)| Step::Expire(n, at)),
        2 => (0..40u8).prop_map(Step::Remove),
        1 => at().prop_map(Step::RemoveDue),
    ]
}

fn name(n: u8) -> Vec<u8> {
    if n.is_multiple_of(2) { n.to_string().into_bytes() } else { format!("field {n}").into_bytes() }
}

fn run(hash: &mut Hash, model: &mut Model, limits: &Limits, step: &Step) {
    match *step {
        Step::Set(n, value, expiry) => {
            let value = value.to_string().into_bytes();
            let old = model.get(&name(n)).cloned();
            let new = (value.clone(), expiry.after(old.as_ref().and_then(|old| old.1)));
            let expected = match old {
                None => Inserted::New,
                Some(old) if old == new => Inserted::Same,
                Some(_) => Inserted::Replaced,
            };
            model.insert(name(n), new);
            assert_eq!(hash.set(&name(n), &value, expiry, limits), expected);
        }
        Step::Expire(n, at) => {
            let there = model.get_mut(&name(n)).map(|value| value.1 = at).is_some();
            assert_eq!(hash.set_expiry(&name(n), at), there);
        }
        Step::Remove(n) => assert_eq!(hash.remove(&name(n)), model.remove(&name(n)).is_some()),
        Step::RemoveDue(now) => {
            while let Some(due) = hash.first_due(now).map(|field| field.name.to_vec()) {
                assert!(hash.remove(&due));
            }
            model.retain(|_, value| value.1.is_none_or(|at| at >= now));
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_sorted_map(
        steps in prop::collection::vec(step(), 1..120),
        entries in prop_oneof![Just(0usize), Just(10), Just(100)],
    ) {
        let (mut hash, mut model, limits) = (Hash::default(), Model::new(), limits(entries));
        for step in &steps {
            run(&mut hash, &mut model, &limits, step);
        }
        check(&hash, &model);
    }
}

fn encodings(fields: &[(&str, &str)], entries: usize) -> &'static str {
    let mut hash = Hash::default();
    for (name, value) in fields {
        hash.set(name.as_bytes(), value.as_bytes(), Expiry::Clear, &limits(entries));
    }
    hash.encoding()
}

#[test]
fn conversions_come_at_the_limits() {
    let (long, longer) = ("x".repeat(20), "x".repeat(21));
    assert_eq!(encodings(&[("a", &long), (&long, "b")], 2), "listpack");
    assert_eq!(encodings(&[("a", "1"), ("b", "2"), ("c", "3")], 2), "hashtable");
    assert_eq!(encodings(&[("a", "1"), ("b", "2"), ("b", "3")], 2), "listpack");
    assert_eq!(encodings(&[("a", &longer)], 2), "hashtable");
    assert_eq!(encodings(&[(&longer, "a")], 2), "hashtable");
    let mut hash = Hash::default();
    hash.set(b"a", b"1", Expiry::At(5), &limits(2));
    assert_eq!(hash.encoding(), "listpackex");
    hash.set_expiry(b"a", None);
    assert_eq!((hash.encoding(), hash.next_expiry_ms()), ("listpackex", None));
}

fn pack(texts: &[&str]) -> Listpack {
    let mut pack = Listpack::new();
    texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
    pack
}

#[test]
fn foreign_listpacks_must_make_sense() {
    assert!(Hash::from_pairs(pack(&["a", "1", "b", "1"])).is_some());
    assert!(Hash::from_pairs(pack(&["a", "1", "b"])).is_none());
    assert!(Hash::from_pairs(pack(&["7", "1", "7", "2"])).is_none());
    assert!(Hash::from_triples(pack(&["a", "1", "5", "b", "1", "0"])).is_some());
    assert!(Hash::from_triples(pack(&["a", "1", "0", "b", "1", "5"])).is_none());
    assert!(Hash::from_triples(pack(&["a", "1", "5", "a", "1", "6"])).is_none());
    assert!(Hash::from_triples(pack(&["a", "1", "-5"])).is_none());
    assert!(Hash::from_triples(pack(&["a", "1", "x"])).is_none());
    assert!(Hash::from_triples(pack(&["a", "1"])).is_none());
}
