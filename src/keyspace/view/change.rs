//! Changing what is under a key: objects, strings in whole or in part, times, names.

use super::{Purpose, View, Viewer};
use crate::error::{self, Error};
use crate::keyspace::access::AccessPolicy;
use crate::keyspace::edit::Edit;
use crate::keyspace::entry::{Entry, NewValue, ValueRef};
use crate::keyspace::events::{self, Class, Event, KeyEvent};
use crate::keyspace::shard::{Before, Ttl};
use crate::keyspace::shard_of;
use crate::keyspace::table::Position;
use crate::types::{Object, ObjectType};

impl<'k> View<'k> {
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
        let at = self.locate(hash, key, Purpose::Write);
        self.edit_at((key, hash), at, event)
    }

    /// As [`View::object_mut`], and counts a hit or a miss as a reader's look-up does: for commands that Redis has read first
    /// (XACK).
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn object_read_mut<'v, T: ObjectType>(
        &'v mut self,
        key: &'v [u8],
        event: Event,
    ) -> Result<Option<Edit<'v, 'k, T>>, Error> {
        let hash = self.hash(key);
        let at = self.locate(hash, key, Purpose::Read);
        if at.is_none() {
            self.notify(events::KEY_MISS, key);
        }
        self.edit_at((key, hash), at, event)
    }

    #[inline]
    fn edit_at<'v, T: ObjectType>(
        &'v mut self,
        (key, hash): (&'v [u8], u64),
        at: Option<Position>,
        event: Event,
    ) -> Result<Option<Edit<'v, 'k, T>>, Error> {
        let Some(at) = at.and_then(|at| self.drop_due_elements::<T>(hash, key, at)) else { return Ok(None) };
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

    pub(in crate::keyspace) fn end_edit(
        &mut self,
        hash: u64,
        at: Position,
        key: &[u8],
        object: Object,
        changes: u64,
    ) {
        self.changes += changes;
        let shard = self.held.shard(shard_of(hash));
        shard.end_edit(self.db, at, key, object, changes);
        if shard.waiting.has_ready() {
            self.ready.extend(shard.waiting.take_ready());
        }
    }

    pub(in crate::keyspace) fn move_field_expiry(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        let db = self.db;
        self.shard(hash).move_field_expiry(db, hash, old, new);
    }

    pub(in crate::keyspace) fn create_object(&mut self, hash: u64, key: &[u8], object: Object, changes: u64) {
        let (db, access) = (self.db, self.moment.access.initial(self.moment.now_ms));
        self.changes += changes;
        self.shard(hash).put_new((db, hash), key, NewValue::Object(object), access, changes);
        self.notify(events::NEW, key);
        self.collect_ready(hash);
    }

    pub(in crate::keyspace) fn drop_emptied(&mut self, hash: u64, key: &[u8]) {
        let db = self.db;
        self.shard(hash).drop_emptied(db, hash, key);
        self.collect_ready(hash);
    }

    /// Sets a key to an object, whatever was there, without a TTL; an empty one removes the key. `event` is told if there
    /// is an object, else "del" if something was there. Returns whether anything changed.
    pub fn put_object(&mut self, key: &[u8], object: impl Into<Object>, event: Event) -> bool {
        let object = object.into();
        if object.is_empty() {
            return self.put_nothing(key);
        }
        self.set(key, NewValue::Object(object), Ttl::Clear);
        self.notify(event, key);
        true
    }

    /// Removes what is stored under a key, dead or not, for a command whose result is nothing, and tells it as a deletion.
    /// Returns whether something was there.
    pub fn put_nothing(&mut self, key: &[u8]) -> bool {
        let (hash, db) = (self.hash(key), self.db);
        let removed = self.shard(hash).remove(db, hash, key);
        if removed {
            self.changes += 1;
            self.collect_ready(hash);
            self.notify(events::DEL, key);
        }
        removed
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
                shard.put_new((db, hash), key, value, fresh, 1);
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
            self.shard(hash).pad(db, hash, at, 0);
        }
    }

    /// Makes the string at a key raw and at least `len` bytes long, with zeros at its end, and creates it if need be. Nobody
    /// hears of it but that a key is new, and it does not count as a change: what Redis does to a string before it finds that
    /// there is nothing to write.
    pub fn pad(&mut self, key: &[u8], len: usize) {
        let (hash, db) = (self.hash(key), self.db);
        let fresh = self.moment.access.initial(self.moment.now_ms);
        match self.locate(hash, key, Purpose::Peek) {
            Some(at) => self.shard(hash).pad(db, hash, at, len),
            None => {
                self.shard(hash).create_zeros(db, hash, key, len, fresh);
                self.notify(events::NEW, key);
            }
        }
    }

    /// Stores the string at a key, which is there, in another form. No watcher hears of it.
    pub fn recode(&mut self, key: &[u8], value: NewValue<'_>) {
        let (hash, db) = (self.hash(key), self.db);
        if let Some(at) = self.locate(hash, key, Purpose::Peek) {
            self.changes += 1;
            self.shard(hash).recode(db, hash, at, value);
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
        self.shard(hash).find_accessing(db, hash, key, |_| Some(access));
    }
}
