//! Zipmaps: what small hashes were stored in before Redis 2.6.
//!
//! ```text
//! pairs (254 and more: they must be counted) | field | value | … | 0xff
//!
//! field:  length | bytes
//! value:  length | free, 1 byte | bytes | as many unused bytes
//! length: 1 byte up to 253, else 0xfe and u32 LE
//! ```
//!
//! (The layout is documented at the head of Redis's zipmap.c.) There are only strings: integers stand as texts.

/// The byte after the last pair.
const END: u8 = 0xff;
/// First byte of a length that takes five; from this count on the pairs must be counted.
const LONG: u8 = 0xfe;

/// A zipmap that has been found right.
#[derive(Clone, Copy, Debug)]
pub struct Zipmap<'a> {
    /// From the first field up to the end byte, without it.
    pairs: &'a [u8],
}

impl<'a> Zipmap<'a> {
    /// Validates `bytes` wholly; `None` if anything is wrong, or nothing is in it. Fields that come twice are not looked for.
    /// O(n), nothing is allocated.
    pub fn new(bytes: &'a [u8]) -> Option<Zipmap<'a>> {
        let (&count, rest) = bytes.split_first()?;
        let (&end, pairs) = rest.split_last()?;
        if end != END {
            return None;
        }
        let (mut len, mut rest) = (0, pairs);
        while !rest.is_empty() {
            rest = pair(rest)?.2;
            len += 1;
        }
        let counted = count >= LONG || usize::from(count) == len;
        (counted && len > 0).then_some(Zipmap { pairs })
    }

    /// Fields with their values, in the order in which they stand.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.pairs;
        std::iter::from_fn(move || {
            let (field, value, after) = pair(rest)?;
            rest = after;
            Some((field, value))
        })
    }
}

/// The pair that `bytes` begin with, and what follows it.
fn pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = length(bytes)?;
    let (field, rest) = rest.split_at_checked(len)?;
    let (len, rest) = length(rest)?;
    let (&free, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(len)?;
    let (_unused, rest) = rest.split_at_checked(usize::from(free))?;
    Some((field, value, rest))
}

/// A length, which must stand in its shortest form, as in Redis.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.split_first()? {
        (&END, _) => None,
        (&LONG, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            let len = u32::from_le_bytes(*len) as usize;
            (len >= usize::from(LONG)).then_some((len, rest))
        }
        (&len, rest) => Some((usize::from(len), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Option<Vec<(String, String)>> {
        let map = Zipmap::new(bytes)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(map.iter().map(|(field, value)| (text(field), text(value))).collect())
    }

    #[track_caller]
    fn check(bytes: &[u8], pairs: &[(&str, &str)]) {
        let pairs: Vec<_> = pairs.iter().map(|(f, v)| (f.to_string(), v.to_string())).collect();
        assert_eq!(read(bytes), Some(pairs));
        for short in 0..bytes.len() {
            assert_eq!(read(&bytes[..short]), None, "{short} bytes of it");
        }
    }

    #[test]
    fn the_documented_example_is_read() {
        // "foo" => "bar", "hello" => "world", of the comment at the head of Redis's zipmap.c.
        check(b"\x02\x03foo\x03\0bar\x05hello\x05\0world\xff", &[("foo", "bar"), ("hello", "world")]);
        assert_eq!(read(b"\0\xff"), None, "no pair");
        // Free bytes behind a value, as an update by a shorter one leaves them; a count that must be found out.
        check(b"\x01\x03foo\x03\x02bar??\xff", &[("foo", "bar")]);
        assert!(read(b"\xfe\x03foo\x03\0bar\xff").is_some());
    }

    #[test]
    fn long_strings_are_read() {
        let long = "x".repeat(254);
        let mut bytes = b"\x01\xfe\xfe\0\0\0".to_vec();
        bytes.extend_from_slice(long.as_bytes());
        bytes.extend_from_slice(b"\x01\0v\xff");
        check(&bytes, &[(&long, "v")]);
        bytes[2] = 0xfd;
        assert_eq!(read(&bytes), None, "a length in a longer form than it needs");
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let right = b"\x02\x03foo\x03\0bar\x05hello\x05\0world\xff";
        for (what, at, byte) in [
            ("count", 0, 3),
            ("field past the end", 1, 30),
            ("field that ends the map", 1, 0xff),
            ("value past the end", 5, 30),
            ("value in five bytes", 5, 0xfe),
            ("free bytes past the end", 17, 1),
            ("end", 23, 0),
        ] {
            let mut wrong = right.to_vec();
            wrong[at] = byte;
            assert_eq!(read(&wrong), None, "{what}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_do_not_panic(mut bytes in proptest::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..64)) {
            let _ = read(&bytes);
            if let [count, .., end] = &mut bytes[..] {
                (*count, *end) = (LONG, END);
                let _ = read(&bytes);
            }
        }
    }
}
