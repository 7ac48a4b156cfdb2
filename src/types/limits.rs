//! Where small encodings end: the directives that the types ask for when they grow.

use crate::keyspace::Hasher;

/// The limits in force. Counts are elements, sizes bytes unless a name says otherwise.
#[derive(Clone, Debug)]
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The default limits, with a hasher of a known secret.
    pub const LIMITS: Limits = Limits { hasher: Hasher::new((1, 2)), ..Limits::DEFAULT };
}
