//! The ID of a stream's entry: milliseconds and a sequence number, written `ms-seq`.
//!
//! IDs are compared as pairs. Reading one from text follows Redis to the letter, and Redis reads numbers in two ways, one
//! after the other: as a canonical integer, and failing that as C's `strtoull` does, which takes leading white space, a sign
//! and leading zeros. So `1-+5`, ` 1` and even `1--05` (2^64 - 5) are IDs. Observed: redis-server 7.0.15.

use crate::types::element::Element;
use std::fmt;

/// Longer texts are no IDs.
const TEXT_MAX_BYTES: usize = 127;

/// The ID of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

/// An ID as XADD takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GivenId {
    /// `ms-seq`, or `ms` alone.
    Whole(StreamId),
    /// `ms-*`: the stream finds the sequence number.
    Milliseconds(u64),
}

impl StreamId {
    /// The smallest ID, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The largest ID.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// An ID of two numbers.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The ID behind, unless this is the last.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The ID before, unless this is the first.
    pub fn prev(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// Reads `ms-seq`, or `ms` with this sequence number.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        let (ms, seq) = split(text)?;
        Some(StreamId { ms: number(ms)?, seq: seq.map_or(Some(missing_seq), number)? })
    }

    /// Reads an ID, or `-` and `+` for the smallest and the largest.
    pub fn parse_bound(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match text {
            b"-" => Some(StreamId::MIN),
            b"+" => Some(StreamId::MAX),
            text => StreamId::parse(text, missing_seq),
        }
    }

    /// The ID's place in an ordered index: 16 bytes, high ones first.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The ID of 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// The differences of both numbers to another ID's, as a node holds them: modulo 2^64.
    pub(super) fn minus(self, other: StreamId) -> (i64, i64) {
        (self.ms.wrapping_sub(other.ms) as i64, self.seq.wrapping_sub(other.seq) as i64)
    }

    /// The ID that differs by so much.
    pub(super) fn plus(self, ms: i64, seq: i64) -> StreamId {
        StreamId { ms: self.ms.wrapping_add(ms as u64), seq: self.seq.wrapping_add(seq as u64) }
    }

    /// The text, in a buffer.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; 41], len: 0 };
        text.push(itoa::Buffer::new().format(self.ms).as_bytes());
        text.push(b"-");
        text.push(itoa::Buffer::new().format(self.seq).as_bytes());
        text
    }
}

impl GivenId {
    /// Reads what XADD takes as an ID.
    pub fn parse(text: &[u8]) -> Option<GivenId> {
        match split(text)? {
            (ms, Some(b"*")) => number(ms).map(GivenId::Milliseconds),
            _ => StreamId::parse(text, 0).map(GivenId::Whole),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An ID's text: at most two numbers of 20 digits and a dash.
#[derive(Clone, Copy)]
pub struct IdText {
    bytes: [u8; 41],
    len: u8,
}

impl IdText {
    fn push(&mut self, part: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + part.len()].copy_from_slice(part);
        self.len += part.len() as u8;
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The texts before and behind the first dash, up to a NUL as C reads it.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_MAX_BYTES {
        return None;
    }
    let text = text.split(|byte| *byte == 0).next()?;
    match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => Some((&text[..dash], Some(&text[dash + 1..]))),
        None => Some((text, None)),
    }
}

/// Reads an unsigned number: canonical ones that fit 63 bits as they are, negative ones not at all, all others as
/// `strtoull` would.
fn number(text: &[u8]) -> Option<u64> {
    if let Element::Int(n) = Element::of(text) {
        return u64::try_from(n).ok();
    }
    let space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !space(byte))?;
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, id: Option<(u64, u64)>) {
        let id = id.map(|(ms, seq)| StreamId { ms, seq });
        assert_eq!(StreamId::parse(text.as_bytes(), 7), id, "{text:?}");
    }

    #[test]
    fn texts_are_read_as_redis_reads_them() {
        check("1-2", Some((1, 2)));
        check("1", Some((1, 7)));
        check("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX)));
        check("18446744073709551616", None);
        check("1-+5", Some((1, 5)));
        check("007", Some((7, 7)));
        check(" 1", Some((1, 7)));
        check("1--5", None);
        check("1--05", Some((1, 5u64.wrapping_neg())));
        check("1-2\0junk", Some((1, 2)));
        for text in ["", "-", "+", "-1", "1-", "1-*", "1 ", "a", "1-2-3", "1.5"] {
            check(text, None);
        }
        check(&format!("{:0127}", 5), Some((5, 7)));
        check(&format!("{:0128}", 5), None);
    }

    #[test]
    fn xadd_may_leave_the_sequence_open() {
        assert_eq!(GivenId::parse(b"5-*"), Some(GivenId::Milliseconds(5)));
        assert_eq!(GivenId::parse(b"5"), Some(GivenId::Whole(StreamId { ms: 5, seq: 0 })));
        assert_eq!(GivenId::parse(b"5-**"), None);
        assert_eq!(GivenId::parse(b"-*"), None);
    }

    #[test]
    fn neighbours_cross_milliseconds_and_end() {
        let id = |ms, seq| StreamId { ms, seq };
        assert_eq!(id(1, u64::MAX).next(), Some(id(2, 0)));
        assert_eq!(id(2, 0).prev(), Some(id(1, u64::MAX)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.prev(), None);
    }

    #[test]
    fn bytes_and_text_give_the_id_back() {
        for id in [StreamId::MIN, StreamId::MAX, StreamId { ms: 1, seq: 2 << 40 }] {
            assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
            assert_eq!(StreamId::parse(id.text().as_ref(), 0), Some(id));
            assert_eq!(id.text().as_ref(), id.to_string().as_bytes());
        }
    }
}
