//! Hashes: fields with values, each field with an expiry of its own if it has one.
//!
//! Small hashes are listpacks: fields and values in turn, or, from the first expiry on, field, value and expiry in
//! turn, sorted by expiry ([`timed`]), as RDB files hold them too. Larger ones are a [`Map`]. Every form tells its earliest expiry at
//! once and finds the field that it belongs to on one path, so that nothing ever looks through a hash for what is due.
//!
//! A hash knows no time: a field that is due is there until it is removed. Who must not see it says what time it is.
//!
//! Conversions are Redis's: a listpack becomes a table when it gets more than `hash-max-listpack-entries` fields or a field or
//! value longer than `hash-max-listpack-value`, and stays one.

mod timed;

use super::Limits;
use super::element::Element;
use super::listpack::{self, Listpack, Pos};
use super::map::{self, Map};

pub use super::map::Inserted;

/// Fields with values.
#[derive(Clone, Debug)]
pub enum Hash {
    /// field, value, field, value …
    Packed(Listpack),
    /// field, value, expiry or 0, … in the order of expiries, those without at the end.
    PackedTtl(Listpack),
    Table(Box<Map>),
}

/// A field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    pub name: Element<'a>,
    pub value: Element<'a>,
    /// When the field expires, in Unix milliseconds; above 0.
    pub expiry_ms: Option<i64>,
}

impl Field<'_> {
    /// Is the field there for somebody to whom it is `now_ms`?
    #[inline]
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.expiry_ms.is_none_or(|at| at >= now_ms)
    }
}

/// What becomes of a field's expiry when its value is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    Clear,
    Keep,
    /// Unix milliseconds, above 0.
    At(i64),
}

impl Expiry {
    fn after(self, old: Option<i64>) -> Option<i64> {
        match self {
            Expiry::Clear => None,
            Expiry::Keep => old,
            Expiry::At(at) => Some(at),
        }
    }
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::Packed(Listpack::new())
    }
}

impl Hash {
    /// A hash of alternating fields and values, as an RDB file holds it. `None` if they do not come in pairs or a field
    /// comes twice.
    pub fn from_pairs(pack: Listpack) -> Option<Hash> {
        let whole = pack.len().is_multiple_of(2);
        (whole && are_distinct(pack.iter().step_by(2))).then_some(Hash::Packed(pack))
    }

    /// A hash of fields, values and expiries in turn, as an RDB file holds it. `None` if they are not triples in the order of
    /// their expiries or a field comes twice.
    pub fn from_triples(pack: Listpack) -> Option<Hash> {
        let valid = timed::is_valid(&pack) && are_distinct(pack.iter().step_by(3));
        valid.then_some(Hash::PackedTtl(pack))
    }

    /// Number of fields, due ones included.
    pub fn len(&self) -> usize {
        match self {
            Hash::Packed(pack) => pack.len() / 2,
            Hash::PackedTtl(pack) => pack.len() / 3,
            Hash::Table(map) => map.len(),
        }
    }

    /// No fields?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of fields that are there at `now_ms`. O(1) if none is due, else O(n).
    pub fn live_len(&self, now_ms: i64) -> usize {
        if self.has_due(now_ms) {
            self.iter().filter(|field| field.is_live(now_ms)).count()
        } else {
            self.len()
        }
    }

    /// OBJECT ENCODING's name.
    pub fn encoding(&self) -> &'static str {
        match self {
            Hash::Packed(_) => "listpack",
            Hash::PackedTtl(_) => "listpackex",
            Hash::Table(_) => "hashtable",
        }
    }

    /// Bytes of memory; of a table estimated.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Hash::Packed(pack) | Hash::PackedTtl(pack) => pack.allocated_bytes(),
            Hash::Table(map) => map.memory_bytes(),
        }
    }

    /// The work of freeing it.
    pub fn free_effort(&self) -> usize {
        match self {
            Hash::Packed(_) | Hash::PackedTtl(_) => 1,
            Hash::Table(map) => map.free_effort(),
        }
    }

    /// A field, due or not. O(n) packed, else O(depth).
    #[inline]
    pub fn field(&self, name: &[u8]) -> Option<Field<'_>> {
        match self {
            Hash::Packed(pack) => Some(pair_at(pack, find_pair(pack, name)?)),
            Hash::PackedTtl(pack) => Some(timed::at(pack, timed::find(pack, name)?)),
            Hash::Table(map) => map.entry(name).map(Field::from),
        }
    }

    /// The value of a field, if it is there at `now_ms`.
    #[inline]
    pub fn get(&self, name: &[u8], now_ms: i64) -> Option<Element<'_>> {
        self.field(name).filter(|field| field.is_live(now_ms)).map(|field| field.value)
    }

    /// Sets a field.
    pub fn set(&mut self, name: &[u8], value: &[u8], expiry: Expiry, limits: &Limits) -> Inserted {
        self.make_room(name, value, expiry, limits);
        let inserted = match self {
            Hash::Packed(pack) => set_pair(pack, name, value),
            Hash::PackedTtl(pack) => timed::set(pack, name, value, expiry),
            Hash::Table(map) => {
                let keeps = expiry == Expiry::Keep && map.next_expiry_ms().is_some();
                let old = keeps.then(|| map.entry(name).and_then(|entry| entry.expiry_ms)).flatten();
                return map.insert_expiring(name, value, expiry.after(old));
            }
        };
        if inserted == Inserted::New && self.len() > limits.hash_max_listpack_entries {
            self.become_table(limits);
        }
        inserted
    }

    /// Takes on the encoding that a field, its value and its expiry need.
    pub fn make_room(&mut self, name: &[u8], value: &[u8], expiry: Expiry, limits: &Limits) {
        let (Hash::Packed(pack) | Hash::PackedTtl(pack)) = self else { return };
        let longest = limits.hash_max_listpack_value;
        if name.len() > longest || value.len() > longest || !pack.may_grow_by(name.len() + value.len()) {
            self.become_table(limits);
        } else if matches!(expiry, Expiry::At(_)) {
            self.become_timed();
        }
    }

    /// Gives a field another expiry, or none. Returns whether the field is there.
    pub fn set_expiry(&mut self, name: &[u8], expiry_ms: Option<i64>) -> bool {
        if expiry_ms.is_some() {
            self.become_timed();
        }
        match self {
            Hash::Packed(pack) => find_pair(pack, name).is_some(),
            Hash::PackedTtl(pack) => timed::set_expiry(pack, name, expiry_ms),
            Hash::Table(map) => map.set_expiry(name, expiry_ms),
        }
    }

    /// Asks for the memory where these fields are, or would be; a hint.
    pub fn prefetch(&self, fields: &[&[u8]]) {
        if let Hash::Table(map) = self {
            map.prefetch(fields);
        }
    }

    /// Removes a field. Returns whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match self {
            Hash::Packed(pack) => find_pair(pack, name).map(|at| pack.remove_range(at, 2)).is_some(),
            Hash::PackedTtl(pack) => timed::find(pack, name).map(|at| pack.remove_range(at, 3)).is_some(),
            Hash::Table(map) => map.remove(name),
        }
    }

    /// All fields, due ones included.
    pub fn iter(&self) -> Fields<'_> {
        match self {
            Hash::Packed(pack) => Fields::Packed(pack.iter()),
            Hash::PackedTtl(pack) => Fields::PackedTtl(pack.iter()),
            Hash::Table(map) => Fields::Table(map.iter()),
        }
    }

    /// The field of that number in the order of [`Hash::iter`]. O(n) packed, else O(depth).
    pub fn nth(&self, index: usize) -> Option<Field<'_>> {
        match self {
            Hash::Packed(pack) => Some(pair_at(pack, pack.seek(index as i64 * 2)?)),
            Hash::PackedTtl(pack) => Some(timed::at(pack, pack.seek(index as i64 * 3)?)),
            Hash::Table(map) => map.nth(index).map(Field::from),
        }
    }

    /// HSCAN's walk: gives `at_least` fields from `cursor` on (a packed hash all of them) and returns the next cursor, 0 at the
    /// end.
    pub fn scan(&self, cursor: u64, at_least: usize, mut f: impl FnMut(Field<'_>)) -> u64 {
        if let Hash::Table(map) = self {
            return map.scan(cursor, at_least, |entry| f(entry.into()));
        }
        self.iter().for_each(f);
        0
    }

    /// The earliest expiry of all fields. O(1).
    #[inline]
    pub fn next_expiry_ms(&self) -> Option<i64> {
        match self {
            Hash::Packed(_) => None,
            Hash::PackedTtl(pack) => timed::at(pack, pack.first()?).expiry_ms,
            Hash::Table(map) => map.next_expiry_ms(),
        }
    }

    /// Is any field due?
    #[inline]
    pub fn has_due(&self, now_ms: i64) -> bool {
        self.next_expiry_ms().is_some_and(|at| at < now_ms)
    }

    /// The field that expires first, if it is due. O(depth).
    pub fn first_due(&self, now_ms: i64) -> Option<Field<'_>> {
        match self {
            Hash::Packed(_) => None,
            Hash::PackedTtl(pack) => Some(timed::at(pack, pack.first()?)).filter(|f| !f.is_live(now_ms)),
            Hash::Table(map) => map.first_due(now_ms).map(Field::from),
        }
    }

    /// Makes room for expiries.
    fn become_timed(&mut self) {
        let Hash::Packed(pack) = self else { return };
        let mut triples = Listpack::new();
        for (i, element) in pack.iter().enumerate() {
            triples.push_back_element(element);
            if i % 2 == 1 {
                triples.push_back_int(0);
            }
        }
        *self = Hash::PackedTtl(triples);
    }

    fn become_table(&mut self, limits: &Limits) {
        let mut map = Map::new(limits.hasher);
        let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
        for field in self.iter() {
            map.insert_expiring(field.name.text(&mut name), field.value.text(&mut value), field.expiry_ms);
        }
        *self = Hash::Table(Box::new(map));
    }
}

fn are_distinct<'a>(elements: impl Iterator<Item = Element<'a>>) -> bool {
    let mut seen = std::collections::HashSet::new();
    elements.into_iter().all(|element| seen.insert(element.to_vec()))
}

fn find_pair(pack: &Listpack, name: &[u8]) -> Option<Pos> {
    pack.find(pack.first()?, name, 1)
}

const WHOLE: &str = "a field is followed by its value";

fn pair_at(pack: &Listpack, at: Pos) -> Field<'_> {
    Field { name: pack.get(at), value: pack.get(pack.next(at).expect(WHOLE)), expiry_ms: None }
}

fn set_pair(pack: &mut Listpack, name: &[u8], value: &[u8]) -> Inserted {
    match find_pair(pack, name).and_then(|at| pack.next(at)) {
        Some(at) if pack.get(at).eq_bytes(value) => Inserted::Same,
        Some(at) => {
            pack.replace(at, value);
            Inserted::Replaced
        }
        None => {
            pack.push_back(name);
            pack.push_back(value);
            Inserted::New
        }
    }
}

impl<'a> From<map::Entry<'a>> for Field<'a> {
    fn from(entry: map::Entry<'a>) -> Field<'a> {
        let map::Entry { key, value, expiry_ms } = entry;
        Field { name: Element::Str(key), value: Element::Str(value), expiry_ms }
    }
}

/// The fields of a [`Hash`].
pub enum Fields<'a> {
    Packed(listpack::Iter<'a>),
    PackedTtl(listpack::Iter<'a>),
    Table(map::Iter<'a>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Fields::Packed(pack) => Some(Field { name: pack.next()?, value: pack.next()?, expiry_ms: None }),
            Fields::PackedTtl(pack) => {
                let (name, value) = (pack.next()?, pack.next()?);
                Some(Field { name, value, expiry_ms: timed::expiry(pack.next()?) })
            }
            Fields::Table(map) => map.next().map(Field::from),
        }
    }
}

#[cfg(test)]
mod tests;
