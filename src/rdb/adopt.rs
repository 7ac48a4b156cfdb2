//! How what was read enters the types: packed blocks as they are where that is possible, else element by element.
//!
//! A packed block becomes the value when it is what this server would have written itself: within today's limits, its
//! elements all different and in order, none an integer that is kept as text. Anything else (an older form, a block of a
//! server with other limits) is taken apart and inserted element by element. The first way is a copy, and nearly all blocks
//! go it; the second is always right, and only there is an element that comes twice found for certain, which is an error.

use super::error::Fault;
use super::legacy::ziplist::Ziplist;
use super::legacy::zipmap::Zipmap;
use crate::types::Limits;
use crate::types::double;
use crate::types::element::Element;
use crate::types::hash::{Expiry, Hash, Inserted};
use crate::types::intset::Intset;
use crate::types::list::{self, List};
use crate::types::listpack::Listpack;
use crate::types::set::Set;
use crate::types::zset::{self, Zset};

const DUPLICATE_MEMBER: Fault = Fault::Corrupt("Duplicate set members detected");
const DUPLICATE_SCORED: Fault = Fault::Corrupt("Duplicate zset fields detected");
const DUPLICATE_FIELD: Fault = Fault::Corrupt("Duplicate hash fields detected");
const BAD_EXPIRY: Fault = Fault::Corrupt("Hash field expiration is out of range");
const NAN_SCORE: Fault = Fault::Corrupt("Zset with NAN score detected");
const BAD_ZSET_LISTPACK: Fault = Fault::Corrupt("Zset listpack integrity check failed.");
const BAD_ZSET_ZIPLIST: Fault = Fault::Corrupt("Zset ziplist integrity check failed.");
const BAD_HASH_LISTPACK: Fault = Fault::Corrupt("Hash listpack integrity check failed.");
const BAD_HASH_ZIPLIST: Fault = Fault::Corrupt("Hash ziplist integrity check failed.");

/// A list under construction.
#[derive(Default)]
pub(super) struct ListBuilder(list::Builder);

impl ListBuilder {
    /// Appends an element.
    pub fn push(&mut self, item: &[u8], limits: &Limits) {
        self.0.push(item, limits);
    }

    /// Appends the elements of a listpack.
    pub fn listpack(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        let pack = Listpack::from_bytes(bytes).ok_or(Fault::Corrupt("Listpack integrity check failed."))?;
        if is_canonical(pack.iter()) {
            self.0.push_pack(pack, limits);
        } else {
            self.push_all(pack.iter(), limits);
        }
        Ok(())
    }

    /// Appends the elements of a ziplist.
    pub fn ziplist(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        let items = Ziplist::new(bytes).ok_or(Fault::Corrupt("Ziplist integrity check failed."))?;
        self.push_all(items.iter(), limits);
        Ok(())
    }

    fn push_all<'e>(&mut self, items: impl Iterator<Item = Element<'e>>, limits: &Limits) {
        let mut digits = itoa::Buffer::new();
        items.for_each(|item| self.push(item.text(&mut digits), limits));
    }

    /// The list.
    pub fn finish(self, limits: &Limits) -> List {
        self.0.finish(limits)
    }
}

/// Adds a member to a set.
pub(super) fn member(set: &mut Set, member: &[u8], limits: &Limits) -> Result<(), Fault> {
    if set.insert(member, limits) { Ok(()) } else { Err(DUPLICATE_MEMBER) }
}

/// Adds a member to a sorted set.
pub(super) fn scored(zset: &mut Zset, member: &[u8], score: f64, limits: &Limits) -> Result<(), Fault> {
    if score.is_nan() {
        return Err(NAN_SCORE);
    }
    if zset.add(member, score, limits) { Ok(()) } else { Err(DUPLICATE_SCORED) }
}

/// Adds a field, which may expire, to a hash.
pub(super) fn field(
    hash: &mut Hash,
    name: &[u8],
    value: &[u8],
    expiry_ms: Option<i64>,
    limits: &Limits,
) -> Result<(), Fault> {
    let expiry = match expiry_ms {
        None => Expiry::Clear,
        Some(at_ms) if at_ms > 0 => Expiry::At(at_ms),
        Some(_) => return Err(BAD_EXPIRY),
    };
    match hash.set(name, value, expiry, limits) {
        Inserted::New => Ok(()),
        _ => Err(DUPLICATE_FIELD),
    }
}

/// A set that is an intset.
pub(super) fn intset(set: &mut Set, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let ints = Intset::from_bytes(bytes).ok_or(Fault::Corrupt("Intset integrity check failed."))?;
    *set = Set::from_intset(ints, limits);
    Ok(())
}

/// A set that is a listpack.
pub(super) fn set_listpack(set: &mut Set, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let pack = Listpack::from_bytes(bytes).ok_or(Fault::Corrupt("Set listpack integrity check failed."))?;
    if pack.len() <= limits.set_max_listpack_entries && are_keys(pack.iter(), limits) {
        *set = Set::Packed(pack);
        return Ok(());
    }
    let mut digits = itoa::Buffer::new();
    pack.iter().try_for_each(|element| member(set, element.text(&mut digits), limits))
}

/// A sorted set that is a listpack of members and scores.
pub(super) fn zset_listpack(zset: &mut Zset, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let pack = Listpack::from_bytes(bytes).ok_or(BAD_ZSET_LISTPACK)?;
    let fits = pack.len() / 2 <= limits.zset_max_listpack_entries;
    if fits && are_keys(pack.iter().step_by(2), limits) && is_sorted(pack.iter()) {
        *zset = Zset::Packed(pack);
        return Ok(());
    }
    scored_pairs(zset, pack.iter(), BAD_ZSET_LISTPACK, limits)
}

/// A sorted set that is a ziplist of members and scores.
pub(super) fn zset_ziplist(zset: &mut Zset, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let list = Ziplist::new(bytes).ok_or(BAD_ZSET_ZIPLIST)?;
    scored_pairs(zset, list.iter(), BAD_ZSET_ZIPLIST, limits)
}

fn scored_pairs<'e>(
    zset: &mut Zset,
    mut elements: impl Iterator<Item = Element<'e>>,
    fault: Fault,
    limits: &Limits,
) -> Result<(), Fault> {
    let mut digits = itoa::Buffer::new();
    while let Some(member) = elements.next() {
        let score = elements.next().and_then(score_of).ok_or(fault)?;
        // Of what is wrong with a packed block the log hears in these words, whatever it is, as in Redis.
        scored(zset, member.text(&mut digits), score, limits).map_err(|_| fault)?;
    }
    Ok(())
}

/// A hash that is a listpack of fields and values.
pub(super) fn hash_listpack(hash: &mut Hash, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let pack = Listpack::from_bytes(bytes).ok_or(BAD_HASH_LISTPACK)?;
    let len = pack.len();
    let fits = len.is_multiple_of(2) && len / 2 <= limits.hash_max_listpack_entries;
    if fits && are_keys(pack.iter().step_by(2), limits) {
        *hash = Hash::Packed(pack);
        return Ok(());
    }
    pairs(hash, pack.iter(), BAD_HASH_LISTPACK, limits)
}

/// A hash that is a ziplist of fields and values.
pub(super) fn hash_ziplist(hash: &mut Hash, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let list = Ziplist::new(bytes).ok_or(BAD_HASH_ZIPLIST)?;
    pairs(hash, list.iter(), BAD_HASH_ZIPLIST, limits)
}

fn pairs<'e>(
    hash: &mut Hash,
    mut elements: impl Iterator<Item = Element<'e>>,
    fault: Fault,
    limits: &Limits,
) -> Result<(), Fault> {
    let (mut first, mut second) = (itoa::Buffer::new(), itoa::Buffer::new());
    while let Some(name) = elements.next() {
        let value = elements.next().ok_or(fault)?;
        field(hash, name.text(&mut first), value.text(&mut second), None, limits).map_err(|_| fault)?;
    }
    Ok(())
}

/// A hash that is a zipmap.
pub(super) fn zipmap(hash: &mut Hash, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let map = Zipmap::new(bytes).ok_or(Fault::Corrupt("Zipmap integrity check failed."))?;
    map.iter().try_for_each(|(name, value)| field(hash, name, value, None, limits))
}

/// A hash that is a listpack of fields, values and expiries (0: none).
pub(super) fn hash_expiring(hash: &mut Hash, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let pack = Listpack::from_bytes(bytes).ok_or(BAD_HASH_LISTPACK)?;
    if pack.len() / 3 <= limits.hash_max_listpack_entries
        && is_canonical(pack.iter())
        && let Some(triples) = Hash::from_triples(pack.clone())
    {
        *hash = triples;
        return Ok(());
    }
    let mut elements = pack.iter();
    let (mut first, mut second) = (itoa::Buffer::new(), itoa::Buffer::new());
    while let Some(name) = elements.next() {
        let value = elements.next().ok_or(BAD_HASH_LISTPACK)?;
        let at_ms = elements.next().and_then(|at| at.as_int()).ok_or(BAD_HASH_LISTPACK)?;
        let (name, value) = (name.text(&mut first), value.text(&mut second));
        field(hash, name, value, Some(at_ms).filter(|at| *at != 0), limits)?;
    }
    Ok(())
}

/// Is no integer kept as text?
fn is_canonical<'e>(mut elements: impl Iterator<Item = Element<'e>>) -> bool {
    elements.all(|element| matches!(element, Element::Int(_)) || element.as_int().is_none())
}

/// May these be the keys of a packed value: all different, and no integer kept as text? Two different keys whose hashes are
/// equal are taken for the same: that costs a slower way, no more.
fn are_keys<'e>(elements: impl Iterator<Item = Element<'e>> + Clone, limits: &Limits) -> bool {
    if !is_canonical(elements.clone()) {
        return false;
    }
    let mut digits = itoa::Buffer::new();
    let mut hashes: Vec<u64> =
        elements.map(|element| limits.hasher.hash(element.text(&mut digits))).collect();
    hashes.sort_unstable();
    hashes.windows(2).all(|pair| pair[0] != pair[1])
}

/// Do members and scores ascend by score, then by member, each score being one that a packed set reads?
fn is_sorted<'e>(mut elements: impl Iterator<Item = Element<'e>>) -> bool {
    let mut before: Option<(f64, Element<'e>)> = None;
    while let Some(member) = elements.next() {
        let Some(score) = elements.next().and_then(zset::score_of) else { return false };
        let ascends = before.is_none_or(|(before, other)| {
            before < score || before == score && member.cmp_bytes(&other.to_vec()).is_gt()
        });
        if !ascends {
            return false;
        }
        before = Some((score, member));
    }
    true
}

/// A score as foreign packed forms may hold it: infinite or zero where a double ends.
fn score_of(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Int(n) => Some(n as f64),
        Element::Str(text) => score_text(text).filter(|score| !score.is_nan()),
    }
}

/// A score's whole text, as `strtod` reads it.
pub(super) fn score_text(text: &[u8]) -> Option<f64> {
    let read = double::prefix(text);
    (read.len > 0 && read.len == text.len()).then_some(read.value)
}
