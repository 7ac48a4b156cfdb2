//! The cursor of SCAN: one number that says where a walk over all shards of a database stands.
//!
//! ```text
//! | cursor within the shard's table, 58 bits | shard, 6 bits |
//! ```
//!
//! Shards are visited in ascending order, the buckets of each as [`Table::scan`](super::table::Table::scan) orders them: an
//! element that is there from the first call to the last is returned whatever grows or shrinks in between. 0 begins
//! and ends a walk. Any number is a valid cursor: one that no server gave is somewhere too.

use super::{SHARD_BITS, SHARDS};

/// Where a walk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub shard: usize,
    /// Cursor of the shard's table, 0 at its beginning.
    pub bucket: u64,
}

impl Cursor {
    /// A cursor as the client sent it.
    pub fn from_number(number: u64) -> Cursor {
        Cursor { shard: number as usize & (SHARDS - 1), bucket: number >> SHARD_BITS }
    }

    /// A cursor as the client gets it.
    pub fn number(self) -> u64 {
        self.bucket << SHARD_BITS | self.shard as u64
    }

    /// After the table has given `next` (0: it is through): `None` at the end of the walk.
    pub fn advance(self, next: u64) -> Option<Cursor> {
        match (next, self.shard + 1) {
            (0, SHARDS) => None,
            (0, shard) => Some(Cursor { shard, bucket: 0 }),
            (bucket, _) => Some(Cursor { bucket, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: u64, shard: usize, bucket: u64) {
        assert_eq!(Cursor::from_number(number), Cursor { shard, bucket });
        assert_eq!(Cursor { shard, bucket }.number(), number);
    }

    #[test]
    fn every_number_is_a_cursor() {
        check(0, 0, 0);
        check(63, 63, 0);
        check(64, 0, 1);
        check(u64::MAX, 63, u64::MAX >> SHARD_BITS);
    }

    #[test]
    fn a_walk_ends_after_the_last_shard_and_is_never_at_zero_before() {
        let mut cursor = Cursor::from_number(0);
        let mut shards = 1;
        while let Some(next) = cursor.advance(0) {
            assert_ne!(next.number(), 0);
            (cursor, shards) = (next, shards + 1);
        }
        assert_eq!(shards, SHARDS);
        assert_eq!(cursor.advance(5), Some(Cursor { shard: SHARDS - 1, bucket: 5 }));
    }
}
