//! Places between entries: the ends of ranges, and where an entry stands or would stand.

use std::cmp::Ordering;

/// A place between two entries, told by what stands before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut<'a> {
    /// Before the first entry of at least this score.
    BelowScore(f64),
    /// After the last entry of at most this score.
    AboveScore(f64),
    /// Before the first member that is not less; all entries must have the same score.
    BelowMember(&'a [u8]),
    /// After the last member that is not greater; all entries must have the same score.
    AboveMember(&'a [u8]),
    /// Before this entry, or where it would be.
    At(f64, &'a [u8]),
}

/// The beginning of a subtree: its first entry's score and the first eight bytes of its member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sep {
    pub score: f64,
    pub prefix: u64,
}

impl Sep {
    pub fn new(score: f64, member: &[u8]) -> Sep {
        Sep { score, prefix: prefix(member) }
    }
}

/// The first eight bytes as a number that compares as they do, short members filled up with zeros.
#[inline]
fn prefix(member: &[u8]) -> u64 {
    match member.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..member.len()].copy_from_slice(member);
            u64::from_be_bytes(first)
        }
    }
}

/// The order of scores; there are no NaNs.
#[inline]
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

impl Cut<'_> {
    /// Does the cut come after this entry?
    #[inline]
    pub(in crate::types) fn is_after<'m>(&self, score: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match *self {
            Cut::BelowScore(cut) => score < cut,
            Cut::AboveScore(cut) => score <= cut,
            Cut::BelowMember(cut) => member() < cut,
            Cut::AboveMember(cut) => member() <= cut,
            Cut::At(cut, name) => order(score, cut).then_with(|| member().cmp(name)).is_lt(),
        }
    }

    /// Does the subtree that begins here begin before the cut, or with the very entry that the cut names? `first_member` is asked for
    /// only when the separator alone does not tell.
    #[inline]
    pub(super) fn admits<'m>(&self, sep: &Sep, first_member: impl FnOnce() -> &'m [u8]) -> bool {
        let by_prefix = |name: &[u8]| sep.prefix.cmp(&prefix(name));
        match *self {
            Cut::BelowScore(cut) => sep.score < cut,
            Cut::AboveScore(cut) => sep.score <= cut,
            Cut::BelowMember(cut) => by_prefix(cut).then_with(|| first_member().cmp(cut)).is_lt(),
            Cut::AboveMember(cut) => by_prefix(cut).then_with(|| first_member().cmp(cut)).is_le(),
            Cut::At(cut, name) => {
                let by_sep = order(sep.score, cut).then_with(|| by_prefix(name));
                by_sep.then_with(|| first_member().cmp(name)).is_le()
            }
        }
    }
}
