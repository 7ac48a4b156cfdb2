//! What a handler sees of the keyspace: the shards that the executor holds for it, one database at a time, at one
//! moment in time.
//!
//! A `View` is made for one execution unit (a command, an EXEC, an expiry batch) and knows who is looking: a client of a
//! master finds an expired key gone and its DEL among the effects; a client of a replica finds it gone but leaves it
//! to the master; the master's own stream finds it as it is. A handler that asks for a key it did not declare is a
//! bug that the lock set finds out at once.

mod change;
mod expire;
mod read;

pub use expire::ExpiredKey;

use super::access::AccessPolicy;
use super::events::{Class, Event, KeyEvent};
use super::shard::{Shard, ShardStats};
use super::table::Position;
use super::watch::Watches;
use super::{Held, Keyspace, shard_of};
use std::cell::Cell;

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

    /// The next random number of this unit (splitmix64).
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// What is to be recorded when a key with these bits is used now, if anything.
    #[inline]
    fn touched(&mut self, access: u32) -> Option<u32> {
        let (policy, now_ms) = (self.access, self.now_ms);
        (!self.no_touch).then(|| policy.touched(access, now_ms, || self.random()))
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

    fn is_access(self) -> bool {
        matches!(self, Purpose::Read | Purpose::Write)
    }

    fn is_counted(self) -> bool {
        matches!(self, Purpose::Read | Purpose::Look)
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

    /// Says that something changed, to be propagated and saved, of which no key's watchers hear: a consumer group's state, the
    /// databases' order.
    pub fn count_change(&mut self) {
        self.changes += 1;
        if let Some(shard) = self.held.shards().next() {
            shard.stats.dirty += 1;
        }
    }

    /// Says that what was done to a key counts as so many more changes for saving: `rdb_changes_since_last_save` grows by a
    /// collection's size where it is stored whole (SORT STORE).
    pub fn count_more(&mut self, key: &[u8], changes: usize) {
        self.stats(key).dirty += changes as u64;
    }

    /// Takes back that a change of a key, made by this command, counts for saving: it is part of another (LMOVE).
    pub fn count_less(&mut self, key: &[u8], changes: usize) {
        self.stats(key).dirty -= changes as u64;
    }

    /// Counts keys that a client read without a look-up for each (SCAN TYPE).
    pub fn count_hits(&mut self, keys: u64) {
        if let Some(shard) = self.held.shards().next() {
            shard.stats.hits += keys;
        }
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

    /// Those who wait for a key look again, though it has not changed for those who watch it (XGROUP DESTROY).
    pub fn wake(&mut self, key: &[u8]) {
        let (hash, db) = (self.hash(key), self.db);
        self.shard(hash).waiting.touch(db, key);
        self.collect_ready(hash);
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
            self.ready.extend(waiting.take_ready());
        }
    }

    /// The locks, for commands about shards rather than keys (FLUSH, SCAN, SWAPDB, snapshots).
    pub fn held(&mut self) -> &mut Held<'k> {
        &mut self.held
    }

    /// The next random number of this unit.
    pub fn random(&mut self) -> u64 {
        self.moment.random()
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
        let (db, moment) = (self.db, &mut self.moment);
        let shard = self.held.shard(shard_of(hash));
        let mut is_dead = false;
        let mut found = shard.find_accessing(db, hash, key, |entry| {
            is_dead = moment.is_expired(entry.expiry_ms());
            if purpose.is_access() && !is_dead { moment.touched(entry.access()) } else { None }
        });
        if is_dead {
            found = None;
        }
        if purpose.is_counted() {
            match found {
                Some(_) => shard.stats.hits += 1,
                None => shard.stats.misses += 1,
            }
        }
        if is_dead && (moment.viewer == Viewer::OnMaster || purpose.precedes_change()) {
            self.bury_expired(hash, key);
        }
        found
    }

    /// The watched keys of a held shard, that of `key`.
    pub fn watches(&mut self, key: &[u8]) -> &mut Watches {
        let hash = self.hash(key);
        &mut self.shard(hash).watches
    }
}
