//! Ziplists: a list of strings and integers in one block of bytes, readable from both ends.
//!
//! ```text
//! total bytes, u32 LE | offset of the last entry, u32 LE | entries, u16 LE (65535: more than fit) | entry … | 0xff
//!
//! entry:  length of the entry before it (1 byte up to 253, else 0xfe and u32 LE) | encoding | content
//!
//! 00xxxxxx                      string of up to 63 bytes
//! 01xxxxxx xxxxxxxx             string of up to 16383 bytes, big-endian
//! 10000000 + u32 big-endian     longer string
//! 11000000  11010000  11100000  i16, i32, i64, little-endian
//! 11110000  11111110            i24 little-endian, i8
//! 1111xxxx                      xxxx from 1 to 13: the integer xxxx - 1
//! ```
//!
//! (The layout is documented at the head of Redis's ziplist.c, and observed in files of Redis 6.2.) [`Ziplist::new`] looks
//! at every byte before anything is given out, as Redis does with `sanitize-dump-payload yes`; what it has accepted can be
//! read without further checks.

use crate::types::element::Element;

/// The three numbers before the first entry.
const HEADER_BYTES: usize = 10;
/// The byte after the last entry.
const END: u8 = 0xff;
/// The count that says that the entries must be counted.
const LEN_UNKNOWN: u16 = u16::MAX;
/// First byte of a previous entry's length that takes five.
const LONG_PREVIOUS: u8 = 0xfe;

const INT16: u8 = 0xc0;
const INT32: u8 = 0xd0;
const INT64: u8 = 0xe0;
const INT24: u8 = 0xf0;
const INT8: u8 = 0xfe;
const STRING14: u8 = 0x40;
const STRING32: u8 = 0x80;
/// Least and greatest encoding byte that hold an integer themselves.
const IMMEDIATE: std::ops::RangeInclusive<u8> = 0xf1..=0xfd;

/// A ziplist that has been found right.
#[derive(Clone, Copy, Debug)]
pub struct Ziplist<'a> {
    /// From the first entry up to the end byte, without it.
    entries: &'a [u8],
    len: usize,
}

impl<'a> Ziplist<'a> {
    /// Validates `bytes` wholly; `None` if anything is wrong. O(n), nothing is allocated.
    pub fn new(bytes: &'a [u8]) -> Option<Ziplist<'a>> {
        let total = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let last_at = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
        let count = u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
        let (&end, body) = bytes.split_last()?;
        if total != bytes.len() || end != END {
            return None;
        }
        let entries = body.get(HEADER_BYTES..)?;
        let (len, last) = walk(entries)?;
        let counted = count == LEN_UNKNOWN || usize::from(count) == len;
        (counted && last_at == HEADER_BYTES + last).then_some(Ziplist { entries, len })
    }

    /// Number of entries.
    pub fn count(&self) -> usize {
        self.len
    }

    /// The entries from the first to the last.
    pub fn iter(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let mut rest = self.entries;
        std::iter::from_fn(move || {
            let entry = entry(rest)?;
            rest = &rest[entry.size..];
            Some(entry.element)
        })
    }
}

/// One entry as it is parsed.
struct Entry<'a> {
    /// Bytes of the entry before it, as this one says.
    previous: usize,
    element: Element<'a>,
    size: usize,
}

/// Checks all entries; returns how many there are and where the last begins (0 if there is none).
fn walk(entries: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut len, mut last, mut previous) = (0, 0, 0, 0);
    while at < entries.len() {
        let entry = entry(&entries[at..])?;
        if entry.previous != previous {
            return None;
        }
        (last, previous) = (at, entry.size);
        at += entry.size;
        len += 1;
    }
    Some((len, last))
}

/// The entry that `bytes` begin with.
fn entry(bytes: &[u8]) -> Option<Entry<'_>> {
    let (previous, rest) = match bytes.split_first()? {
        (&LONG_PREVIOUS, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(*len) as usize, rest)
        }
        // No entry begins with the end byte.
        (&END, _) => return None,
        (&len, rest) => (usize::from(len), rest),
    };
    let (element, rest) = content(rest)?;
    Some(Entry { previous, element, size: bytes.len() - rest.len() })
}

/// Encoding and content, and what follows them.
fn content(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&encoding, rest) = bytes.split_first()?;
    let int = |n: i64, rest| Some((Element::Int(n), rest));
    let (text, rest) = match encoding {
        0x00..=0x3f => rest.split_at_checked(usize::from(encoding))?,
        STRING14..=0x7f => {
            let (&low, rest) = rest.split_first()?;
            rest.split_at_checked(usize::from(encoding & 0x3f) << 8 | usize::from(low))?
        }
        STRING32 => {
            let (len, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(u32::from_be_bytes(*len) as usize)?
        }
        INT16 => {
            let (n, rest) = rest.split_first_chunk()?;
            return int(i16::from_le_bytes(*n).into(), rest);
        }
        INT24 => {
            let ([low, middle, high], rest) = rest.split_first_chunk()?;
            return int(i64::from(i32::from_le_bytes([0, *low, *middle, *high]) >> 8), rest);
        }
        INT32 => {
            let (n, rest) = rest.split_first_chunk()?;
            return int(i32::from_le_bytes(*n).into(), rest);
        }
        INT64 => {
            let (n, rest) = rest.split_first_chunk()?;
            return int(i64::from_le_bytes(*n), rest);
        }
        INT8 => {
            let (&n, rest) = rest.split_first()?;
            return int((n as i8).into(), rest);
        }
        _ if IMMEDIATE.contains(&encoding) => return int(i64::from(encoding & 0x0f) - 1, rest),
        _ => return None,
    };
    Some((Element::Str(text), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Builds a ziplist as Redis before 7.0 did.
    struct Builder {
        bytes: Vec<u8>,
        len: usize,
        last_at: usize,
        previous: usize,
    }

    impl Builder {
        fn new() -> Builder {
            Builder { bytes: vec![0; HEADER_BYTES], len: 0, last_at: HEADER_BYTES, previous: 0 }
        }

        /// Appends an entry; a string that is an integer's decimal text becomes an integer, as in Redis.
        fn push(&mut self, text: &[u8]) {
            let start = self.bytes.len();
            match u8::try_from(self.previous) {
                Ok(len) if len < LONG_PREVIOUS => self.bytes.push(len),
                _ => {
                    self.bytes.push(LONG_PREVIOUS);
                    self.bytes.extend_from_slice(&(self.previous as u32).to_le_bytes());
                }
            }
            match Element::of(text) {
                Element::Int(n) => self.int(n),
                Element::Str(text) => self.text(text),
            }
            self.last_at = start;
            self.previous = self.bytes.len() - start;
            self.len += 1;
        }

        fn int(&mut self, n: i64) {
            const INT24_MAX: i64 = (1 << 23) - 1;
            if (0..=12).contains(&n) {
                self.bytes.push(IMMEDIATE.start() + n as u8);
            } else if let Ok(n) = i8::try_from(n) {
                self.bytes.extend_from_slice(&[INT8, n as u8]);
            } else if let Ok(n) = i16::try_from(n) {
                self.bytes.push(INT16);
                self.bytes.extend_from_slice(&n.to_le_bytes());
            } else if (-INT24_MAX - 1..=INT24_MAX).contains(&n) {
                self.bytes.push(INT24);
                self.bytes.extend_from_slice(&n.to_le_bytes()[..3]);
            } else if let Ok(n) = i32::try_from(n) {
                self.bytes.push(INT32);
                self.bytes.extend_from_slice(&n.to_le_bytes());
            } else {
                self.bytes.push(INT64);
                self.bytes.extend_from_slice(&n.to_le_bytes());
            }
        }

        fn text(&mut self, text: &[u8]) {
            let len = text.len();
            if len < 1 << 6 {
                self.bytes.push(len as u8);
            } else if len < 1 << 14 {
                self.bytes.extend_from_slice(&[STRING14 | (len >> 8) as u8, len as u8]);
            } else {
                self.bytes.push(STRING32);
                self.bytes.extend_from_slice(&(len as u32).to_be_bytes());
            }
            self.bytes.extend_from_slice(text);
        }

        fn finish(mut self) -> Vec<u8> {
            self.bytes.push(END);
            let count = u16::try_from(self.len).unwrap_or(LEN_UNKNOWN);
            let total = self.bytes.len() as u32;
            self.bytes[..4].copy_from_slice(&total.to_le_bytes());
            self.bytes[4..8].copy_from_slice(&(self.last_at as u32).to_le_bytes());
            self.bytes[8..10].copy_from_slice(&count.to_le_bytes());
            self.bytes
        }
    }

    /// The elements' texts, quoted, or `None` if `bytes` are refused.
    fn read(bytes: &[u8]) -> Option<Vec<String>> {
        let list = Ziplist::new(bytes)?;
        let all: Vec<_> = list
            .iter()
            .map(|element| match element {
                Element::Int(n) => n.to_string(),
                Element::Str(text) => format!("{:?}", String::from_utf8_lossy(text)),
            })
            .collect();
        assert_eq!(all.len(), list.count());
        Some(all)
    }

    #[track_caller]
    fn check(bytes: &[u8], elements: &[&str]) {
        let got = read(bytes).expect("the ziplist is right");
        assert_eq!(got, elements);
        for short in 0..bytes.len() {
            assert!(read(&bytes[..short]).is_none(), "{short} bytes of it");
        }
        let mut longer = bytes.to_vec();
        longer.push(END);
        assert!(read(&longer).is_none(), "trailing bytes");
    }

    #[test]
    fn the_documented_example_is_read() {
        // The list "2", "5" of the comment at the head of Redis's ziplist.c, and "Hello World" appended to it.
        check(b"\x0f\0\0\0\x0c\0\0\0\x02\0\0\xf3\x02\xf6\xff", &["2", "5"]);
        check(
            b"\x1c\0\0\0\x0e\0\0\0\x03\0\0\xf3\x02\xf6\x02\x0bHello World\xff",
            &["2", "5", "\"Hello World\""],
        );
        check(b"\x0b\0\0\0\x0a\0\0\0\0\0\xff", &[]);
    }

    #[test]
    fn every_encoding_is_read() {
        let ints = b"\x20\0\0\0\x15\0\0\0\x05\0\0\xf1\x02\xfd\x02\xfe\x80\x03\xc0\x34\x12\x04\xe0\0\0\0\0\0\0\0\x80\xff";
        check(ints, &["0", "12", "-128", "4660", "-9223372036854775808"]);
        let more = b"\x16\0\0\0\x0f\0\0\0\x02\0\0\xf0\0\0\x80\x05\xd0\xff\xff\xff\x7f\xff";
        check(more, &["-8388608", "2147483647"]);
        for (len, head) in [(63usize, vec![0x3f]), (64, vec![0x40, 64]), (16384, vec![0x80, 0, 0, 0x40, 0])] {
            let total = (HEADER_BYTES + 1 + head.len() + len + 1) as u32;
            let mut bytes = [&total.to_le_bytes()[..], &[10, 0, 0, 0, 1, 0, 0], &head].concat();
            bytes.resize(bytes.len() + len, b'x');
            bytes.push(END);
            let got = read(&bytes).expect("the ziplist is right");
            assert_eq!(got[0].len(), len + 2);
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let right = b"\x1c\0\0\0\x0e\0\0\0\x03\0\0\xf3\x02\xf6\x02\x0bHello World\xff";
        for (what, at, byte) in [
            ("total", 0, 0x1d),
            ("last entry", 4, 0x0c),
            ("last entry far out", 7, 0x7f),
            ("count", 8, 4),
            ("previous length", 12, 3),
            ("unknown encoding", 13, 0xff),
            ("string past the end", 15, 0x0c),
            ("string before the end", 15, 0x0a),
            ("end", 27, 0xfe),
            ("previous length's form", 14, 0xfe),
        ] {
            let mut wrong = right.to_vec();
            wrong[at] = byte;
            assert!(read(&wrong).is_none(), "{what}");
        }
        // More entries than the count can tell.
        let mut unknown = right.to_vec();
        unknown[8..10].fill(0xff);
        assert!(read(&unknown).is_some());
    }

    #[test]
    fn a_previous_length_in_five_bytes_is_read() {
        // As deletions leave it (Redis does not shrink the field): "2", then "5" behind a long form of 2.
        check(b"\x13\0\0\0\x0c\0\0\0\x02\0\0\xf3\xfe\x02\0\0\0\xf6\xff", &["2", "5"]);
    }

    fn element() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            (-300i64..300).prop_map(|n| n.to_string().into_bytes()),
            (0u32..40).prop_map(|bits| (1i64 << bits).to_string().into_bytes()),
            (16_000usize..17_000).prop_map(|n| vec![b'x'; n]),
        ]
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(
            elements in proptest::collection::vec(element(), 0..20),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut builder = Builder::new();
            elements.iter().for_each(|text| builder.push(text));
            let mut bytes = builder.finish();
            let list = Ziplist::new(&bytes).expect("what was built is right");
            let back: Vec<Vec<u8>> = list.iter().map(|element| element.to_vec()).collect();
            prop_assert_eq!(&back, &elements);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            // Whatever it says now, nothing panics, and the count is that of what is given out.
            let _ = read(&bytes);
        }

        #[test]
        fn random_bytes_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
            if bytes.len() > HEADER_BYTES {
                let total = bytes.len() as u32;
                bytes[..4].copy_from_slice(&total.to_le_bytes());
                bytes[8..10].fill(0xff);
                *bytes.last_mut().expect("it is not empty") = END;
                let _ = read(&bytes);
                let _ = walk(&bytes[HEADER_BYTES..]);
            }
        }
    }
}
