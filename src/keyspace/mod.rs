//! The keyspace: shards behind locks, each with its part of every database.
//!
//! A key's shard follows from the key alone, not from the database, so that SELECT, MOVE and SWAPDB do not change
//! which locks a command needs. Types and handlers know nothing of locks: they see a [`View`] of what the executor
//! holds for them. Hashing is keyed per process (SipHash-1-3): nobody outside can choose collisions.

pub mod access;
pub mod blob;
pub mod cursor;
pub mod edit;
pub mod entry;
pub mod events;
pub mod expiry;
pub mod held;
pub mod own;
pub mod reaper;
pub mod shard;
#[cfg(test)]
mod shard_tests;
pub mod table;
pub mod view;
pub mod waiting;
pub mod watch;
pub mod whole;

pub use access::AccessPolicy;
pub use blob::{BLOB_MIN_BYTES, Blob};
pub use cursor::Cursor;
pub use edit::{Changes, Edit};
pub use entry::{Entry, NewValue, Reading, Stored, ValueRef};
pub use events::Event;
pub use held::{Held, ShardSet};
pub use reaper::Reaper;
pub use shard::{Captured, Shard, Ttl};
pub use view::View;

use parking_lot::Mutex;
use std::hash::Hasher as _;

/// Bits of the hash that choose the shard.
pub const SHARD_BITS: u32 = 6;
/// Number of shards.
pub const SHARDS: usize = 1 << SHARD_BITS;

/// The keyed hash of keys.
#[derive(Clone, Copy, Debug)]
pub struct Hasher {
    keys: (u64, u64),
}

impl Hasher {
    /// A hasher with the given secret.
    pub const fn new(keys: (u64, u64)) -> Hasher {
        Hasher { keys }
    }

    /// Hashes a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(key);
        hasher.finish()
    }
}

/// The shard of a hash: its highest bits. The lowest address buckets, some above are the fingerprint.
#[inline]
pub fn shard_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SHARD_BITS)) as usize
}

/// A shard's lock, alone on its cache lines.
#[repr(align(128))]
pub struct Slot(pub Mutex<Shard>);

/// All shards.
pub struct Keyspace {
    hasher: Hasher,
    slots: Box<[Slot]>,
    databases: u16,
    reaper: Reaper,
}

impl Keyspace {
    /// An empty keyspace of `databases` databases.
    pub fn new(databases: u16, hasher: Hasher, reaper: Reaper) -> Keyspace {
        let slots = (0..SHARDS)
            .map(|_| Slot(Mutex::new(Shard::new(usize::from(databases), hasher, reaper.clone()))))
            .collect();
        Keyspace { hasher, slots, databases, reaper }
    }

    /// Empty shards with the same hash secret, to load into beside this keyspace.
    pub fn empty_shards(&self) -> Vec<Shard> {
        let databases = usize::from(self.databases);
        (0..SHARDS).map(|_| Shard::new(databases, self.hasher, self.reaper.clone())).collect()
    }

    /// The hash function.
    pub fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// Number of databases.
    pub fn databases(&self) -> u16 {
        self.databases
    }

    /// Hashes a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// The thread that frees large things.
    pub fn reaper(&self) -> &Reaper {
        &self.reaper
    }

    /// The lock of a shard.
    #[inline]
    pub fn slot(&self, shard: usize) -> &Mutex<Shard> {
        &self.slots[shard].0
    }

    /// Calls `f` with every shard in turn, each locked for that call.
    pub fn for_each_shard(&self, mut f: impl FnMut(&mut Shard)) {
        self.slots.iter().for_each(|slot| f(&mut slot.0.lock()));
    }

    /// Locks all shards in ascending order.
    pub fn lock_all(&self) -> Held<'_> {
        Held::all(self)
    }
}
