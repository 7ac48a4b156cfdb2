//! Sorted sets: members in the order of their scores.
//!
//! Small ones are a listpack of member, score, member, score … in order; the score is the text of `%.17g` or, where that is an
//! integer's, the integer. Larger ones are two persistent structures: a table from member to score and a [`Tree`] of (score, member).
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
                if fits(pack, member, limits) {
                    insert_packed(pack, member, score);
                } else {
                    let mut tree = ZsetTree::of(self, limits);
                    tree.insert(member, score);
                    *self = Zset::Tree(Box::new(tree));
                }
                None
            }
            Zset::Tree(tree) => tree.insert(member, score),
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
                self.iter().take_while(|(member, score)| cut.is_after(*score, || member.text(&mut digits))).count()
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

    /// Gives members from a cursor on to `f`, `at_least` of them where there are so many; returns the next cursor, 0 at the
    /// end. Small sets are given as a whole.
    pub fn scan(&self, cursor: u64, at_least: usize, mut f: impl FnMut(Element<'_>, f64)) -> u64 {
        match self {
            Zset::Packed(_) => {
                self.iter().for_each(|(member, score)| f(member, score));
                0
            }
            Zset::Tree(tree) => {
                let give = |entry: super::map::Entry<'_>| f(Element::Str(entry.key), from_value(entry.value));
                tree.scores.scan(cursor, at_least, give)
            }
        }
    }
}

impl ZsetTree {
    /// The members of a packed set.
    fn of(packed: &Zset, limits: &Limits) -> ZsetTree {
        let mut tree = ZsetTree { scores: Map::new(limits.hasher), order: Tree::default() };
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

/// The score that an element of a listpack is.
fn score_of(element: Element<'_>) -> Option<f64> {
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

/// Inserts a member that is not there at its place.
fn insert_packed(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut text = double::Buffer::default();
    let text = text.format(score);
    let mut at = pack.first();
    while let Some(member_at) = at {
        let other = score_behind(pack, member_at);
        if other > score || other == score && pack.get(member_at).cmp_bytes(member).is_gt() {
            let new = pack.insert_before(member_at, member);
            pack.insert_after(new, text);
            return;
        }
        at = pack.next(member_at).and_then(|score_at| pack.next(score_at));
    }
    pack.push_back(member);
    pack.push_back(text);
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
