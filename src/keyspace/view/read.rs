//! Looking keys up: for a client's read, for a question about a key, before a change, or without a trace.

use super::{Purpose, View, Viewer};
use crate::error::{self, Error};
use crate::keyspace::entry::{Entry, Reading, ValueRef};
use crate::keyspace::{events, shard_of};
use crate::types::ObjectType;
use smallvec::SmallVec;

impl View<'_> {
    #[inline]
    fn look_up(&mut self, key: &[u8], purpose: Purpose) -> Option<&Entry> {
        let (hash, db) = (self.hash(key), self.db);
        let at = self.locate(hash, key, purpose)?;
        Some(self.shard(hash).at(db, at))
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

    /// Looks several keys up for reading, in their order, until `check` refuses what is there.
    ///
    /// # Errors
    /// What `check` fails with; the keys behind that one have not been looked at.
    pub fn read_all<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a [u8]>,
        check: impl Fn(&Entry) -> Result<(), Error>,
    ) -> Result<Vec<Option<&Entry>>, Error> {
        // First whatever changes the tables (expired keys go), then all looks at once.
        let keys: SmallVec<[&[u8]; 8]> = keys.collect();
        let mut there = SmallVec::<[bool; 8]>::new();
        for key in &keys {
            let entry = self.read(key);
            entry.map_or(Ok(()), &check)?;
            there.push(entry.is_some());
        }
        let find = |(key, there): (&[u8], bool)| {
            let hash = there.then(|| self.keyspace.hash(key))?;
            let shard = self.held.get(shard_of(hash));
            shard.find(self.db, hash, key).map(|at| shard.at(self.db, at))
        };
        Ok(keys.into_iter().zip(there).map(find).collect())
    }

    /// Looks a key up for a change: records the access, but no hit or miss.
    pub fn read_for_write(&mut self, key: &[u8]) -> Option<&Entry> {
        self.look_up(key, Purpose::Write)
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
        self.look_up(key, Purpose::Look)
    }

    /// The entry under a key as it stands in the table, logically expired or not (DEBUG).
    pub fn stored(&mut self, key: &[u8]) -> Option<&Entry> {
        let (hash, db) = (self.hash(key), self.db);
        let shard = self.shard(hash);
        shard.find(db, hash, key).map(|at| shard.at(db, at))
    }

    /// Looks a key up without a trace.
    pub fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        self.look_up(key, Purpose::Peek)
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

    /// As [`View::object`], without a trace.
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn peek_object<T: ObjectType>(&mut self, key: &[u8]) -> Result<Option<Reading<'_, T>>, Error> {
        self.peek(key).map(Entry::object).transpose()
    }

    /// Nothing or a value of type `T` is under this key: for commands that tell a wrong type before wrong arguments.
    ///
    /// # Errors
    /// `WRONGTYPE` when a value of another type is there.
    pub fn check_type<T: ObjectType>(&mut self, key: &[u8]) -> Result<(), Error> {
        self.peek_object::<T>(key).map(|_| ())
    }

    /// The time by which elements are there or not: those due before it are invisible. The master's stream sees all.
    #[inline]
    pub fn elements_as_of_ms(&self) -> i64 {
        if self.moment.viewer == Viewer::MasterStream { i64::MIN } else { self.moment.now_ms }
    }

    /// Is a key there that is expired for clients but not yet deleted? The key's shard must be held.
    pub fn is_logically_expired(&mut self, db: u16, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let now_ms = self.moment.now_ms;
        let shard = self.shard(hash);
        shard.find(db, hash, key).is_some_and(|at| shard.at(db, at).expiry_ms().is_some_and(|at| at < now_ms))
    }
}
