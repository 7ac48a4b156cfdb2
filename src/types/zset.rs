//! Sorted sets: members in the order of their scores.
//!
//! Small ones are a listpack of member, score, member, score … in order; the score is an integer where it
//! is one, else the text of `%.17g`. Larger ones are two persistent structures: a table from member to score and a [`Tree`] of (score, member).
//! Both hold each member; a pointer to a shared copy would take as many bytes as most members, and a cache miss.
//!
//! Invariant: both halves hold the same members with the same scores, and no score is NaN.

pub use super::tree::{Cut, Direction};

use super::double;
use super::element::Element;
use super::limits::Limits;
use super::listpack::{Listpack, Pos};
use super::map::Map;
use super::tree::{self, Tree};
use std::collections::HashSet;
use std::ops::Range;

/// A sorted set.
#[derive(Clone, Debug)]
pub enum Zset {
    Packed(Listpack),
    Tree(Box<ZsetTree>),
}

/// A large sorted set.
#[derive(Clone)]
pub struct ZsetTree {
    /// Each member's score, eight bytes.
    scores: Map,
    order: Tree,
}

impl std::fmt::Debug for ZsetTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.order.iter()).finish()
    }
}

impl Default for Zset {
    fn default() -> Zset {
        Zset::Packed(Listpack::new())
    }
}

impl Zset {
    /// A sorted set of foreign bytes: members and scores in turns. `None` if a score is not a number, or a member is there
    /// twice, or without a score. What is not in order is put in order.
    pub fn from_listpack(pack: Listpack, limits: &Limits) -> Option<Zset> {
        let (mut members, mut sorted) = (HashSet::new(), true);
        let mut last: Option<(f64, Vec<u8>)> = None;
        let mut elements = pack.iter();
        while let Some(member) = elements.next() {
            let member = member.to_vec();
            let score = score_of(elements.next()?)?;
            sorted &= last.is_none_or(|(before, name)| before < score || before == score && name < member);
            if !members.insert(member.clone()) {
                return None;
            }
            last = Some((score, member));
        }
        let fits = members.len() <= limits.zset_max_listpack_entries
            && members.iter().all(|member| member.len() <= limits.zset_max_listpack_value);
        let unsorted = Zset::Packed(pack);
        if sorted && fits {
            return Some(unsorted);
        }
        let mut zset = Zset::default();
        unsorted.iter().for_each(|(member, score)| {
            zset.insert(member.text(&mut itoa::Buffer::new()), score, limits);
        });
        Some(zset)
    }

    /// An empty one that is large from the start: for results that become small, if they are, in the end.
    pub fn large(limits: &Limits) -> Zset {
        Zset::Tree(Box::new(ZsetTree::new(limits)))
    }

    /// The same members in the smallest encoding that the limits admit.
    pub fn compacted(self, limits: &Limits) -> Zset {
        let fits = |zset: &Zset| {
            zset.len() <= limits.zset_max_listpack_entries
                && zset.iter().all(|(member, _)| member.len() <= limits.zset_max_listpack_value)
        };
        if matches!(self, Zset::Packed(_)) || !fits(&self) {
            return self;
        }
        let mut pack = Listpack::new();
        for (member, score) in self.iter() {
            push(&mut pack, member.text(&mut itoa::Buffer::new()), score);
        }
        Zset::Packed(pack)
    }

    /// Members.
    pub fn len(&self) -> usize {
        match self {
            Zset::Packed(pack) => pack.len() / 2,
            Zset::Tree(tree) => tree.order.len(),
        }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        match self {
            Zset::Packed(pack) => pack.is_empty(),
            Zset::Tree(tree) => tree.order.is_empty(),
        }
    }

    /// OBJECT ENCODING's name.
    pub fn encoding(&self) -> &'static str {
        match self {
            Zset::Packed(_) => "listpack",
            Zset::Tree(_) => "skiplist",
        }
    }

    /// About how many bytes it takes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Zset::Packed(pack) => pack.allocated_bytes(),
            Zset::Tree(tree) => tree.scores.memory_bytes() + tree.order.memory_bytes(),
        }
    }

    /// About how many allocations freeing it means.
    pub fn free_effort(&self) -> usize {
        match self {
            Zset::Packed(_) => 1,
            Zset::Tree(tree) => tree.scores.free_effort() + tree.order.free_effort(),
        }
    }

    /// The listpack of a small one.
    pub fn listpack(&self) -> Option<&Listpack> {
        match self {
            Zset::Packed(pack) => Some(pack),
            Zset::Tree(_) => None,
        }
    }

    /// A member's score. O(1); O(n) in a listpack.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Zset::Packed(pack) => Some(score_behind(pack, find(pack, member)?)),
            Zset::Tree(tree) => tree.score(member),
        }
    }

    /// Asks for the memory where these members' scores are, or would be; a hint.
    pub fn prefetch(&self, members: &[&[u8]]) {
        if let Zset::Tree(tree) = self {
            tree.scores.prefetch(members);
        }
    }

    /// Gives a member a score. Returns the score that it had. O(log n).
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &Limits) -> Option<f64> {
        debug_assert!(!score.is_nan());
        match self {
            Zset::Packed(pack) => {
                let old = find(pack, member).map(|at| (at, score_behind(pack, at)));
                if let Some((at, old)) = old {
                    if old != score {
                        pack.remove_range(at, 2);
                        insert_packed(pack, member, score);
                    }
                    return Some(old);
                }
                self.add_to_packed(member, score, limits);
                None
            }
            Zset::Tree(tree) => tree.insert(member, score),
        }
    }

    /// Adds a member that a packed set does not have; the set is large then if it must be.
    fn add_to_packed(&mut self, member: &[u8], score: f64, limits: &Limits) {
        match self {
            Zset::Packed(pack) if fits(pack, member, limits) => insert_packed(pack, member, score),
            _ => {
                let mut tree = ZsetTree::of(self, limits);
                tree.insert(member, score);
                *self = Zset::Tree(Box::new(tree));
            }
        }
    }

    /// Adds a member unless it is there. Returns whether it was not. O(log n), with one look into the table.
    pub fn add(&mut self, member: &[u8], score: f64, limits: &Limits) -> bool {
        match self {
            Zset::Packed(pack) if find(pack, member).is_some() => false,
            Zset::Packed(_) => {
                self.add_to_packed(member, score, limits);
                true
            }
            Zset::Tree(tree) => {
                let new = tree.scores.add(member, &score.to_le_bytes());
                if new {
                    tree.order.insert(score, member);
                }
                new
            }
        }
    }

    /// Removes a member. Returns the score that it had. O(log n).
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            Zset::Packed(pack) => {
                let at = find(pack, member)?;
                let score = score_behind(pack, at);
                pack.remove_range(at, 2);
                Some(score)
            }
            Zset::Tree(tree) => {
                let score = tree.scores.remove_with(member, |entry| from_value(entry.value))?;
                tree.order.remove(score, member);
                Some(score)
            }
        }
    }

    /// Removes the members of some ranks. Returns how many there were. O(log n) for each.
    pub fn remove_range(&mut self, ranks: Range<usize>) -> usize {
        let ranks = ranks.start.min(self.len())..ranks.end.min(self.len());
        if ranks.is_empty() {
            return 0;
        }
        match self {
            Zset::Packed(pack) => {
                let first = pack.seek(2 * ranks.start as i64).expect("a rank within the set");
                pack.remove_range(first, 2 * ranks.len());
            }
            Zset::Tree(tree) => {
                for (_, member) in tree.order.range(ranks.clone(), Direction::Forward) {
                    tree.scores.remove(member);
                }
                tree.order.remove_range(ranks.clone());
            }
        }
        ranks.len()
    }

    /// A member's rank, how many stand before it, and its score. O(log n).
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            Zset::Packed(_) => {
                let mut all = self.iter().enumerate();
                all.find_map(|(rank, (at, score))| at.eq_bytes(member).then_some((rank, score)))
            }
            Zset::Tree(tree) => {
                let score = tree.score(member)?;
                Some((tree.order.rank(score, member), score))
            }
        }
    }

    /// How many members stand before a cut. O(log n).
    pub fn count_before(&self, cut: &Cut<'_>) -> usize {
        match self {
            Zset::Packed(_) => {
                let mut digits = itoa::Buffer::new();
                self.iter()
                    .take_while(|(member, score)| cut.is_after(*score, || member.text(&mut digits)))
                    .count()
            }
            Zset::Tree(tree) => tree.order.count_before(cut),
        }
    }

    /// The members of some ranks with their scores, from the first to the last or the other way round. O(log n), then O(1) each.
    pub fn range(&self, ranks: Range<usize>, direction: Direction) -> Members<'_> {
        match self {
            Zset::Packed(pack) => {
                let end = ranks.end.min(self.len());
                let (start, left) = (ranks.start.min(end), end.saturating_sub(ranks.start));
                let first = if direction == Direction::Forward { start } else { end.saturating_sub(1) };
                let at = pack.seek(2 * first as i64);
                Members(Source::Packed(PackedMembers { pack, at, left, direction }))
            }
            Zset::Tree(tree) => Members(Source::Tree(tree.order.range(ranks, direction))),
        }
    }

    /// All members with their scores in order.
    pub fn iter(&self) -> Members<'_> {
        self.range(0..usize::MAX, Direction::Forward)
    }

    /// The member of a rank. O(log n).
    pub fn nth(&self, rank: usize) -> Option<(Element<'_>, f64)> {
        self.range(rank..rank.checked_add(1)?, Direction::Forward).next()
    }

    /// Gives members and their scores' texts from a cursor on to `f`, `at_least` of them where there are so many; returns the next
    /// cursor, 0 at the end. Small sets are given as a whole, and scores as they are packed: integers with all digits.
    pub fn scan(&self, cursor: u64, at_least: usize, mut f: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        match self {
            Zset::Packed(pack) => {
                let mut elements = pack.iter();
                while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
                    f(member, score);
                }
                0
            }
            Zset::Tree(tree) => {
                let mut text = double::Buffer::default();
                let give = |entry: super::map::Entry<'_>| {
                    f(Element::Str(entry.key), Element::Str(text.format(from_value(entry.value))));
                };
                tree.scores.scan(cursor, at_least, give)
            }
        }
    }
}

impl ZsetTree {
    fn new(limits: &Limits) -> ZsetTree {
        ZsetTree { scores: Map::new(limits.hasher), order: Tree::default() }
    }

    /// The members of a packed set.
    fn of(packed: &Zset, limits: &Limits) -> ZsetTree {
        let mut tree = ZsetTree::new(limits);
        packed.iter().for_each(|(member, score)| {
            tree.insert(member.text(&mut itoa::Buffer::new()), score);
        });
        tree
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).map(from_value)
    }

    fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let old = self.score(member);
        if old == Some(score) {
            return old;
        }
        if let Some(old) = old {
            self.order.remove(old, member);
        }
        self.scores.insert(member, &score.to_le_bytes());
        self.order.insert(score, member);
        old
    }
}

/// A score from the table.
fn from_value(value: &[u8]) -> f64 {
    f64::from_le_bytes(value.try_into().expect("scores have eight bytes"))
}

/// The score that an element of a listpack is, if it is one that a set may hold.
pub fn score_of(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Int(n) => Some(n as f64),
        Element::Str(text) => double::parse(text),
    }
}

/// The score behind a member.
fn score_behind(pack: &Listpack, member: Pos) -> f64 {
    let score = pack.next(member).and_then(|at| score_of(pack.get(at)));
    score.expect("a score stands behind each member")
}

/// Where a member is in a listpack.
fn find(pack: &Listpack, member: &[u8]) -> Option<Pos> {
    pack.find(pack.first()?, member, 1)
}

/// May a packed set get this member more?
fn fits(pack: &Listpack, member: &[u8], limits: &Limits) -> bool {
    pack.len() / 2 < limits.zset_max_listpack_entries
        && member.len() <= limits.zset_max_listpack_value
        && pack.may_grow_by(member.len())
}

/// What is packed for a score: the integer if it is one (and far from the ends of the range), else its text. The integer 0
/// has no sign.
fn packed_score(score: f64, text: &mut double::Buffer) -> Element<'_> {
    const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;
    if score.fract() == 0.0 && score.abs() <= INTEGER_MAX {
        return Element::Int(score as i64);
    }
    Element::Str(text.format(score))
}

fn push(pack: &mut Listpack, member: &[u8], score: f64) {
    pack.push_back(member);
    pack.push_back_element(packed_score(score, &mut double::Buffer::default()));
}

/// Inserts a member that is not there at its place.
fn insert_packed(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut at = pack.first();
    while let Some(member_at) = at {
        let other = score_behind(pack, member_at);
        if other > score || other == score && pack.get(member_at).cmp_bytes(member).is_gt() {
            let mut text = double::Buffer::default();
            let score_at = pack.insert_element_before(member_at, packed_score(score, &mut text));
            pack.insert_before(score_at, member);
            return;
        }
        at = pack.next(member_at).and_then(|score_at| pack.next(score_at));
    }
    push(pack, member, score);
}

/// Members with their scores.
pub struct Members<'a>(Source<'a>);

enum Source<'a> {
    Packed(PackedMembers<'a>),
    Tree(tree::Iter<'a>),
}

struct PackedMembers<'a> {
    pack: &'a Listpack,
    /// The next member.
    at: Option<Pos>,
    left: usize,
    direction: Direction,
}

impl<'a> Iterator for PackedMembers<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        self.left = self.left.checked_sub(1)?;
        let (pack, member) = (self.pack, self.at?);
        let score = pack.next(member)?;
        self.at = match self.direction {
            _ if self.left == 0 => None,
            Direction::Forward => pack.next(score),
            Direction::Backward => pack.prev(member).and_then(|score| pack.prev(score)),
        };
        Some((pack.get(member), score_behind(pack, member)))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        match &mut self.0 {
            Source::Packed(members) => members.next(),
            Source::Tree(members) => members.next().map(|(score, member)| (Element::Str(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Source::Packed(members) => members.left,
            Source::Tree(members) => members.len(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Members<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::limits::tests::LIMITS;
    use proptest::prelude::*;

    fn limits(entries: usize) -> Limits {
        Limits { zset_max_listpack_entries: entries, zset_max_listpack_value: 8, ..LIMITS }
    }

    type Model = Vec<(f64, Vec<u8>)>;

    /// Compares what both halves tell with the model.
    #[track_caller]
    fn check(zset: &Zset, model: &Model) {
        assert_eq!((zset.len(), zset.is_empty()), (model.len(), model.is_empty()));
        let expected: Vec<_> = model.iter().map(|(score, member)| (member.clone(), *score)).collect();
        let owned = |(member, score): (Element<'_>, f64)| (member.to_vec(), score);
        assert_eq!(zset.iter().map(owned).collect::<Vec<_>>(), expected);
        let backward: Vec<_> = zset.range(1..model.len(), Direction::Backward).map(owned).collect();
        assert!(backward.iter().eq(expected.get(1..).unwrap_or(&[]).iter().rev()));
        for (rank, (score, member)) in model.iter().enumerate() {
            assert_eq!(zset.rank(member), Some((rank, *score)));
            assert_eq!(zset.score(member), Some(*score));
            assert_eq!(zset.nth(rank).map(owned), Some(expected[rank].clone()));
            let below = model.iter().filter(|(other, _)| other < score).count();
            assert_eq!(zset.count_before(&Cut::BelowScore(*score)), below);
        }
        let mut scanned = Vec::new();
        let cursor = zset.scan(0, usize::MAX, |member, score| {
            scanned.push((member.to_vec(), score_of(score).expect("a number")));
        });
        scanned.sort_by(|(a, x), (b, y)| x.total_cmp(y).then_with(|| a.cmp(b)));
        assert_eq!((cursor, scanned), (0, expected));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, i8),
        Remove(u16),
        RemoveRange(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..60u16, -3..4i8).prop_map(|(member, score)| Step::Insert(member, score)),
            2 => (0..60u16).prop_map(Step::Remove),
            1 => (0..50usize, 0..4usize).prop_map(|(from, count)| Step::RemoveRange(from, count)),
        ];
        prop::collection::vec(step, 0..200)
    }

    fn member(n: u16) -> Vec<u8> {
        if n.is_multiple_of(3) { n.to_string().into_bytes() } else { format!("m{n}").into_bytes() }
    }

    proptest! {
        #[test]
        fn every_encoding_is_a_sorted_vec(steps in steps(), entries in prop_oneof![Just(0), Just(20), Just(1000)]) {
            let limits = limits(entries);
            let (mut zset, mut model) = (Zset::default(), Model::new());
            for step in steps {
                match step {
                    Step::Insert(n, score) => {
                        let (member, score) = (member(n), f64::from(score) / 2.0);
                        let old = model.iter().position(|(_, m)| *m == member).map(|at| model.remove(at).0);
                        prop_assert_eq!(zset.insert(&member, score, &limits), old);
                        model.push((score, member));
                        model.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
                    }
                    Step::Remove(n) => {
                        let at = model.iter().position(|(_, m)| *m == member(n));
                        prop_assert_eq!(zset.remove(&member(n)), at.map(|at| model.remove(at).0));
                    }
                    Step::RemoveRange(from, count) => {
                        let from = from.min(model.len());
                        let gone = model.drain(from..(from + count).min(model.len())).count();
                        prop_assert_eq!(zset.remove_range(from..from + count), gone);
                    }
                }
            }
            check(&zset, &model);
            if let Some(pack) = zset.listpack() {
                let again = Zset::from_listpack(pack.clone(), &limits).expect("its own bytes");
                check(&again, &model);
            }
        }
    }

    #[test]
    fn encodings_change_where_redis_does() {
        let limits = limits(2);
        let mut zset = Zset::default();
        zset.insert(b"a", 1.0, &limits);
        zset.insert(b"12345678", 2.0, &limits);
        zset.insert(b"a", 3.0, &limits);
        assert_eq!(zset.encoding(), "listpack");
        let mut longer = zset.clone();
        longer.remove(b"a");
        longer.insert(b"123456789", 1.0, &limits);
        zset.insert(b"b", 1.0, &limits);
        assert_eq!([zset.encoding(), longer.encoding()], ["skiplist"; 2]);
        assert_eq!(zset.clone().compacted(&limits).encoding(), "skiplist");
        assert_eq!(longer.clone().compacted(&limits).encoding(), "skiplist");
        zset.remove(b"a");
        let small = zset.clone().compacted(&limits);
        assert_eq!(small.encoding(), "listpack");
        assert!(small.iter().eq(zset.iter()));
        zset.remove_range(0..3);
        assert_eq!((zset.encoding(), zset.is_empty()), ("skiplist", true));
    }

    #[test]
    fn scores_are_packed_as_redis_does() {
        let mut zset = Zset::default();
        let scores = [
            ("a", 1.5),
            ("b", f64::INFINITY),
            ("c", -0.0),
            ("d", 1e300),
            ("e", 7.0),
            ("f", 1e18),
            ("g", 5e18),
        ];
        for (member, score) in scores {
            zset.insert(member.as_bytes(), score, &limits(10));
        }
        let pack = zset.listpack().expect("few members");
        let texts: Vec<_> =
            pack.iter().map(|element| String::from_utf8(element.to_vec()).expect("text")).collect();
        assert_eq!(
            texts.join(" "),
            "c 0 a 1.5 e 7 f 1000000000000000000 g 5e+18 d 1.0000000000000001e+300 b inf"
        );
    }

    #[track_caller]
    fn foreign(elements: &[&str], shown: Option<&str>) {
        let mut pack = Listpack::new();
        elements.iter().for_each(|text| pack.push_back(text.as_bytes()));
        let zset = Zset::from_listpack(pack, &limits(10));
        let show = |zset: Zset| {
            let text =
                |(member, score): (Element<'_>, f64)| format!("{}={score}", member.to_vec().escape_ascii());
            zset.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(zset.map(show).as_deref(), shown, "{elements:?}");
    }

    #[test]
    fn foreign_bytes_are_looked_through() {
        foreign(&[], Some(""));
        foreign(&["b", "1", "c", "2.50"], Some("b=1 c=2.5"));
        foreign(&["c", "2", "b", "1"], Some("b=1 c=2"));
        foreign(&["b", "1", "a", "1"], Some("a=1 b=1"));
        foreign(&["b", "1", "c"], None);
        foreign(&["b", "1", "b", "2"], None);
        foreign(&["b", "nan"], None);
        foreign(&["b", "x"], None);
    }
}
