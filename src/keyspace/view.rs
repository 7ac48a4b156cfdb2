//! What a handler sees of the keyspace: the shards that the executor holds for it, one database at a time, at one
//! moment in time.
//!
//! A `View` is made for one execution unit (a command, an EXEC, an expiry batch) and knows who is looking: a client of a
//! master finds an expired key gone and its DEL among the effects; a client of a replica finds it gone but leaves it
//! to the master; the master's own stream finds it as it is. A handler that asks for a key it did not declare is a
//! bug that the lock set finds out at once.

use super::access::AccessPolicy;
use super::edit::Edit;
use super::entry::{Entry, NewValue, Reading, ValueRef};
use super::events::{self, Class, Event, KeyEvent};
use super::shard::{Before, Shard, ShardStats, Ttl};
use super::table::Position;
use super::watch::Watches;
use super::{Keyspace, SHARDS, shard_of};
use crate::error::{self, Error};
use crate::types::hash::Hash;
use crate::types::{Object, ObjectType};
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use std::cell::Cell;

/// The locks of an execution unit.
pub enum Held<'k> {
    /// No shard: the command has no keys.
    None,
    /// One shard, the usual case.
    One(usize, MutexGuard<'k, Shard>),
    /// Several, in ascending order.
    Many(Vec<(usize, MutexGuard<'k, Shard>)>),
}

/// Shard numbers, ascending and without repetition.
pub type ShardSet = SmallVec<[usize; 8]>;

impl<'k> Held<'k> {
    /// Locks one shard.
    pub fn one(keyspace: &'k Keyspace, shard: usize) -> Held<'k> {
        Held::One(shard, keyspace.slot(shard).lock())
    }

    /// Locks all shards in ascending order.
    pub fn all(keyspace: &'k Keyspace) -> Held<'k> {
        Held::Many((0..SHARDS).map(|shard| (shard, keyspace.slot(shard).lock())).collect())
    }

    /// Locks the shards of an ascending set.
    pub fn many(keyspace: &'k Keyspace, set: &[usize]) -> Held<'k> {
        match set {
            [] => Held::None,
            [shard] => Held::one(keyspace, *shard),
            _ => Held::Many(set.iter().map(|shard| (*shard, keyspace.slot(*shard).lock())).collect()),
        }
    }

    /// Locks the shards of an ascending set if all of them are free; else none, and the busy one is named.
    pub fn try_many(keyspace: &'k Keyspace, set: &[usize]) -> Result<Held<'k>, usize> {
        match set {
            [] => Ok(Held::None),
            [shard] => keyspace.slot(*shard).try_lock().map(|guard| Held::One(*shard, guard)).ok_or(*shard),
            _ => {
                let lock = |shard: &usize| {
                    keyspace.slot(*shard).try_lock().map(|guard| (*shard, guard)).ok_or(*shard)
                };
                set.iter().map(lock).collect::<Result<Vec<_>, _>>().map(Held::Many)
            }
        }
    }

    /// The shard, which must be among the held ones.
    #[inline]
    pub fn shard(&mut self, shard: usize) -> &mut Shard {
        match self {
            Held::One(held, guard) => {
                assert_eq!(*held, shard, "a handler may use only the keys that its key specs declare");
                guard
            }
            Held::Many(guards) => {
                let at = match guards.len() {
                    SHARDS => Ok(shard),
                    _ => guards.binary_search_by_key(&shard, |(held, _)| *held),
                };
                &mut guards[at.expect("a handler may use only the keys that its key specs declare")].1
            }
            Held::None => panic!("a handler without key specs may not use keys"),
        }
    }

    /// The shard, which must be among the held ones, for reading.
    pub fn get(&self, shard: usize) -> &Shard {
        match self {
            Held::One(held, guard) if *held == shard => guard,
            Held::Many(guards) => {
                let at = guards.binary_search_by_key(&shard, |(held, _)| *held);
                &guards[at.expect("a handler may use only the keys that its key specs declare")].1
            }
            _ => panic!("a handler may use only the keys that its key specs declare"),
        }
    }

    /// The numbers of the held shards.
    pub fn numbers(&self) -> ShardSet {
        match self {
            Held::None => ShardSet::new(),
            Held::One(shard, _) => smallvec::smallvec![*shard],
            Held::Many(guards) => guards.iter().map(|(shard, _)| *shard).collect(),
        }
    }

    /// Is the shard among the held ones?
    pub fn has(&self, shard: usize) -> bool {
        match self {
            Held::None => false,
            Held::One(held, _) => *held == shard,
            Held::Many(guards) => guards.binary_search_by_key(&shard, |(held, _)| *held).is_ok(),
        }
    }

    /// All held shards.
    pub fn shards(&mut self) -> impl Iterator<Item = &mut Shard> {
        let (one, many) = match self {
            Held::None => (None, None),
            Held::One(_, guard) => (Some(guard), None),
            Held::Many(guards) => (None, Some(guards)),
        };
        one.into_iter()
            .map(|guard| &mut **guard)
            .chain(many.into_iter().flatten().map(|(_, guard)| &mut **guard))
    }

    /// Exchanges the contents of all shards, which must all be held, for freshly loaded ones.
    pub fn adopt(&mut self, shards: Vec<Shard>) {
        assert!(self.is_all(), "a data set is exchanged as a whole");
        self.shards().zip(shards).for_each(|(old, new)| old.adopt(new));
    }

    /// Is every shard held?
    pub fn is_all(&self) -> bool {
        matches!(self, Held::Many(guards) if guards.len() == SHARDS)
    }
}

/// Who looks at the keys, which decides what an expired one means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Viewer {
    /// A client of a master: expired keys are deleted on sight.
    OnMaster,
    /// A client of a replica: expired keys are invisible but stay, until a change (if clients may write there) finds them.
    OnReplica,
    /// The master's stream, or a load: expired keys are there.
    MasterStream,
}

/// A key, or fields of a hash, that a view found expired and deleted; their DEL or HDEL belongs into the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiredKey {
    pub db: u16,
    pub key: Box<[u8]>,
    /// The fields; none: the key as a whole.
    pub fields: Vec<Box<[u8]>>,
}

/// Due fields that are deleted when their hash is looked at; more are invisible until active expiry deletes them. Some hundred
/// microseconds.
const DUE_FIELDS_AT_ONCE: usize = 500;
/// Fields of a hash go because their time has come.
const HEXPIRED: Event = Event::new(Class::HASH, "hexpired");

/// The circumstances of an execution unit.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix time in milliseconds; stands still for the whole unit.
    pub now_ms: i64,
    pub viewer: Viewer,
    pub access: AccessPolicy,
    /// Reads do not touch LRU and LFU (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Seed for the unit's random numbers.
    pub seed: u64,
    /// The events that somebody wants to hear of.
    pub events: Class,
}

impl Moment {
    /// Is a key with this expiry gone for the viewer?
    #[inline]
    pub fn is_expired(&self, expiry_ms: Option<i64>) -> bool {
        expiry_ms.is_some_and(|at| at < self.now_ms && self.viewer != Viewer::MasterStream)
    }
}

/// The held shards at one moment, from one database.
pub struct View<'k> {
    held: Held<'k>,
    keyspace: &'k Keyspace,
    /// The selected database.
    pub db: u16,
    pub moment: Moment,
    expired: Vec<ExpiredKey>,
    events: Vec<KeyEvent>,
    ready: Vec<(u16, Box<[u8]>)>,
    hashed: Hashed,
    /// As `hashed`, of a command with several keys, in the order of its arguments; and which of them is looked for next.
    all_hashed: Vec<Hashed>,
    next_hashed: Cell<usize>,
    changes: u64,
}

/// A key's place in the request, its length, and its hash.
type Hashed = (*const u8, usize, u64);

/// Of so many keys of one command memory is asked for ahead: more would drive each other out of the cache.
const PREFETCHED_KEYS: usize = 256;

/// What a lookup is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    /// A read by a client: counts a hit or a miss, records the access.
    Read,
    /// A read about the key rather than of its value: counts a hit or a miss.
    Look,
    /// A read before a change: records the access.
    Write,
    /// As `Write`, but without a trace.
    Replace,
    Peek,
}

impl Purpose {
    fn precedes_change(self) -> bool {
        matches!(self, Purpose::Write | Purpose::Replace)
    }
}

impl<'k> View<'k> {
    /// A view of the held shards.
    pub fn new(keyspace: &'k Keyspace, held: Held<'k>, db: u16, moment: Moment) -> View<'k> {
        View {
            held,
            keyspace,
            db,
            moment,
            expired: Vec::new(),
            events: Vec::new(),
            ready: Vec::new(),
            hashed: (std::ptr::null(), 0, 0),
            all_hashed: Vec::new(),
            next_hashed: Cell::new(0),
            changes: 0,
        }
    }

    /// Tells the hash of a key whose bytes are still where they were when it was hashed.
    #[inline]
    pub fn know_hash(&mut self, key: &[u8], hash: u64) {
        self.hashed = (key.as_ptr(), key.len(), hash);
    }

    /// As [`View::know_hash`], for several keys, whose memory is asked for at once: first all buckets, then all entries.
    pub fn know_hashes<'a>(&mut self, keys: impl Iterator<Item = (&'a [u8], u64)>) {
        self.all_hashed = keys.map(|(key, hash)| (key.as_ptr(), key.len(), hash)).collect();
        let ahead = self.all_hashed.len().min(PREFETCHED_KEYS);
        let mut worth_it = false;
        for (_, _, hash) in &self.all_hashed[..ahead] {
            worth_it |= self.held.shard(shard_of(*hash)).db(self.db).table().prefetch_bucket(*hash);
        }
        if worth_it {
            for (_, _, hash) in &self.all_hashed[..ahead] {
                self.held.shard(shard_of(*hash)).db(self.db).table().prefetch_entry(*hash);
            }
        }
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.moment.now_ms
    }

    /// The number of databases.
    pub fn databases(&self) -> u16 {
        self.keyspace.databases()
    }

    /// Changes made through this view so far; a command that moves it is propagated.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Says that something changed although no key did (FLUSHALL of an empty keyspace is propagated).
    pub fn count_change(&mut self) {
        self.changes += 1;
    }

    /// Has something been found expired and deleted that [`View::take_expired`] would tell?
    #[inline]
    pub fn has_expired(&self) -> bool {
        !self.expired.is_empty()
    }

    /// Has something happened that [`View::take_events`] would tell?
    #[inline]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Keys that were found expired and deleted since the last call.
    pub fn take_expired(&mut self) -> Vec<ExpiredKey> {
        std::mem::take(&mut self.expired)
    }

    /// Says what happened to a key of the selected database, for those who listen to such events.
    #[inline]
    pub fn notify(&mut self, event: Event, key: &[u8]) {
        if self.moment.events.intersects(event.class) {
            self.events.push(KeyEvent { event, db: self.db, key: key.into() });
        }
    }

    /// As [`View::notify`], of something that changes nothing but counts as a change for WATCH (LTRIM that cuts nothing off).
    pub fn touch(&mut self, event: Event, key: &[u8]) {
        let (hash, db) = (self.hash(key), self.db);
        self.shard(hash).touch(db, key);
        self.collect_ready(hash);
        self.notify(event, key);
    }

    /// As [`View::notify`], for a key of another database.
    pub fn notify_in(&mut self, db: u16, event: Event, key: &[u8]) {
        let selected = std::mem::replace(&mut self.db, db);
        self.notify(event, key);
        self.db = selected;
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<KeyEvent> {
        std::mem::take(&mut self.events)
    }

    /// Awaited keys that have changed since the last call, in that order.
    pub fn take_ready(&mut self) -> Vec<(u16, Box<[u8]>)> {
        let mut ready = std::mem::take(&mut self.ready);
        for shard in self.held.shards().filter(|shard| shard.waiting.has_ready()) {
            ready.extend(shard.waiting.take_ready());
        }
        ready
    }

    /// Keeps the order in which keys of different shards became ready.
    #[inline]
    fn collect_ready(&mut self, hash: u64) {
        let waiting = &mut self.held.shard(shard_of(hash)).waiting;
        if waiting.has_ready() {
            let ready = waiting.take_ready();
            self.ready.extend(ready);
        }
    }

    /// The locks, for commands about shards rather than keys (FLUSH, SCAN, SWAPDB, snapshots).
    pub fn held(&mut self) -> &mut Held<'k> {
        &mut self.held
    }

    /// The next random number of this unit (splitmix64).
    pub fn random(&mut self) -> u64 {
        self.moment.seed = self.moment.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.moment.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        let is_key = |(at, len, _): &Hashed| *at == key.as_ptr() && *len == key.len();
        if is_key(&self.hashed) {
            return self.hashed.2;
        }
        let next = self.next_hashed.get();
        match [next, 0].into_iter().find(|at| self.all_hashed.get(*at).is_some_and(is_key)) {
            Some(at) => {
                self.next_hashed.set(at + 1);
                self.all_hashed[at].2
            }
            None => self.keyspace.hash(key),
        }
    }

    #[inline]
    fn shard(&mut self, hash: u64) -> &mut Shard {
        self.held.shard(shard_of(hash))
    }

    /// Statistics of the held shard of `key`.
    pub fn stats(&mut self, key: &[u8]) -> &mut ShardStats {
        let hash = self.hash(key);
        &mut self.shard(hash).stats
    }

    /// Where a key stands for this viewer: expired keys are gone (and deleted, on a master or before a change).
    #[inline]
    fn locate(&mut self, hash: u64, key: &[u8], purpose: Purpose) -> Option<Position> {
        let db = self.db;
        let mut found = self.shard(hash).find(db, hash, key);
        if let Some(at) = found {
            let expiry_ms = self.shard(hash).at(db, at).expiry_ms();
            if self.moment.is_expired(expiry_ms) {
                if self.moment.viewer == Viewer::OnMaster || purpose.precedes_change() {
                    self.bury_expired(hash, key);
                }
                found = None;
            }
        }
        match (purpose, found) {
            (Purpose::Read, Some(at)) => {
                self.shard(hash).stats.hits += 1;
                self.record_access(hash, at);
            }
            (Purpose::Look, Some(_)) => self.shard(hash).stats.hits += 1,
            (Purpose::Read | Purpose::Look, None) => self.shard(hash).stats.misses += 1,
            (Purpose::Write, Some(at)) => self.record_access(hash, at),
            (Purpose::Write, None) | (Purpose::Replace | Purpose::Peek, _) => {}
        }
        found
    }

    fn record_access(&mut self, hash: u64, at: Position) {
        if self.moment.no_touch {
            return;
        }
        let (db, now_ms, policy) = (self.db, self.moment.now_ms, self.moment.access);
        let access = self.shard(hash).at(db, at).access();
        let touched = policy.touched(access, now_ms, || self.random());
        self.shard(hash).set_access(db, at, touched);
    }

    /// Deletes a key because its time has come. Only a master tells others of it.
    fn bury_expired(&mut self, hash: u64, key: &[u8]) {
        let db = self.db;
        let shard = self.shard(hash);
        shard.remove(db, hash, key);
        shard.stats.expired += 1;
        if self.moment.viewer == Viewer::OnMaster {
            self.expired.push(ExpiredKey { db, key: key.into(), fields: Vec::new() });
        }
        self.notify(events::EXPIRED, key);
        self.collect_ready(hash);
    }

    /// Looks a key up for reading: counts a hit or a miss, records the access.
    pub fn read(&mut self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let Some(at) = self.locate(hash, key, Purpose::Read) else {
            self.notify(events::KEY_MISS, key);
            return None;
        };
        let db = self.db;
        Some(self.shard(hash).at(db, at))
    }

    /// Looks several keys up for reading, in their order.
    pub fn read_all<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) -> Vec<Option<&Entry>> {
        // First whatever changes the tables (expired keys go), then all looks at once.
        let keys: SmallVec<[&[u8]; 8]> = keys.collect();
        let there: SmallVec<[bool; 8]> = keys.iter().map(|key| self.read(key).is_some()).collect();
        let find = |(key, there): (&[u8], bool)| {
            let hash = there.then(|| self.keyspace.hash(key))?;
            let shard = self.held.get(shard_of(hash));
            shard.find(self.db, hash, key).map(|at| shard.at(self.db, at))
        };
        keys.into_iter().zip(there).map(find).collect()
    }

    /// A value of type `T` for reading; `None` when there is none.
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn object<T: ObjectType>(&mut self, key: &[u8]) -> Result<Option<Reading<'_, T>>, Error> {
        let hash = self.hash(key);
        let db = self.db;
        let found = self.locate(hash, key, Purpose::Read);
        let Some(at) = found.and_then(|at| self.drop_due_elements::<T>(hash, key, at)) else {
            self.notify(events::KEY_MISS, key);
            return Ok(None);
        };
        self.shard(hash).at(db, at).object().map(Some)
    }

    /// The time by which elements are there or not: those due before it are invisible. The master's stream sees all.
    #[inline]
    pub fn elements_as_of_ms(&self) -> i64 {
        if self.moment.viewer == Viewer::MasterStream { i64::MIN } else { self.moment.now_ms }
    }

    /// Deletes elements that are due, if it is this viewer's to do so: not all where they are many. Returns where the key is then.
    #[inline]
    fn drop_due_elements<T: ObjectType>(&mut self, hash: u64, key: &[u8], at: Position) -> Option<Position> {
        let (db, now_ms) = (self.db, self.moment.now_ms);
        let next_ms = self.shard(hash).at(db, at).read_as::<T>().and_then(|value| value.next_expiry_ms());
        if next_ms.is_none_or(|at| at >= now_ms) || self.moment.viewer != Viewer::OnMaster {
            return Some(at);
        }
        self.bury_due_fields(hash, key, DUE_FIELDS_AT_ONCE);
        self.shard(hash).find(db, hash, key)
    }

    /// Deletes up to `limit` due fields of a hash. Returns how many.
    fn bury_due_fields(&mut self, hash: u64, key: &[u8], limit: usize) -> usize {
        let (db, now_ms, changes) = (self.db, self.moment.now_ms, self.changes);
        let Some(at) = self.shard(hash).find(db, hash, key) else { return 0 };
        let Some(value) = self.shard(hash).begin_edit::<Hash>(db, at) else { return 0 };
        let mut fields: Vec<Box<[u8]>> = Vec::new();
        Edit::new(self, (key, hash), Some(at), value, HEXPIRED).change(|value| {
            while fields.len() < limit
                && let Some(due) = value.first_due(now_ms)
            {
                let name = due.name.to_vec();
                value.remove(&name);
                fields.push(name.into());
            }
            fields.len()
        });
        // What expires is not the running command's doing.
        self.changes = changes;
        let dropped = fields.len();
        if dropped > 0 {
            self.expired.push(ExpiredKey { db, key: key.into(), fields });
        }
        dropped
    }

    /// A value of type `T` for changing it; `None` when there is none. `event` is what a change is called.
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn object_mut<'v, T: ObjectType>(
        &'v mut self,
        key: &'v [u8],
        event: Event,
    ) -> Result<Option<Edit<'v, 'k, T>>, Error> {
        let hash = self.hash(key);
        let Some(at) = self.locate(hash, key, Purpose::Write) else { return Ok(None) };
        let Some(at) = self.drop_due_elements::<T>(hash, key, at) else { return Ok(None) };
        let db = self.db;
        let value = self.shard(hash).begin_edit::<T>(db, at).ok_or(error::WRONG_TYPE)?;
        Ok(Some(Edit::new(self, (key, hash), Some(at), value, event)))
    }

    /// As [`View::object_mut`]; if there is no value, an empty one, which becomes the key's if it is changed and not empty then.
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn object_or_new<'v, T: ObjectType>(
        &'v mut self,
        key: &'v [u8],
        event: Event,
    ) -> Result<Edit<'v, 'k, T>, Error> {
        let hash = self.hash(key);
        let at = self.locate(hash, key, Purpose::Write);
        let at = at.and_then(|at| self.drop_due_elements::<T>(hash, key, at));
        let db = self.db;
        let value = match at {
            Some(at) => self.shard(hash).begin_edit::<T>(db, at).ok_or(error::WRONG_TYPE)?,
            None => T::default(),
        };
        Ok(Edit::new(self, (key, hash), at, value, event))
    }

    pub(super) fn end_edit(&mut self, hash: u64, at: Position, key: &[u8], object: Object, changes: u64) {
        let db = self.db;
        self.changes += changes;
        self.shard(hash).end_edit(db, at, key, object, changes);
        self.collect_ready(hash);
    }

    pub(super) fn move_field_expiry(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        let db = self.db;
        self.shard(hash).move_field_expiry(db, hash, old, new);
    }

    pub(super) fn create_object(&mut self, hash: u64, key: &[u8], object: Object, changes: u64) {
        let (db, access) = (self.db, self.moment.access.initial(self.moment.now_ms));
        self.changes += changes;
        self.shard(hash).create_object((db, hash), key, object, access, changes);
        self.notify(events::NEW, key);
        self.collect_ready(hash);
    }

    pub(super) fn drop_emptied(&mut self, hash: u64, key: &[u8]) {
        let db = self.db;
        self.shard(hash).drop_emptied(db, hash, key);
        self.collect_ready(hash);
    }

    /// Sets a key to an object, whatever was there, without a TTL; an empty one removes the key. `event` is told if there
    /// is an object, else "del" if something was there. Returns whether anything changed.
    pub fn put_object(&mut self, key: &[u8], object: impl Into<Object>, event: Event) -> bool {
        let object = object.into();
        if object.is_empty() {
            let removed = self.remove(key);
            if removed {
                self.notify(events::DEL, key);
            }
            return removed;
        }
        self.set(key, NewValue::Object(object), Ttl::Clear);
        self.notify(event, key);
        true
    }

    /// Looks a key up for a change: records the access, but no hit or miss.
    pub fn read_for_write(&mut self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let at = self.locate(hash, key, Purpose::Write)?;
        let db = self.db;
        Some(self.shard(hash).at(db, at))
    }

    /// Looks a key up for a question about it (TYPE, TTL): counts a hit or a miss, but is no access.
    pub fn look(&mut self, key: &[u8]) -> Option<&Entry> {
        if self.look_silently(key).is_none() {
            self.notify(events::KEY_MISS, key);
            return None;
        }
        self.stored(key)
    }

    /// As [`View::look`], and nobody hears of a miss (OBJECT).
    pub fn look_silently(&mut self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let at = self.locate(hash, key, Purpose::Look)?;
        let db = self.db;
        Some(self.shard(hash).at(db, at))
    }

    /// The entry under a key as it stands in the table, logically expired or not (DEBUG).
    pub fn stored(&mut self, key: &[u8]) -> Option<&Entry> {
        let (hash, db) = (self.hash(key), self.db);
        let shard = self.shard(hash);
        shard.find(db, hash, key).map(|at| shard.at(db, at))
    }

    /// Looks a key up without a trace.
    pub fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let at = self.locate(hash, key, Purpose::Peek)?;
        let db = self.db;
        Some(self.shard(hash).at(db, at))
    }

    /// Is the key there (for a change)? Records the access.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.read_for_write(key).is_some()
    }

    /// As [`View::exists`], in another database.
    pub fn exists_in(&mut self, db: u16, key: &[u8]) -> bool {
        let selected = std::mem::replace(&mut self.db, db);
        let found = self.exists(key);
        self.db = selected;
        found
    }

    /// A string for reading; `None` when there is none.
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn read_string(&mut self, key: &[u8]) -> Result<Option<ValueRef<'_>>, Error> {
        self.read(key).map(|entry| entry.string().ok_or(error::WRONG_TYPE)).transpose()
    }

    /// A string for a change; `None` when there is none.
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn string_for_write(&mut self, key: &[u8]) -> Result<Option<ValueRef<'_>>, Error> {
        self.read_for_write(key).map(|entry| entry.string().ok_or(error::WRONG_TYPE)).transpose()
    }

    /// Sets a key to a string, whatever was there.
    pub fn set(&mut self, key: &[u8], value: NewValue<'_>, ttl: Ttl) {
        let hash = self.hash(key);
        // A dead value must not pass its TTL on.
        if ttl == Ttl::Keep {
            self.locate(hash, key, Purpose::Replace);
        }
        let (db, access) = (self.db, self.inherited_access(hash, key));
        if self.put(db, hash, key, value, ttl, access) {
            self.notify(events::NEW, key);
        }
    }

    /// Puts a value over whatever is there. What was dead has expired just now; it needs no DEL of its own. Returns whether
    /// nothing was there, or nothing alive.
    fn put(&mut self, db: u16, hash: u64, key: &[u8], value: NewValue<'_>, ttl: Ttl, access: u32) -> bool {
        self.changes += 1;
        let before = self.shard(hash).put(db, hash, key, value, ttl, access);
        self.collect_ready(hash);
        if self.moment.viewer == Viewer::OnReplica && matches!(ttl, Ttl::At(_)) {
            self.shard(hash).remember_own(db, hash, key);
        }
        match before {
            Before::Value { expiry_ms } if self.must_delete(expiry_ms) => {
                self.shard(hash).stats.expired += 1;
                self.notify_in(db, events::EXPIRED, key);
                true
            }
            Before::Value { .. } => false,
            Before::Nothing => true,
        }
    }

    /// Is a key with this expiry ours to delete?
    fn must_delete(&self, expiry_ms: Option<i64>) -> bool {
        self.moment.viewer == Viewer::OnMaster && self.moment.is_expired(expiry_ms)
    }

    /// The access bits of a value that replaces what is under the key: LFU counts one more access to what was there before,
    /// unless that is dead.
    fn inherited_access(&mut self, hash: u64, key: &[u8]) -> u32 {
        let (db, moment) = (self.db, self.moment);
        let fresh = moment.access.initial(moment.now_ms);
        if moment.access == AccessPolicy::Lru {
            return fresh;
        }
        let shard = self.shard(hash);
        let old = shard.find(db, hash, key).map(|at| shard.at(db, at));
        let Some(old) = old.filter(|old| !moment.is_expired(old.expiry_ms())).map(Entry::access) else {
            return fresh;
        };
        if moment.no_touch { old } else { moment.access.touched(old, moment.now_ms, || self.random()) }
    }

    /// Replaces a string (or nothing) by what `make` makes of it; the TTL stays. One lookup, and where the new value
    /// has the old one's shape no allocation.
    ///
    /// # Errors
    /// What `make` fails with, and `WRONGTYPE`; then nothing has changed.
    pub fn update<'v, E: From<Error>>(
        &mut self,
        key: &[u8],
        make: impl FnOnce(Option<ValueRef<'_>>) -> Result<NewValue<'v>, E>,
    ) -> Result<(), E> {
        let hash = self.hash(key);
        let (db, at) = (self.db, self.locate(hash, key, Purpose::Write));
        let fresh = self.moment.access.initial(self.moment.now_ms);
        let shard = self.shard(hash);
        let old = at.map(|at| shard.at(db, at).string().ok_or(error::WRONG_TYPE)).transpose()?;
        let value = make(old)?;
        match at {
            Some(at) => shard.put_at(db, hash, at, key, value),
            None => {
                shard.put(db, hash, key, value, Ttl::Clear, fresh);
                self.notify(events::NEW, key);
            }
        }
        self.changes += 1;
        Ok(())
    }

    /// A string's bytes for changing in place, after `plan` has seen the old value (if any) and said how many bytes there
    /// must be at least: zeros are added, the key is created if need be, the string becomes raw. `None` from `plan`
    /// leaves everything as it is. One lookup.
    ///
    /// # Errors
    /// What `plan` fails with, and `WRONGTYPE`; then nothing has changed.
    pub fn edit<E: From<Error>>(
        &mut self,
        key: &[u8],
        plan: impl FnOnce(Option<ValueRef<'_>>) -> Result<Option<usize>, E>,
    ) -> Result<Option<&mut [u8]>, E> {
        let hash = self.hash(key);
        let (db, at) = (self.db, self.locate(hash, key, Purpose::Write));
        let fresh = self.moment.access.initial(self.moment.now_ms);
        let shard = self.held.shard(shard_of(hash));
        let old = at.map(|at| shard.at(db, at).string().ok_or(error::WRONG_TYPE)).transpose()?;
        let Some(len) = plan(old)? else { return Ok(None) };
        self.changes += 1;
        if at.is_none() && self.moment.events.contains(Class::NEW) {
            self.events.push(KeyEvent { event: events::NEW, db, key: key.into() });
        }
        Ok(Some(match at {
            Some(at) => shard.bytes_mut(db, hash, at, key, len),
            None => shard.new_bytes(db, hash, key, len, fresh),
        }))
    }

    /// Makes a string raw and changes nothing: what Redis does to one that is looked up for writing a part of it, even if
    /// nothing is written then. OBJECT ENCODING tells.
    pub fn make_raw(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        let db = self.db;
        if let Some(at) = self.locate(hash, key, Purpose::Peek)
            && self.shard(hash).at(db, at).string().is_some()
        {
            self.shard(hash).make_raw(db, hash, at);
        }
    }

    /// Removes a key. Returns whether it was there (an expired one was not).
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        if self.locate(hash, key, Purpose::Peek).is_none() {
            return false;
        }
        let db = self.db;
        self.changes += 1;
        let removed = self.shard(hash).remove(db, hash, key);
        self.collect_ready(hash);
        removed
    }

    /// Sets or clears the TTL. Returns whether the key was there.
    pub fn set_expiry(&mut self, key: &[u8], expiry_ms: Option<i64>) -> bool {
        let hash = self.hash(key);
        if self.locate(hash, key, Purpose::Peek).is_none() {
            return false;
        }
        let db = self.db;
        self.changes += 1;
        let found = self.shard(hash).set_expiry(db, hash, key, expiry_ms);
        if self.moment.viewer == Viewer::OnReplica {
            self.shard(hash).remember_own(db, hash, key);
        }
        found
    }

    /// Moves what is at `from` to `to` in database `to_db`, over whatever is there, TTL included. The key must be there.
    pub fn rename(&mut self, from: &[u8], to: &[u8], to_db: u16) {
        let from_hash = self.hash(from);
        let db = self.db;
        let Some(entry) = self.shard(from_hash).take(db, from_hash, from) else { return };
        self.collect_ready(from_hash);
        self.place(to, to_db, &entry, entry.access());
    }

    /// Copies what is at `from` to `to` in database `to_db`, over whatever is there, TTL included. The copy is new to LRU
    /// and LFU.
    pub fn copy(&mut self, from: &[u8], to: &[u8], to_db: u16) {
        let from_hash = self.hash(from);
        let Some(at) = self.locate(from_hash, from, Purpose::Peek) else { return };
        let db = self.db;
        let entry = self.shard(from_hash).at(db, at).clone();
        let access = self.moment.access.initial(self.moment.now_ms);
        self.place(to, to_db, &entry, access);
    }

    fn place(&mut self, to: &[u8], to_db: u16, entry: &Entry, access: u32) {
        let hash = self.hash(to);
        let ttl = entry.expiry_ms().map_or(Ttl::Clear, Ttl::At);
        self.put(to_db, hash, to, NewValue::from_stored(entry.stored()), ttl, access);
        self.notify_in(to_db, events::NEW, to);
    }

    /// Sets the LRU or LFU bits of a key (RESTORE's IDLETIME and FREQ).
    pub fn set_access(&mut self, key: &[u8], access: u32) {
        let hash = self.hash(key);
        let db = self.db;
        if let Some(at) = self.shard(hash).find(db, hash, key) {
            self.shard(hash).set_access(db, at, access);
        }
    }

    /// Is a key there that is expired for clients but not yet deleted? The key's shard must be held.
    pub fn is_logically_expired(&mut self, db: u16, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let now_ms = self.moment.now_ms;
        let shard = self.shard(hash);
        shard.find(db, hash, key).is_some_and(|at| shard.at(db, at).expiry_ms().is_some_and(|at| at < now_ms))
    }

    /// The watched keys of a held shard, that of `key`.
    pub fn watches(&mut self, key: &[u8]) -> &mut Watches {
        let hash = self.hash(key);
        &mut self.shard(hash).watches
    }

    /// Deletes up to `limit` due keys and fields of the held shards, a database after the other. Returns whether more are
    /// due.
    pub fn expire_due(&mut self, limit: usize) -> bool {
        let (selected, mut left) = (self.db, limit);
        for db in 0..self.databases() {
            self.db = db;
            while left > 0
                && let Some(expired) = self.expire_next(left)
            {
                left -= expired;
            }
        }
        self.db = selected;
        left == 0
    }

    /// Deletes up to `limit` due keys of the held shards to which clients of this replica gave their time; those of its master
    /// are left. Returns whether there may be more.
    pub fn expire_own(&mut self, limit: usize) -> bool {
        let (selected, mut left) = (self.db, limit);
        for db in 0..self.databases() {
            self.db = db;
            while left > 0 && self.expire_next_own() {
                left -= 1;
            }
        }
        self.db = selected;
        left == 0
    }

    /// Deletes a due key of the selected database to which a client of this replica gave its time, if it still has that time.
    /// Returns whether there was one.
    fn expire_next_own(&mut self) -> bool {
        let (db, now_ms) = (self.db, self.moment.now_ms);
        let due = self.held.shards().find_map(|shard| shard.take_own_due(db, now_ms));
        let Some((at_ms, key)) = due else { return false };
        let hash = self.keyspace.hash(&key);
        let shard = self.shard(hash);
        if shard.find(db, hash, &key).is_some_and(|at| shard.at(db, at).expiry_ms() == Some(at_ms)) {
            self.bury_expired(hash, &key);
        }
        true
    }

    /// Forgets to which keys clients gave their time: a master deletes all that are due.
    pub fn forget_own(&mut self) {
        self.held.shards().for_each(Shard::forget_own);
    }

    /// Deletes a due key, or up to `limit` due fields of one hash, of the selected database. Returns how many.
    fn expire_next(&mut self, limit: usize) -> Option<usize> {
        let (db, now_ms) = (self.db, self.moment.now_ms);
        let due = self.held.shards().find_map(|shard| shard.first_due(db, now_ms));
        if let Some(key) = due {
            self.bury_expired(self.keyspace.hash(&key), &key);
            return Some(1);
        }
        let key = self.held.shards().find_map(|shard| shard.first_with_due_fields(db, now_ms))?;
        Some(self.bury_due_fields(self.keyspace.hash(&key), &key, limit))
    }
}
