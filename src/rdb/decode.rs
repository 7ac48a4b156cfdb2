//! RDB bytes in, items out.
//!
//! A [`Decoder`] is fed chunks of any size and gives the items in them. What lies whole inside a chunk is parsed
//! where it lies and its key and value are borrowed from it: no allocation, no copy. An item that a chunk's end cuts
//! is carried over: its beginning is copied, and of the next chunk just the bytes it still lacks. A large string that
//! is not here yet is not carried but grows in its own vector, which is then handed over. Compressed strings are
//! expanded into a scratch that is reused.
//!
//! Invariants: the items are the same however the input is cut; memory is bounded by a small factor of the bytes that
//! have arrived, whatever lengths they declare; the bytes after the end are not consumed, because on a replica's
//! socket the replication stream follows there.
//!
//! The checksum runs in pieces behind the parsing, which is why feeding has a type of its own: a [`Feed`] knows its
//! chunk, and sums what was consumed of it when it is done. Refused: summing item by item (three times the cost on
//! small records) and summing chunks ahead of the parsing (the end may lie inside).

use super::build::Builder;
use super::crc64::{Crc64, PIECE_BYTES};
use super::error::{Doing, Error, Fault};
use super::string::{StepValue, Text, bytes_at, string_body, text};
use super::wire::{Cursor, Eviction, Halt, Head, TYPE_STRING, opcode, type_name};
use super::{MAX_REDIS_VERSION, VALKEY_VERSION};
use crate::types::{Limits, Object};

/// Values from this size on are delivered in a vector of their own.
pub const OWNED_FROM_BYTES: usize = 16 * 1024;
/// What is reserved at most for a large value before its bytes arrive.
const RESERVE_MAX_BYTES: usize = 1 << 20;
/// A carry that grew past this is given back after use.
const CARRY_KEEP_BYTES: usize = 1 << 20;
/// The magic and the version digits.
const HEADER_BYTES: usize = 9;
/// Files before this version have no checksum.
const FIRST_CHECKSUM_VERSION: u32 = 5;

/// A part of an RDB.
#[derive(Debug)]
pub enum Item<'a> {
    /// The header was read. Always the first item.
    Version(u32),
    /// A named fact.
    Aux {
        /// Its name.
        key: &'a [u8],
        /// Its value; numbers as text.
        value: &'a [u8],
    },
    /// The records that follow belong to this database.
    SelectDb(u32),
    /// A hint at the size of the selected database.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Keys with an expiry.
        expires: u64,
    },
    /// A function library's code.
    Function(&'a [u8]),
    /// One key.
    Record {
        /// Unix time in milliseconds at which it expires. May lie in the past.
        expire_ms: Option<i64>,
        /// What is known of its last use.
        eviction: Eviction,
        /// Its name.
        key: &'a [u8],
        /// What it holds.
        value: Value<'a>,
    },
    /// The end. Nothing follows, and no more bytes are consumed.
    Eof(Checksum),
}

/// A value as it was read.
#[derive(Debug)]
pub enum Value<'a> {
    /// A string that is this integer's text.
    Int(i64),
    /// A string below [`OWNED_FROM_BYTES`].
    Str(&'a [u8]),
    /// A string from [`OWNED_FROM_BYTES`] on.
    Owned(Vec<u8>),
    /// A collection.
    Object(Object),
    /// A collection without elements, which no key may hold: old servers' bugs left some in files. To be passed over.
    Empty,
}

/// What the end said about the checksum. A wrong one is an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It is right.
    Verified,
    /// The writer left it out.
    Disabled,
    /// The decoder was told not to look.
    NotVerified,
    /// The version is too old to have one.
    Absent,
}

/// Reads one RDB.
pub struct Decoder {
    state: State,
    verify: bool,
    version: u32,
    valkey: bool,
    /// Bytes consumed by completed steps.
    offset: u64,
    crc: Crc64,
    /// Whether consumed bytes still belong to what is summed.
    summing: bool,
    /// The beginning of an item that chunks cut, and how long it must be before parsing can get further.
    carry: Vec<u8>,
    want: usize,
    /// Bytes to pass over without looking at them.
    skip: usize,
    expire_ms: Option<i64>,
    eviction: Eviction,
    key_text: Vec<u8>,
    value_text: Vec<u8>,
    big: Vec<u8>,
    limits: Limits,
    /// The collection that is being read, with its type byte; `key_text` has the key.
    building: Option<(u8, Box<Builder>)>,
    failed: Option<Box<Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the header.
    Header,
    /// Between two items.
    Items,
    /// Inside a large value of `len` bytes: `big` has those that arrived, `key_text` the key.
    Filling { len: usize },
    /// Between two pieces of a collection.
    Building,
    /// Between two parts of a module's data.
    Module,
    /// Before the checksum.
    Checksum,
    /// Past the end.
    Done,
    /// `failed` says why.
    Failed,
}

/// What one parse came to.
enum Step {
    /// Nothing to deliver yet.
    Quiet,
    Version(u32),
    Aux {
        key: Text,
        value: Text,
    },
    SelectDb(u32),
    ResizeDb {
        keys: u64,
        expires: u64,
    },
    Function(Text),
    Record {
        key: Text,
        value: StepValue,
    },
    Eof(Checksum),
}

impl Decoder {
    /// `verify` says whether a checksum that is there must be right, `limits` in which encodings collections are built.
    pub fn new(verify: bool, limits: Limits) -> Decoder {
        Decoder {
            state: State::Header,
            verify,
            version: 0,
            valkey: false,
            offset: 0,
            crc: Crc64::new(),
            summing: verify,
            carry: Vec::new(),
            want: 0,
            skip: 0,
            expire_ms: None,
            eviction: Eviction::None,
            key_text: Vec::new(),
            value_text: Vec::new(),
            big: Vec::new(),
            limits,
            building: None,
            failed: None,
        }
    }

    /// Begins a chunk: the bytes that follow those consumed so far.
    pub fn feed<'d, 'c>(&'d mut self, chunk: &'c [u8]) -> Feed<'d, 'c> {
        Feed { decoder: self, chunk, pos: 0, summed: 0, from_carry: false }
    }

    /// Bytes of the RDB up to the end of the last item.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the end was read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// To be called when no more input comes: an error if the RDB is not complete.
    pub fn finish(&mut self) -> Result<(), Error> {
        match self.state {
            State::Done => return Ok(()),
            State::Failed => return Err(self.failure()),
            _ => {}
        }
        let carry = std::mem::take(&mut self.carry);
        let read = match self.parse(&carry, 0) {
            Err((_, at)) => at,
            Ok(_) => 0,
        };
        Err(self.fail(Fault::UnexpectedEof, &carry, 0, read))
    }

    /// Parses one step from `src[at..]`; with a halt comes the position that was reached.
    #[inline]
    fn parse(&mut self, src: &[u8], at: usize) -> Result<(Step, usize), (Halt, usize)> {
        let mut cursor = Cursor::new(src, at);
        let step = match self.state {
            State::Items => self.item(src, &mut cursor),
            State::Building => self.build(src, &mut cursor),
            State::Header => self.header(src, &mut cursor),
            State::Module => self.module_part(&mut cursor),
            State::Checksum => self.checksum(&mut cursor),
            State::Filling { .. } | State::Done | State::Failed => Ok(Step::Quiet),
        };
        match step {
            Ok(step) => Ok((step, cursor.pos())),
            Err(halt) => Err((halt, cursor.pos())),
        }
    }

    fn header(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<Step, Halt> {
        let start = cursor.span(HEADER_BYTES)?;
        let header = &src[start..start + HEADER_BYTES];
        let (valkey, digits) = match (header.strip_prefix(b"REDIS"), header.strip_prefix(b"VALKEY")) {
            (Some(digits), _) => (false, digits),
            (_, Some(digits)) => (true, digits),
            _ => return Err(Fault::WrongSignature.into()),
        };
        let version = digits
            .iter()
            .take_while(|d| d.is_ascii_digit())
            .fold(0, |version, d| version * 10 + u32::from(d - b'0'));
        let known =
            if valkey { version == VALKEY_VERSION } else { (1..=MAX_REDIS_VERSION).contains(&version) };
        if !known {
            return Err(Fault::UnsupportedVersion(version).into());
        }
        (self.version, self.valkey, self.state) = (version, valkey, State::Items);
        Ok(Step::Version(version))
    }

    #[inline]
    fn item(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<Step, Halt> {
        match cursor.byte()? {
            TYPE_STRING => self.record(src, cursor),
            opcode::EXPIRE_MS => {
                self.expire_ms = Some(i64::from_le_bytes(cursor.array()?));
                Ok(Step::Quiet)
            }
            opcode::EXPIRE_SECONDS => {
                self.expire_ms = Some(i64::from(i32::from_le_bytes(cursor.array()?)) * 1000);
                Ok(Step::Quiet)
            }
            opcode::IDLE => {
                self.eviction = Eviction::IdleSeconds(cursor.length()?);
                Ok(Step::Quiet)
            }
            opcode::FREQ => {
                self.eviction = Eviction::Frequency(cursor.byte()?);
                Ok(Step::Quiet)
            }
            other => self.rare_item(other, src, cursor),
        }
    }

    fn rare_item(&mut self, code: u8, src: &[u8], cursor: &mut Cursor<'_>) -> Result<Step, Halt> {
        match code {
            opcode::AUX => {
                let key = text(src, cursor, &mut self.key_text)?;
                let value = text(src, cursor, &mut self.value_text)?;
                Ok(Step::Aux { key, value })
            }
            opcode::SELECT_DB => {
                let db = cursor.length()?;
                Ok(Step::SelectDb(u32::try_from(db).map_err(|_| Fault::BadDatabase(db))?))
            }
            opcode::RESIZE_DB => Ok(Step::ResizeDb { keys: cursor.length()?, expires: cursor.length()? }),
            opcode::FUNCTION => Ok(Step::Function(text(src, cursor, &mut self.value_text)?)),
            opcode::SLOT_INFO => {
                for _ in ["slot", "keys", "keys that expire"] {
                    cursor.length()?;
                }
                Ok(Step::Quiet)
            }
            opcode::MODULE_AUX => {
                for _ in ["module", "kind of the next", "when to load it"] {
                    cursor.length()?;
                }
                self.state = State::Module;
                Ok(Step::Quiet)
            }
            opcode::EOF if self.version < FIRST_CHECKSUM_VERSION => {
                self.state = State::Done;
                Ok(Step::Eof(Checksum::Absent))
            }
            opcode::EOF => {
                self.state = State::Checksum;
                Ok(Step::Quiet)
            }
            opcode::FUNCTION_PRE_GA => Err(Fault::PreReleaseFunction.into()),
            opcode::SLOT_IMPORT_OR_KEY_META => Err(Fault::UnsupportedOpcode(code).into()),
            value_type if type_name(value_type, self.valkey).is_some() => {
                // The key is read first, so that the error can name it.
                let key = text(src, cursor, &mut self.key_text)?;
                let builder = Builder::new(value_type, self.valkey)
                    .ok_or(Fault::UnsupportedType { value_type, valkey: self.valkey })?;
                self.keep_key(key, src);
                self.building = Some((value_type, Box::new(builder)));
                self.state = State::Building;
                Ok(Step::Quiet)
            }
            unknown => Err(Fault::UnknownType(unknown).into()),
        }
    }

    /// A piece of a collection.
    fn build(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<Step, Halt> {
        let (_, builder) = self.building.as_mut().expect("the state says that a collection is being read");
        if !builder.step(src, cursor, &self.limits)? {
            return Ok(Step::Quiet);
        }
        let built = self.building.take().and_then(|(_, builder)| builder.finish(&self.limits));
        self.state = State::Items;
        Ok(Step::Record { key: Text::Scratch, value: built.map_or(StepValue::Empty, StepValue::Object) })
    }

    /// A string record after its type byte.
    #[inline]
    fn record(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<Step, Halt> {
        let key = text(src, cursor, &mut self.key_text)?;
        match cursor.head()? {
            Head::Plain { len } if len >= OWNED_FROM_BYTES && len > cursor.left() => {
                self.begin_filling(key, src, len);
                Ok(Step::Quiet)
            }
            head => {
                let value = string_body(head, src, cursor, &mut self.value_text)?;
                Ok(Step::Record { key, value })
            }
        }
    }

    /// The record goes on in other steps: its key must not be lost.
    fn keep_key(&mut self, key: Text, src: &[u8]) {
        if let Text::Source { start, len } = key {
            self.key_text.clear();
            self.key_text.extend_from_slice(&src[start..start + len]);
        }
    }

    fn begin_filling(&mut self, key: Text, src: &[u8], len: usize) {
        self.keep_key(key, src);
        self.big = Vec::with_capacity(len.min(RESERVE_MAX_BYTES));
        self.state = State::Filling { len };
    }

    /// Takes what it can of `bytes` for a large value of `len`; returns how much that was.
    fn fill(&mut self, bytes: &[u8], len: usize) -> usize {
        let take = bytes.len().min(len - self.big.len());
        let full = self.big.len() + take;
        if full > self.big.capacity() {
            // Doubling, but never past what was declared, so that the vector that is handed over has no slack.
            let capacity = full.max(self.big.capacity() * 2).min(len);
            self.big.reserve_exact(capacity - self.big.len());
        }
        self.big.extend_from_slice(&bytes[..take]);
        take
    }

    fn clear_carry(&mut self) {
        self.carry.clear();
        if self.carry.capacity() > CARRY_KEEP_BYTES {
            self.carry = Vec::new();
        }
    }

    /// One part of a module's data: it is passed over.
    fn module_part(&mut self, cursor: &mut Cursor<'_>) -> Result<Step, Halt> {
        match cursor.length()? {
            0 => self.state = State::Items,
            1 | 2 => drop(cursor.length()?),
            3 => drop(cursor.span(4)?),
            4 => drop(cursor.span(8)?),
            5 => match cursor.head()? {
                Head::Plain { len } => self.skip = len,
                Head::Lzf { packed, .. } => self.skip = packed,
                Head::Int(_) => {}
            },
            other => return Err(Fault::BadModuleData(other).into()),
        }
        Ok(Step::Quiet)
    }

    fn checksum(&mut self, cursor: &mut Cursor<'_>) -> Result<Step, Halt> {
        let got = u64::from_le_bytes(cursor.array()?);
        let checksum = match got {
            0 => Checksum::Disabled,
            _ if !self.verify => Checksum::NotVerified,
            _ if got == self.crc.value() => Checksum::Verified,
            _ => return Err(Fault::WrongChecksum { expected: self.crc.value(), got }.into()),
        };
        self.state = State::Done;
        Ok(Step::Eof(checksum))
    }

    /// Remembers and returns the error that `fault` is, found at `src[read]` in the step that began at `src[at]`.
    #[cold]
    fn fail(&mut self, fault: Fault, src: &[u8], at: usize, read: usize) -> Error {
        let mut error = Error {
            fault,
            offset: self.offset + (read - at) as u64,
            doing: Doing::Start,
            value_type: None,
            key: None,
        };
        error.doing = self.blame(src, at, &mut error);
        self.failed = Some(Box::new(error.clone()));
        self.state = State::Failed;
        error
    }

    #[cold]
    fn failure(&self) -> Error {
        self.failed.as_deref().cloned().expect("a failed decoder knows its error")
    }

    /// What the step that begins at `src[at]` was busy with when it came to `src`'s end or to a fault; of a record it
    /// notes the type and, if that can be read, the key.
    fn blame(&self, src: &[u8], at: usize, error: &mut Error) -> Doing {
        match self.state {
            State::Header => return Doing::Start,
            State::Module => return Doing::ReadModuleAux,
            State::Checksum | State::Done | State::Failed => return Doing::CheckSum,
            State::Filling { .. } | State::Building => {
                let collection = self.building.as_ref().map(|(value_type, _)| *value_type);
                error.value_type = Some(collection.unwrap_or(TYPE_STRING));
                error.key = Some(self.key_text.clone());
                return Doing::ReadObjectValue;
            }
            State::Items => {}
        }
        let mut cursor = Cursor::new(src, at);
        let Ok(code) = cursor.byte() else { return Doing::ReadType };
        match code {
            opcode::EXPIRE_MS | opcode::EXPIRE_SECONDS => Doing::ReadExpire,
            opcode::SELECT_DB | opcode::RESIZE_DB => Doing::ReadLen,
            opcode::AUX => Doing::ReadAux,
            opcode::MODULE_AUX => Doing::ReadModuleAux,
            opcode::FUNCTION | opcode::FUNCTION_PRE_GA => Doing::ReadFunctions,
            _ if type_name(code, self.valkey).is_none() => Doing::ReadType,
            value_type => {
                error.value_type = Some(value_type);
                let mut scratch = Vec::new();
                let Ok(place) = text(src, &mut cursor, &mut scratch) else { return Doing::ReadKey };
                error.key = Some(bytes_at(place, src, &scratch).to_vec());
                Doing::ReadObjectValue
            }
        }
    }
}

/// A chunk on its way through a decoder.
pub struct Feed<'d, 'c> {
    decoder: &'d mut Decoder,
    chunk: &'c [u8],
    pos: usize,
    summed: usize,
    /// Whether the last step was parsed from the carry, which then still holds what its item borrows.
    from_carry: bool,
}

impl Feed<'_, '_> {
    /// The next item, or `None` when the chunk is used up or the end was read before. After an error, the same error.
    /// O(size of the item).
    #[expect(clippy::should_implement_trait, reason = "an iterator's items cannot borrow from it")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Error> {
        match self.step()? {
            Some(step) => Ok(Some(self.deliver(step))),
            None => {
                self.sum();
                Ok(None)
            }
        }
    }

    /// How many of the chunk's bytes were consumed; less than all of them only after the end or an error.
    pub fn consumed(&self) -> usize {
        self.pos
    }

    /// Bytes of the RDB up to the end of the last item.
    pub fn offset(&self) -> u64 {
        self.decoder.offset
    }

    fn step(&mut self) -> Result<Option<Step>, Error> {
        loop {
            if self.from_carry {
                self.decoder.clear_carry();
                self.from_carry = false;
            }
            if self.pos - self.summed >= PIECE_BYTES {
                self.sum();
            }
            if self.decoder.skip > 0 && !self.pass_over() {
                return Ok(None);
            }
            let step = match self.decoder.state {
                State::Filling { len } => self.fill(len),
                State::Done => None,
                State::Failed => return Err(self.decoder.failure()),
                _ if self.decoder.carry.is_empty() => self.step_in_place()?,
                _ => self.step_in_carry()?,
            };
            match step {
                Some(Step::Quiet) if self.decoder.state == State::Checksum => {
                    self.sum();
                    self.decoder.summing = false;
                }
                Some(Step::Quiet) => {}
                other => return Ok(other),
            }
        }
    }

    /// Parses from the chunk itself; what is cut off at its end is carried.
    #[inline]
    fn step_in_place(&mut self) -> Result<Option<Step>, Error> {
        let decoder = &mut *self.decoder;
        match decoder.parse(self.chunk, self.pos) {
            Ok((step, end)) => {
                decoder.offset += (end - self.pos) as u64;
                self.pos = end;
                Ok(Some(step))
            }
            Err((Halt::Need(end), _)) => {
                decoder.carry.extend_from_slice(&self.chunk[self.pos..]);
                decoder.want = end - self.pos;
                self.pos = self.chunk.len();
                Ok(None)
            }
            Err((Halt::Fault(fault), read)) => Err(decoder.fail(fault, self.chunk, self.pos, read)),
        }
    }

    /// Adds to the carry what it lacks, and parses from there.
    fn step_in_carry(&mut self) -> Result<Option<Step>, Error> {
        let decoder = &mut *self.decoder;
        loop {
            let lacks = decoder.want - decoder.carry.len();
            let bytes = &self.chunk[self.pos..];
            let bytes = &bytes[..lacks.min(bytes.len())];
            decoder.carry.extend_from_slice(bytes);
            self.pos += bytes.len();
            if bytes.len() < lacks {
                return Ok(None);
            }
            let carry = std::mem::take(&mut decoder.carry);
            let parsed = decoder.parse(&carry, 0);
            match parsed {
                Ok((step, end)) => {
                    debug_assert_eq!(end, carry.len(), "the carry was given more than the item needs");
                    decoder.carry = carry;
                    decoder.offset += end as u64;
                    self.from_carry = true;
                    return Ok(Some(step));
                }
                Err((Halt::Need(end), _)) => decoder.want = end,
                Err((Halt::Fault(fault), read)) => return Err(decoder.fail(fault, &carry, 0, read)),
            }
            decoder.carry = carry;
        }
    }

    /// Moves on a large value; `None` when it needs more than the chunk has.
    fn fill(&mut self, len: usize) -> Option<Step> {
        let decoder = &mut *self.decoder;
        let taken = decoder.fill(&self.chunk[self.pos..], len);
        decoder.offset += taken as u64;
        self.pos += taken;
        if decoder.big.len() < len {
            return None;
        }
        decoder.state = State::Items;
        let value = StepValue::Owned(std::mem::take(&mut decoder.big));
        Some(Step::Record { key: Text::Scratch, value })
    }

    /// Passes over what is not looked at; false when the chunk has no more.
    fn pass_over(&mut self) -> bool {
        let passed = self.decoder.skip.min(self.chunk.len() - self.pos);
        self.decoder.skip -= passed;
        self.decoder.offset += passed as u64;
        self.pos += passed;
        self.decoder.skip == 0
    }

    /// Turns places into borrows.
    #[inline]
    fn deliver(&mut self, step: Step) -> Item<'_> {
        let decoder = &mut *self.decoder;
        let src = if self.from_carry { &decoder.carry[..] } else { self.chunk };
        let key_at = |place| bytes_at(place, src, &decoder.key_text);
        let value_at = |place| bytes_at(place, src, &decoder.value_text);
        match step {
            Step::Record { key, value } => Item::Record {
                expire_ms: decoder.expire_ms.take(),
                eviction: std::mem::take(&mut decoder.eviction),
                key: key_at(key),
                value: value.borrowed(src, &decoder.value_text),
            },
            Step::Version(version) => Item::Version(version),
            Step::Aux { key, value } => Item::Aux { key: key_at(key), value: value_at(value) },
            Step::SelectDb(db) => Item::SelectDb(db),
            Step::ResizeDb { keys, expires } => Item::ResizeDb { keys, expires },
            Step::Function(code) => Item::Function(value_at(code)),
            Step::Eof(checksum) => Item::Eof(checksum),
            Step::Quiet => unreachable!("quiet steps are not delivered"),
        }
    }

    fn sum(&mut self) {
        if self.decoder.summing {
            self.decoder.crc.update(&self.chunk[self.summed..self.pos]);
        }
        self.summed = self.pos;
    }
}

impl Drop for Feed<'_, '_> {
    fn drop(&mut self) {
        if self.from_carry {
            self.decoder.clear_carry();
        }
        self.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the decoder makes of `bytes` in chunks of `size`: each item's text, then the end or the error.
    fn items(bytes: &[u8], size: usize) -> Vec<String> {
        let mut decoder = Decoder::new(true, Limits::default());
        let mut all = Vec::new();
        for chunk in bytes.chunks(size) {
            let mut feed = decoder.feed(chunk);
            loop {
                match feed.next() {
                    Ok(Some(item)) => all.push(format!("{item:?}")),
                    Ok(None) => break,
                    Err(error) => {
                        all.push(format!("{error:?}"));
                        assert_eq!(feed.next().err(), Some(error), "an error stays");
                        return all;
                    }
                }
            }
        }
        if let Err(error) = decoder.finish() {
            all.push(format!("{error:?}"));
        }
        all
    }

    /// Decodes `body` after a header of `version`, in chunks of every size up to its own, and returns the last line.
    fn check(header: &str, body: &[u8]) -> String {
        let bytes = [header.as_bytes(), body].concat();
        let whole = items(&bytes, bytes.len());
        for size in 1..bytes.len() {
            assert_eq!(items(&bytes, size), whole, "chunks of {size}");
        }
        whole.last().expect("there is an end or an error").clone()
    }

    #[test]
    fn headers_of_all_known_versions_are_read() {
        for header in ["REDIS0001", "REDIS0004"] {
            assert_eq!(check(header, b"\xff"), "Eof(Absent)");
        }
        for header in ["REDIS0005", "REDIS0009", "REDIS0012", "REDIS0015", "VALKEY080"] {
            assert_eq!(check(header, b"\xff\0\0\0\0\0\0\0\0"), "Eof(Disabled)");
        }
        for header in ["REDIS0000", "REDIS0016", "REDIS0080", "VALKEY011", "REDISxxxx"] {
            assert!(check(header, b"").contains("UnsupportedVersion"), "{header}");
        }
        for header in ["redis0010", "\0\0\0\0\0\0\0\0\0", "VALKEX080"] {
            assert!(check(header, b"").contains("WrongSignature"), "{header}");
        }
    }

    #[test]
    fn a_file_of_the_real_server_is_read() {
        // redis-server 7.0.15 with maxmemory-policy allkeys-lru; its checksum is verified.
        let bytes = b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2\x5e\x63\x01\x6b\
            \xfa\x08used-mem\xc2\xd8\x18\x0f\x00\xfa\x08aof-base\xc0\x00\xfe\x00\xfb\x06\x01\xf8\x00\x00\x01n\xc0\x7b\
            \xf8\x00\x00\x02n2\xc2\x90\xee\xfe\xff\xfc\x5e\x0a\x62\x03\xa2\x01\x00\x00\xf8\x00\x00\x02ex\x01v\
            \xf8\x00\x00\x03foo\x03bar\xf8\x00\x00\x02n3\x0b12345678901\xf8\x00\x00\x01z\xc3\x0c\x41\x2c\x01aa\
            \xe0\xff\x00\xe0\x17\x00\x01aa\xfe\x03\xfb\x01\x00\xf8\x00\x00\x01k\x0201\
            \xff\x24\x06\xb6\x6c\x23\x16\xeb\x62";
        for size in 1..bytes.len() {
            let all = items(bytes, size);
            assert_eq!(all.len(), 18, "chunks of {size}");
            assert!(
                all[10].contains("Some(1795353086558)") && all[10].contains("IdleSeconds(0)"),
                "{}",
                all[10]
            );
            assert_eq!(all.last().map(String::as_str), Some("Eof(Verified)"));
        }
        let mut wrong = bytes.to_vec();
        wrong[100] ^= 1;
        assert!(items(&wrong, 64).last().is_some_and(|last| last.contains("WrongChecksum")));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = |body: &[u8]| {
            let mut decoder = Decoder::new(true, Limits::default());
            let bytes = [b"REDIS0010", body].concat();
            let mut feed = decoder.feed(&bytes);
            loop {
                match feed.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("no error"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        assert_eq!(
            error(b"\x07\x05queue\x01"),
            "RDB value type 7 (module value) is not supported (key 'queue')"
        );
        assert_eq!(error(b"\x08\x05queue"), "Unknown RDB encoding type 8");
        assert_eq!(error(b"\xc8"), "Unknown RDB encoding type 200");
        assert_eq!(error(b"\xf3"), "RDB opcode 243 (slot import or key metadata) is not supported");
        assert_eq!(error(b"\xf6"), "Pre-release function format not supported.");
    }

    #[test]
    fn what_is_not_needed_is_passed_over() {
        // A slot's sizes; a module's data of every kind, a string of 70 bytes among them.
        let mut body =
            b"\xf4\x05\x40\xff\x00\xf7\x81\0\0\0\0\0\0\0\x01\x02\x02\x01\x07\x02\x41\x00\x031234\x0412345678"
                .to_vec();
        body.extend_from_slice(b"\x05\x40\x46");
        body.extend_from_slice(&[0xee; 70]);
        body.extend_from_slice(b"\x05\xc0\x01\x00\xf5\x03lib\xff\0\0\0\0\0\0\0\0");
        assert_eq!(check("REDIS0012", &body), "Eof(Disabled)");
        assert!(check("REDIS0012", b"\xf7\x01\x02\x02\x06").contains("BadModuleData"));
    }

    #[test]
    fn large_values_are_handed_over_without_slack() {
        let value = vec![b'v'; 3 << 20];
        let mut bytes = b"REDIS0010\x00\x03key\x80\x00\x30\x00\x00".to_vec();
        bytes.extend_from_slice(&value);
        for size in [1000, 70_000, bytes.len()] {
            let mut decoder = Decoder::new(false, Limits::default());
            let mut seen = false;
            for chunk in bytes.chunks(size) {
                let mut feed = decoder.feed(chunk);
                while let Some(item) = feed.next().expect("the bytes are fine") {
                    if let Item::Record { key: b"key", value: Value::Owned(got), .. } = item {
                        assert_eq!(got.capacity(), value.len());
                        seen = got == value;
                    }
                }
            }
            assert!(seen, "chunks of {size}");
        }
    }

    #[test]
    fn a_declared_length_allocates_nothing_to_speak_of() {
        for body in [
            &b"\x00\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let bytes = [b"REDIS0010", body].concat();
            let mut decoder = Decoder::new(true, Limits::default());
            let mut feed = decoder.feed(&bytes);
            assert!(matches!(feed.next(), Ok(Some(Item::Version(10)))));
            assert!(matches!(feed.next(), Ok(None)));
            drop(feed);
            assert!(decoder.big.capacity() <= RESERVE_MAX_BYTES && decoder.carry.capacity() < 1024);
            assert_eq!(decoder.finish().map_err(|e| e.fault), Err(Fault::UnexpectedEof));
        }
    }

    #[test]
    fn what_follows_the_end_is_left_alone() {
        let mut decoder = Decoder::new(true, Limits::default());
        let bytes = b"REDIS0010\xff\0\0\0\0\0\0\0\0*1\r\n$4\r\nPING\r\n";
        let mut feed = decoder.feed(bytes);
        while feed.next().expect("the bytes are fine").is_some() {}
        assert_eq!(feed.consumed(), 18);
        drop(feed);
        assert!(decoder.is_done());
        assert_eq!(decoder.finish(), Ok(()));
    }
}
