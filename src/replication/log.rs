//! The log: the one total order of what happened, which is the replication stream.
//!
//! Bytes are numbered from the history's beginning; `end` is Redis's `master_repl_offset`. What is kept lies in sealed,
//! reference-counted blocks and one open tail: a reader that lags behind gets blocks without a copy, one that keeps
//! up a copy of the few bytes at the end. The log keeps `repl-backlog-size` bytes, and beyond them whatever a reader that
//! pins its position has still to read. When that is much, the oldest of it goes to disk ([`Log::spill`],
//! `repl-backlog-disk-size`), and the reader gets it from there.
//!
//! Appending happens while the unit's shards are locked; the log's own lock is the last one taken. Invariant:
//! `start <= every pin <= end` (unless the disk has lost what a pin keeps), and the blocks, those on disk first, hold exactly the
//! bytes `start..end`.
//!
//! While nobody needs a log (no replica was ever there, no master, no AOF) nothing is appended and `end` stands still,
//! as in Redis.

use super::spill::{OnDisk, Spilled};
use crate::executor::Effect;
use crate::resp::encode;
use crate::world::Entropy;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// No history is longer, bytes: who says so lies (offsets are signed on the wire, and the stream goes on from there).
pub const OFFSET_MAX: u64 = 1 << 62;
/// Size of a block, bytes: small enough that trimming is fine-grained, large enough for one `write`.
pub const BLOCK_BYTES: usize = 64 * 1024;
/// Beyond `repl-backlog-size`: from so many bytes in memory on the log goes to disk, until no more than half are left.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024;
/// As long as the disk takes what it gets, hardly more than this is in memory beyond `repl-backlog-size`.
pub const WAITING_FOR_DISK_BYTES: u64 = 2 * MEMORY_BYTES;
/// Blocks that go to disk at once.
const SPILLED_AT_ONCE: usize = 16;

/// A replication id: 40 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplId(pub [u8; 40]);

impl ReplId {
    /// The id that means none (forty zeros).
    pub const NONE: ReplId = ReplId([b'0'; 40]);

    /// A random id.
    pub fn random(entropy: &Entropy) -> ReplId {
        let mut id = [0; 40];
        for digits in id.chunks_mut(16) {
            let random = entropy.next();
            let digit = |at: usize| b"0123456789abcdef"[(random >> (4 * at)) as usize % 16];
            digits.iter_mut().enumerate().for_each(|(at, c)| *c = digit(at));
        }
        ReplId(id)
    }

    /// Reads an id; `None` if it is not 40 bytes long.
    pub fn parse(text: &[u8]) -> Option<ReplId> {
        text.try_into().ok().map(ReplId)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("?")
    }
}

impl std::fmt::Display for ReplId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for ReplId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The ids under which a position in the stream is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids {
    /// `master_replid`.
    pub id: ReplId,
    /// `master_replid2`: the former id, valid up to `second_offset`.
    pub id2: ReplId,
    /// `second_repl_offset`: the first byte (counted from 1) that the former id does not cover any more; -1 for none.
    pub second_offset: i64,
}

/// The log with its lock.
#[derive(Debug)]
pub struct Log {
    wanted: AtomicBool,
    /// The ring's end, for whoever does not lock it.
    end: Arc<AtomicU64>,
    /// Somebody writes to disk what memory has no room for.
    spilling: AtomicBool,
    ring: Mutex<Ring>,
}

/// A reader's claim to the bytes from its position on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pin(u64);

/// The log's contents. Reached through [`Log::lock`].
#[derive(Debug)]
pub struct Ring {
    pub ids: Ids,
    /// Number of the first byte that is kept.
    start: u64,
    spilled: Spilled,
    sealed: VecDeque<(u64, Bytes)>,
    tail: Vec<u8>,
    tail_start: u64,
    /// The database that a follower of the stream has selected; `None`: SELECT must come first.
    selected: Option<u16>,
    /// `repl-backlog-size`.
    keep_bytes: u64,
    pins: BTreeMap<Pin, u64>,
    last_pin: u64,
    /// [`Log::end`].
    published_end: Arc<AtomicU64>,
}

/// Bytes at a reader's position.
#[derive(Debug)]
pub enum Piece {
    Memory(Bytes),
    Disk(OnDisk),
}

impl Piece {
    /// The bytes, read from the disk if they are there.
    ///
    /// # Errors
    /// The disk's.
    pub fn bytes(self) -> io::Result<Bytes> {
        match self {
            Piece::Memory(bytes) => Ok(bytes),
            Piece::Disk(block) => block.read(),
        }
    }
}

/// The bytes of pieces that follow each other, in one.
///
/// # Errors
/// The disk's.
pub fn concat(pieces: Vec<Piece>) -> io::Result<Vec<u8>> {
    let parts = pieces.into_iter().map(Piece::bytes).collect::<io::Result<Vec<_>>>()?;
    Ok(parts.concat())
}

/// The bytes asked for are gone (or never were).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotKept;

impl Log {
    /// An empty log of a history of its own.
    pub fn new(keep_bytes: u64, id: ReplId) -> Log {
        let ring = Ring::new(Ids { id, id2: ReplId::NONE, second_offset: -1 }, keep_bytes);
        Log {
            wanted: AtomicBool::new(false),
            end: ring.published_end.clone(),
            spilling: AtomicBool::new(false),
            ring: Mutex::new(ring),
        }
    }

    /// Does anybody need what happens to be written down?
    #[inline]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Where the log ends: at least behind all that this thread has appended or knows of.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end.load(Relaxed)
    }

    /// Begins to keep a log, at the current offset. The caller holds all shards (a unit that is running must
    /// either be in the log or before it).
    pub fn want(&self) {
        self.wanted.store(true, Relaxed);
    }

    /// Stops keeping one; the offset stays, the id does not. The caller holds all shards.
    pub fn unwant(&self, id: ReplId) {
        self.wanted.store(false, Relaxed);
        let mut ring = self.lock();
        let end = ring.end();
        ring.restart(end);
        // What is not written down from now on makes another history.
        ring.ids = Ids { id, id2: ReplId::NONE, second_offset: -1 };
    }

    /// Locks the contents. Shards first, if any.
    pub fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock()
    }

    /// Appends a unit's effects, as one transaction if there are several.
    pub fn append_unit(&self, effects: &[Effect]) {
        let mut ring = self.lock();
        if let [effect] = effects {
            ring.append_request(effect.db, &effect.request);
        } else if let [first, ..] = effects {
            let mut word = Vec::new();
            encode::request(&mut word, &["MULTI"]);
            ring.append_request(first.db, &word);
            effects.iter().for_each(|effect| ring.append_request(effect.db, &effect.request));
            word.clear();
            encode::request(&mut word, &["EXEC"]);
            ring.append(&word);
        }
        ring.trim();
    }

    /// Appends effects that have nothing to do with each other.
    pub fn append_separately(&self, effects: &[Effect]) {
        if effects.is_empty() {
            return;
        }
        let mut ring = self.lock();
        effects.iter().for_each(|effect| ring.append_request(effect.db, &effect.request));
        ring.trim();
    }

    /// Appends a master's own bytes and empties `bytes`; `db` is what the stream has selected then.
    pub fn append_verbatim(&self, bytes: &mut Vec<u8>, db: u16) {
        let mut ring = self.lock();
        ring.append(bytes);
        ring.selected = Some(db);
        ring.trim();
        bytes.clear();
    }

    /// Appends a request that belongs to no database (PING, REPLCONF GETACK).
    pub fn append_request(&self, request: &[u8]) {
        let mut ring = self.lock();
        ring.append(request);
        ring.trim();
    }

    /// Closes the files that nobody needs any more.
    pub fn close_files(&self) {
        let closing = self.lock().spilled.take_closing();
        drop(closing);
    }

    /// May the caller write to disk ([`Log::spill`])? One thread does at a time, and says when it is over ([`Log::end_spilling`]).
    pub fn begin_spilling(&self) -> bool {
        !self.spilling.swap(true, Acquire)
    }

    /// Nobody writes to disk any more.
    pub fn end_spilling(&self) {
        self.spilling.store(false, Release);
    }

    /// Writes the oldest of what is in memory to disk until there is no more of it than there should be, or `disk_bytes` are there.
    ///
    /// # Errors
    /// The directory's or the disk's; nothing is lost then.
    pub fn spill(&self, directory: &Path, disk_bytes: u64) -> io::Result<()> {
        loop {
            let (blocks, place) = {
                let ring = self.lock();
                let place = ring.spilled.place(disk_bytes);
                (ring.to_spill(place.room().min(ring.room_on_disk(disk_bytes))), place)
            };
            if blocks.is_empty() {
                return Ok(());
            }
            let written = place.write(directory, &blocks)?;
            let mut ring = self.lock();
            if ring.are_oldest(&blocks) && ring.spilled.add(blocks[0].0, &written) {
                ring.sealed.drain(..blocks.len());
            }
        }
    }
}

impl Ring {
    /// An empty ring at offset 0.
    pub fn new(ids: Ids, keep_bytes: u64) -> Ring {
        Ring {
            ids,
            start: 0,
            spilled: Spilled::default(),
            sealed: VecDeque::new(),
            tail: Vec::new(),
            tail_start: 0,
            selected: None,
            keep_bytes,
            pins: BTreeMap::new(),
            last_pin: 0,
            published_end: Arc::default(),
        }
    }

    /// Number of bytes since the history's beginning (`master_repl_offset`).
    pub fn end(&self) -> u64 {
        self.tail_start + self.tail.len() as u64
    }

    /// Number of the first byte that is kept (counted from 0).
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Bytes kept (`repl_backlog_histlen`).
    pub fn kept_bytes(&self) -> u64 {
        self.end() - self.start
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.spilled.bytes()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.end() - self.memory_start()
    }

    fn memory_start(&self) -> u64 {
        self.sealed.front().map_or(self.tail_start, |(at, _)| *at)
    }

    /// Is there more in memory than there should be, and room for it among `disk_bytes`?
    pub fn must_spill(&self, disk_bytes: u64) -> bool {
        self.memory_bytes() > self.keep_bytes.saturating_add(MEMORY_BYTES)
            && self.room_on_disk(disk_bytes) > 0
    }

    /// Blocks that may still go to disk.
    fn room_on_disk(&self, disk_bytes: u64) -> usize {
        (disk_bytes.saturating_sub(self.spilled.bytes()) / BLOCK_BYTES as u64) as usize
    }

    /// The oldest blocks in memory, as many as go to disk next, at most `most`.
    fn to_spill(&self, most: usize) -> Vec<(u64, Bytes)> {
        let excess_bytes =
            self.memory_bytes().saturating_sub(self.keep_bytes.saturating_add(MEMORY_BYTES / 2));
        let blocks = (excess_bytes / BLOCK_BYTES as u64) as usize;
        self.sealed.iter().take(blocks.min(most).min(SPILLED_AT_ONCE)).cloned().collect()
    }

    /// Are these still the oldest blocks in memory?
    fn are_oldest(&self, blocks: &[(u64, Bytes)]) -> bool {
        let same = |((at, block), (other_at, other)): (&(u64, Bytes), &(u64, Bytes))| {
            at == other_at && block.as_ptr() == other.as_ptr()
        };
        self.sealed.len() >= blocks.len() && self.sealed.iter().zip(blocks).all(same)
    }

    /// The disk has lost what it had: it is not kept any more.
    pub fn forget_disk(&mut self) {
        self.start = self.start.max(self.memory_start());
        self.spilled.clear();
    }

    /// Forgets all bytes and goes on at `offset`.
    pub fn restart(&mut self, offset: u64) {
        self.spilled.clear();
        self.sealed.clear();
        self.tail = Vec::new();
        (self.start, self.tail_start, self.selected) = (offset, offset, None);
        self.pins.values_mut().for_each(|pin| *pin = offset);
        self.published_end.store(offset, Relaxed);
    }

    /// SELECT comes again before the next effect.
    pub fn forget_selected(&mut self) {
        self.selected = None;
    }

    /// The database that followers of the stream have selected.
    pub fn selected(&self) -> Option<u16> {
        self.selected
    }

    /// Says what followers have selected (after a promotion or a load).
    pub fn set_selected(&mut self, db: Option<u16>) {
        self.selected = db;
    }

    /// Sets `repl-backlog-size`.
    pub fn set_keep_bytes(&mut self, keep_bytes: u64) {
        self.keep_bytes = keep_bytes;
        self.trim();
    }

    /// `repl-backlog-size`.
    pub fn keep_limit(&self) -> u64 {
        self.keep_bytes
    }

    fn append_request(&mut self, db: u16, request: &[u8]) {
        if self.selected != Some(db) {
            let mut select = Vec::new();
            encode::request(&mut select, &["SELECT", itoa::Buffer::new().format(db)]);
            self.append(&select);
            self.selected = Some(db);
        }
        self.append(request);
    }

    /// Appends bytes as they are.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.tail.capacity() == 0 {
                self.tail.reserve_exact(BLOCK_BYTES);
            }
            let part = bytes.len().min(BLOCK_BYTES - self.tail.len());
            self.tail.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if self.tail.len() == BLOCK_BYTES {
                let block = std::mem::take(&mut self.tail);
                self.sealed.push_back((self.tail_start, Bytes::from(block)));
                self.tail_start += BLOCK_BYTES as u64;
            }
        }
        self.published_end.store(self.end(), Relaxed);
    }

    /// Lets go of what is beyond the limit and not pinned.
    pub fn trim(&mut self) {
        let by_size = self.end().saturating_sub(self.keep_bytes);
        let from = self.pins.values().copied().min().map_or(by_size, |pin| pin.min(by_size));
        self.start = self.start.max(from);
        while let Some((at, block)) = self.sealed.front() {
            if at + block.len() as u64 > self.start {
                break;
            }
            self.sealed.pop_front();
        }
        self.spilled.forget_before(self.start);
    }

    /// Keeps the bytes from `from` on for a reader.
    ///
    /// # Errors
    /// [`NotKept`] if they are gone or in the future.
    pub fn pin(&mut self, from: u64) -> Result<Pin, NotKept> {
        if !(self.start..=self.end()).contains(&from) {
            return Err(NotKept);
        }
        self.last_pin += 1;
        let pin = Pin(self.last_pin);
        self.pins.insert(pin, from);
        Ok(pin)
    }

    /// Gives a reader's claim up.
    pub fn unpin(&mut self, pin: Pin) {
        self.pins.remove(&pin);
        self.trim();
    }

    /// How much memory a reader keeps from being given back: what it has not had yet and is not on disk, in bytes.
    pub fn held_bytes(&self, pin: Pin) -> u64 {
        self.pins.get(&pin).map_or(0, |at| self.end() - (*at).max(self.memory_start()))
    }

    /// Up to about `most` bytes at the reader's position, which moves on.
    ///
    /// # Errors
    /// [`NotKept`] if the disk has lost them.
    pub fn read(&mut self, pin: Pin, most: usize) -> Result<Vec<Piece>, NotKept> {
        let Some(&from) = self.pins.get(&pin) else { return Ok(Vec::new()) };
        if from < self.start {
            return Err(NotKept);
        }
        let (pieces, next) = self.slices(from, most);
        self.pins.insert(pin, next);
        Ok(pieces)
    }

    fn slices(&self, from: u64, most: usize) -> (Vec<Piece>, u64) {
        let (mut pieces, mut at) = (Vec::new(), from);
        while at < self.memory_start() && at - from < most as u64 {
            let block = self.spilled.block(at).expect("what is kept and not in memory is on disk");
            at += block.bytes();
            pieces.push(Piece::Disk(block));
        }
        let first = self.sealed.partition_point(|(start, block)| start + block.len() as u64 <= at);
        for (start, block) in self.sealed.iter().skip(first) {
            if at - from >= most as u64 {
                return (pieces, at);
            }
            pieces.push(Piece::Memory(block.slice((at - start) as usize..)));
            at = start + block.len() as u64;
        }
        if at < self.end() && at - from < most as u64 {
            pieces.push(Piece::Memory(Bytes::copy_from_slice(&self.tail[(at - self.tail_start) as usize..])));
            at = self.end();
        }
        (pieces, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bio;
    use std::path::PathBuf;

    const MIB: u64 = 1 << 20;
    const KEEP_BYTES: u64 = 100_000;
    const DISK_BYTES: u64 = 1 << 30;

    fn ring(keep_bytes: u64) -> Ring {
        Ring::new(Ids { id: ReplId([b'a'; 40]), id2: ReplId::NONE, second_offset: -1 }, keep_bytes)
    }

    /// The byte at a position of the test's stream.
    fn byte(at: u64) -> u8 {
        (at % 251) as u8
    }

    fn append(ring: &mut Ring, n: u64) {
        let end = ring.end();
        ring.append(&(end..end + n).map(byte).collect::<Vec<_>>());
        ring.trim();
    }

    fn read(ring: &mut Ring, pin: Pin, most: usize) -> Vec<u8> {
        concat(ring.read(pin, most).unwrap()).unwrap()
    }

    /// Reads `bytes` bytes from the log that should be those from `at` on.
    fn check_read(log: &Log, pin: Pin, at: u64, bytes: u64) {
        let mut next = at;
        while next < at + bytes {
            let got = concat(log.lock().read(pin, 100_000).unwrap()).unwrap();
            assert!(!got.is_empty(), "{next}: nothing to read");
            assert!(got.iter().zip(next..).all(|(got, at)| *got == byte(at)), "{next}: other bytes");
            next += got.len() as u64;
        }
    }

    /// A log of so many bytes that a reader has not had, and a directory of the test's own.
    fn far_behind(test: &str, bytes: u64) -> (Log, Pin, PathBuf) {
        let directory = std::env::temp_dir().join(format!("redpoll-log-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let log = Log::new(KEEP_BYTES, ReplId([b'a'; 40]));
        let pin = log.lock().pin(0).unwrap();
        append(&mut log.lock(), bytes);
        (log, pin, directory)
    }

    /// No file is open any more once the log has been told to close them.
    fn check_closed(log: &Log, directory: &Path) {
        log.close_files();
        bio::wait_until_closed(directory);
        std::fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn readers_get_every_byte_in_order() {
        let mut ring = ring(1000);
        let pin = ring.pin(0).unwrap();
        let (mut at, mut step) = (0, 1);
        while at < 1_000_000 {
            append(&mut ring, step);
            for got in read(&mut ring, pin, (step as usize / 2).max(1)) {
                assert_eq!(got, byte(at));
                at += 1;
            }
            step = step * 3 % 50_021 + 1;
            assert!(ring.start() <= at && at <= ring.end());
        }
        assert_eq!(ring.held_bytes(pin), ring.end() - at);
    }

    #[test]
    fn what_is_pinned_is_kept_and_what_is_not_goes() {
        let mut ring = ring(100_000);
        append(&mut ring, 500_000);
        assert_eq!((ring.start(), ring.kept_bytes()), (400_000, 100_000));
        assert_eq!(ring.pin(399_999), Err(NotKept));
        assert_eq!(ring.pin(500_001), Err(NotKept));
        let pin = ring.pin(450_000).unwrap();
        append(&mut ring, 500_000);
        assert_eq!((ring.start(), ring.held_bytes(pin)), (450_000, 550_000));
        assert_eq!(read(&mut ring, pin, 10)[0], byte(450_000));
        ring.unpin(pin);
        assert_eq!(ring.start(), 900_000);
    }

    #[test]
    fn who_is_far_behind_reads_from_disk() {
        let (log, pin, directory) = far_behind("far", 50 * MIB);
        assert!(log.lock().must_spill(DISK_BYTES));
        log.spill(&directory, DISK_BYTES).unwrap();
        let most_bytes = KEEP_BYTES + MEMORY_BYTES / 2 + BLOCK_BYTES as u64;
        let second = {
            let mut ring = log.lock();
            let (memory_bytes, held_bytes) = (ring.memory_bytes(), ring.held_bytes(pin));
            assert!(memory_bytes <= most_bytes && held_bytes <= memory_bytes, "{memory_bytes} {held_bytes}");
            assert_eq!((ring.start(), ring.kept_bytes()), (0, 50 * MIB));
            assert!(!ring.must_spill(DISK_BYTES) && bio::open_files(&directory) > 1);
            ring.pin(30 * MIB + 1).unwrap()
        };
        check_read(&log, pin, 0, 50 * MIB);
        check_read(&log, second, 30 * MIB + 1, 20 * MIB - 1);
        append(&mut log.lock(), 1);
        check_read(&log, pin, 50 * MIB, 1);
        assert_eq!(log.lock().disk_bytes(), 0);
        assert_eq!(log.lock().start(), 50 * MIB + 1 - KEEP_BYTES);
        check_closed(&log, &directory);
    }

    #[test]
    fn the_disk_gets_its_share_and_no_more() {
        let (log, pin, directory) = far_behind("share", 40 * MIB);
        log.spill(&directory, 3 * MIB).unwrap();
        assert_eq!(log.lock().disk_bytes(), 3 * MIB);
        assert_eq!(log.lock().held_bytes(pin), 37 * MIB);
        assert!(!log.lock().must_spill(3 * MIB));
        check_read(&log, pin, 0, 40 * MIB);
        log.lock().unpin(pin);
        check_closed(&log, &directory);
    }

    #[test]
    fn a_disk_that_fails_loses_nothing() {
        let (log, pin, directory) = far_behind("fails", 20 * MIB);
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(log.spill(&directory, DISK_BYTES).unwrap_err().kind(), io::ErrorKind::NotFound);
        check_read(&log, pin, 0, 20 * MIB);
    }

    #[test]
    fn what_the_disk_has_lost_is_not_kept() {
        let (log, pin, directory) = far_behind("lost", 20 * MIB);
        log.spill(&directory, DISK_BYTES).unwrap();
        let memory_start = {
            let mut ring = log.lock();
            ring.forget_disk();
            assert_eq!(ring.disk_bytes(), 0);
            assert_eq!(ring.start(), ring.end() - ring.memory_bytes());
            ring.start()
        };
        assert_eq!(log.lock().read(pin, 1).unwrap_err(), NotKept);
        assert_eq!(log.lock().pin(memory_start - 1), Err(NotKept));
        let second = log.lock().pin(memory_start).unwrap();
        check_read(&log, second, memory_start, 20 * MIB - memory_start);
        check_closed(&log, &directory);
    }

    /// One writes, one carries to disk, a slow and a fast one read, readers come and go.
    #[test]
    fn writing_carrying_and_reading_go_side_by_side() {
        const BYTES: u64 = 120 * MIB;
        let (log, slow, directory) = far_behind("threads", 0);
        let fast = log.lock().pin(0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while log.lock().end() < BYTES {
                    append(&mut log.lock(), 300_001);
                }
            });
            scope.spawn(|| {
                let mut over = false;
                while !over {
                    over = log.lock().end() >= BYTES;
                    log.spill(&directory, DISK_BYTES).unwrap();
                }
            });
            let reader = |pin: Pin, most: usize| {
                let mut at = 0;
                while at < BYTES {
                    let got = concat(log.lock().read(pin, most).unwrap()).unwrap();
                    assert!(got.iter().zip(at..).all(|(got, at)| *got == byte(at)), "{at}: other bytes");
                    at += got.len() as u64;
                    let passing = log.lock().pin(at).expect("what a reader has not had is kept");
                    log.lock().unpin(passing);
                }
                log.lock().unpin(pin);
            };
            scope.spawn(move || reader(fast, 1_000_000));
            while log.lock().disk_bytes() == 0 {
                std::thread::yield_now();
            }
            scope.spawn(move || reader(slow, 10_000));
        });
        assert_eq!(log.lock().disk_bytes(), 0);
        check_closed(&log, &directory);
    }

    #[test]
    fn units_carry_select_and_multi() {
        let log = Log::new(1 << 20, ReplId([b'a'; 40]));
        let effect = |db: u16, word: &str| {
            let mut request = Vec::new();
            encode::request(&mut request, &[word]);
            Effect { db, request }
        };
        log.append_unit(&[effect(0, "A")]);
        log.append_unit(&[effect(0, "B"), effect(3, "C")]);
        log.append_unit(&[effect(3, "D")]);
        let mut ring = log.lock();
        let pin = ring.pin(0).unwrap();
        let text = String::from_utf8(read(&mut ring, pin, 1 << 20)).unwrap();
        let words: Vec<&str> = text.split("\r\n").filter(|w| !w.starts_with(['*', '$'])).collect();
        assert_eq!(words.join(" "), "SELECT 0 A MULTI B SELECT 3 C EXEC D ");
    }
}
