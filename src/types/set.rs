//! Sets: few integers as an intset, few short members as a listpack, everything else as a table.
//!
//! The encodings change at the moments at which Redis 7.2 changes them, and only towards the larger, but for two
//! occasions that have a function each: [`Set::prefer_ints`] (a stored intersection of integers) and [`Set::pop_many`]
//! (what remains after most of a set was popped is built anew). OBJECT ENCODING tells the difference, so it is kept.
//!
//! Members are texts; an [`Element`] that is an integer means its text. The table holds them all as texts.

use super::element::{Element, canonical_int};
use super::intset::Intset;
use super::limits::Limits;
use super::listpack::{self, Listpack};
use super::map::{self, Map};
use std::collections::HashSet;
use std::fmt;

/// No intset has more members, whatever the directive says (Redis's own bound).
const INTSET_MAX_ENTRIES: usize = 1 << 30;
/// A pop that leaves less than this part of what it takes rebuilds the set (Redis: SPOP_MOVE_STRATEGY_MUL).
const REBUILD_BELOW: usize = 5;

/// A set of byte strings.
#[derive(Clone)]
pub enum Set {
    /// Integers only.
    Ints(Intset),
    /// Few and short members.
    Packed(Listpack),
    /// The members are the keys, the values are empty.
    Table(Box<Map>),
}

fn max_ints(limits: &Limits) -> usize {
    limits.set_max_intset_entries.min(INTSET_MAX_ENTRIES)
}

impl Set {
    /// An empty set for `hint` members, of which `first` is one.
    pub fn sized(first: &[u8], hint: usize, limits: &Limits) -> Set {
        if hint <= limits.set_max_intset_entries && canonical_int(first).is_some() {
            Set::Ints(Intset::new())
        } else if hint <= limits.set_max_listpack_entries {
            Set::Packed(Listpack::new())
        } else {
            Set::empty_table(limits)
        }
    }

    /// An empty set that is a table already.
    pub fn empty_table(limits: &Limits) -> Set {
        Set::Table(Box::new(Map::new(limits.hasher)))
    }

    /// An empty set for `len` members that come from a file.
    pub fn for_loading(len: usize, limits: &Limits) -> Set {
        if len > max_ints(limits) { Set::empty_table(limits) } else { Set::default() }
    }

    /// A set that comes as an intset.
    pub fn from_intset(ints: Intset, limits: &Limits) -> Set {
        let mut set = Set::Ints(ints);
        set.expect(set.len(), limits);
        set
    }

    /// A set that comes as a listpack, if no member is in it twice. O(n).
    pub fn from_listpack(pack: Listpack, limits: &Limits) -> Option<Set> {
        let mut seen = HashSet::with_capacity(pack.len());
        // By text: foreign listpacks may hold an integer in two forms.
        if !pack.iter().all(|element| seen.insert(element.to_vec())) {
            return None;
        }
        let mut set = Set::Packed(pack);
        set.expect(set.len(), limits);
        Some(set)
    }

    /// A copy that shares this set's memory, if a set of its members is a table however it came about.
    pub fn shared_if_large(&self, limits: &Limits) -> Option<Set> {
        let large = self.len() > max_ints(limits).max(limits.set_max_listpack_entries);
        (large && matches!(self, Set::Table(_))).then(|| self.clone())
    }

    /// Prepares for so many members to be added at once: more than the encoding may ever hold make it a table.
    pub fn expect(&mut self, members: usize, limits: &Limits) {
        let most = match self {
            Set::Ints(_) => max_ints(limits),
            Set::Packed(_) => limits.set_max_listpack_entries,
            Set::Table(_) => return,
        };
        if members > most {
            self.become_table(limits);
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.len(),
            Set::Packed(pack) => pack.len(),
            Set::Table(map) => map.len(),
        }
    }

    /// Is there no member?
    pub fn is_empty(&self) -> bool {
        match self {
            Set::Ints(ints) => ints.is_empty(),
            Set::Packed(pack) => pack.is_empty(),
            Set::Table(map) => map.is_empty(),
        }
    }

    /// OBJECT ENCODING's name.
    pub fn encoding(&self) -> &'static str {
        match self {
            Set::Ints(_) => "intset",
            Set::Packed(_) => "listpack",
            Set::Table(_) => "hashtable",
        }
    }

    /// About how many bytes it occupies.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.allocated_bytes(),
            Set::Packed(pack) => pack.allocated_bytes(),
            Set::Table(map) => size_of::<Map>() + map.memory_bytes(),
        }
    }

    /// About how many allocations freeing it frees.
    pub fn free_effort(&self) -> usize {
        match self {
            Set::Ints(_) | Set::Packed(_) => 1,
            Set::Table(map) => map.free_effort(),
        }
    }

    /// Is the text a member?
    pub fn contains(&self, text: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => canonical_int(text).is_some_and(|n| ints.contains(n)),
            Set::Packed(pack) => find(pack, text).is_some(),
            Set::Table(map) => map.contains(text),
        }
    }

    /// Is the element a member?
    #[inline]
    pub fn contains_element(&self, element: Element<'_>) -> bool {
        match (self, element) {
            (Set::Ints(ints), Element::Int(n)) => ints.contains(n),
            _ => self.contains(element.text(&mut itoa::Buffer::new())),
        }
    }

    /// Adds a text. Returns whether it is new.
    pub fn insert(&mut self, text: &[u8], limits: &Limits) -> bool {
        match self {
            Set::Table(map) => return map.insert(text, b"") == map::Inserted::New,
            Set::Packed(pack) => {
                if find(pack, text).is_some() {
                    return false;
                }
                if fits(pack.len(), text.len(), limits) && pack.may_grow_by(text.len()) {
                    pack.push_back(text);
                    return true;
                }
            }
            Set::Ints(ints) => match canonical_int(text) {
                Some(n) => {
                    let new = ints.insert(n);
                    if new {
                        self.expect(self.len(), limits);
                    }
                    return new;
                }
                None if may_be_packed(ints, text.len(), limits) => {
                    let mut pack = pack_of(ints);
                    pack.push_back(text);
                    *self = Set::Packed(pack);
                    return true;
                }
                None => {}
            },
        }
        // The text is new, and too much for the encoding.
        self.become_table(limits);
        self.insert(text, limits)
    }

    /// Adds an element. Returns whether it is new.
    pub fn insert_element(&mut self, element: Element<'_>, limits: &Limits) -> bool {
        self.insert(element.text(&mut itoa::Buffer::new()), limits)
    }

    /// Asks for the memory where these members are, or would be; a hint.
    pub fn prefetch(&self, members: &[&[u8]]) {
        if let Set::Table(map) = self {
            map.prefetch(members);
        }
    }

    /// Removes a text. Returns whether it was a member.
    pub fn remove(&mut self, text: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => canonical_int(text).is_some_and(|n| ints.remove(n)),
            Set::Packed(pack) => {
                let found = find(pack, text);
                found.map(|pos| pack.remove(pos)).is_some()
            }
            Set::Table(map) => map.remove(text),
        }
    }

    /// Removes an element. Returns whether it was a member.
    pub fn remove_element(&mut self, element: Element<'_>) -> bool {
        self.remove(element.text(&mut itoa::Buffer::new()))
    }

    /// The members: integers ascending, texts of a listpack as they came, those of a table in the order of their hashes.
    pub fn iter(&self) -> Iter<'_> {
        match self {
            Set::Ints(ints) => Iter::Ints { ints, next: 0 },
            Set::Packed(pack) => Iter::Packed(pack.iter()),
            Set::Table(map) => Iter::Table(map.iter()),
        }
    }

    /// The member of that number in the order of [`Set::iter`]. O(n) in a listpack, else O(log n).
    pub fn nth(&self, index: usize) -> Option<Element<'_>> {
        match self {
            Set::Ints(ints) => ints.get(index).map(Element::Int),
            Set::Packed(pack) => pack.seek(index as i64).map(|pos| pack.get(pos)),
            Set::Table(map) => map.nth(index).map(|entry| Element::Str(entry.key)),
        }
    }

    /// Gives members to `f`, from `cursor` on and `at_least` so many of a table, all of another encoding. Returns the next
    /// cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, at_least: usize, mut f: impl FnMut(Element<'_>)) -> u64 {
        match self {
            Set::Table(map) => map.scan(cursor, at_least, |entry| f(Element::Str(entry.key))),
            _ => {
                self.iter().for_each(f);
                0
            }
        }
    }

    /// Takes a random member out; `random(n)` gives a number below `n`.
    pub fn pop(&mut self, random: impl FnOnce(usize) -> usize) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        let member = self.nth(random(self.len()))?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// Takes `count` random members out, of which it has more. What remains of a table is built anew if it is little.
    pub fn pop_many(
        &mut self,
        count: usize,
        limits: &Limits,
        mut random: impl FnMut(usize) -> usize,
    ) -> Vec<Vec<u8>> {
        let remaining = self.len() - count;
        if remaining * REBUILD_BELOW > count || !matches!(self, Set::Table(_)) {
            return (0..count).map_while(|_| self.pop(&mut random)).collect();
        }
        let mut kept = Set::Packed(Listpack::new());
        for _ in 0..remaining {
            if let Some(member) = self.pop(&mut random) {
                kept.insert(&member, limits);
            }
        }
        let popped = std::mem::replace(self, kept);
        popped.iter().map(|element| element.to_vec()).collect()
    }

    /// Makes a set of nothing but integers an intset, if it is not too large for one.
    pub fn prefer_ints(&mut self, limits: &Limits) {
        if matches!(self, Set::Ints(_)) || self.len() > max_ints(limits) {
            return;
        }
        let mut ints = Intset::new();
        for element in self.iter() {
            let Some(n) = element.as_int() else { return };
            ints.insert(n);
        }
        *self = Set::Ints(ints);
    }

    fn become_table(&mut self, limits: &Limits) {
        let mut map = Map::new(limits.hasher);
        let mut digits = itoa::Buffer::new();
        for element in self.iter() {
            map.insert(element.text(&mut digits), b"");
        }
        *self = Set::Table(Box::new(map));
    }
}

fn find(pack: &Listpack, text: &[u8]) -> Option<listpack::Pos> {
    pack.find(pack.first()?, text, 0)
}

/// May a listpack of `len` members take one more of `text_len` bytes?
fn fits(len: usize, text_len: usize, limits: &Limits) -> bool {
    len < limits.set_max_listpack_entries && text_len <= limits.set_max_listpack_value
}

/// May these integers and a text of `text_len` bytes become a listpack?
fn may_be_packed(ints: &Intset, text_len: usize, limits: &Limits) -> bool {
    let ends = ints.first().into_iter().chain(ints.last()).map(Element::Int);
    let (longest, largest) = ends
        .fold((0, 0), |(text, bytes), end| (end.len().max(text), Listpack::element_bytes(end).max(bytes)));
    fits(ints.len(), text_len.max(longest), limits)
        && Listpack::new().may_grow_by(largest * ints.len() + text_len)
}

fn pack_of(ints: &Intset) -> Listpack {
    let mut pack = Listpack::new();
    ints.iter().for_each(|n| pack.push_back_int(n));
    pack
}

impl Default for Set {
    fn default() -> Set {
        Set::Ints(Intset::new())
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Set {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The members of a [`Set`].
pub enum Iter<'a> {
    Ints { ints: &'a Intset, next: usize },
    Packed(listpack::Iter<'a>),
    Table(map::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Iter::Ints { ints, next } => {
                *next += 1;
                ints.get(*next - 1).map(Element::Int)
            }
            Iter::Packed(iter) => iter.next(),
            Iter::Table(iter) => iter.next().map(|entry| Element::Str(entry.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::limits::tests::LIMITS;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::ops::RangeInclusive;

    fn set_of(members: impl IntoIterator<Item = impl ToString>) -> Set {
        let mut set = Set::default();
        members.into_iter().for_each(|member| assert!(set.insert(member.to_string().as_bytes(), &LIMITS)));
        set
    }

    fn words(range: RangeInclusive<usize>) -> impl Iterator<Item = String> {
        range.map(|n| format!("w{n}"))
    }

    #[track_caller]
    fn check(set: &Set, encoding: &str, len: usize) {
        assert_eq!((set.encoding(), set.len()), (encoding, len));
        assert_eq!(set.iter().count(), len);
    }

    #[test]
    fn encodings_end_where_redis_ends_them() {
        check(&set_of(1..=512), "intset", 512);
        check(&set_of(1..=513), "hashtable", 513);
        check(&set_of(words(1..=128)), "listpack", 128);
        check(&set_of(words(1..=129)), "hashtable", 129);
        check(&set_of(["x".repeat(64)]), "listpack", 1);
        check(&set_of(["x".repeat(65)]), "hashtable", 1);
        let mixed = |ints| set_of((1..=ints).map(|n: usize| n.to_string()).chain(["word".into()]));
        check(&mixed(127), "listpack", 128);
        check(&mixed(128), "hashtable", 129);
        let narrow = Limits { set_max_listpack_value: 3, ..LIMITS };
        let mut set = set_of([1000]);
        set.insert(b"a", &narrow);
        check(&set, "hashtable", 2);
    }

    #[test]
    fn hints_choose_the_encoding() {
        check(&Set::sized(b"1", 512, &LIMITS), "intset", 0);
        check(&Set::sized(b"1", 513, &LIMITS), "hashtable", 0);
        check(&Set::sized(b"a", 128, &LIMITS), "listpack", 0);
        check(&Set::sized(b"a", 129, &LIMITS), "hashtable", 0);
        let mut set = set_of(["a"]);
        set.expect(128, &LIMITS);
        check(&set, "listpack", 1);
        set.expect(129, &LIMITS);
        check(&set, "hashtable", 1);
    }

    #[test]
    fn foreign_encodings_are_taken_over() {
        let mut pack = Listpack::new();
        ["a", "7"].iter().for_each(|text| pack.push_back(text.as_bytes()));
        check(&Set::from_listpack(pack.clone(), &LIMITS).unwrap(), "listpack", 2);
        pack.push_back_element(Element::Str(b"7"));
        assert!(Set::from_listpack(pack, &LIMITS).is_none());
        let mut ints = Intset::new();
        (0..513).for_each(|n| assert!(ints.insert(n)));
        check(&Set::from_intset(ints, &LIMITS), "hashtable", 513);
        check(&Set::for_loading(512, &LIMITS), "intset", 0);
        check(&Set::for_loading(513, &LIMITS), "hashtable", 0);
    }

    #[test]
    fn a_set_of_integers_becomes_an_intset_where_it_may() {
        let mut table = set_of(1..=513);
        table.prefer_ints(&LIMITS);
        check(&table, "hashtable", 513);
        table.remove(b"1");
        table.prefer_ints(&LIMITS);
        check(&table, "intset", 512);
        let mut mixed = set_of(["1", "a"]);
        mixed.prefer_ints(&LIMITS);
        check(&mixed, "listpack", 2);
    }

    #[test]
    fn popping_takes_each_once_and_rebuilds_what_little_remains() {
        for (count, encoding) in
            [(500, "hashtable"), (880, "listpack"), (990, "listpack"), (800, "hashtable")]
        {
            let mut set = set_of(words(1..=1000));
            let mut seed = 1usize;
            let popped = set.pop_many(count, &LIMITS, |below| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) % below
            });
            check(&set, encoding, 1000 - count);
            let distinct: HashSet<_> = popped.iter().collect();
            assert_eq!((popped.len(), distinct.len()), (count, count));
            assert!(popped.iter().all(|member| !set.contains(member)));
        }
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => (-200..200i64).prop_map(|n| n.to_string().into_bytes()),
            2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            4 => "[a-c0]{0,3}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 60..70),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(steps in prop::collection::vec((0..5u8, member()), 1..200), ints in 0..40usize, words in 0..20usize) {
            let limits = Limits { set_max_intset_entries: ints, set_max_listpack_entries: words, ..LIMITS };
            let (mut set, mut model) = (Set::default(), BTreeSet::new());
            for (step, member) in steps {
                match step {
                    0 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    1 => {
                        let index = member.len() * 7 % model.len().max(1);
                        let popped = set.pop(|_| index);
                        prop_assert_eq!(popped.is_some(), !model.is_empty());
                        prop_assert!(popped.is_none_or(|member| model.remove(&member)));
                    }
                    _ => prop_assert_eq!(set.insert(&member, &limits), model.insert(member.clone())),
                }
                prop_assert_eq!(set.contains(&member), model.contains(&member));
                prop_assert_eq!(set.contains_element(Element::of(&member)), model.contains(&member));
                let mut members: Vec<_> = set.iter().map(|element| element.to_vec()).collect();
                let numbered: Vec<_> = (0..set.len()).map(|n| set.nth(n).unwrap().to_vec()).collect();
                prop_assert_eq!(&members, &numbered);
                members.sort();
                prop_assert!(members.iter().eq(&model));
            }
        }
    }
}
