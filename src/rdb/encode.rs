//! Items in, RDB bytes out.
//!
//! A [`Writer`] appends to a buffer that its owner drains whenever it likes: into a file, a spool, a socket. The
//! checksum runs over the bytes in pieces of some KiB, behind the writing, so that the cost per record is that of
//! copying it. Nothing is checked twice: the order of items (header, aux, functions, databases with their records,
//! end) is the caller's.
//!
//! Strings take the form Redis would give them: a short decimal text becomes an integer, what is longer than 20 bytes
//! is tried with LZF, everything else stands as it is. Keys are strings like any other.

use super::crc64::{Crc64, PIECE_BYTES};
use super::lzf::Compressor;
use super::object;
use super::wire::{self, Eviction, TYPE_STRING, opcode, put_length};
use crate::types::Object;
use crate::types::element::canonical_int;

/// Strings up to this size are not worth compressing, as in Redis.
const COMPRESS_OVER_BYTES: usize = 20;
/// What compression must save at least, as in Redis.
const COMPRESS_MUST_SAVE_BYTES: usize = 4;
/// The longest text of a 32-bit integer.
const INT_TEXT_MAX_BYTES: usize = 11;
/// The longest string that compression is tried on by default: 64 MiB takes about a tenth of a second.
const COMPRESS_MAX_BYTES: usize = 64 << 20;
/// A scratch that grew past this is given back after use.
const SCRATCH_KEEP_BYTES: usize = 1 << 20;
/// How much is offered to be drained while a large value is written.
const DRAIN_BYTES: usize = 64 * 1024;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Try LZF on strings longer than 20 bytes (`rdbcompression`).
    pub compress: bool,
    /// Do not try it on strings longer than this many bytes.
    pub compress_max_bytes: usize,
    /// Write a checksum (`rdbchecksum`); zero stands in its place otherwise.
    pub checksum: bool,
    /// The version in the header: 9 to 12.
    pub version: u8,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            compress: true,
            compress_max_bytes: COMPRESS_MAX_BYTES,
            checksum: true,
            version: super::DEFAULT_WRITE_VERSION,
        }
    }
}

/// A value to be written.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string that is an integer's text.
    Int(i64),
    /// A string. Integers among them are recognized.
    Str(&'a [u8]),
    /// A collection.
    Object(&'a Object),
}

/// Who owns the buffer may drain it here, if there is enough in it.
pub(super) type Drain<'d> = &'d mut dyn FnMut(&mut Writer);

/// A key with its value and what else is kept of it.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Unix time in milliseconds at which the key expires.
    pub expire_ms: Option<i64>,
    /// Written when given; Redis writes it under an LRU or LFU policy only.
    pub eviction: Eviction,
    /// The key's name.
    pub key: &'a [u8],
    /// What it holds.
    pub value: ValueRef<'a>,
}

/// The facts that every RDB opens with.
#[derive(Clone, Copy, Debug)]
pub struct Aux<'a> {
    /// The version of the server that writes.
    pub redis_ver: &'a str,
    /// Unix time in seconds.
    pub ctime: i64,
    /// Bytes in use.
    pub used_mem: u64,
    /// Where replication stands, if the data set has a place in a replication history.
    pub replication: Option<ReplicationAux<'a>>,
    /// Whether this is the base of an append-only file.
    pub aof_base: bool,
}

/// A data set's place in a replication history.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationAux<'a> {
    /// The database the stream has selected; -1 for none.
    pub stream_db: i64,
    /// The history's ID, 40 hexadecimal digits.
    pub id: &'a str,
    /// The offset up to which the data set holds the history, in bytes.
    pub offset: i64,
}

/// Writes an RDB into a buffer that the owner drains.
pub struct Writer {
    buf: Vec<u8>,
    /// How much of `buf` the checksum has seen.
    summed: usize,
    crc: Crc64,
    options: Options,
    compressor: Option<Compressor>,
    /// Where compression puts its result: the head that precedes it in `buf` says how long it is.
    packed: Vec<u8>,
}

impl Writer {
    /// Writes nothing yet.
    pub fn new(options: Options) -> Writer {
        let compressor = options.compress.then(Compressor::new);
        Writer { buf: Vec::new(), summed: 0, crc: Crc64::new(), options, compressor, packed: Vec::new() }
    }

    /// What was written since the last draining.
    pub fn buf(&self) -> &[u8] {
        &self.buf
    }

    /// Drains: returns what was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.buf.len());
        self.swap(&mut out);
        out
    }

    /// Drains without allocating: clears `other`, and exchanges it for the buffer.
    pub fn swap(&mut self, other: &mut Vec<u8>) {
        self.sum();
        self.summed = 0;
        other.clear();
        std::mem::swap(&mut self.buf, other);
    }

    /// The magic and the version. Comes first.
    pub fn header(&mut self) {
        debug_assert!(
            (9..=12).contains(&self.options.version),
            "RDB version {} is none we write",
            self.options.version
        );
        self.buf.extend_from_slice(format!("REDIS{:04}", self.options.version).as_bytes());
    }

    /// One named fact.
    pub fn aux(&mut self, key: &[u8], value: &[u8]) {
        self.buf.push(opcode::AUX);
        self.string(key);
        self.string(value);
    }

    /// The block of facts that every RDB opens with, in Redis's order (observed: redis-server 7.0.15).
    pub fn standard_aux(&mut self, aux: &Aux<'_>) {
        self.aux(b"redis-ver", aux.redis_ver.as_bytes());
        self.aux_int("redis-bits", 64);
        self.aux_int("ctime", aux.ctime);
        self.aux_int("used-mem", i64::try_from(aux.used_mem).unwrap_or(i64::MAX));
        if let Some(replication) = &aux.replication {
            self.aux_int("repl-stream-db", replication.stream_db);
            self.aux(b"repl-id", replication.id.as_bytes());
            self.aux_int("repl-offset", replication.offset);
        }
        self.aux_int("aof-base", i64::from(aux.aof_base));
    }

    fn aux_int(&mut self, key: &str, value: i64) {
        self.aux(key.as_bytes(), itoa::Buffer::new().format(value).as_bytes());
    }

    /// A function library's code.
    pub fn function(&mut self, code: &[u8]) {
        self.buf.push(opcode::FUNCTION);
        self.string(code);
    }

    /// The records that follow belong to database `db`.
    pub fn select_db(&mut self, db: u32) {
        self.buf.push(opcode::SELECT_DB);
        put_length(&mut self.buf, u64::from(db));
    }

    /// How many keys the database holds, and how many of them expire.
    pub fn resize_db(&mut self, keys: u64, expires: u64) {
        self.buf.push(opcode::RESIZE_DB);
        put_length(&mut self.buf, keys);
        put_length(&mut self.buf, expires);
    }

    /// Can the version say this value? (Expiries of a hash's fields cannot be said before version 10; readers of 10 know them or
    /// refuse them.)
    pub fn can_say(&self, value: ValueRef<'_>) -> bool {
        match value {
            ValueRef::Object(object) => object::can_say(object, self.options.version),
            ValueRef::Int(_) | ValueRef::Str(_) => true,
        }
    }

    /// One key. The cost is that of copying it, and of LZF where that is tried.
    pub fn record(&mut self, record: &RecordRef<'_>) {
        self.record_draining(record, &mut |_| {});
    }

    /// One key whose value may be of any size: `drain` is called again and again while it is written, whenever there are some
    /// KiB, so that no copy of the whole is made.
    pub fn record_draining(&mut self, record: &RecordRef<'_>, drain: &mut dyn FnMut(&mut Writer)) {
        self.record_head(record);
        self.value(record.value, drain);
        if self.buf.len() - self.summed >= PIECE_BYTES {
            self.sum();
        }
    }

    /// Lets the owner drain what there is, if that is worth the while.
    #[inline]
    pub(super) fn offer(&mut self, drain: Drain<'_>) {
        if self.buf.len() >= DRAIN_BYTES {
            drain(self);
        }
    }

    fn record_head(&mut self, record: &RecordRef<'_>) {
        if let Some(ms) = record.expire_ms {
            self.buf.push(opcode::EXPIRE_MS);
            self.buf.extend_from_slice(&ms.to_le_bytes());
        }
        match record.eviction {
            Eviction::None => {}
            Eviction::IdleSeconds(seconds) => {
                self.buf.push(opcode::IDLE);
                put_length(&mut self.buf, seconds);
            }
            Eviction::Frequency(counter) => self.buf.extend_from_slice(&[opcode::FREQ, counter]),
        }
        self.buf.push(self.type_of(record.value));
        self.string(record.key);
    }

    /// A type byte and a value, as DUMP has them.
    pub(crate) fn bare_value(&mut self, value: ValueRef<'_>) {
        self.buf.push(self.type_of(value));
        self.value(value, &mut |_| {});
    }

    /// The end and the checksum. Comes last.
    pub fn eof(&mut self) {
        self.buf.push(opcode::EOF);
        self.sum();
        let crc = if self.options.checksum { self.crc.value() } else { 0 };
        self.buf.extend_from_slice(&crc.to_le_bytes());
        self.summed = self.buf.len();
    }

    fn type_of(&self, value: ValueRef<'_>) -> u8 {
        match value {
            ValueRef::Int(_) | ValueRef::Str(_) => TYPE_STRING,
            ValueRef::Object(object) => object::type_of(object, self.options.version),
        }
    }

    fn value(&mut self, value: ValueRef<'_>, drain: Drain<'_>) {
        match value {
            ValueRef::Int(n) => self.int(n),
            ValueRef::Str(bytes) => self.long_string(bytes, drain),
            ValueRef::Object(object) => self.object(object, drain),
        }
    }

    /// A string that may be too long to be compressed, or to be copied as a whole.
    pub(super) fn long_string(&mut self, bytes: &[u8], drain: Drain<'_>) {
        if bytes.len() <= self.options.compress_max_bytes {
            return self.string(bytes);
        }
        put_length(&mut self.buf, bytes.len() as u64);
        for piece in bytes.chunks(DRAIN_BYTES) {
            self.buf.extend_from_slice(piece);
            self.offer(drain);
        }
    }

    /// An integer, as a string in its shortest form.
    pub(super) fn int(&mut self, n: i64) {
        if !wire::put_int(&mut self.buf, n) {
            self.plain(itoa::Buffer::new().format(n).as_bytes());
        }
    }

    /// A number that is a length, or is written like one.
    pub(super) fn length(&mut self, len: u64) {
        put_length(&mut self.buf, len);
    }

    /// Bytes that have no length before them.
    pub(super) fn bare(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// A string that is compressed already.
    pub(super) fn lzf(&mut self, packed: &[u8], len: usize) {
        wire::put_lzf_head(&mut self.buf, packed.len(), len);
        self.buf.extend_from_slice(packed);
    }

    /// The version that is written.
    pub(super) fn version(&self) -> u8 {
        self.options.version
    }

    #[inline]
    pub(super) fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= INT_TEXT_MAX_BYTES {
            if let Some(n) = canonical_int(bytes)
                && wire::put_int(&mut self.buf, n)
            {
                return;
            }
        } else if bytes.len() > COMPRESS_OVER_BYTES && self.compressed(bytes) {
            return;
        }
        self.plain(bytes);
    }

    #[inline]
    fn plain(&mut self, bytes: &[u8]) {
        put_length(&mut self.buf, bytes.len() as u64);
        self.buf.extend_from_slice(bytes);
    }

    /// Writes `bytes` compressed, if that is wanted and saves enough.
    fn compressed(&mut self, bytes: &[u8]) -> bool {
        let Some(compressor) = &mut self.compressor else { return false };
        if bytes.len() > self.options.compress_max_bytes {
            return false;
        }
        self.packed.clear();
        let limit = bytes.len() - COMPRESS_MUST_SAVE_BYTES;
        let Some(packed) = compressor.compress(bytes, &mut self.packed, limit) else { return false };
        wire::put_lzf_head(&mut self.buf, packed, bytes.len());
        self.buf.extend_from_slice(&self.packed);
        if self.packed.capacity() > SCRATCH_KEEP_BYTES {
            self.packed = Vec::new();
        }
        true
    }

    fn sum(&mut self) {
        if self.options.checksum {
            self.crc.update(&self.buf[self.summed..]);
        }
        self.summed = self.buf.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of one string value.
    fn string(bytes: &[u8], compress: bool) -> Vec<u8> {
        let mut writer = Writer::new(Options { compress, ..Options::default() });
        writer.string(bytes);
        writer.take()
    }

    #[test]
    fn only_canonical_texts_become_integers() {
        let ints = ["0", "1", "-1", "127", "-128", "32767", "2147483647", "-2147483648"];
        for text in ints {
            assert!(string(text.as_bytes(), false)[0] >= 0xc0, "{text}");
        }
        for text in
            ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1a", "2147483648", "-2147483649", "99999999999"]
        {
            assert_eq!(string(text.as_bytes(), false)[0] as usize, text.len(), "{text}");
        }
    }

    #[test]
    fn strings_are_compressed_when_that_saves_enough() {
        assert_eq!(string(&[b'a'; 20], true)[0], 20);
        assert_eq!(string(&[b'a'; 21], true)[0], 0xc3);
        assert_eq!(string(&[b'a'; 21], false)[0], 21);
        let capped = Options { compress_max_bytes: 99, ..Options::default() };
        let mut writer = Writer::new(capped);
        writer.string(&[b'a'; 100]);
        assert_eq!(writer.buf().len(), 102);
    }

    #[test]
    fn the_checksum_does_not_depend_on_the_draining() {
        let write = |drain: bool| {
            let mut writer = Writer::new(Options::default());
            let mut all = Vec::new();
            writer.header();
            for i in 0..2000u32 {
                let key = format!("key:{i}");
                writer.record(&RecordRef {
                    expire_ms: (i % 3 == 0).then_some(1),
                    eviction: Eviction::None,
                    key: key.as_bytes(),
                    value: ValueRef::Str(b"a value that is not very long"),
                });
                if drain {
                    all.append(&mut writer.take());
                }
            }
            writer.eof();
            all.append(&mut writer.take());
            all
        };
        let whole = write(false);
        assert_eq!(whole, write(true));
        let (body, crc) = whole.split_at(whole.len() - 8);
        assert_eq!(crate::rdb::crc64::crc64(body).to_le_bytes(), crc);
    }

    #[test]
    fn pieces_make_the_same_record() {
        let value = vec![b'v'; 100_000];
        let record = RecordRef {
            expire_ms: Some(5),
            eviction: Eviction::None,
            key: b"k",
            value: ValueRef::Str(&value),
        };
        let options = Options { compress: false, compress_max_bytes: 1000, ..Options::default() };
        let (mut whole, mut pieces) = (Writer::new(options), Writer::new(options));
        whole.record(&record);
        whole.eof();
        let mut bytes = Vec::new();
        pieces.record_draining(&record, &mut |writer| bytes.extend(writer.take()));
        assert!(bytes.len() >= DRAIN_BYTES);
        bytes.extend(pieces.take());
        pieces.eof();
        bytes.extend(pieces.take());
        assert!(bytes == whole.take());
    }

    #[test]
    fn aux_fields_come_in_the_order_of_the_real_server() {
        let mut writer = Writer::new(Options { checksum: false, ..Options::default() });
        writer.header();
        writer.standard_aux(&Aux {
            redis_ver: "7.0.15",
            ctime: 0x6b01_635e,
            used_mem: 989_400,
            replication: None,
            aof_base: false,
        });
        writer.eof();
        // As redis-server 7.0.15 wrote it, but for the checksum.
        let expected = b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2\x5e\x63\x01\x6b\
            \xfa\x08used-mem\xc2\xd8\x18\x0f\x00\xfa\x08aof-base\xc0\x00\xff\0\0\0\0\0\0\0\0";
        assert_eq!(writer.take().escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}
