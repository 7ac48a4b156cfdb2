//! The smallest parts of the format: opcodes, value types and their names, lengths, and the heads of strings.
//!
//! A length is one to nine bytes; the two top bits of the first byte tell which:
//!
//! ```text
//! 00xxxxxx                   6 bits
//! 01xxxxxx xxxxxxxx          14 bits, big-endian
//! 10000000 + 4 bytes         32 bits, big-endian
//! 10000001 + 8 bytes         64 bits, big-endian
//! 11xxxxxx                   not a length: a string in a special form (integer of 8, 16, 32 bits, or LZF)
//! ```
//!
//! `Cursor` reads them from a slice that may end anywhere. Running out is not an error but `Halt::Need`, which
//! says how many bytes the slice must have before another try can get further; every read makes that number exact,
//! so a decoder fed byte by byte retries once per field, not once per byte.

use super::error::Fault;

/// Opcodes: the bytes that stand where a value's type could stand.
pub mod opcode {
    /// Valkey: state of a slot import; Redis 8.6: a key's metadata. Two meanings, both unsupported.
    pub const SLOT_IMPORT_OR_KEY_META: u8 = 243;
    /// A cluster slot's sizes: slot, keys, keys with expiry. A hint.
    pub const SLOT_INFO: u8 = 244;
    /// A function library's code.
    pub const FUNCTION: u8 = 245;
    /// A function library as release candidates of 7.0 wrote it.
    pub const FUNCTION_PRE_GA: u8 = 246;
    /// A module's data outside the keyspace.
    pub const MODULE_AUX: u8 = 247;
    /// Seconds since the next record's last access.
    pub const IDLE: u8 = 248;
    /// The next record's LFU counter.
    pub const FREQ: u8 = 249;
    /// A named fact about the file.
    pub const AUX: u8 = 250;
    /// How many keys, and keys with expiry, the database holds. A hint.
    pub const RESIZE_DB: u8 = 251;
    /// The next record's expiry in Unix milliseconds.
    pub const EXPIRE_MS: u8 = 252;
    /// The next record's expiry in Unix seconds.
    pub const EXPIRE_SECONDS: u8 = 253;
    /// The database of the records that follow.
    pub const SELECT_DB: u8 = 254;
    /// The end; a checksum follows since version 5.
    pub const EOF: u8 = 255;
}

/// The type byte of a string.
pub const TYPE_STRING: u8 = 0;

const ENC_INT8: u8 = 0xc0;
const ENC_INT16: u8 = 0xc1;
const ENC_INT32: u8 = 0xc2;
const ENC_LZF: u8 = 0xc3;
const LEN_32: u8 = 0x80;
const LEN_64: u8 = 0x81;

/// What a value's type byte means, as an operator would say it; `None` for a byte that means nothing known.
///
/// Types from 22 on differ between Redis and Valkey, hence `valkey`.
pub fn type_name(value_type: u8, valkey: bool) -> Option<&'static str> {
    let name = match value_type {
        0 => "string",
        1 => "list linked",
        2 => "set hashtable",
        3 => "zset v1",
        4 => "hash hashtable",
        5 => "zset v2",
        6 => "module value, pre-release",
        7 => "module value",
        9 => "hash zipmap",
        10 => "list ziplist",
        11 => "set intset",
        12 => "zset ziplist",
        13 => "hash ziplist",
        14 => "list quicklist",
        15 => "stream v1",
        16 => "hash listpack",
        17 => "zset listpack",
        18 => "list quicklist v2",
        19 => "stream v2",
        20 => "set listpack",
        21 => "stream v3",
        22 if valkey => "hash with field expiry",
        22 => "hash with field expiry, pre-release",
        23 => "hash listpack with field expiry, pre-release",
        24 => "hash with field expiry",
        25 => "hash listpack with field expiry",
        _ => return None,
    };
    Some(name)
}

/// What a record says about its last use, for the eviction policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eviction {
    /// Nothing was noted.
    #[default]
    None,
    /// Seconds since the last access (LRU).
    IdleSeconds(u64),
    /// The logarithmic access counter (LFU).
    Frequency(u8),
}

/// Why a read stopped.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The slice must be at least this long, counted from its start.
    Need(usize),
    /// The bytes are wrong.
    Fault(Fault),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Halt {
        Halt::Fault(fault)
    }
}

/// The head of a string: what its body is. Ranges are positions in the cursor's slice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    /// `len` bytes follow as they are.
    Plain { len: usize },
    /// The string is this number's decimal text; nothing follows.
    Int(i64),
    /// `packed` bytes follow, which LZF expands to `len`.
    Lzf { packed: usize, len: usize },
}

/// A position in a slice.
pub(crate) struct Cursor<'a> {
    src: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(src: &'a [u8], pos: usize) -> Cursor<'a> {
        Cursor { src, pos }
    }

    /// Bytes read so far.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// Bytes left.
    pub fn left(&self) -> usize {
        self.src.len() - self.pos
    }

    #[inline]
    pub fn byte(&mut self) -> Result<u8, Halt> {
        match self.src.get(self.pos) {
            Some(&b) => {
                self.pos += 1;
                Ok(b)
            }
            None => Err(Halt::Need(self.pos + 1)),
        }
    }

    /// Passes over `len` bytes and returns where they start.
    #[inline]
    pub fn span(&mut self, len: usize) -> Result<usize, Halt> {
        let start = self.pos;
        match start.checked_add(len) {
            Some(end) if end <= self.src.len() => {
                self.pos = end;
                Ok(start)
            }
            end => Err(Halt::Need(end.unwrap_or(usize::MAX))),
        }
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Halt> {
        match self.src[self.pos..].first_chunk::<N>() {
            Some(bytes) => {
                self.pos += N;
                Ok(*bytes)
            }
            None => Err(Halt::Need(self.pos + N)),
        }
    }

    /// A length that must not be a special string form.
    pub fn length(&mut self) -> Result<u64, Halt> {
        let first = self.byte()?;
        if first >= ENC_INT8 {
            return Err(Fault::BadLength(first).into());
        }
        self.length_after(first)
    }

    /// A length whose first byte, below 0xc0, has been read.
    #[inline]
    fn length_after(&mut self, first: u8) -> Result<u64, Halt> {
        match first {
            0x00..=0x3f => Ok(u64::from(first)),
            0x40..=0x7f => {
                let low = self.byte()?;
                Ok(u64::from(first & 0x3f) << 8 | u64::from(low))
            }
            LEN_32 => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            LEN_64 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(Fault::BadLength(first).into()),
        }
    }

    /// Reads a string's head; its body follows.
    #[inline]
    pub fn head(&mut self) -> Result<Head, Halt> {
        let first = self.byte()?;
        if first < ENC_INT8 {
            let len = self.length_after(first)?;
            return Ok(Head::Plain { len: to_usize(len)? });
        }
        self.special_head(first)
    }

    fn special_head(&mut self, first: u8) -> Result<Head, Halt> {
        match first {
            ENC_INT8 => Ok(Head::Int(i64::from(i8::from_le_bytes(self.array()?)))),
            ENC_INT16 => Ok(Head::Int(i64::from(i16::from_le_bytes(self.array()?)))),
            ENC_INT32 => Ok(Head::Int(i64::from(i32::from_le_bytes(self.array()?)))),
            ENC_LZF => {
                let packed = to_usize(self.length()?)?;
                let len = to_usize(self.length()?)?;
                Ok(Head::Lzf { packed, len })
            }
            other => Err(Fault::BadStringEncoding(other & 0x3f).into()),
        }
    }
}

fn to_usize(len: u64) -> Result<usize, Halt> {
    usize::try_from(len).map_err(|_| Fault::LengthOutOfRange(len).into())
}

/// Appends a length in its shortest form.
#[inline]
pub(crate) fn put_length(out: &mut Vec<u8>, len: u64) {
    if len < 1 << 6 {
        out.push(len as u8);
    } else if len < 1 << 14 {
        out.extend_from_slice(&(len as u16 | 0x4000).to_be_bytes());
    } else if let Ok(len) = u32::try_from(len) {
        out.push(LEN_32);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(LEN_64);
        out.extend_from_slice(&len.to_be_bytes());
    }
}

/// Appends `n` in the shortest special form that holds it; false, and nothing appended, when it takes more than 32 bits.
pub(crate) fn put_int(out: &mut Vec<u8>, n: i64) -> bool {
    if let Ok(n) = i8::try_from(n) {
        out.extend_from_slice(&[ENC_INT8, n as u8]);
    } else if let Ok(n) = i16::try_from(n) {
        out.push(ENC_INT16);
        out.extend_from_slice(&n.to_le_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        out.push(ENC_INT32);
        out.extend_from_slice(&n.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Appends the head of a compressed string; its `packed` bytes follow.
pub(crate) fn put_lzf_head(out: &mut Vec<u8>, packed: usize, len: usize) {
    out.push(ENC_LZF);
    put_length(out, packed as u64);
    put_length(out, len as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(len: u64, bytes: &[u8]) {
        let mut out = Vec::new();
        put_length(&mut out, len);
        assert_eq!(out, bytes, "length {len}");
        assert_eq!(Cursor::new(&out, 0).length().unwrap(), len);
        for short in 0..out.len() {
            match Cursor::new(&out[..short], 0).length() {
                Err(Halt::Need(n)) => assert!(n > short && n <= out.len()),
                other => panic!("{short} bytes of length {len}: {other:?}"),
            }
        }
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        check(0, &[0]);
        check(63, &[63]);
        check(64, &[0x40, 64]);
        check(16383, &[0x7f, 0xff]);
        check(16384, &[0x80, 0, 0, 0x40, 0]);
        check(u64::from(u32::MAX), &[0x80, 255, 255, 255, 255]);
        check(1 << 32, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn integers_take_their_shortest_form() {
        for (n, size) in
            [(0, 2), (-128, 2), (127, 2), (128, 3), (-32768, 3), (32768, 5), (i64::from(i32::MIN), 5)]
        {
            let mut out = Vec::new();
            assert!(put_int(&mut out, n));
            assert_eq!(out.len(), size, "{n}");
            assert!(matches!(Cursor::new(&out, 0).head(), Ok(Head::Int(back)) if back == n));
        }
        assert!(!put_int(&mut Vec::new(), i64::from(i32::MAX) + 1));
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for first in [0x82, 0xbf, 0xc0, 0xff] {
            assert!(matches!(Cursor::new(&[first; 10], 0).length(), Err(Halt::Fault(Fault::BadLength(_)))));
        }
        assert!(matches!(Cursor::new(&[0xc4], 0).head(), Err(Halt::Fault(Fault::BadStringEncoding(4)))));
    }
}
