//! A set of integers in one run of bytes.
//!
//! ```text
//! | length u32 | width u8 | integer … |        here: see `packed`; the count follows from length and width
//! | width u32 | count u32 | integer … |        in RDB files and DUMP, as Redis lays it out
//! ```
//!
//! Little-endian; the width is 2, 4 or 8 bytes, the integers ascend.
//!
//! All integers have the width of the widest that was ever in. Membership is a binary search, insertion moves the tail,
//! so it is for small sets (`set-max-intset-entries`); the memory is a fourth of what a listpack of the same integers takes at
//! worst, and RDB files hold it as it is.
//!
//! The invariant: the bytes of the file's form are at all times what `validate` accepts, or an empty set, which Redis never
//! stores.

use super::packed::{LENGTH_BYTES, Packed};
use std::fmt;

/// What precedes the integers here.
const HEADER_BYTES: usize = LENGTH_BYTES + 1;
/// What precedes them in files.
const FILE_HEADER_BYTES: usize = 8;

/// Bytes that each integer of a set takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    fn of(n: i64) -> Width {
        if i16::try_from(n).is_ok() {
            Width::Two
        } else if i32::try_from(n).is_ok() {
            Width::Four
        } else {
            Width::Eight
        }
    }

    fn from_header(width: u32) -> Option<Width> {
        match width {
            2 => Some(Width::Two),
            4 => Some(Width::Four),
            8 => Some(Width::Eight),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        self as usize
    }

    /// The integer of that number.
    #[inline]
    fn read(self, integers: &[u8], index: usize) -> i64 {
        match self {
            Width::Two => i64::from(i16::from_le_bytes(integers.as_chunks().0[index])),
            Width::Four => i64::from(i32::from_le_bytes(integers.as_chunks().0[index])),
            Width::Eight => i64::from_le_bytes(integers.as_chunks().0[index]),
        }
    }

    /// Writes an integer that is within the width.
    fn write(self, integers: &mut [u8], index: usize, n: i64) {
        let at = index * self.bytes();
        integers[at..at + self.bytes()].copy_from_slice(&n.to_le_bytes()[..self.bytes()]);
    }
}

/// A set of integers in one allocation; one pointer wide.
#[derive(Clone)]
pub struct Intset {
    bytes: Packed,
}

impl Intset {
    /// An empty set.
    pub fn new() -> Intset {
        Intset { bytes: Packed::new(&[Width::Two as u8]) }
    }

    /// A copy of foreign bytes, if they are an intset in every detail and not empty. O(bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Intset> {
        if !validate(bytes) {
            return None;
        }
        let (header, integers) = bytes.split_at(FILE_HEADER_BYTES);
        let mut set = Packed::zeroed(1 + integers.len());
        set.body_mut()[0] = header[0];
        set.body_mut()[1..].copy_from_slice(integers);
        Some(Intset { bytes: set })
    }

    /// The bytes that RDB files and DUMP hold.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.width() as u32, self.len() as u32].map(u32::to_le_bytes);
        [numbers.as_flattened(), self.integers()].concat()
    }

    #[inline]
    fn integers(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Number of integers.
    #[inline]
    pub fn len(&self) -> usize {
        self.integers().len() / self.width().bytes()
    }

    /// Is there no integer?
    pub fn is_empty(&self) -> bool {
        self.integers().is_empty()
    }

    /// What the allocator spends on it, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.allocated_bytes()
    }

    /// Is the integer in? O(log n).
    pub fn contains(&self, n: i64) -> bool {
        self.search(n).is_ok()
    }

    /// The integer of that number, in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// The smallest integer.
    pub fn first(&self) -> Option<i64> {
        self.get(0)
    }

    /// The greatest integer.
    pub fn last(&self) -> Option<i64> {
        self.get(self.len().wrapping_sub(1))
    }

    /// Puts an integer in. Returns whether it is new. O(n).
    pub fn insert(&mut self, n: i64) -> bool {
        let Err(index) = self.search(n) else { return false };
        if Width::of(n) > self.width() {
            self.widen(Width::of(n));
        }
        let width = self.width();
        let gap = self.bytes.splice(HEADER_BYTES + index * width.bytes(), 0, width.bytes());
        width.write(gap, 0, n);
        true
    }

    /// Removes an integer. Returns whether it was in. The width stays. O(n).
    pub fn remove(&mut self, n: i64) -> bool {
        let Ok(index) = self.search(n) else { return false };
        let width = self.width().bytes();
        self.bytes.splice(HEADER_BYTES + index * width, width, 0);
        true
    }

    /// The integers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    #[inline]
    fn width(&self) -> Width {
        match self.bytes[LENGTH_BYTES] {
            2 => Width::Two,
            4 => Width::Four,
            _ => Width::Eight,
        }
    }

    #[inline]
    fn at(&self, index: usize) -> i64 {
        self.width().read(self.integers(), index)
    }

    /// Where an integer is, or where it belongs.
    fn search(&self, n: i64) -> Result<usize, usize> {
        // Integers that come in ascending order, the usual case of a bulk insertion, go to the end.
        if self.last().is_none_or(|last| last < n) {
            return Err(self.len());
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.at(middle) < n { low = middle + 1 } else { high = middle }
        }
        if self.get(low) == Some(n) { Ok(low) } else { Err(low) }
    }

    /// Gives every integer more bytes.
    fn widen(&mut self, width: Width) {
        let (old, count) = (self.width(), self.len());
        self.bytes.splice(self.bytes.len(), 0, count * (width.bytes() - old.bytes()));
        let [header, integers @ ..] = self.bytes.body_mut() else { unreachable!("the width is there") };
        // From the end, so that none is written over before it is read.
        for index in (0..count).rev() {
            let n = old.read(integers, index);
            width.write(integers, index, n);
        }
        *header = width as u8;
    }
}

impl Default for Intset {
    fn default() -> Intset {
        Intset::new()
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Are these bytes an intset with something in it? Never panics, whatever they are. O(bytes).
fn validate(bytes: &[u8]) -> bool {
    let Some((header, integers)) = bytes.split_first_chunk::<FILE_HEADER_BYTES>() else { return false };
    let [a, b, c, d, count @ ..] = *header;
    let Some(width) = Width::from_header(u32::from_le_bytes([a, b, c, d])) else { return false };
    let count = u32::from_le_bytes(count) as usize;
    // The count has 32 bits, the width three: the product is within 64.
    if count == 0 || integers.len() != count * width.bytes() {
        return false;
    }
    (1..count).all(|index| width.read(integers, index - 1) < width.read(integers, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[track_caller]
    fn check(integers: &[i64], bytes: &[u8]) {
        let mut set = Intset::new();
        integers.iter().for_each(|n| assert!(set.insert(*n) && !set.insert(*n)));
        assert_eq!(set.to_bytes(), bytes);
        assert_eq!(Intset::from_bytes(bytes).expect("valid").to_bytes(), bytes);
    }

    #[test]
    fn bytes_are_redis() {
        check(&[5, -1], &[2, 0, 0, 0, 2, 0, 0, 0, 0xFF, 0xFF, 5, 0]);
        check(&[1, 70_000], &[4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0x70, 0x11, 1, 0]);
        let mut wide = vec![8, 0, 0, 0, 2, 0, 0, 0];
        wide.extend(i64::MIN.to_le_bytes());
        wide.extend(1i64.to_le_bytes());
        check(&[1, i64::MIN], &wide);
    }

    #[test]
    fn damage_is_seen() {
        let good = [2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 5, 0];
        assert!(validate(&good));
        for len in 0..good.len() {
            assert!(!validate(&good[..len]), "cut at {len}");
        }
        for (at, value) in [(0, 3), (0, 4), (1, 1), (4, 1), (4, 3), (7, 0x80), (8, 5), (8, 6)] {
            let mut bad = good;
            bad[at] = value;
            assert!(!validate(&bad), "{value} at {at}");
        }
        assert!(!validate(&[2, 0, 0, 0, 0, 0, 0, 0]), "empty");
    }

    fn integer() -> impl Strategy<Value = i64> {
        (any::<i64>(), 40..64u32).prop_map(|(n, shift)| n >> shift).boxed().prop_union(any::<i64>().boxed())
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(steps in prop::collection::vec((any::<bool>(), integer()), 0..80)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (add, n) in steps {
                if add {
                    prop_assert_eq!(set.insert(n), model.insert(n));
                } else {
                    let n = model.iter().find(|m| **m >= n).copied().unwrap_or(n);
                    prop_assert_eq!(set.remove(n), model.remove(&n));
                }
                prop_assert!(set.is_empty() || validate(&set.to_bytes()));
                prop_assert_eq!(set.contains(n), model.contains(&n));
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!((set.first(), set.last()), (model.first().copied(), model.last().copied()));
            }
        }

        #[test]
        fn foreign_bytes_never_panic(width in 0..10u8, count in 0..4u8, rest in prop::collection::vec(any::<u8>(), 0..40)) {
            let bytes = [&[width, 0, 0, 0, count, 0, 0, 0][..], &rest].concat();
            if let Some(set) = Intset::from_bytes(&bytes) {
                prop_assert_eq!(set.iter().count(), usize::from(count));
            }
        }
    }
}
