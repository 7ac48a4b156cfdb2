//! DUMP payloads made by hand: what RESTORE reads, and what it must refuse.
//!
//! A payload is an RDB type byte and value, the RDB version (two bytes, little endian), and the CRC-64 of all
//! that. The tests' checksum is a few lines of their own, bit by bit: borrowing the server's would let both
//! be wrong together.

use crate::support::crc64;

/// The RDB version of the payloads: the one that every supported peer reads.
const RDB_VERSION: u16 = 10;

/// A type byte and value, with a version and a good checksum.
pub fn seal(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend_from_slice(&version.to_le_bytes());
    payload.extend_from_slice(&crc64(&payload).to_le_bytes());
    payload
}

/// The payload of a plain string.
pub fn string(content: &[u8]) -> Vec<u8> {
    seal(&string_body(content), RDB_VERSION)
}

fn string_body(content: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    match content.len() {
        length @ 0..64 => body.push(length as u8),
        length @ 64..0x4000 => body.extend_from_slice(&[0x40 | (length >> 8) as u8, length as u8]),
        length => {
            body.push(0x80);
            body.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    body.extend_from_slice(content);
    body
}

/// The payload of a string that RDB keeps as a 32-bit integer.
pub fn int32(number: i32) -> Vec<u8> {
    let mut body = vec![0, 0xc2];
    body.extend_from_slice(&number.to_le_bytes());
    seal(&body, RDB_VERSION)
}

/// What stands behind the value: the version and the checksum.
const FOOTER_BYTES: usize = 2 + 8;

/// A DUMP reply as if it had been written without compression and, of a hash table, in order of its elements; if its
/// checksum is right.
pub fn plain(payload: &[u8]) -> Option<Vec<u8>> {
    let (body, footer) = payload.split_at_checked(payload.len().checked_sub(FOOTER_BYTES)?)?;
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let sealed = seal(body, version) == payload;
    sealed.then(|| plain_body(body)).flatten().map(|body| seal(&body, version))
}

/// The types that are several strings, or one; of the others nothing is known.
fn plain_body(body: &[u8]) -> Option<Vec<u8>> {
    const SET: u8 = 2;
    const HASH: u8 = 4;
    const LIST: u8 = 18;
    let (kind, rest) = body.split_first()?;
    let (count, per_item, mut rest) = match *kind {
        SET => length(rest).map(|(count, rest)| (count, 1, rest))?,
        HASH => length(rest).map(|(count, rest)| (count, 2, rest))?,
        // Behind its number of nodes, each node is a form and a string.
        LIST => length(rest).map(|(count, rest)| (count, 1, rest))?,
        0 | 9..=17 | 20 => (1, 1, rest),
        _ => return None,
    };
    let mut items = Vec::new();
    for _ in 0..count {
        let mut item = Vec::new();
        if *kind == LIST {
            let (form, after) = rest.split_first()?;
            item.push(*form);
            rest = after;
        }
        for _ in 0..per_item {
            let (text, after) = plain_string(rest)?;
            item.extend(text);
            rest = after;
        }
        items.push(item);
    }
    if [SET, HASH].contains(kind) {
        items.sort();
    }
    rest.is_empty().then(|| [vec![*kind], items.concat()].concat())
}

/// A string or small integer without compression, and what follows it.
fn plain_string(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let integer_bytes =
        |len: usize| bytes.split_at_checked(1 + len).map(|(text, rest)| (text.to_vec(), rest));
    match bytes.first()? {
        0xc0 => integer_bytes(1),
        0xc1 => integer_bytes(2),
        0xc2 => integer_bytes(4),
        0xc3 => {
            let (packed_len, rest) = length(&bytes[1..])?;
            let (len, rest) = length(rest)?;
            let (packed, rest) = rest.split_at_checked(packed_len)?;
            let content = expand(packed).filter(|content| content.len() == len)?;
            Some((string_body(&content)[1..].to_vec(), rest))
        }
        _ => {
            let (len, rest) = length(bytes)?;
            let (content, rest) = rest.split_at_checked(len)?;
            Some((string_body(content)[1..].to_vec(), rest))
        }
    }
}

/// Whether the value of a payload that says to be a plain string runs on into the footer.
pub fn is_cut_short(payload: &[u8]) -> bool {
    let body = &payload[..payload.len().saturating_sub(FOOTER_BYTES)];
    let length = body.strip_prefix(&[0]).and_then(length);
    length.is_some_and(|(length, content)| length > content.len())
}

/// A length in RDB's way, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..0x40, rest @ ..] => Some((usize::from(*short), rest)),
        [high @ 0x40..0x80, low, rest @ ..] => {
            Some((usize::from(high & 0x3f) << 8 | usize::from(*low), rest))
        }
        [0x80, a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest)),
        _ => None,
    }
}

/// LZF, byte by byte.
fn expand(mut packed: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    while let Some((token, rest)) = packed.split_first() {
        packed = rest;
        if *token < 32 {
            let (run, rest) = packed.split_at_checked(usize::from(*token) + 1)?;
            content.extend_from_slice(run);
            packed = rest;
            continue;
        }
        let mut count = usize::from(token >> 5) + 2;
        if count == 9 {
            count += usize::from(*packed.first()?);
            packed = &packed[1..];
        }
        let distance = (usize::from(token & 31) << 8 | usize::from(*packed.first()?)) + 1;
        packed = &packed[1..];
        for _ in 0..count {
            content.push(*content.get(content.len().checked_sub(distance)?)?);
        }
    }
    Some(content)
}

/// What an edge case writes as `{dump…:…}`: `:text` a string, `-int:n` an integer, `-crc:text` with a wrong
/// checksum, `-version:n:text` of another RDB version, `-body:hex` any type byte and value.
///
/// # Errors
///
/// For a form that is none of these.
pub fn from_spec(spec: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(spec).map_err(|error| error.to_string())?;
    let (form, rest) = text.split_once(':').ok_or("{dump…:…} without a colon")?;
    match form {
        "" => Ok(string(rest.as_bytes())),
        "-int" => rest.parse().map(int32).map_err(|error| format!("{rest}: {error}")),
        "-crc" => {
            let mut payload = string(rest.as_bytes());
            *payload.last_mut().expect("a payload has a checksum") ^= 1;
            Ok(payload)
        }
        "-version" => {
            let (version, content) = rest.split_once(':').ok_or("{dump-version:n:text}")?;
            let version = version.parse().map_err(|error| format!("{version}: {error}"))?;
            Ok(seal(&string_body(content.as_bytes()), version))
        }
        "-body" => Ok(seal(&from_hex(rest)?, RDB_VERSION)),
        _ => Err(format!("{{dump{form}:…}} is not a form")),
    }
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = |at| text.get(at..at + 2).ok_or("an odd number of hex digits".to_string());
    let byte = |at| u8::from_str_radix(digits(at)?, 16).map_err(|error| error.to_string());
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_one_of_rdb() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        // As redis-server 7.0.15 dumps 21 and 100 times the letter a.
        let packed: [(&[u8], usize); 2] = [
            (b"\x00\xc3\x06\x15\x01aa\xe0\n\x00\n\x00\xfd\x0c\xb3h\x07A?h", 21),
            (b"\x00\xc3\t@d\x01aa\xe0W\x00\x01aa\n\x00\xe8\xa3\xb5\x07\xb0m\xf2q", 100),
        ];
        for (payload, count) in packed {
            assert_eq!(plain(payload), Some(string(&b"a".repeat(count))));
            let mut broken = payload.to_vec();
            broken[5] ^= 1;
            assert_eq!(plain(&broken), None);
        }
        assert_eq!(plain(&string(b"plain")), Some(string(b"plain")));
        assert_eq!(plain(&seal(b"\x00\x03ab", RDB_VERSION)), None);
    }

    #[test]
    fn lists_have_an_order() {
        let dumped = |body: &[u8]| plain(&seal(body, RDB_VERSION)).unwrap();
        assert_eq!(
            dumped(b"\x12\x01\x02\xc3\x06\x15\x01aa\xe0\n\x00"),
            dumped(&[&b"\x12\x01\x02\x15"[..], &[b'a'; 21]].concat())
        );
        assert_ne!(dumped(b"\x12\x02\x01\x01a\x01\x01b"), dumped(b"\x12\x02\x01\x01b\x01\x01a"));
    }

    #[test]
    fn tables_have_no_order() {
        let dumped = |body: &[u8]| plain(&seal(body, RDB_VERSION)).unwrap();
        assert_eq!(dumped(b"\x02\x02\x01a\xc1\xff\x00"), dumped(b"\x02\x02\xc1\xff\x00\x01a"));
        assert_ne!(dumped(b"\x02\x02\x01a\x01b"), dumped(b"\x02\x02\x01a\x01c"));
        assert_eq!(dumped(b"\x04\x02\x01a\x01b\x01c\x01d"), dumped(b"\x04\x02\x01c\x01d\x01a\x01b"));
        assert_ne!(dumped(b"\x04\x02\x01a\x01b\x01c\x01d"), dumped(b"\x04\x02\x01a\x01d\x01c\x01b"));
    }

    #[test]
    fn values_that_run_into_the_footer_are_told() {
        assert!(is_cut_short(&seal(b"\x00\x05abc", RDB_VERSION)));
        assert!(!is_cut_short(&seal(b"\x00\x03abc", RDB_VERSION)));
        assert!(!is_cut_short(&seal(b"\x00\x03abcd", RDB_VERSION)));
        assert!(!is_cut_short(b""));
    }
}
