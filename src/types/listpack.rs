//! A listpack: a sequence of short strings and integers in one run of bytes, byte for byte as Redis lays it out.
//!
//! ```text
//! | total bytes u32 | elements u16 | entry … | 0xFF |          numbers are little-endian; 65535 elements: not known, count
//! entry: | encoding with length or integer | string … | backlen |
//!
//! 0xxxxxxx                 integer 0 to 127
//! 10llllll                 string of up to 63 bytes
//! 110xxxxx xxxxxxxx        integer of 13 bits, two's complement, high bits first
//! 1110llll llllllll        string of up to 4095 bytes, high bits first
//! 0xF0 u32                 longer string
//! 0xF1, F2, F3, F4         integer of 16, 24, 32, 64 bits, little-endian
//! ```
//!
//! The backlen is the entry's length without it, in groups of seven bits such that it can be read from its end: so one
//! walks in both directions. Small lists, sets, hashes and sorted sets live in this form, RDB files hold it as it is, and
//! so does the memory here: a payload that was validated is used by copying it. The alternative, an own denser form, would
//! save a byte per element and pay for it in every load, save and migration.
//!
//! The invariant: the bytes are at all times a whole listpack that `validate` accepts. Foreign bytes come in through
//! [`Listpack::from_bytes`] alone, which examines every entry. A [`Pos`] is valid until the next change before it;
//! positions that a listpack does not have are a bug of the caller and may panic, never do more.

use super::element::Element;
use super::packed::{LENGTH_BYTES, Packed};
use std::fmt;

const HEADER_BYTES: usize = 6;
const COUNT_AT: usize = LENGTH_BYTES;
const EMPTY_BYTES: usize = HEADER_BYTES + 1;
const END: u8 = 0xFF;
/// In the header: more elements than its 16 bits can tell.
const UNKNOWN_COUNT: usize = 0xFFFF;
/// No listpack grows beyond this (Redis: LISTPACK_MAX_SAFETY_LIMIT); values that would become large ones instead.
const SAFETY_LIMIT_BYTES: usize = 1 << 30;

const STR_12: u8 = 0xE0;
const STR_32: u8 = 0xF0;
const INT_13: u8 = 0xC0;
const INT_16: u8 = 0xF1;
const INT_24: u8 = 0xF2;
const INT_32: u8 = 0xF3;
const INT_64: u8 = 0xF4;

/// Where an element begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos(u32);

impl Pos {
    fn new(at: usize) -> Pos {
        Pos(at as u32)
    }

    fn at(self) -> usize {
        self.0 as usize
    }
}

/// A sequence of elements in one allocation; one pointer wide.
#[derive(Clone)]
pub struct Listpack {
    bytes: Packed,
}

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Listpack {
        Listpack { bytes: Packed::new(&[0, 0, END]) }
    }

    /// A copy of foreign bytes, if they are a listpack in every detail. O(bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Listpack> {
        validate(bytes).then(|| Listpack { bytes: Packed::new(&bytes[LENGTH_BYTES..]) })
    }

    /// The bytes, as RDB files and DUMP hold them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of elements. O(1) up to 65534, O(bytes) beyond.
    pub fn len(&self) -> usize {
        match self.known_len() {
            Some(len) => len,
            None => self.iter().count(),
        }
    }

    fn known_len(&self) -> Option<usize> {
        let count = usize::from(u16::from_le_bytes([self.bytes[COUNT_AT], self.bytes[COUNT_AT + 1]]));
        (count != UNKNOWN_COUNT).then_some(count)
    }

    /// Number of bytes, header and end included.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Is there no element?
    pub fn is_empty(&self) -> bool {
        self.byte_len() == EMPTY_BYTES
    }

    /// What the allocator spends on it, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.allocated_bytes()
    }

    /// May this many bytes of text be added? (Never beyond 1 GiB in all.)
    pub fn may_grow_by(&self, bytes: usize) -> bool {
        self.byte_len() + bytes <= SAFETY_LIMIT_BYTES
    }

    /// Bytes that `text` takes as an element.
    pub fn entry_bytes(text: &[u8]) -> usize {
        Listpack::element_bytes(Element::of(text))
    }

    /// Bytes that an element takes.
    pub fn element_bytes(element: Element<'_>) -> usize {
        let encoded = Head::of(element).encoded_len(element);
        encoded + backlen_bytes(encoded)
    }

    // Positions.

    /// The first element.
    pub fn first(&self) -> Option<Pos> {
        self.checked(HEADER_BYTES)
    }

    /// The last element.
    pub fn last(&self) -> Option<Pos> {
        self.before(self.end())
    }

    /// The element behind.
    #[inline]
    pub fn next(&self, pos: Pos) -> Option<Pos> {
        self.checked(self.behind(pos))
    }

    /// The element before.
    pub fn prev(&self, pos: Pos) -> Option<Pos> {
        self.before(pos.at())
    }

    /// The element at an index, from the end if negative: -1 is the last. O(distance from the nearer end).
    pub fn seek(&self, index: i64) -> Option<Pos> {
        let len = self.len() as u64;
        let from_front = if index < 0 { len.checked_sub(index.unsigned_abs())? } else { index as u64 };
        if from_front >= len {
            return None;
        }
        if from_front <= len / 2 {
            (0..from_front).try_fold(self.first()?, |pos, _| self.next(pos))
        } else {
            (from_front + 1..len).try_fold(self.last()?, |pos, _| self.prev(pos))
        }
    }

    /// The first element equal to `needle` among that at `from`, and those behind it after skipping `skip` each time: 1 looks
    /// at fields only where fields and values alternate.
    pub fn find(&self, from: Pos, needle: &[u8], skip: usize) -> Option<Pos> {
        let wanted = Element::of(needle);
        let (mut at, end) = (from.at(), self.end());
        while at < end {
            let (element, encoded) = self.decoded(at);
            let equal = match (element, wanted) {
                (Element::Int(a), Element::Int(b)) => a == b,
                (Element::Str(text), _) => text == needle,
                (Element::Int(_), Element::Str(_)) => false,
            };
            if equal {
                return Some(Pos::new(at));
            }
            at += encoded + backlen_bytes(encoded);
            for _ in 0..skip {
                if at < end {
                    at = self.behind(Pos::new(at));
                }
            }
        }
        None
    }

    /// The element at `pos`.
    #[inline]
    pub fn get(&self, pos: Pos) -> Element<'_> {
        self.decoded(pos.at()).0
    }

    /// All elements, from either end.
    pub fn iter(&self) -> Iter<'_> {
        Iter { pack: self, front: HEADER_BYTES, back: self.end() }
    }

    /// The element at `pos` and those behind it.
    pub fn iter_from(&self, pos: Pos) -> Iter<'_> {
        Iter { pack: self, front: pos.at(), back: self.end() }
    }

    // Changes.

    /// Appends a text.
    pub fn push_back(&mut self, text: &[u8]) {
        self.push_back_element(Element::of(text));
    }

    /// Appends an integer.
    pub fn push_back_int(&mut self, n: i64) {
        self.push_back_element(Element::Int(n));
    }

    /// Appends an element in the form that it has.
    pub fn push_back_element(&mut self, element: Element<'_>) {
        self.put(self.end(), 0, element);
        self.count_add(1);
    }

    /// Puts a text before all others.
    pub fn push_front(&mut self, text: &[u8]) {
        self.insert_element(HEADER_BYTES, Element::of(text));
    }

    /// Puts a text before the element at `pos`; returns where the new one is.
    pub fn insert_before(&mut self, pos: Pos, text: &[u8]) -> Pos {
        self.insert_element(pos.at(), Element::of(text))
    }

    /// Puts an element before that at `pos`, in the form that it has; returns where the new one is.
    pub fn insert_element_before(&mut self, pos: Pos, element: Element<'_>) -> Pos {
        self.insert_element(pos.at(), element)
    }

    /// Puts a text behind the element at `pos`; returns where the new one is.
    pub fn insert_after(&mut self, pos: Pos, text: &[u8]) -> Pos {
        self.insert_element(self.behind(pos), Element::of(text))
    }

    fn insert_element(&mut self, at: usize, element: Element<'_>) -> Pos {
        self.put(at, 0, element);
        self.count_add(1);
        Pos::new(at)
    }

    /// Replaces the element at `pos`, which stays the new one's position.
    pub fn replace(&mut self, pos: Pos, text: &[u8]) {
        self.replace_element(pos, Element::of(text));
    }

    /// Replaces the element at `pos` by one in the form that it has.
    pub fn replace_element(&mut self, pos: Pos, element: Element<'_>) {
        let removed = self.behind(pos) - pos.at();
        self.put(pos.at(), removed, element);
    }

    /// Removes the element at `pos`; returns where the one behind it is now.
    pub fn remove(&mut self, pos: Pos) -> Option<Pos> {
        self.remove_range(pos, 1)
    }

    /// Removes up to `count` elements from `pos` on; returns where the one behind them is now.
    pub fn remove_range(&mut self, pos: Pos, count: usize) -> Option<Pos> {
        let (mut behind, mut removed) = (pos.at(), 0);
        while removed < count && behind < self.end() {
            behind = self.behind(Pos::new(behind));
            removed += 1;
        }
        self.bytes.splice(pos.at(), behind - pos.at(), 0);
        self.count_sub(removed);
        self.checked(pos.at())
    }

    /// Appends all elements of another.
    pub fn append(&mut self, other: &Listpack) {
        let entries = &other.bytes[HEADER_BYTES..other.end()];
        self.bytes.splice(self.end(), 0, entries.len()).copy_from_slice(entries);
        match (self.known_len(), other.known_len()) {
            (Some(_), Some(more)) => self.count_add(more),
            _ => self.set_count(UNKNOWN_COUNT),
        }
    }

    /// Takes the element at `pos` and all behind it away into another.
    pub fn split_off(&mut self, pos: Pos) -> Listpack {
        let (at, end) = (pos.at(), self.end());
        let mut other = Listpack::new();
        other.bytes.splice(HEADER_BYTES, 0, end - at).copy_from_slice(&self.bytes[at..end]);
        self.bytes.splice(at, end - at, 0);
        other.recount();
        self.recount();
        other
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        *self = Listpack::new();
    }

    // Inside.

    /// Where the end mark is.
    #[inline]
    fn end(&self) -> usize {
        self.bytes.len() - 1
    }

    #[inline]
    fn checked(&self, at: usize) -> Option<Pos> {
        (at < self.end()).then(|| Pos::new(at))
    }

    /// Element and encoded length of the entry at an offset that has one.
    #[inline]
    fn decoded(&self, at: usize) -> (Element<'_>, usize) {
        decode(&self.bytes[at..]).expect("a position of this listpack")
    }

    /// Offset behind the entry at `pos`.
    #[inline]
    fn behind(&self, pos: Pos) -> usize {
        let encoded = encoded_len(&self.bytes[pos.at()..]).expect("a position of this listpack");
        pos.at() + encoded + backlen_bytes(encoded)
    }

    /// The entry that ends at an offset.
    fn before(&self, at: usize) -> Option<Pos> {
        if at <= HEADER_BYTES {
            return None;
        }
        let (encoded, size) = read_backlen(&self.bytes[HEADER_BYTES..at]).expect("an entry ends here");
        Some(Pos::new(at - size - encoded))
    }

    /// Writes an element over `removed` bytes.
    fn put(&mut self, at: usize, removed: usize, element: Element<'_>) {
        let head = Head::of(element);
        let encoded = head.encoded_len(element);
        let gap = self.bytes.splice(at, removed, encoded + backlen_bytes(encoded));
        let (prefix, rest) = gap.split_at_mut(head.len);
        prefix.copy_from_slice(&head.bytes[..head.len]);
        let (body, backlen) = rest.split_at_mut(encoded - head.len);
        if let Element::Str(text) = element {
            body.copy_from_slice(text);
        }
        write_backlen(backlen, encoded);
    }

    fn set_count(&mut self, count: usize) {
        let count = count.min(UNKNOWN_COUNT) as u16;
        self.bytes.body_mut()[..HEADER_BYTES - COUNT_AT].copy_from_slice(&count.to_le_bytes());
    }

    fn count_add(&mut self, more: usize) {
        if let Some(count) = self.known_len() {
            self.set_count(count + more);
        }
    }

    /// A count that was unknown is found out again when it may be known.
    fn count_sub(&mut self, fewer: usize) {
        match self.known_len() {
            Some(count) => self.set_count(count - fewer),
            None if fewer > 0 && self.iter().nth(UNKNOWN_COUNT).is_none() => self.recount(),
            None => {}
        }
    }

    fn recount(&mut self) {
        let count = self.iter().count();
        self.set_count(count);
    }
}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Elements of a listpack, from either end.
#[derive(Clone)]
pub struct Iter<'a> {
    pack: &'a Listpack,
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (element, encoded) = self.pack.decoded(self.front);
        self.front += encoded + backlen_bytes(encoded);
        Some(element)
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    fn next_back(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let pos = self.pack.before(self.back)?;
        self.back = pos.at();
        Some(self.pack.get(pos))
    }
}

/// What an element's entry begins with: all of an integer, what precedes a string.
struct Head {
    bytes: [u8; 9],
    len: usize,
}

impl Head {
    #[inline]
    fn of(element: Element<'_>) -> Head {
        match element {
            Element::Int(n) => Head::of_int(n),
            Element::Str(text) => Head::of_str(text.len()),
        }
    }

    fn of_int(n: i64) -> Head {
        match n {
            0..=127 => Head::new(n as u8, &[]),
            -4096..=4095 => Head::new(INT_13 | (n >> 8) as u8 & 0x1F, &[n as u8]),
            -0x8000..=0x7FFF => Head::new(INT_16, &n.to_le_bytes()[..2]),
            -0x80_0000..=0x7F_FFFF => Head::new(INT_24, &n.to_le_bytes()[..3]),
            -0x8000_0000..=0x7FFF_FFFF => Head::new(INT_32, &n.to_le_bytes()[..4]),
            _ => Head::new(INT_64, &n.to_le_bytes()),
        }
    }

    fn of_str(len: usize) -> Head {
        match len {
            ..64 => Head::new(0x80 | len as u8, &[]),
            64..4096 => Head::new(STR_12 | (len >> 8) as u8, &[len as u8]),
            _ => Head::new(STR_32, &(len as u32).to_le_bytes()),
        }
    }

    #[inline]
    fn new(first: u8, rest: &[u8]) -> Head {
        let mut bytes = [0; 9];
        bytes[0] = first;
        bytes[1..=rest.len()].copy_from_slice(rest);
        Head { bytes, len: 1 + rest.len() }
    }

    #[inline]
    fn encoded_len(&self, element: Element<'_>) -> usize {
        match element {
            Element::Int(_) => self.len,
            Element::Str(text) => self.len + text.len(),
        }
    }
}

/// Length of the entry that begins here, without its backlen; None if it is cut or none at all.
#[inline]
fn encoded_len(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    Some(match first {
        0..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(first & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*bytes.get(1)?)),
        STR_32 => 5 + u32::from_le_bytes(*bytes.get(1..)?.first_chunk()?) as usize,
        INT_16 => 3,
        INT_24 => 4,
        INT_32 => 5,
        INT_64 => 9,
        _ => return None,
    })
}

/// The element that begins here and its length without the backlen; None if it is cut or none at all.
#[inline]
fn decode(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let encoded = encoded_len(bytes)?;
    let entry = bytes.get(..encoded)?;
    let element = match entry {
        [n @ 0..=0x7F] => Element::Int(i64::from(*n)),
        [0x80..=0xBF, text @ ..] => Element::Str(text),
        // Shifted to the top and back, so that the sign fills the bits above.
        [high @ 0xC0..=0xDF, low] => {
            Element::Int(i64::from(i16::from_be_bytes([*high, *low]).wrapping_shl(3) >> 3))
        }
        [0xE0..=0xEF, _, text @ ..] => Element::Str(text),
        [STR_32, _, _, _, _, text @ ..] => Element::Str(text),
        [INT_16, a, b] => Element::Int(i64::from(i16::from_le_bytes([*a, *b]))),
        [INT_24, a, b, c] => Element::Int(i64::from(i32::from_le_bytes([0, *a, *b, *c]) >> 8)),
        [INT_32, a, b, c, d] => Element::Int(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))),
        [INT_64, n @ ..] => Element::Int(i64::from_le_bytes(*n.first_chunk()?)),
        _ => return None,
    };
    Some((element, encoded))
}

/// How many bytes the backlen of an entry of this length takes. Each step comes one early, as in Redis.
#[inline]
fn backlen_bytes(encoded: usize) -> usize {
    match encoded {
        ..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Fills `backlen` from its end with groups of seven bits; all but the first byte say that there is more before them.
#[inline]
fn write_backlen(backlen: &mut [u8], encoded: usize) {
    let mut rest = encoded;
    for (i, byte) in backlen.iter_mut().enumerate().rev() {
        *byte = (rest & 0x7F) as u8 | if i == 0 { 0 } else { 0x80 };
        rest >>= 7;
    }
}

/// Reads the backlen at the end of `bytes`: the length that it tells, and its own.
fn read_backlen(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut encoded, mut size) = (0u64, 0);
    for byte in bytes.iter().rev().take(5) {
        encoded |= u64::from(byte & 0x7F) << (7 * size);
        size += 1;
        if byte & 0x80 == 0 {
            return Some((usize::try_from(encoded).ok()?, size));
        }
    }
    None
}

/// Are these bytes a listpack in every detail? Never panics, whatever they are. O(bytes).
fn validate(bytes: &[u8]) -> bool {
    let Some((header, [entries @ .., END])) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    let [a, b, c, d, count @ ..] = *header;
    if u32::from_le_bytes([a, b, c, d]) as usize != bytes.len() {
        return false;
    }
    let (mut rest, mut seen) = (entries, 0);
    while !rest.is_empty() {
        let Some(behind) = valid_entry(rest) else { return false };
        rest = behind;
        seen += 1;
    }
    let count = usize::from(u16::from_le_bytes(count));
    count == seen || count == UNKNOWN_COUNT
}

/// What follows the entry that `bytes` begin with, if it and its backlen are whole and agree.
fn valid_entry(bytes: &[u8]) -> Option<&[u8]> {
    let (_, encoded) = decode(bytes)?;
    let size = backlen_bytes(encoded);
    let (entry, rest) = bytes.split_at_checked(encoded + size)?;
    (read_backlen(entry)? == (encoded, size)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(texts: &[&str]) -> Listpack {
        let mut pack = Listpack::new();
        texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
        pack
    }

    /// One element's bytes as Redis writes them, and back.
    #[track_caller]
    fn check(text: &[u8], entry: &[u8]) {
        let mut pack = Listpack::new();
        pack.push_back(text);
        let total = (HEADER_BYTES + entry.len() + 1) as u32;
        let bytes = [&total.to_le_bytes()[..], &[1, 0], entry, &[END]].concat();
        assert_eq!(pack.bytes(), bytes, "{}", text.escape_ascii());
        assert_eq!(Listpack::entry_bytes(text), entry.len());
        let again = Listpack::from_bytes(&bytes).expect("valid");
        assert_eq!(again.iter().next().unwrap().to_vec(), text);
    }

    #[test]
    fn integers_take_redis_forms() {
        check(b"0", &[0x00, 1]);
        check(b"127", &[0x7F, 1]);
        check(b"128", &[0xC0, 0x80, 2]);
        check(b"4095", &[0xCF, 0xFF, 2]);
        check(b"-1", &[0xDF, 0xFF, 2]);
        check(b"-4096", &[0xD0, 0x00, 2]);
        check(b"4096", &[0xF1, 0x00, 0x10, 3]);
        check(b"-4097", &[0xF1, 0xFF, 0xEF, 3]);
        check(b"32768", &[0xF2, 0x00, 0x80, 0x00, 4]);
        check(b"-8388608", &[0xF2, 0x00, 0x00, 0x80, 4]);
        check(b"8388608", &[0xF3, 0x00, 0x00, 0x80, 0x00, 5]);
        check(b"2147483648", &[0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]);
        check(b"-9223372036854775808", &[0xF4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9]);
    }

    #[test]
    fn strings_take_redis_forms() {
        let long = vec![b'x'; 5000];
        let str_of = |len: usize, head: &[u8], tail: &[u8]| [head, &long[..len], tail].concat();
        check(b"", &[0x80, 1]);
        check(b"01", &[0x82, b'0', b'1', 3]);
        check(&long[..63], &str_of(63, &[0xBF], &[64]));
        check(&long[..64], &str_of(64, &[0xE0, 64], &[66]));
        check(&long[..125], &str_of(125, &[0xE0, 125], &[127]));
        check(&long[..126], &str_of(126, &[0xE0, 126], &[1, 0x80]));
        check(&long[..4095], &str_of(4095, &[0xEF, 0xFF], &[4097usize.wrapping_shr(7) as u8, 0x81]));
        check(&long[..4096], &str_of(4096, &[0xF0, 0, 0x10, 0, 0], &[32, 0x80 | 5]));
    }

    #[test]
    fn backlens_step_one_early_as_in_redis() {
        for (encoded, size) in [(127, 1), (128, 2), (16_382, 2), (16_383, 3), (2_097_150, 3), (2_097_151, 4)]
        {
            let mut bytes = vec![0; backlen_bytes(encoded)];
            write_backlen(&mut bytes, encoded);
            assert_eq!(bytes.len(), size);
            assert_eq!(read_backlen(&bytes), Some((encoded, size)));
        }
        assert_eq!((backlen_bytes(268_435_454), backlen_bytes(268_435_455)), (4, 5));
    }

    #[test]
    fn find_skips_and_counts_texts_not_forms() {
        let pairs = pack(&["a", "1", "1", "b", "b", "2"]);
        let index = |needle: &[u8], skip| {
            let found = pairs.find(pairs.first().unwrap(), needle, skip);
            found.map(|pos| pairs.iter().count() - pairs.iter_from(pos).count())
        };
        assert_eq!(index(b"1", 0), Some(1));
        assert_eq!(index(b"1", 1), Some(2));
        assert_eq!(index(b"b", 1), Some(4));
        assert_eq!(index(b"2", 1), None);
        let foreign = Listpack::from_bytes(&[10, 0, 0, 0, 1, 0, 0x81, b'7', 2, END]).unwrap();
        assert!(foreign.find(foreign.first().unwrap(), b"7", 0).is_some());
    }

    #[test]
    fn the_count_is_lost_and_found_at_its_limit() {
        let mut pack = Listpack::new();
        (0..70_000).for_each(|_| pack.push_back(b"5"));
        assert_eq!((pack.len(), pack.known_len()), (70_000, None));
        assert!(Listpack::from_bytes(pack.bytes()).is_some());
        pack.remove_range(pack.seek(-10_000).unwrap(), 10_000);
        assert_eq!(pack.known_len(), Some(60_000));
    }

    #[test]
    fn damage_is_seen() {
        let good = pack(&["one", "2", "-3000", "four"]).bytes().to_vec();
        assert!(validate(&good));
        for len in 0..good.len() {
            assert!(!validate(&good[..len]), "cut at {len}");
        }
        for at in [0, 4, 6, 9, 10, 12, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            let changed = Listpack::from_bytes(&bad);
            let same_shape = changed.is_none_or(|pack| pack.len() == 4);
            assert!(same_shape, "changed at {at}");
        }
        let mut counted = good.clone();
        counted[COUNT_AT] = 5;
        assert!(!validate(&counted));
        assert!(!validate(&[8, 0, 0, 0, 1, 0, 0xF5, END]));
        assert!(!validate(&[13, 0, 0, 0, 1, 0, STR_32, 0xFF, 0xFF, 0xFF, 0xFF, 1, END]));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Back(Vec<u8>),
        Front(Vec<u8>),
        Before(usize, Vec<u8>),
        After(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        SplitAndAppend(usize),
    }

    fn texts() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<i64>()
                .prop_flat_map(|n| (0..64u32).prop_map(move |shift| (n >> shift).to_string().into_bytes())),
            prop::collection::vec(any::<u8>(), 0..150),
            "[0-9-]{0,22}".prop_map(String::into_bytes),
        ]
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            texts().prop_map(Step::Back),
            texts().prop_map(Step::Front),
            (any::<usize>(), texts()).prop_map(|(at, text)| Step::Before(at, text)),
            (any::<usize>(), texts()).prop_map(|(at, text)| Step::After(at, text)),
            (any::<usize>(), texts()).prop_map(|(at, text)| Step::Replace(at, text)),
            (any::<usize>(), 1..4usize).prop_map(|(at, count)| Step::Remove(at, count)),
            any::<usize>().prop_map(Step::SplitAndAppend),
        ]
    }

    /// Takes a step on both; those that need an element do nothing without one.
    fn take(step: Step, pack: &mut Listpack, model: &mut Vec<Vec<u8>>) {
        let place = |at: usize| {
            let index = at.checked_rem(model.len())?;
            Some((
                index,
                pack.seek(index as i64 - if at.is_multiple_of(2) { 0 } else { model.len() as i64 })?,
            ))
        };
        match step {
            Step::Back(text) => (pack.push_back(&text), model.push(text)).0,
            Step::Front(text) => (pack.push_front(&text), model.insert(0, text)).0,
            Step::Before(at, text) => {
                let Some((index, pos)) = place(at) else { return };
                let new = pack.insert_before(pos, &text);
                assert!(pack.get(new).eq_bytes(&text));
                model.insert(index, text);
            }
            Step::After(at, text) => {
                let Some((index, pos)) = place(at) else { return };
                let new = pack.insert_after(pos, &text);
                assert!(pack.get(new).eq_bytes(&text));
                model.insert(index + 1, text);
            }
            Step::Replace(at, text) => {
                let Some((index, pos)) = place(at) else { return };
                pack.replace(pos, &text);
                model[index] = text;
            }
            Step::Remove(at, count) => {
                let Some((index, pos)) = place(at) else { return };
                let next = pack.remove_range(pos, count);
                model.drain(index..(index + count).min(model.len()));
                assert_eq!(next.map(|pos| pack.get(pos).to_vec()), model.get(index).cloned());
            }
            Step::SplitAndAppend(at) => {
                let Some((index, pos)) = place(at) else { return };
                let tail = pack.split_off(pos);
                assert!(validate(tail.bytes()) && validate(pack.bytes()));
                assert_eq!((pack.len(), tail.len()), (index, model.len() - index));
                pack.append(&tail);
            }
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_vector_of_texts(steps in prop::collection::vec(steps(), 1..60)) {
            let (mut pack, mut model) = (Listpack::new(), Vec::new());
            for step in steps {
                take(step, &mut pack, &mut model);
                prop_assert!(validate(pack.bytes()));
                prop_assert_eq!((pack.len(), pack.is_empty()), (model.len(), model.is_empty()));
                let forward: Vec<_> = pack.iter().map(|element| element.to_vec()).collect();
                prop_assert_eq!(&forward, &model);
                let mut backward: Vec<_> = pack.iter().rev().map(|element| element.to_vec()).collect();
                backward.reverse();
                prop_assert_eq!(&backward, &model);
            }
            let entries: usize = model.iter().map(|text| Listpack::entry_bytes(text)).sum();
            prop_assert_eq!(pack.byte_len(), EMPTY_BYTES + entries);
        }

        /// What validation lets through can be walked in both directions.
        #[test]
        fn foreign_bytes_never_panic(texts in prop::collection::vec(texts(), 0..6), damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..3)) {
            let mut pack = Listpack::new();
            texts.iter().for_each(|text| pack.push_back(text));
            let mut bytes = pack.bytes().to_vec();
            for (at, value) in damage {
                let len = bytes.len();
                bytes[at % len] = value;
            }
            if let Some(pack) = Listpack::from_bytes(&bytes) {
                let count = pack.iter().count();
                prop_assert_eq!(pack.iter().rev().count(), count);
                prop_assert_eq!(pack.len(), count);
            }
        }
    }
}
