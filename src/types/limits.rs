//! Where small encodings end: the directives that the types ask for when they grow.

use crate::keyspace::Hasher;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

/// The limits in force. Counts are elements, sizes bytes unless a name says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value: usize,
    pub set_max_intset_entries: usize,
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value: usize,
    /// Positive: elements per node. Negative: −1 to −5 for nodes of 4, 8, 16, 32, 64 KiB.
    pub list_max_listpack_size: i64,
    /// Nodes at either end of a list that are never compressed; 0: none is.
    pub list_compress_depth: usize,
    /// Elements of a list from this size on have a node of their own, even if a node could hold more.
    pub list_packed_threshold: usize,
    /// 0: no limit.
    pub stream_node_max_bytes: usize,
    /// 0: no limit.
    pub stream_node_max_entries: usize,
    pub hll_sparse_max_bytes: usize,
    /// For the tables of large values.
    pub hasher: Hasher,
}

impl Limits {
    /// The directives' defaults, with a hash that is no secret: for tools and tests.
    pub const DEFAULT: Limits = Limits {
        hash_max_listpack_entries: 512,
        hash_max_listpack_value: 64,
        set_max_intset_entries: 512,
        set_max_listpack_entries: 128,
        set_max_listpack_value: 64,
        zset_max_listpack_entries: 128,
        zset_max_listpack_value: 64,
        list_max_listpack_size: -2,
        list_compress_depth: 0,
        list_packed_threshold: 1 << 30,
        stream_node_max_bytes: 4096,
        stream_node_max_entries: 100,
        hll_sparse_max_bytes: 3000,
        hasher: Hasher::new((0, 0)),
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// [`Limits`] that every command asks for and CONFIG SET changes: each limit for itself, read without any common lock or
/// count that threads would fight for.
#[derive(Debug)]
pub struct LimitsInForce {
    hash_max_listpack_entries: AtomicUsize,
    hash_max_listpack_value: AtomicUsize,
    set_max_intset_entries: AtomicUsize,
    set_max_listpack_entries: AtomicUsize,
    set_max_listpack_value: AtomicUsize,
    zset_max_listpack_entries: AtomicUsize,
    zset_max_listpack_value: AtomicUsize,
    list_max_listpack_size: AtomicI64,
    list_compress_depth: AtomicUsize,
    list_packed_threshold: AtomicUsize,
    stream_node_max_bytes: AtomicUsize,
    stream_node_max_entries: AtomicUsize,
    hll_sparse_max_bytes: AtomicUsize,
    hasher: Hasher,
}

impl LimitsInForce {
    /// These are in force at first.
    pub fn new(limits: &Limits) -> LimitsInForce {
        LimitsInForce {
            hash_max_listpack_entries: limits.hash_max_listpack_entries.into(),
            hash_max_listpack_value: limits.hash_max_listpack_value.into(),
            set_max_intset_entries: limits.set_max_intset_entries.into(),
            set_max_listpack_entries: limits.set_max_listpack_entries.into(),
            set_max_listpack_value: limits.set_max_listpack_value.into(),
            zset_max_listpack_entries: limits.zset_max_listpack_entries.into(),
            zset_max_listpack_value: limits.zset_max_listpack_value.into(),
            list_max_listpack_size: limits.list_max_listpack_size.into(),
            list_compress_depth: limits.list_compress_depth.into(),
            list_packed_threshold: limits.list_packed_threshold.into(),
            stream_node_max_bytes: limits.stream_node_max_bytes.into(),
            stream_node_max_entries: limits.stream_node_max_entries.into(),
            hll_sparse_max_bytes: limits.hll_sparse_max_bytes.into(),
            hasher: limits.hasher,
        }
    }

    /// These are from now on, but for the hash.
    pub fn set(&self, limits: &Limits) {
        self.hash_max_listpack_entries.store(limits.hash_max_listpack_entries, Relaxed);
        self.hash_max_listpack_value.store(limits.hash_max_listpack_value, Relaxed);
        self.set_max_intset_entries.store(limits.set_max_intset_entries, Relaxed);
        self.set_max_listpack_entries.store(limits.set_max_listpack_entries, Relaxed);
        self.set_max_listpack_value.store(limits.set_max_listpack_value, Relaxed);
        self.zset_max_listpack_entries.store(limits.zset_max_listpack_entries, Relaxed);
        self.zset_max_listpack_value.store(limits.zset_max_listpack_value, Relaxed);
        self.list_max_listpack_size.store(limits.list_max_listpack_size, Relaxed);
        self.list_compress_depth.store(limits.list_compress_depth, Relaxed);
        self.list_packed_threshold.store(limits.list_packed_threshold, Relaxed);
        self.stream_node_max_bytes.store(limits.stream_node_max_bytes, Relaxed);
        self.stream_node_max_entries.store(limits.stream_node_max_entries, Relaxed);
        self.hll_sparse_max_bytes.store(limits.hll_sparse_max_bytes, Relaxed);
    }

    /// What is in force.
    #[inline]
    pub fn get(&self) -> Limits {
        Limits {
            hash_max_listpack_entries: self.hash_max_listpack_entries.load(Relaxed),
            hash_max_listpack_value: self.hash_max_listpack_value.load(Relaxed),
            set_max_intset_entries: self.set_max_intset_entries.load(Relaxed),
            set_max_listpack_entries: self.set_max_listpack_entries.load(Relaxed),
            set_max_listpack_value: self.set_max_listpack_value.load(Relaxed),
            zset_max_listpack_entries: self.zset_max_listpack_entries.load(Relaxed),
            zset_max_listpack_value: self.zset_max_listpack_value.load(Relaxed),
            list_max_listpack_size: self.list_max_listpack_size.load(Relaxed),
            list_compress_depth: self.list_compress_depth.load(Relaxed),
            list_packed_threshold: self.list_packed_threshold.load(Relaxed),
            stream_node_max_bytes: self.stream_node_max_bytes.load(Relaxed),
            stream_node_max_entries: self.stream_node_max_entries.load(Relaxed),
            hll_sparse_max_bytes: self.hll_sparse_max_bytes.load(Relaxed),
            hasher: self.hasher,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The default limits, with a hasher of a known secret.
    pub const LIMITS: Limits = Limits { hasher: Hasher::new((1, 2)), ..Limits::DEFAULT };
}
