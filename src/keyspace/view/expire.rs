//! What has reached its time: found by a look at the key, or by active expiry.

use super::{View, Viewer};
use crate::keyspace::edit::Edit;
use crate::keyspace::events::{self, Class, Event};
use crate::keyspace::shard::Shard;
use crate::keyspace::table::Position;
use crate::types::ObjectType;
use crate::types::hash::Hash;

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

impl View<'_> {
    /// Deletes a key because its time has come. Only a master tells others of it.
    pub(super) fn bury_expired(&mut self, hash: u64, key: &[u8]) {
        let db = self.db;
        let shard = self.shard(hash);
        shard.expire(db, hash, key);
        shard.stats.expired += 1;
        if self.moment.viewer == Viewer::OnMaster {
            self.expired.push(ExpiredKey { db, key: key.into(), fields: Vec::new() });
        }
        self.notify(events::EXPIRED, key);
        self.collect_ready(hash);
    }

    /// Deletes elements that are due, if it is this viewer's to do so: not all where they are many. Returns where the key is then.
    #[inline]
    pub(super) fn drop_due_elements<T: ObjectType>(
        &mut self,
        hash: u64,
        key: &[u8],
        at: Position,
    ) -> Option<Position> {
        if !T::ELEMENTS_EXPIRE {
            return Some(at);
        }
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
            self.shard(hash).stats.expired_fields += dropped as u64;
            self.expired.push(ExpiredKey { db, key: key.into(), fields });
        }
        dropped
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
