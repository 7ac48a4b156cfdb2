//! A member, field or item as packed encodings hold it: text, or the integer whose canonical text it is.
//!
//! An element *is* its text: an integer and the string of its digits are equal, however they are stored. Iterators give
//! this borrowed form, so that an integer is written to the client without ever becoming a string on the heap.

use std::cmp::Ordering;

/// One element, borrowed from where it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// An integer; its decimal text is meant.
    Int(i64),
    /// Bytes as they are.
    Str(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The shortest form of `text`: an integer where it is one's canonical decimal text.
    #[inline]
    pub fn of(text: &'a [u8]) -> Element<'a> {
        canonical_int(text).map_or(Element::Str(text), Element::Int)
    }

    /// Its bytes; an integer is written to `digits`.
    #[inline]
    pub fn text<'t>(&self, digits: &'t mut itoa::Buffer) -> &'t [u8]
    where
        'a: 't,
    {
        match *self {
            Element::Int(n) => digits.format(n).as_bytes(),
            Element::Str(bytes) => bytes,
        }
    }

    /// Its bytes as an owned string.
    pub fn to_vec(&self) -> Vec<u8> {
        self.text(&mut itoa::Buffer::new()).to_vec()
    }

    /// The integer that it is, in whatever form it is stored.
    #[inline]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Element::Int(n) => Some(n),
            Element::Str(bytes) => canonical_int(bytes),
        }
    }

    /// Length of its text in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match *self {
            Element::Int(n) => {
                let digits = n.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
                digits + usize::from(n < 0)
            }
            Element::Str(bytes) => bytes.len(),
        }
    }

    /// Is its text empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is its text exactly `text`?
    #[inline]
    pub fn eq_bytes(&self, text: &[u8]) -> bool {
        self.text(&mut itoa::Buffer::new()) == text
    }

    /// How its text compares to `text`, byte by byte.
    pub fn cmp_bytes(&self, text: &[u8]) -> Ordering {
        self.text(&mut itoa::Buffer::new()).cmp(text)
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Element<'_>) -> bool {
        match (*self, *other) {
            (Element::Int(a), Element::Int(b)) => a == b,
            (Element::Str(a), Element::Str(b)) => a == b,
            (Element::Int(n), Element::Str(text)) | (Element::Str(text), Element::Int(n)) => {
                Element::Int(n).eq_bytes(text)
            }
        }
    }
}

impl Eq for Element<'_> {}

/// The integer whose decimal text this is: no sign but `-`, no leading zeros, no spaces, within 64 bits.
/// Redis stores exactly these texts as integers.
#[inline]
pub fn canonical_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut n = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        n = n * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(n) } else { i64::try_from(n).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, int: Option<i64>) {
        let element = Element::of(text.as_bytes());
        assert_eq!(matches!(element, Element::Int(_)), int.is_some(), "{text}");
        assert_eq!(element.as_int(), int, "{text}");
        assert_eq!(element.len(), text.len(), "{text}");
        assert!(element.eq_bytes(text.as_bytes()) && element == Element::Str(text.as_bytes()), "{text}");
    }

    #[test]
    fn only_canonical_texts_are_integers() {
        for n in [0, 1, -1, 9, 10, 99, 100, i64::MAX, i64::MIN] {
            check(&n.to_string(), Some(n));
        }
        let texts = ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "--1", "9223372036854775808"];
        texts.iter().for_each(|text| check(text, None));
        check("-9223372036854775809", None);
        check("99999999999999999999", None);
    }

    #[test]
    fn text_orders_bytewise() {
        assert_eq!(Element::Int(10).cmp_bytes(b"9"), Ordering::Less);
        assert_eq!(Element::Str(b"b").cmp_bytes(b"a"), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_parser(text in "-?[0-9]{1,20}|[0-9 a]{0,3}") {
            let standard = text.parse::<i64>().ok().filter(|n| n.to_string() == text);
            prop_assert_eq!(canonical_int(text.as_bytes()), standard);
        }
    }
}
