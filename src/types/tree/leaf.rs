//! A leaf: up to a page of entries in one allocation.
//!
//! ```text
//! | slots, in order: score (8 bytes), place of the record (2 bytes) → |   free   | ← records, in no order |
//! ```
//!
//! A record is one byte of length and the member; its place counts from the page's end, so that it stays true when the page
//! grows. The records lie close together always: a removal moves those before it, rather than leave holes that some later
//! insertion must look for. A member longer than [`INLINE_MAX_BYTES`] lives outside behind a counted pointer, and its record
//! is its number there; copies of a leaf share it.
//!
//! Pages have the sizes of the allocator's classes and grow from one to the next, so that little of the last class is wasted; a
//! leaf of one fixed size would be two thirds full on average.

use super::cut::Cut;
use triomphe::{Arc, ThinArc};

/// The longest member that is stored in the page.
pub(super) const INLINE_MAX_BYTES: usize = 254;
/// The record of a member that lives outside: this length, then its number.
const OUTSIDE: u8 = 255;
/// What a page begins with: the number of entries, and of bytes of all records.
const HEAD_BYTES: usize = 4;
const SLOT_BYTES: usize = 10;
/// What an allocation holds beside the page: the count of owners, the outsiders, and the page's size.
const OVERHEAD_BYTES: usize = 24;
/// Sizes of allocations, classes of the allocator. Few of the large ones: leaves that fill in step would leave pages of every
/// class behind, each with a straggler or two.
const CLASSES: [usize; 7] = [96, 128, 192, 256, 384, 512, 1024];
/// The largest page.
pub(super) const PAGE_MAX_BYTES: usize = CLASSES[CLASSES.len() - 1] - OVERHEAD_BYTES;

/// A member outside of its page.
type Outside = ThinArc<(), u8>;

/// Members that live outside; a removed one leaves a hole, which the next one fills.
type Outsiders = Option<Box<Vec<Option<Outside>>>>;

/// A leaf; `clone` shares it.
#[derive(Clone)]
pub(super) struct Leaf(ThinArc<Outsiders, u8>);

/// What came of an insertion.
pub(super) enum Grown {
    Here,
    /// The leaf was full; this one comes after it.
    Split(Leaf),
}

impl Default for Leaf {
    fn default() -> Leaf {
        Draft::new().into_leaf()
    }
}

impl Leaf {
    /// Entries.
    #[inline]
    pub fn len(&self) -> usize {
        entries(&self.0.slice)
    }

    /// Are both the same allocation?
    #[cfg(test)]
    pub fn is_shared_with(&self, other: &Leaf) -> bool {
        self.0.ptr() == other.0.ptr()
    }

    /// The score of an entry.
    #[inline]
    pub fn score(&self, at: usize) -> f64 {
        score_at(&self.0.slice, at)
    }

    /// The member of an entry.
    #[inline]
    pub fn member(&self, at: usize) -> &[u8] {
        let record = self.record(at);
        match record[0] {
            OUTSIDE => &self.member_outside(at).expect("a record names a member that is there").slice,
            len => &record[1..1 + usize::from(len)],
        }
    }

    #[inline]
    fn record(&self, at: usize) -> &[u8] {
        &self.0.slice[self.0.slice.len() - place_at(&self.0.slice, at)..]
    }

    fn outside(&self) -> &Outsiders {
        &self.0.header.header
    }

    fn member_outside(&self, at: usize) -> Option<&Outside> {
        let record = self.record(at);
        let list = self.outside().as_ref().filter(|_| record[0] == OUTSIDE)?;
        list[usize::from(outside_number(record))].as_ref()
    }

    /// How many entries stand before the cut.
    #[inline]
    pub fn count_before(&self, cut: &Cut<'_>) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if cut.is_after(self.score(middle), || self.member(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> usize {
        slot(self.len()) + records(&self.0.slice)
    }

    /// Bytes of the allocation and of the members outside.
    pub fn memory_bytes(&self) -> usize {
        let outside = self.outside().iter().flat_map(|list| list.iter().flatten());
        OVERHEAD_BYTES + self.0.slice.len() + outside.map(|member| 24 + member.slice.len()).sum::<usize>()
    }

    /// Inserts before the entry `at`. A full leaf is split in the middle, or, at its very end when `is_last`, after its last entry:
    /// ascending insertions leave full leaves behind.
    pub fn insert(&mut self, at: usize, score: f64, member: &[u8], is_last: bool) -> Grown {
        let used = self.used_bytes() + SLOT_BYTES + record_bytes(member);
        if used <= self.0.slice.len() && self.insert_in_place(at, score, member) {
            return Grown::Here;
        }
        if used <= PAGE_MAX_BYTES {
            let mut draft = Draft::copy(self);
            draft.insert(at, score, member);
            *self = draft.into_leaf();
            return Grown::Here;
        }
        Grown::Split(self.split(at, score, member, is_last))
    }

    /// Inserts unless others share the leaf. Returns whether it did.
    fn insert_in_place(&mut self, at: usize, score: f64, member: &[u8]) -> bool {
        self.0.with_arc_mut(|arc| {
            let Some(own) = Arc::get_mut(arc) else { return false };
            let record = admit(own.header_mut(), member);
            insert_entry(own.slice_mut(), at, score, record);
            true
        })
    }

    /// Removes an entry. A leaf that has become much smaller than its page gets a smaller one.
    pub fn remove(&mut self, at: usize) {
        let left = self.used_bytes() - SLOT_BYTES - record_bytes(self.member(at));
        let shrinks = page_size(left + left / 4) < self.0.slice.len();
        if !shrinks && self.remove_in_place(at) {
            return;
        }
        let mut draft = Draft::copy(self);
        draft.remove(at);
        *self = draft.into_leaf();
    }

    /// Removes unless others share the leaf. Returns whether it did.
    fn remove_in_place(&mut self, at: usize) -> bool {
        self.0.with_arc_mut(|arc| {
            let Some(own) = Arc::get_mut(arc) else { return false };
            let number = remove_entry(own.slice_mut(), at);
            remove_outside(own.header_mut(), number);
            true
        })
    }

    /// Appends all entries of the next leaf, which must fit.
    pub fn merge(&mut self, next: &Leaf) {
        let mut draft = Draft::copy(self);
        (0..next.len()).for_each(|at| draft.push(next, at));
        *self = draft.into_leaf();
    }

    fn split(&mut self, at: usize, score: f64, member: &[u8], is_last: bool) -> Leaf {
        let len = self.len();
        let middle = match at {
            0 => 0,
            _ if at == len && is_last => len,
            _ => self.middle(),
        };
        let (mut left, mut right) = (Draft::new(), Draft::new());
        (0..middle).for_each(|at| left.push(self, at));
        (middle..len).for_each(|at| right.push(self, at));
        match at.checked_sub(middle) {
            Some(at) if at > 0 || middle == len => right.insert(at, score, member),
            _ => left.insert(at, score, member),
        }
        *self = left.into_leaf();
        right.into_leaf()
    }

    /// The entry before which half of the bytes stand.
    fn middle(&self) -> usize {
        let half = self.used_bytes() / 2;
        let mut sum = 0;
        let reaches = |at: &usize| {
            sum += SLOT_BYTES + record_bytes(self.member(*at));
            sum >= half
        };
        (0..self.len() - 1).find(reaches).unwrap_or(self.len() - 1).max(1)
    }
}

/// The size of the smallest page for so many bytes.
fn page_size(used: usize) -> usize {
    let fits = |class: &&usize| used + OVERHEAD_BYTES <= **class;
    CLASSES.iter().find(fits).unwrap_or(&CLASSES[CLASSES.len() - 1]) - OVERHEAD_BYTES
}

/// Bytes of a member's record.
fn record_bytes(member: &[u8]) -> usize {
    if member.len() <= INLINE_MAX_BYTES { 1 + member.len() } else { 3 }
}

/// Where a slot begins.
#[inline]
fn slot(at: usize) -> usize {
    HEAD_BYTES + at * SLOT_BYTES
}

#[inline]
fn score_at(page: &[u8], at: usize) -> f64 {
    f64::from_le_bytes(page[slot(at)..][..8].try_into().expect("eight bytes"))
}

/// Where an entry's record begins, from the page's end.
#[inline]
fn place_at(page: &[u8], at: usize) -> usize {
    let place = &page[slot(at) + 8..][..2];
    usize::from(u16::from_le_bytes([place[0], place[1]]))
}

fn outside_number(record: &[u8]) -> u16 {
    u16::from_le_bytes([record[1], record[2]])
}

/// The number of entries, from the page's first bytes.
#[inline]
fn entries(page: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([page[0], page[1]]))
}

/// Bytes of all records, from the page's first bytes.
#[inline]
fn records(page: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([page[2], page[3]]))
}

fn set_head(page: &mut [u8], entries: usize, records: usize) {
    page[..2].copy_from_slice(&(entries as u16).to_le_bytes());
    page[2..4].copy_from_slice(&(records as u16).to_le_bytes());
}

/// What is written into a page for a member.
#[derive(Clone, Copy)]
enum Record<'a> {
    Inline(&'a [u8]),
    /// The member with this number outside.
    Outside(u16),
}

impl Record<'_> {
    fn write(self, to: &mut [u8]) {
        match self {
            Record::Inline(member) => {
                to[0] = member.len() as u8;
                to[1..=member.len()].copy_from_slice(member);
            }
            Record::Outside(number) => {
                to[0] = OUTSIDE;
                to[1..3].copy_from_slice(&number.to_le_bytes());
            }
        }
    }

    fn bytes(self) -> usize {
        match self {
            Record::Inline(member) => 1 + member.len(),
            Record::Outside(_) => 3,
        }
    }
}

/// The record for a member, which goes outside if it is long.
fn admit<'m>(outside: &mut Outsiders, member: &'m [u8]) -> Record<'m> {
    if member.len() <= INLINE_MAX_BYTES {
        return Record::Inline(member);
    }
    Record::Outside(put_outside(outside, ThinArc::from_header_and_slice((), member)))
}

fn put_outside(outside: &mut Outsiders, member: Outside) -> u16 {
    let list = outside.get_or_insert_default();
    let hole = list.iter().position(Option::is_none).unwrap_or(list.len());
    match list.get_mut(hole) {
        Some(place) => *place = Some(member),
        None => list.push(Some(member)),
    }
    hole as u16
}

/// Writes an entry before the entry `at` into a page with room for it.
fn insert_entry(page: &mut [u8], at: usize, score: f64, record: Record<'_>) {
    let (len, new) = (entries(page), slot(at));
    let place = records(page) + record.bytes();
    page.copy_within(new..slot(len), new + SLOT_BYTES);
    page[new..new + 8].copy_from_slice(&score.to_le_bytes());
    page[new + 8..new + SLOT_BYTES].copy_from_slice(&(place as u16).to_le_bytes());
    let start = page.len() - place;
    record.write(&mut page[start..]);
    set_head(page, len + 1, place);
}

/// Takes an entry out of a page. Returns its number if it lives outside.
fn remove_entry(page: &mut [u8], at: usize) -> Option<u16> {
    let (place, end, len, all) = (place_at(page, at), page.len(), entries(page), records(page));
    let record = &page[end - place..];
    let (size, number) = match record[0] {
        OUTSIDE => (3, Some(outside_number(record))),
        len => (1 + usize::from(len), None),
    };
    page.copy_within(end - all..end - place, end - all + size);
    page.copy_within(slot(at + 1)..slot(len), slot(at));
    for slot in page[slot(0)..slot(len - 1)].chunks_exact_mut(SLOT_BYTES) {
        let old = u16::from_le_bytes([slot[8], slot[9]]);
        if usize::from(old) > place {
            slot[8..].copy_from_slice(&(old - size as u16).to_le_bytes());
        }
    }
    set_head(page, len - 1, all - size);
    number
}

fn remove_outside(outside: &mut Outsiders, number: Option<u16>) {
    if let (Some(list), Some(number)) = (outside, number) {
        list[usize::from(number)] = None;
    }
}

/// A leaf in the making, on the stack: a page of the full size.
struct Draft {
    outside: Outsiders,
    page: [u8; PAGE_MAX_BYTES],
}

impl Draft {
    fn new() -> Draft {
        Draft { outside: None, page: [0; PAGE_MAX_BYTES] }
    }

    fn copy(leaf: &Leaf) -> Draft {
        let (old, mut page) = (&leaf.0.slice, [0; PAGE_MAX_BYTES]);
        let (slots, records) = (slot(leaf.len()), records(old));
        page[..slots].copy_from_slice(&old[..slots]);
        page[PAGE_MAX_BYTES - records..].copy_from_slice(&old[old.len() - records..]);
        Draft { outside: leaf.outside().clone(), page }
    }

    fn insert(&mut self, at: usize, score: f64, member: &[u8]) {
        let record = admit(&mut self.outside, member);
        insert_entry(&mut self.page, at, score, record);
    }

    fn remove(&mut self, at: usize) {
        let number = remove_entry(&mut self.page, at);
        remove_outside(&mut self.outside, number);
    }

    /// Appends an entry of a leaf.
    fn push(&mut self, leaf: &Leaf, at: usize) {
        let record = match leaf.member_outside(at) {
            Some(member) => Record::Outside(put_outside(&mut self.outside, member.clone())),
            None => Record::Inline(leaf.member(at)),
        };
        let end = entries(&self.page);
        insert_entry(&mut self.page, end, leaf.score(at), record);
    }

    fn into_leaf(mut self) -> Leaf {
        let (slots, records) = (slot(entries(&self.page)), records(&self.page));
        let size = page_size(slots + records);
        self.page.copy_within(PAGE_MAX_BYTES - records.., size - records);
        let outside = self.outside.filter(|list| list.iter().any(Option::is_some));
        Leaf(ThinArc::from_header_and_slice(outside, &self.page[..size]))
    }
}
