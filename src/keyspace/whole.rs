//! What a view does with a whole database: count it, walk it, pick from it, empty it, exchange it with another.
//!
//! All of this needs every shard (`Flags::ALL_SHARDS`). Nothing here frees anything large or visits more than it was asked
//! for, except [`View::for_each_key`], whose caller has asked for everything.

use super::cursor::Cursor;
use super::entry::Entry;
use super::view::View;

/// Random picks after which a database is taken to hold nothing but expired keys that may not be deleted here.
const MOST_PICKS: usize = 100;

impl View<'_> {
    /// Keys in the selected database, logically expired ones included. O(shards).
    pub fn key_count(&mut self) -> usize {
        let db = self.db;
        self.held().shards().map(|shard| shard.db(db).len()).sum()
    }

    /// Calls `visit` with every entry of a database, logically expired or not.
    pub fn for_each_entry(&mut self, db: u16, mut visit: impl FnMut(&Entry)) {
        self.held().shards().for_each(|shard| shard.db(db).table().for_each(&mut visit));
    }

    /// Calls `visit` with every key of the selected database that this viewer sees.
    pub fn for_each_key(&mut self, mut visit: impl FnMut(&[u8])) {
        let (db, moment) = (self.db, self.moment);
        self.for_each_entry(db, |entry| {
            if !moment.is_expired(entry.expiry_ms()) {
                visit(entry.key());
            }
        });
    }

    /// Walks on from `cursor` until `enough` says so or `buckets` buckets were visited: `take` gets each entry that this
    /// viewer sees, and then `found_dead` the key of each that is expired for it, to look it up if it is wanted. Returns the
    /// next cursor, `None` at the end. Empty shards cost nothing and are skipped, so that a small database is walked in one
    /// call.
    pub fn scan(
        &mut self,
        cursor: Cursor,
        buckets: usize,
        mut take: impl FnMut(&Entry) -> bool,
        found_dead: impl Fn(&mut Self, &[u8]),
    ) -> Option<Cursor> {
        let (db, moment) = (self.db, self.moment);
        let (mut at, mut left, mut enough) = (self.skip_empty(cursor), buckets, false);
        let mut expired: Vec<Box<[u8]>> = Vec::new();
        while let Some(cursor) = at {
            if enough || left == 0 {
                break;
            }
            left -= 1;
            let next = self.held().shard(cursor.shard).db(db).table().scan(cursor.bucket, |entry| {
                if moment.is_expired(entry.expiry_ms()) {
                    expired.push(entry.key().into());
                } else {
                    enough = take(entry);
                }
            });
            at = cursor.advance(next).and_then(|cursor| self.skip_empty(cursor));
        }
        expired.iter().for_each(|key| found_dead(self, key));
        at
    }

    /// The first place at or after `cursor` where there is something to find.
    fn skip_empty(&mut self, cursor: Cursor) -> Option<Cursor> {
        let db = self.db;
        let mut at = cursor;
        while self.held().shard(at.shard).db(db).is_empty() {
            at = at.advance(0)?;
        }
        Some(at)
    }

    /// A key of the selected database at random: a shard by its size, a bucket of it, an entry of that. Expired keys are
    /// deleted and another is picked; where this viewer may not delete them, one of them may be returned if nothing else
    /// turns up.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        let mut picks = 0;
        loop {
            let (key, expired) = self.random_entry()?;
            picks += 1;
            if !expired || picks >= MOST_PICKS && self.stored(&key).is_some() {
                return Some(key);
            }
            self.peek(&key);
        }
    }

    /// Any entry's key, and whether it is expired. O(shards).
    fn random_entry(&mut self) -> Option<(Vec<u8>, bool)> {
        let (db, moment) = (self.db, self.moment);
        let keys = self.key_count();
        if keys == 0 {
            return None;
        }
        let mut nth = (self.random() % keys as u64) as usize;
        let shard = (0..super::SHARDS).find(|shard| {
            let len = self.held().shard(*shard).db(db).len();
            let here = nth < len;
            nth = nth.saturating_sub(len);
            here
        })?;
        loop {
            let (bucket, pick) = (self.random(), self.random());
            let table = self.held().shard(shard).db(db).table();
            let mut entries = 0u64;
            table.scan(bucket, |_| entries += 1);
            if entries == 0 {
                continue;
            }
            let (mut at, mut found) = (0, None);
            table.scan(bucket, |entry| {
                if at == pick % entries {
                    found = Some((entry.key().to_vec(), moment.is_expired(entry.expiry_ms())));
                }
                at += 1;
            });
            return found;
        }
    }

    /// Empties a database. Returns how many keys it held.
    pub fn flush(&mut self, db: u16) -> usize {
        self.held().shards().map(|shard| shard.clear(db)).sum()
    }

    /// Exchanges two databases.
    pub fn swap_databases(&mut self, a: u16, b: u16) {
        let moment = self.moment;
        self.held().shards().for_each(|shard| shard.swap(a, b, |expiry_ms| moment.is_expired(expiry_ms)));
        self.count_change();
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::NewValue;
    use super::super::events::Class;
    use super::super::view::{Moment, Viewer};
    use super::super::{AccessPolicy, Hasher, Keyspace, Reaper, Ttl};
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn keyspace() -> Keyspace {
        Keyspace::new(2, Hasher::new((1, 2)), Reaper::start())
    }

    fn view(keyspace: &Keyspace, viewer: Viewer) -> View<'_> {
        let moment = Moment {
            now_ms: 1_000,
            viewer,
            access: AccessPolicy::Lru,
            no_touch: false,
            seed: 7,
            events: Class::empty(),
        };
        View::new(keyspace, keyspace.lock_all(), 0, moment)
    }

    /// Looks an expired key up, so that it is deleted.
    fn bury(view: &mut View<'_>, key: &[u8]) {
        view.peek(key);
    }

    fn key(n: usize) -> Vec<u8> {
        format!("key:{n}").into_bytes()
    }

    fn put(view: &mut View<'_>, n: usize, ttl: Ttl) {
        view.set(&key(n), NewValue::Int(n as i64), ttl);
    }

    /// Scans with `count` while the database grows or shrinks from `before` to `after` keys; what is in both must be seen.
    fn check_scan(before: usize, after: usize, count: usize) {
        let keyspace = keyspace();
        let mut view = view(&keyspace, Viewer::OnMaster);
        (0..before).for_each(|n| put(&mut view, n, Ttl::Clear));
        let (mut seen, mut cursor, mut now) = (HashSet::new(), Some(Cursor::from_number(0)), before);
        while let Some(at) = cursor {
            let mut got = 0;
            let take = |entry: &Entry| {
                seen.insert(entry.key().to_vec());
                got += 1;
                got >= count
            };
            cursor = view.scan(Cursor::from_number(at.number()), count * 10, take, bury);
            for _ in 0..2 * count {
                if now < after {
                    put(&mut view, now, Ttl::Clear);
                    now += 1;
                } else if now > after {
                    now -= 1;
                    assert!(view.remove(&key(now)));
                }
            }
        }
        let stayed = before.min(after);
        assert!((0..stayed).all(|n| seen.contains(&key(n))), "{before} to {after} by {count}");
    }

    #[test]
    fn a_scan_over_all_shards_returns_what_was_there_throughout() {
        check_scan(3_000, 3_000, 10);
        check_scan(2_000, 12_000, 10);
        check_scan(12_000, 200, 10);
        check_scan(12_000, 0, 1_000);
        check_scan(50, 5_000, 1);
    }

    #[test]
    fn a_small_database_is_walked_in_one_call() {
        for keys in [0, 1, 2, 9] {
            let keyspace = keyspace();
            let mut view = view(&keyspace, Viewer::OnMaster);
            (0..keys).for_each(|n| put(&mut view, n, Ttl::Clear));
            let mut seen = 0;
            let take = |_: &Entry| {
                seen += 1;
                seen >= 10
            };
            let next = view.scan(Cursor::from_number(0), 100, take, bury);
            assert_eq!((next, seen), (None, keys));
        }
    }

    #[test]
    fn a_strange_cursor_is_somewhere() {
        let keyspace = keyspace();
        let mut view = view(&keyspace, Viewer::OnMaster);
        (0..500).for_each(|n| put(&mut view, n, Ttl::Clear));
        for number in [1, 63, 64, 0xdead_beef_dead_beef, u64::MAX] {
            let mut cursor = Some(Cursor::from_number(number));
            let mut calls = 0;
            while let Some(at) = cursor {
                cursor = view.scan(at, 10, |_| false, bury);
                calls += 1;
                assert!(calls < 1_000);
            }
        }
    }

    #[test]
    fn expired_keys_are_passed_over_and_deleted_on_a_master_only() {
        for (viewer, left) in [(Viewer::OnMaster, 50), (Viewer::OnReplica, 100), (Viewer::MasterStream, 100)]
        {
            let keyspace = keyspace();
            let mut view = view(&keyspace, viewer);
            (0..100).for_each(|n| put(&mut view, n, if n < 50 { Ttl::At(1) } else { Ttl::Clear }));
            let (mut seen, mut listed) = (0, 0);
            view.for_each_key(|_| listed += 1);
            let take = |_: &Entry| {
                seen += 1;
                false
            };
            assert_eq!(view.scan(Cursor::from_number(0), 10_000, take, bury), None);
            let visible = if viewer == Viewer::MasterStream { 100 } else { 50 };
            assert_eq!((seen, listed, view.key_count()), (visible, visible, left));
            assert_eq!(view.take_expired().len(), 100 - left);
        }
    }

    #[test]
    fn random_keys_are_spread_over_all_and_never_expired_on_a_master() {
        let keyspace = keyspace();
        let mut view = view(&keyspace, Viewer::OnMaster);
        (0..1_000).for_each(|n| put(&mut view, n, if n % 4 == 0 { Ttl::At(1) } else { Ttl::Clear }));
        let mut picked: HashMap<Vec<u8>, usize> = HashMap::new();
        for _ in 0..40_000 {
            *picked.entry(view.random_key().expect("not empty")).or_default() += 1;
        }
        assert!((0..1_000).all(|n| picked.contains_key(&key(n)) == (n % 4 != 0)));
        assert!(picked.values().all(|times| *times < 53 * 12), "{:?}", picked.values().max());
        view.flush(0);
        assert_eq!(view.random_key(), None);
    }

    #[test]
    fn a_replica_with_nothing_but_expired_keys_ends_its_search() {
        let keyspace = keyspace();
        let mut view = view(&keyspace, Viewer::OnReplica);
        (0..10).for_each(|n| put(&mut view, n, Ttl::At(1)));
        assert!(view.random_key().is_some());
    }
}
