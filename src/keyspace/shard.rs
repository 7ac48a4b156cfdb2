//! One shard: its part of every database, and the one gate through which values change.
//!
//! Whatever changes a key (a command, expiry, FLUSH, a master's stream) calls one of the methods here, and here in one
//! place happens what must never be forgotten: *for any key, the old value is in the snapshot before any change to it*,
//! watchers learn of the change, the expiry index follows, the dirty counter moves, large values are freed elsewhere.
//!
//! **Snapshot marks.** Every entry carries one bit. At rest all bits equal the shard's `epoch`. A snapshot flips `epoch`
//! at its beginning: entries whose bit differs are those that it has not seen. The walk marks what it has taken; a change
//! to an unseen entry first hands the old value over (by pointer when the entry goes, as a copy when it changes in
//! place; blobs are shared either way); new entries are born marked. When the walk ends, all bits are equal again, which
//! is why even an abandoned snapshot is walked to its end.

use super::Hasher;
use super::blob::{BLOB_MIN_BYTES, Blob};
use super::entry::{Entry, NewValue, Stored, ValueRef};
use super::expiry::{ExpiryIndex, HASH_BITS};
use super::own::OwnExpiries;
use super::reaper::Reaper;
use super::table::{Position, Table};
use super::waiting::Waiting;
use super::watch::{Event, Watches};
use crate::types::object::FREE_ELSEWHERE;
use crate::types::{Object, ObjectType};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// The old state of something that changed while a snapshot runs.
#[derive(Debug)]
pub enum Captured {
    /// An entry as it was when the snapshot began, in the database of that number then.
    Entry { db: u16, entry: Entry },
    /// What was left of a flushed database: the entries whose mark is not `seen` belong to the snapshot.
    Table { db: u16, table: Table, seen: bool },
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} entries)", self.len())
    }
}

/// One database's part in a shard.
#[derive(Default)]
pub struct Db {
    table: Table,
    expiry: ExpiryIndex,
    /// When which hash loses its next field.
    fields: ExpiryIndex,
    /// Keys to which clients of a replica gave a time.
    own: Option<Box<OwnExpiries>>,
    /// The database's number when the running snapshot began; SWAPDB moves it along with the tables.
    snapshot_db: u16,
    /// Where the walk stands: `None` when it is through (or none runs).
    walk: Option<u64>,
}

impl Db {
    /// Number of keys, logically expired ones included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Holds nothing?
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of keys with a TTL.
    pub fn expires(&self) -> usize {
        self.expiry.len()
    }

    /// Number of hashes with fields that expire.
    pub fn with_expiring_fields(&self) -> usize {
        self.fields.len()
    }

    /// Number of keys to which clients of a replica gave their time.
    pub fn own_expires(&self) -> usize {
        self.own.as_deref().map_or(0, OwnExpiries::len)
    }

    /// The table, for reading.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The expiry index, for reading.
    pub fn expiry(&self) -> &ExpiryIndex {
        &self.expiry
    }
}

/// Counters of a shard, summed by INFO.
#[derive(Clone, Copy, Default, Debug)]
pub struct ShardStats {
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    /// Fields of hashes.
    pub expired_fields: u64,
    /// Changes to the data set since the start.
    pub dirty: u64,
}

impl ShardStats {
    /// Counts from zero again; changes to the data set go on, as saving depends on them.
    pub fn reset(&mut self) {
        *self = ShardStats { dirty: self.dirty, ..ShardStats::default() };
    }
}

/// A shard's contents. Lives inside its lock.
pub struct Shard {
    hasher: Hasher,
    dbs: Vec<Db>,
    epoch: bool,
    capture: Option<Sender<Captured>>,
    reaper: Reaper,
    /// Watched keys of this shard.
    pub watches: Watches,
    /// Keys of this shard that clients wait for.
    pub waiting: Waiting,
    pub stats: ShardStats,
}

/// What becomes of the TTL when a value is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    Keep,
    Clear,
    At(i64),
}

/// What stood under a key before it was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    Nothing,
    Value { expiry_ms: Option<i64> },
}

/// What a slice of the snapshot's walk found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WalkStep {
    /// There is more in this shard.
    More,
    /// The shard is through.
    Done,
}

impl Shard {
    /// An empty shard with `databases` databases.
    pub fn new(databases: usize, hasher: Hasher, reaper: Reaper) -> Shard {
        Shard {
            hasher,
            dbs: (0..databases).map(|_| Db::default()).collect(),
            epoch: false,
            capture: None,
            reaper,
            watches: Watches::default(),
            waiting: Waiting::default(),
            stats: ShardStats::default(),
        }
    }

    /// One database's part.
    pub fn db(&self, db: u16) -> &Db {
        &self.dbs[usize::from(db)]
    }

    fn db_mut(&mut self, db: u16) -> &mut Db {
        &mut self.dbs[usize::from(db)]
    }

    /// Finds a key, logically expired or not. O(1).
    #[inline]
    pub fn find(&self, db: u16, hash: u64, key: &[u8]) -> Option<Position> {
        self.db(db).table.find(hash, key)
    }

    /// The entry at a position.
    #[inline]
    pub fn at(&self, db: u16, position: Position) -> &Entry {
        self.db(db).table.at(position)
    }

    /// As [`Shard::find`], and shows the entry to `access`, which says what is to be recorded as its access (LRU clock or LFU
    /// counter), if anything. Not a change of the value.
    #[inline]
    pub fn find_accessing(
        &mut self,
        db: u16,
        hash: u64,
        key: &[u8],
        access: impl FnOnce(&Entry) -> Option<u32>,
    ) -> Option<Position> {
        let table = &mut self.db_mut(db).table;
        let at = table.find(hash, key)?;
        let entry = table.at_mut(at);
        if let Some(access) = access(entry)
            && entry.access() != access
        {
            entry.set_access(access);
        }
        Some(at)
    }

    fn changed(&mut self, db: u16, key: &[u8]) {
        self.tell(db, key, Event::Changed, 1);
    }

    fn tell(&mut self, db: u16, key: &[u8], event: Event, changes: u64) {
        self.stats.dirty += changes;
        if !self.watches.is_empty() {
            self.watches.touch(db, key, event);
        }
        if !self.waiting.is_empty() {
            self.waiting.touch(db, key);
        }
    }

    /// Tells WATCH that a key was dealt with although nothing changed.
    pub fn touch(&mut self, db: u16, key: &[u8]) {
        self.tell(db, key, Event::Changed, 0);
    }

    /// Sets a key's value, creating the key if need be. Returns what was there before.
    pub fn put(
        &mut self,
        db: u16,
        hash: u64,
        key: &[u8],
        value: NewValue<'_>,
        ttl: Ttl,
        access: u32,
    ) -> Before {
        let before = match self.find(db, hash, key) {
            Some(at) => Before::Value { expiry_ms: self.replace(db, hash, at, value, ttl, access) },
            None => {
                self.create(db, hash, key, value, ttl, access);
                Before::Nothing
            }
        };
        self.changed(db, key);
        before
    }

    /// Takes an object out of its entry to change it, if it is of type `T`; a running snapshot has it first. Until
    /// [`Shard::end_edit`] nobody else may look.
    pub fn begin_edit<T: ObjectType>(&mut self, db: u16, at: Position) -> Option<T> {
        if self.capture.is_some() && self.at(db, at).read_as::<T>().is_some() {
            self.save_before_change(db, at);
        }
        self.db_mut(db).table.at_mut(at).take_out()
    }

    /// The earliest expiry of a hash's fields is another one now.
    pub fn move_field_expiry(&mut self, db: u16, hash: u64, old: Option<i64>, new: Option<i64>) {
        self.db_mut(db).fields.change(hash, old, new);
    }

    /// Puts an object back that has changed so many times, or not at all.
    pub fn end_edit(&mut self, db: u16, at: Position, key: &[u8], object: Object, changes: u64) {
        self.db_mut(db).table.at_mut(at).put_back(object);
        if changes > 0 {
            self.tell(db, key, Event::Changed, changes);
        }
    }

    /// Adds a value under a key that is not there: so many changes.
    pub fn put_new(
        &mut self,
        (db, hash): (u16, u64),
        key: &[u8],
        value: NewValue<'_>,
        access: u32,
        changes: u64,
    ) {
        self.create(db, hash, key, value, Ttl::Clear, access);
        self.tell(db, key, Event::Changed, changes);
    }

    /// Removes a key whose last element went: part of that change.
    pub fn drop_emptied(&mut self, db: u16, hash: u64, key: &[u8]) {
        if let Some(at) = self.find(db, hash, key) {
            drop(self.take_out(db, hash, at));
            self.tell(db, key, Event::Deleted, 0);
        }
    }

    /// Sets the value at a position; TTL and access bits stay. A change.
    pub fn put_at(&mut self, db: u16, hash: u64, at: Position, key: &[u8], value: NewValue<'_>) {
        let access = self.at(db, at).access();
        self.replace(db, hash, at, value, Ttl::Keep, access);
        self.changed(db, key);
    }

    fn create(&mut self, db: u16, hash: u64, key: &[u8], value: NewValue<'_>, ttl: Ttl, access: u32) {
        debug_assert!(self.find(db, hash, key).is_none(), "a key is created that is there");
        let expiry = match ttl {
            Ttl::At(at) => Some(at),
            Ttl::Keep | Ttl::Clear => None,
        };
        self.insert(db, hash, Entry::new(hash, key, value, expiry, access));
    }

    /// Adds an entry under a key that is not there, stamped as seen by a running snapshot. Not counted as a change:
    /// loading uses it.
    pub fn insert(&mut self, db: u16, hash: u64, mut entry: Entry) {
        entry.set_mark(self.epoch);
        let hasher = self.hasher;
        let db = &mut self.dbs[usize::from(db)];
        if let Some(at) = entry.expiry_ms() {
            db.expiry.insert(at, hash);
        }
        db.fields.change(hash, None, entry.next_field_expiry_ms());
        db.table.insert(hash, entry, |key| hasher.hash(key));
    }

    /// Returns the old expiry.
    fn replace(
        &mut self,
        db: u16,
        hash: u64,
        at: Position,
        value: NewValue<'_>,
        ttl: Ttl,
        access: u32,
    ) -> Option<i64> {
        self.save_before_change(db, at);
        let epoch = self.epoch;
        let db = &mut self.dbs[usize::from(db)];
        let entry = db.table.at_mut(at);
        let (old, old_field) = (entry.expiry_ms(), entry.next_field_expiry_ms());
        let new = match ttl {
            Ttl::Keep => old,
            Ttl::Clear => None,
            Ttl::At(at) => Some(at),
        };
        let mut garbage = None;
        if is_large(entry) {
            garbage = Some(std::mem::replace(entry, Entry::new(hash, entry.key(), value, new, access)));
            entry.set_mark(epoch);
        } else {
            if let Err(value) = entry.overwrite(value, new) {
                *entry = Entry::new(hash, entry.key(), value, new, access);
                entry.set_mark(epoch);
            }
            entry.set_access(access);
        }
        let new_field = entry.next_field_expiry_ms();
        db.expiry.change(hash, old, new);
        db.fields.change(hash, old_field, new_field);
        garbage.into_iter().for_each(|entry| self.reaper.bury(entry));
        old
    }

    /// Hands the old value to the running snapshot unless it has it already.
    #[inline]
    fn save_before_change(&mut self, db: u16, at: Position) {
        let Some(capture) = &self.capture else { return };
        let db = &mut self.dbs[usize::from(db)];
        let entry = db.table.at_mut(at);
        if entry.mark() != self.epoch {
            // A snapshot that has gone away takes nothing any more; the marks are kept true all the same.
            let _ = capture.send(Captured::Entry { db: db.snapshot_db, entry: entry.clone() });
            entry.set_mark(self.epoch);
        }
    }

    /// Removes a key. Returns whether it was there. A change.
    pub fn remove(&mut self, db: u16, hash: u64, key: &[u8]) -> bool {
        self.delete(db, hash, key, 1)
    }

    /// Removes a key whose time has come: nobody's change, so it is not counted for saving.
    pub fn expire(&mut self, db: u16, hash: u64, key: &[u8]) {
        self.delete(db, hash, key, 0);
    }

    fn delete(&mut self, db: u16, hash: u64, key: &[u8], changes: u64) -> bool {
        let Some(at) = self.find(db, hash, key) else { return false };
        let entry = self.take_out(db, hash, at);
        if is_large(&entry) {
            self.reaper.bury(entry);
        }
        self.tell(db, key, Event::Deleted, changes);
        true
    }

    /// Takes a key out for putting its value elsewhere (RENAME, MOVE): part of the change that this is. A running snapshot
    /// has the old state afterwards.
    pub fn take(&mut self, db: u16, hash: u64, key: &[u8]) -> Option<Entry> {
        let at = self.find(db, hash, key)?;
        let entry = self.take_out(db, hash, at);
        self.tell(db, key, Event::Deleted, 0);
        Some(entry)
    }

    /// Takes the entry out of table and index; the snapshot gets a copy if it has not seen it.
    fn take_out(&mut self, db: u16, hash: u64, at: Position) -> Entry {
        self.save_before_change(db, at);
        let db = &mut self.dbs[usize::from(db)];
        let entry = db.table.remove(at);
        if let Some(expiry) = entry.expiry_ms() {
            db.expiry.remove(expiry, hash);
        }
        db.fields.change(hash, entry.next_field_expiry_ms(), None);
        entry
    }

    /// Sets or clears a key's TTL. Returns whether the key was there. A change.
    pub fn set_expiry(&mut self, db: u16, hash: u64, key: &[u8], expiry_ms: Option<i64>) -> bool {
        let Some(at) = self.find(db, hash, key) else { return false };
        self.save_before_change(db, at);
        let part = &mut self.dbs[usize::from(db)];
        let entry = part.table.at_mut(at);
        let old = entry.expiry_ms();
        entry.set_expiry(hash, expiry_ms);
        part.expiry.change(hash, old, expiry_ms);
        self.changed(db, key);
        true
    }

    /// Remembers that the time of a key, if it has one, was given by a client of a replica: its master does not know of it and
    /// will not delete it. O(log n).
    pub fn remember_own(&mut self, db: u16, hash: u64, key: &[u8]) {
        if let Some(at_ms) = self.find(db, hash, key).and_then(|at| self.at(db, at).expiry_ms()) {
            self.db_mut(db).own.get_or_insert_default().insert(key, at_ms);
        }
    }

    /// A key to which a client of a replica gave a time that is past, and that time. It is forgotten with this.
    pub fn take_own_due(&mut self, db: u16, now_ms: i64) -> Option<(i64, Arc<[u8]>)> {
        self.db_mut(db).own.as_mut()?.take_due(now_ms)
    }

    /// Forgets all of [`Shard::remember_own`].
    pub fn forget_own(&mut self) {
        self.dbs.iter_mut().for_each(|db| db.own = None);
    }

    /// A string's bytes for changing in place, at least `len` of them: zeros are added at its end, it is made raw.
    /// Counts as a change.
    pub fn bytes_mut(&mut self, db: u16, hash: u64, at: Position, key: &[u8], len: usize) -> &mut [u8] {
        self.save_before_change(db, at);
        self.changed(db, key);
        self.extend(db, hash, at, len)
    }

    /// Makes a string raw and at least `len` bytes long: zeros are added at its end. Nobody hears of it, and it does not count
    /// as a change.
    pub fn pad(&mut self, db: u16, hash: u64, at: Position, len: usize) {
        self.save_before_change(db, at);
        self.extend(db, hash, at, len);
    }

    /// Stores a string's value in another form; TTL and access bits stay. No watcher hears of it, but it counts for saving.
    pub fn recode(&mut self, db: u16, hash: u64, at: Position, value: NewValue<'_>) {
        let access = self.at(db, at).access();
        self.replace(db, hash, at, value, Ttl::Keep, access);
        self.stats.dirty += 1;
    }

    /// A new raw string of `len` zeros under a key that is not there. Counts as a change.
    pub fn new_bytes(&mut self, db: u16, hash: u64, key: &[u8], len: usize, access: u32) -> &mut [u8] {
        self.create_zeros(db, hash, key, len, access);
        self.changed(db, key);
        let at = self.find(db, hash, key).expect("just made");
        self.db_mut(db).table.at_mut(at).bytes_mut().expect("made raw above")
    }

    /// As [`Shard::new_bytes`], but nobody hears of it, and it does not count as a change.
    pub fn create_zeros(&mut self, db: u16, hash: u64, key: &[u8], len: usize, access: u32) {
        const ZEROS: &[u8] = &[0; BLOB_MIN_BYTES];
        let value = match ZEROS.get(..len) {
            Some(zeros) if len < BLOB_MIN_BYTES => raw(zeros),
            _ => NewValue::Blob(Blob::new(vec![0; len])),
        };
        self.create(db, hash, key, value, Ttl::Clear, access);
    }

    fn extend(&mut self, db: u16, hash: u64, at: Position, len: usize) -> &mut [u8] {
        let epoch = self.epoch;
        let entry = self.db_mut(db).table.at_mut(at);
        let mut digits = itoa::Buffer::new();
        let value = match entry.string().expect(ONLY_STRINGS) {
            ValueRef::Blob(_) => None,
            value if len >= BLOB_MIN_BYTES => {
                let mut grown = Vec::with_capacity(len);
                grown.extend_from_slice(value.text(&mut digits));
                Some(NewValue::Blob(Blob::new(grown)))
            }
            ValueRef::Int(n) => Some(raw(digits.format(n).as_bytes())),
            ValueRef::Inline { .. } => None,
        };
        if let Some(value) = value {
            *entry = Entry::new(hash, entry.key(), value, entry.expiry_ms(), entry.access());
            entry.set_mark(epoch);
        }
        match entry.string().expect(ONLY_STRINGS) {
            ValueRef::Blob(blob) if blob.len() < len => entry.blob_mut().expect("seen above").resize(len, 0),
            ValueRef::Inline { bytes, .. } if bytes.len() < len => entry.grow_inline(len),
            _ => {}
        }
        entry.bytes_mut().expect("an integer was made raw above")
    }

    /// Empties a database. Returns how many keys it held. A running snapshot gets the table; the rest is freed elsewhere.
    pub fn clear(&mut self, db: u16) -> usize {
        let part = &mut self.dbs[usize::from(db)];
        let hasher = self.hasher;
        self.watches.touch_all(db, |key| part.table.find(hasher.hash(key), key).map(|_| Event::Deleted));
        let snapshot_db = part.snapshot_db;
        let old = std::mem::take(part);
        let keys = old.len();
        part.snapshot_db = snapshot_db;
        match &self.capture {
            Some(capture) if old.walk.is_some() => {
                let _ = capture.send(Captured::Table { db: snapshot_db, table: old.table, seen: self.epoch });
            }
            _ if keys > 0 => self.reaper.bury(old.table),
            _ => {}
        }
        if keys > 0 {
            self.reaper.bury((old.expiry, old.fields));
        }
        self.stats.dirty += keys as u64;
        self.waiting.touch_all(db);
        keys
    }

    /// Exchanges two databases. Watched keys that exist in either count as changed, but that a key is not there and that one
    /// is there whose expiry is past are the same; the swap itself counts as no change of this shard.
    pub fn swap(&mut self, a: u16, b: u16, is_past: impl Fn(Option<i64>) -> bool) {
        if a == b {
            // Nobody who watches is to hear of it.
            return;
        }
        let Shard { watches, dbs, hasher, .. } = self;
        for (watched, other) in [(a, b), (b, a)] {
            watches.touch_all(watched, |key| {
                let hash = hasher.hash(key);
                let expiry_ms = |db: u16| {
                    let table = &dbs[usize::from(db)].table;
                    table.find(hash, key).map(|at| table.at(at).expiry_ms())
                };
                let was_there = expiry_ms(watched).is_some();
                match expiry_ms(other) {
                    Some(expiry_ms) if is_past(expiry_ms) => Some(Event::Outdated { was_there }),
                    Some(_) => Some(Event::Changed),
                    None => was_there.then_some(Event::Deleted),
                }
            });
        }
        dbs.swap(usize::from(a), usize::from(b));
        self.waiting.touch_all(a);
        self.waiting.touch_all(b);
    }

    /// One key that is due at `now_ms`, by the index: `None` when nothing is.
    pub fn first_due(&self, db: u16, now_ms: i64) -> Option<Vec<u8>> {
        let part = self.db(db);
        part.find_due(&part.expiry, now_ms, Entry::expiry_ms)
    }

    /// One hash that has due fields at `now_ms`, by the index: `None` when there is none.
    pub fn first_with_due_fields(&self, db: u16, now_ms: i64) -> Option<Vec<u8>> {
        let part = self.db(db);
        part.find_due(&part.fields, now_ms, Entry::next_field_expiry_ms)
    }

    /// Begins a snapshot: from now on, what changes is captured first.
    pub fn begin_snapshot(&mut self, capture: Sender<Captured>) {
        self.epoch = !self.epoch;
        self.capture = Some(capture);
        for (number, db) in self.dbs.iter_mut().enumerate() {
            db.snapshot_db = number as u16;
            db.walk = Some(0);
        }
    }

    /// Walks on: up to `entries` entries or so that the snapshot has not seen are marked and given to `visit` with their
    /// database's number as it was at the beginning. It returns the bytes that it copied: many count as more entries.
    /// After `Done` the shard captures nothing any more.
    pub fn walk(&mut self, entries: usize, mut visit: impl FnMut(u16, &Entry) -> usize) -> WalkStep {
        let epoch = self.epoch;
        let mut seen = 0;
        for db in &mut self.dbs {
            while let Some(cursor) = db.walk {
                if seen >= entries {
                    return WalkStep::More;
                }
                let number = db.snapshot_db;
                db.table.prefetch_behind(cursor);
                let next = db.table.scan_mut(cursor, |entry| {
                    seen += 1;
                    if entry.mark() != epoch {
                        entry.set_mark(epoch);
                        seen += visit(number, entry) / COPIED_LIKE_ONE_BYTES;
                    }
                });
                db.walk = (next != 0).then_some(next);
            }
        }
        self.capture = None;
        WalkStep::Done
    }

    /// Bytes that the tables and indexes occupy beside the entries.
    pub fn overhead_bytes(&self) -> usize {
        self.dbs.iter().map(|db| db.overhead_bytes()).sum()
    }

    /// Is any key of `other` here, too? O(n).
    pub fn has_key_of(&self, other: &Shard) -> bool {
        let mut found = false;
        other.for_each(|db, entry| {
            found |= self.find(db, self.hasher.hash(entry.key()), entry.key()).is_some()
        });
        found
    }

    /// Adds the keys of `other`, in place of those of the same name. O(n).
    pub fn absorb(&mut self, other: &Shard) {
        let hasher = self.hasher;
        other.for_each(|db, entry| {
            let ttl = entry.expiry_ms().map_or(Ttl::Clear, Ttl::At);
            let value = NewValue::from_stored(entry.stored());
            self.put(db, hasher.hash(entry.key()), entry.key(), value, ttl, entry.access());
        });
    }

    fn for_each(&self, mut visit: impl FnMut(u16, &Entry)) {
        for (number, db) in (0..).zip(&self.dbs) {
            db.table.for_each(|entry| visit(number, entry));
        }
    }

    /// Takes over the data of `other` (freshly loaded, never walked). The old data goes to the running snapshot, if there
    /// is one, and is freed elsewhere.
    pub fn adopt(&mut self, other: Shard) {
        for db in 0..self.dbs.len() as u16 {
            let hasher = self.hasher;
            self.watches.touch_all(db, |key| {
                let new = &other.dbs[usize::from(db)].table;
                new.find(hasher.hash(key), key).map(|_| Event::Changed)
            });
            self.clear(db);
        }
        self.epoch = other.epoch;
        self.capture = None;
        self.stats.dirty += 1;
        self.dbs = other.dbs;
    }
}

impl Db {
    /// A key that `index` calls due at `now_ms`; `expiry_ms` tells what the index says of an entry.
    fn find_due(
        &self,
        index: &ExpiryIndex,
        now_ms: i64,
        expiry_ms: impl Fn(&Entry) -> Option<i64>,
    ) -> Option<Vec<u8>> {
        let (_, hash) = index.first_due(now_ms)?;
        let mut key = None;
        self.table.for_each_near(hash, HASH_BITS, |entry| {
            if key.is_none() && expiry_ms(entry).is_some_and(|at| at < now_ms) {
                key = Some(entry.key().to_vec());
            }
        });
        debug_assert!(key.is_some(), "an item of an expiry index names a bucket with a due key");
        key
    }

    fn overhead_bytes(&self) -> usize {
        self.table.overhead_bytes() + self.expiry.size_bytes() + self.fields.size_bytes()
    }
}

/// Copying so many bytes takes about as long as finding an entry.
const COPIED_LIKE_ONE_BYTES: usize = 512;

/// What the caller has made sure of.
const ONLY_STRINGS: &str = "only a string is edited as bytes";

fn raw(bytes: &[u8]) -> NewValue<'_> {
    NewValue::Bytes { bytes, raw: true }
}

/// Is the value so large that freeing it belongs to the background?
fn is_large(entry: &Entry) -> bool {
    const FREE_ELSEWHERE_BYTES: usize = 64 * 1024;
    match entry.stored() {
        Stored::String(ValueRef::Blob(blob)) => blob.capacity() > FREE_ELSEWHERE_BYTES,
        Stored::String(_) => false,
        Stored::Object(object) => object.read().free_effort() > FREE_ELSEWHERE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const KEY: &[u8] = b"key";

    /// A shard with `value` under the key, a snapshot begun, and what the snapshot is handed when `change` is made.
    fn check(value: &str, change: impl FnOnce(&mut Shard, u64, Position), expected: &str) {
        let hasher = Hasher::new((1, 2));
        let hash = hasher.hash(KEY);
        let mut shard = Shard::new(1, hasher, Reaper::start());
        shard.put(0, hash, KEY, crate::executor::string_value(value.as_bytes()), Ttl::At(9), 0);
        let (sender, captured) = channel();
        shard.begin_snapshot(sender);
        let at = shard.find(0, hash, KEY).expect("just put");
        change(&mut shard, hash, at);
        let at = shard.find(0, hash, KEY).expect("it stays");
        let text = |entry: &Entry| {
            assert_eq!(entry.expiry_ms(), Some(9));
            entry.string().expect("a string").text(&mut itoa::Buffer::new()).to_vec()
        };
        assert_eq!(text(shard.at(0, at)), expected.as_bytes());
        let mut walked = 0;
        while shard.walk(10, |_, _| {
            walked += 1;
            0
        }) == WalkStep::More
        {}
        assert_eq!(walked, 0, "the walk leaves out what was captured");
        match captured.try_iter().collect::<Vec<_>>().as_slice() {
            [Captured::Entry { db: 0, entry }] => assert_eq!(text(entry), value.as_bytes()),
            other => panic!("one entry is captured, not {other:?}"),
        }
    }

    #[test]
    fn a_snapshot_has_the_old_value_before_it_changes_in_place() {
        for value in ["17", "text", &"t".repeat(BLOB_MIN_BYTES - 1), &"t".repeat(BLOB_MIN_BYTES)] {
            let written = format!("X{}", &value[1..]);
            check(value, |shard, hash, at| shard.bytes_mut(0, hash, at, KEY, 1)[0] = b'X', &written);
            let grown = format!("{value}X");
            let end = value.len();
            let far = BLOB_MIN_BYTES + 1;
            let padded = format!("{value}{}", "\0".repeat(far - end));
            check(
                value,
                |shard, hash, at| assert_eq!(shard.bytes_mut(0, hash, at, KEY, far).len(), far),
                &padded,
            );
            check(value, |shard, hash, at| shard.bytes_mut(0, hash, at, KEY, end + 1)[end] = b'X', &grown);
            check(value, |shard, hash, at| shard.put_at(0, hash, at, KEY, NewValue::Int(5)), "5");
        }
    }
}
