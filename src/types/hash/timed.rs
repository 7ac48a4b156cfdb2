//! Small hashes with expiries: a listpack of triples (field, value, expiry), sorted by expiry.
//!
//! An expiry of 0 stands for none and sorts last. So the first triple tells the earliest expiry, and what is due stands
//! in front.

use super::{Expiry, Field, Inserted};
use crate::types::element::Element;
use crate::types::listpack::{Listpack, Pos};

const WHOLE: &str = "a field is followed by its value and its expiry";

/// What the third of a triple says.
pub fn expiry(third: Element<'_>) -> Option<i64> {
    third.as_int().filter(|at| *at != 0)
}

/// Are these triples, sorted?
pub fn is_valid(pack: &Listpack) -> bool {
    let expiries = || pack.iter().skip(2).step_by(3);
    let sortable = |third: Element<'_>| expiry(third).unwrap_or(i64::MAX);
    pack.len().is_multiple_of(3)
        && expiries().all(|third| third.as_int().is_some_and(|at| at >= 0))
        && expiries().map(sortable).is_sorted()
}

/// Where a field stands.
pub fn find(pack: &Listpack, name: &[u8]) -> Option<Pos> {
    pack.find(pack.first()?, name, 2)
}

/// The triple at a field.
pub fn at(pack: &Listpack, at: Pos) -> Field<'_> {
    let mut rest = pack.iter_from(at);
    let mut next = || rest.next().expect(WHOLE);
    Field { name: next(), value: next(), expiry_ms: expiry(next()) }
}

/// Sets a field.
pub fn set(pack: &mut Listpack, name: &[u8], value: &[u8], expiry: Expiry) -> Inserted {
    let Some(found) = find(pack, name) else {
        insert(pack, name, Element::of(value), expiry.after(None));
        return Inserted::New;
    };
    let old = at(pack, found);
    let (old_ms, same_value) = (old.expiry_ms, old.value.eq_bytes(value));
    let new_ms = expiry.after(old_ms);
    if old_ms != new_ms {
        pack.remove_range(found, 3);
        insert(pack, name, Element::of(value), new_ms);
        return Inserted::Replaced;
    }
    if same_value {
        return Inserted::Same;
    }
    let at = pack.next(found).expect(WHOLE);
    pack.replace(at, value);
    Inserted::Replaced
}

/// Gives a field another expiry, or none. Returns whether the field is there.
pub fn set_expiry(pack: &mut Listpack, name: &[u8], expiry_ms: Option<i64>) -> bool {
    let Some(found) = find(pack, name) else { return false };
    let old = at(pack, found);
    if old.expiry_ms != expiry_ms {
        let value = old.value.to_vec();
        pack.remove_range(found, 3);
        insert(pack, name, Element::of(&value), expiry_ms);
    }
    true
}

/// Puts a new triple where its expiry belongs, behind its equals.
fn insert(pack: &mut Listpack, name: &[u8], value: Element<'_>, expiry_ms: Option<i64>) {
    let mut place = if expiry_ms.is_some() { pack.first() } else { None };
    while let Some(pos) = place
        && at(pack, pos).expiry_ms.is_some_and(|other| Some(other) <= expiry_ms)
    {
        place = pack.next(pos).and_then(|pos| pack.next(pos)).and_then(|pos| pack.next(pos));
    }
    let triple = [Element::of(name), value, Element::Int(expiry_ms.unwrap_or(0))];
    match place {
        // From the last to the first: each pushes those behind it on.
        Some(pos) => triple.iter().rev().for_each(|e| {
            pack.insert_element_before(pos, *e);
        }),
        None => triple.iter().for_each(|e| pack.push_back_element(*e)),
    }
}
