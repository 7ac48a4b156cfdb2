//! A data set that is being loaded, beside the one that is being served.
//!
//! RDB items go in; when the checksum has been found right, the whole becomes the keyspace's contents at once. Nothing
//! that is being served changes before.

use crate::keyspace::entry::NewValue;
use crate::keyspace::{Blob, Entry, Hasher, Keyspace, Shard, access, shard_of};
use crate::rdb::{Eviction, Item, Value};
use crate::replication::log::{OFFSET_MAX, ReplId};
use arrayvec::ArrayVec;

/// How many empty keys are named in the log.
const EMPTY_KEYS_LOGGED: u64 = 10;

/// What becomes of keys that have expired already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expired {
    /// They stay: the master will say.
    Keep,
    /// They are left out, and listed: their DELs belong into the log.
    Drop,
}

/// Keys that enter together: the memory of all their places is asked for before the first of them needs it.
const TOGETHER: usize = 16;

/// A data set under construction.
pub struct Loader {
    shards: Vec<Shard>,
    /// Entries on their way in, with their databases and hashes.
    waiting: ArrayVec<(u16, u64, Entry), TOGETHER>,
    hasher: Hasher,
    db: u16,
    databases: u16,
    now_ms: i64,
    policy: crate::keyspace::AccessPolicy,
    expired: Expired,
    pub keys: u64,
    /// Keys left out.
    pub expired_keys: Vec<(u16, Vec<u8>)>,
    /// Keys left out because their collections have no elements.
    pub empty_keys: u64,
    pub repl_id: Option<ReplId>,
    pub repl_offset: Option<u64>,
    pub stream_db: u16,
    /// What the file's writer used, bytes, as far as it says so.
    pub used_mem: Option<u64>,
}

/// An item that cannot be loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadError(pub String);

impl Loader {
    /// An empty data set for `keyspace`.
    pub fn new(
        keyspace: &Keyspace,
        now_ms: i64,
        policy: crate::keyspace::AccessPolicy,
        expired: Expired,
    ) -> Loader {
        Loader {
            shards: keyspace.empty_shards(),
            waiting: ArrayVec::new(),
            hasher: keyspace.hasher(),
            db: 0,
            databases: keyspace.databases(),
            now_ms,
            policy,
            expired,
            keys: 0,
            expired_keys: Vec::new(),
            empty_keys: 0,
            repl_id: None,
            repl_offset: None,
            stream_db: 0,
            used_mem: None,
        }
    }

    /// Takes an item.
    ///
    /// # Errors
    /// A database that does not exist here, a key that comes twice.
    pub fn item(&mut self, item: Item<'_>) -> Result<(), LoadError> {
        match item {
            Item::Record { expire_ms, eviction, key, value } => self.record(expire_ms, eviction, key, value),
            Item::SelectDb(db) => {
                self.db = u16::try_from(db).ok().filter(|db| *db < self.databases).ok_or_else(|| {
                    LoadError(format!(
                        "FATAL: Data file was created with a Redis server configured to handle more than {} databases. Exiting",
                        self.databases
                    ))
                })?;
                Ok(())
            }
            Item::Aux { key, value } => {
                self.aux(&String::from_utf8_lossy(key), &String::from_utf8_lossy(value));
                Ok(())
            }
            Item::Function(_) => {
                Err(LoadError("The RDB holds functions, which are not supported yet".into()))
            }
            Item::Eof(_) => self.flush(),
            Item::Version(_) | Item::ResizeDb { .. } => Ok(()),
        }
    }

    fn aux(&mut self, key: &str, value: &str) {
        match key {
            "repl-id" => self.repl_id = ReplId::parse(value.as_bytes()),
            "repl-offset" => self.repl_offset = value.parse().ok().filter(|offset| *offset <= OFFSET_MAX),
            "repl-stream-db" => {
                self.stream_db = value.parse().ok().filter(|db| *db < self.databases).unwrap_or(0)
            }
            "redis-ver" | "valkey-ver" => {
                tracing::info!("Loading RDB produced by version {}", value.escape_default());
            }
            "ctime" => {
                let age_secs = self.now_ms / 1000 - value.parse().unwrap_or(0);
                tracing::info!("RDB age {} seconds", age_secs.max(0));
            }
            "used-mem" => {
                let bytes: u64 = value.parse().unwrap_or(0);
                self.used_mem = Some(bytes);
                tracing::info!("RDB memory usage when created {:.2} Mb", bytes as f64 / (1 << 20) as f64);
            }
            "aof-base" if value.starts_with('1') => tracing::info!("RDB is base AOF"),
            "aof-preamble" if value.starts_with('1') => tracing::info!("RDB has an AOF tail"),
            "redis-bits" | "aof-base" | "aof-preamble" => {}
            key if key.starts_with('%') => {
                tracing::info!("RDB '{}': {}", key.escape_default(), value.escape_default());
            }
            key => tracing::debug!("Unrecognized RDB AUX field: '{}'", key.escape_default()),
        }
    }

    fn record(
        &mut self,
        expiry_ms: Option<i64>,
        eviction: Eviction,
        key: &[u8],
        value: Value<'_>,
    ) -> Result<(), LoadError> {
        if self.expired == Expired::Drop && expiry_ms.is_some_and(|at| at < self.now_ms) {
            self.expired_keys.push((self.db, key.to_vec()));
            return Ok(());
        }
        let value = match value {
            Value::Int(n) => NewValue::Int(n),
            Value::Str(bytes) => crate::executor::string_value(bytes),
            Value::Owned(bytes) => NewValue::Blob(Blob::new(bytes)),
            Value::Object(object) => NewValue::Object(object),
            Value::Empty => {
                self.skip_empty(key);
                return Ok(());
            }
        };
        let bits = match eviction {
            Eviction::None => self.policy.initial(self.now_ms),
            Eviction::IdleSeconds(secs) => access::access_of_idle(secs, self.now_ms),
            Eviction::Frequency(frequency) => access::access_of_frequency(frequency, self.now_ms),
        };
        let hash = self.hasher.hash(key);
        self.shards[shard_of(hash)].db(self.db).table().prefetch_bucket(hash);
        self.waiting.push((self.db, hash, Entry::new(hash, key, value, expiry_ms, bits)));
        self.keys += 1;
        if self.waiting.is_full() { self.flush() } else { Ok(()) }
    }

    /// Lets all enter that wait.
    fn flush(&mut self) -> Result<(), LoadError> {
        for (db, hash, entry) in self.waiting.drain(..) {
            let shard = &mut self.shards[shard_of(hash)];
            if shard.find(db, hash, entry.key()).is_some() {
                let key = String::from_utf8_lossy(entry.key());
                return Err(LoadError(format!("RDB has duplicated key '{key}' in DB {db}")));
            }
            shard.insert(db, hash, entry);
        }
        Ok(())
    }

    /// Old servers' bugs left collections without elements in files: they are passed over, as in Redis.
    fn skip_empty(&mut self, key: &[u8]) {
        self.empty_keys += 1;
        if self.empty_keys <= EMPTY_KEYS_LOGGED {
            tracing::info!("rdbLoadObject skipping empty key: {}", String::from_utf8_lossy(key));
        }
    }

    /// The shards, for [`crate::keyspace::Held::adopt`], when the last item has come.
    pub fn into_shards(self) -> Vec<Shard> {
        debug_assert!(self.waiting.is_empty(), "an RDB ends with its end");
        self.shards
    }
}
