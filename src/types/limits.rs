//! Where small encodings end: the directives that the types ask for when they grow.

use crate::keyspace::Hasher;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};

/// Both structures from one list: `name: type as the atomic that holds it = the directive's default`.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty as $atomic:ty = $default:expr;)*) => {
        /// The limits in force. Counts are elements, sizes bytes unless a name says otherwise.
        #[derive(Clone, Copy, Debug)]
        pub struct Limits {
            $($(#[$doc])* pub $name: $type,)*
            /// For the tables of large values.
            pub hasher: Hasher,
        }

        impl Limits {
            /// The directives' defaults, with a hash that is no secret: for tools and tests.
            pub const DEFAULT: Limits = Limits { $($name: $default,)* hasher: Hasher::new((0, 0)) };
        }

        /// [`Limits`] that every command asks for and CONFIG SET changes: each limit for itself, read without any common lock
        /// or count that threads would fight for.
        #[derive(Debug)]
        pub struct LimitsInForce {
            $($name: $atomic,)*
            hasher: Hasher,
        }

        impl LimitsInForce {
            /// These are in force at first.
            pub fn new(limits: &Limits) -> LimitsInForce {
                LimitsInForce { $($name: limits.$name.into(),)* hasher: limits.hasher }
            }

            /// These are from now on, but for the hash.
            pub fn set(&self, limits: &Limits) {
                $(self.$name.store(limits.$name, Relaxed);)*
            }

            /// What is in force.
            #[inline]
            pub fn get(&self) -> Limits {
                Limits { $($name: self.$name.load(Relaxed),)* hasher: self.hasher }
            }
        }
    };
}

limits! {
    hash_max_listpack_entries: usize as AtomicUsize = 512;
    hash_max_listpack_value: usize as AtomicUsize = 64;
    set_max_intset_entries: usize as AtomicUsize = 512;
    set_max_listpack_entries: usize as AtomicUsize = 128;
    set_max_listpack_value: usize as AtomicUsize = 64;
    zset_max_listpack_entries: usize as AtomicUsize = 128;
    zset_max_listpack_value: usize as AtomicUsize = 64;
    /// Positive: elements per node. Negative: −1 to −5 for nodes of 4, 8, 16, 32, 64 KiB.
    list_max_listpack_size: i64 as AtomicI64 = -2;
    /// Nodes at either end of a list that are never compressed; 0: none is.
    list_compress_depth: usize as AtomicUsize = 0;
    /// Elements of a list from this size on have a node of their own, even if a node could hold more.
    list_packed_threshold: usize as AtomicUsize = 1 << 30;
    /// May a small list be a listpack without a quicklist around it?
    list_bare_listpack: bool as AtomicBool = true;
    /// 0: no limit.
    stream_node_max_bytes: usize as AtomicUsize = 4096;
    /// 0: no limit.
    stream_node_max_entries: usize as AtomicUsize = 100;
    hll_sparse_max_bytes: usize as AtomicUsize = 3000;
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
