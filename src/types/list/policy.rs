//! How large a node may become, and how deep from the ends nodes stay uncompressed: `list-max-listpack-size` and
//! `list-compress-depth` as the structure uses them.

use crate::types::limits::Limits;

/// The node sizes, in bytes, that `list-max-listpack-size` -1 to -5 stand for.
const NODE_BYTES: [usize; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
/// Bytes that a node limited by its number of elements may take.
const COUNTED_NODE_BYTES: usize = 8 << 10;
/// What an entry may take beside its text.
pub const ENTRY_OVERHEAD_BYTES: usize = 8;

/// Copied from the limits once per operation.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    max_bytes: usize,
    max_count: usize,
    /// May a list be a listpack?
    bare: bool,
    /// Elements from this size on (bytes) get a node of their own.
    large_bytes: usize,
    /// Nodes at either end that are never compressed; 0: none is.
    pub compress_depth: usize,
}

impl Policy {
    /// What the directives say.
    #[inline]
    pub fn of(limits: &Limits) -> Policy {
        let size = limits.list_max_listpack_size;
        let (max_bytes, max_count) = if size < 0 {
            let level = usize::try_from(size.unsigned_abs()).unwrap_or(usize::MAX);
            (NODE_BYTES[level.min(NODE_BYTES.len()) - 1], usize::MAX)
        } else {
            (COUNTED_NODE_BYTES, usize::try_from(size).unwrap_or(usize::MAX).max(1))
        };
        Policy {
            max_bytes,
            max_count,
            bare: limits.list_bare_listpack,
            // Redis 7.0 packs whatever is below its threshold, if only by itself.
            large_bytes: if limits.list_bare_listpack {
                limits.list_packed_threshold.min(max_bytes)
            } else {
                limits.list_packed_threshold
            },
            compress_depth: limits.list_compress_depth,
        }
    }

    /// May a node be of this size?
    #[inline]
    pub fn allows(&self, bytes: usize, count: usize) -> bool {
        bytes <= self.max_bytes && count <= self.max_count
    }

    /// May a list of this size be a listpack?
    #[inline]
    pub fn allows_bare(&self, bytes: usize, count: usize) -> bool {
        self.bare && self.allows(bytes, count)
    }

    /// May a single node shrink back to a plain listpack? Half of the limits, so that a list at the limit does not go back
    /// and forth.
    pub fn allows_shrunk(&self, bytes: usize, count: usize) -> bool {
        self.bare && bytes <= self.max_bytes / 2 && count <= self.max_count / 2
    }

    /// Redis 7.0 lets a node grow beyond its limits where an element takes another's place, or comes between the halves of a node
    /// that was full.
    #[inline]
    pub fn overfills(&self) -> bool {
        !self.bare
    }

    /// Does an element of this size get a node of its own?
    #[inline]
    pub fn is_large(&self, bytes: usize) -> bool {
        bytes >= self.large_bytes
    }
}
