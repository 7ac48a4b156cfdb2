//! The locks that an execution unit holds: no shard, one, several or all, always taken in ascending order.

use super::shard::Shard;
use super::{Keyspace, SHARDS};
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use std::time::Duration;

/// The locks of an execution unit.
pub enum Held<'k> {
    /// No shard: the command has no keys.
    None,
    /// One shard, the usual case.
    One(usize, MutexGuard<'k, Shard>),
    /// Several, in ascending order.
    Many(Vec<(usize, MutexGuard<'k, Shard>)>),
}

/// Shard numbers, ascending and without repetition.
pub type ShardSet = SmallVec<[usize; 8]>;

impl<'k> Held<'k> {
    /// Locks one shard.
    pub fn one(keyspace: &'k Keyspace, shard: usize) -> Held<'k> {
        Held::One(shard, keyspace.slot(shard).lock())
    }

    /// Locks one shard, if it is free within `patience`.
    pub fn one_within(keyspace: &'k Keyspace, shard: usize, patience: Duration) -> Option<Held<'k>> {
        keyspace.slot(shard).try_lock_for(patience).map(|guard| Held::One(shard, guard))
    }

    /// Locks all shards in ascending order.
    pub fn all(keyspace: &'k Keyspace) -> Held<'k> {
        Held::Many((0..SHARDS).map(|shard| (shard, keyspace.slot(shard).lock())).collect())
    }

    /// Locks the shards of an ascending set.
    pub fn many(keyspace: &'k Keyspace, set: &[usize]) -> Held<'k> {
        match set {
            [] => Held::None,
            [shard] => Held::one(keyspace, *shard),
            _ => Held::Many(set.iter().map(|shard| (*shard, keyspace.slot(*shard).lock())).collect()),
        }
    }

    /// Locks the shards of an ascending set if all of them are free; else none, and the busy one is named.
    pub fn try_many(keyspace: &'k Keyspace, set: &[usize]) -> Result<Held<'k>, usize> {
        match set {
            [] => Ok(Held::None),
            [shard] => keyspace.slot(*shard).try_lock().map(|guard| Held::One(*shard, guard)).ok_or(*shard),
            _ => {
                let lock = |shard: &usize| {
                    keyspace.slot(*shard).try_lock().map(|guard| (*shard, guard)).ok_or(*shard)
                };
                set.iter().map(lock).collect::<Result<Vec<_>, _>>().map(Held::Many)
            }
        }
    }

    /// The shard, which must be among the held ones.
    #[inline]
    pub fn shard(&mut self, shard: usize) -> &mut Shard {
        match self {
            Held::One(held, guard) => {
                assert_eq!(*held, shard, "a handler may use only the keys that its key specs declare");
                guard
            }
            Held::Many(guards) => {
                let at = match guards.len() {
                    SHARDS => Ok(shard),
                    _ => guards.binary_search_by_key(&shard, |(held, _)| *held),
                };
                &mut guards[at.expect("a handler may use only the keys that its key specs declare")].1
            }
            Held::None => panic!("a handler without key specs may not use keys"),
        }
    }

    /// The shard, which must be among the held ones, for reading.
    pub fn get(&self, shard: usize) -> &Shard {
        match self {
            Held::One(held, guard) if *held == shard => guard,
            Held::Many(guards) => {
                let at = guards.binary_search_by_key(&shard, |(held, _)| *held);
                &guards[at.expect("a handler may use only the keys that its key specs declare")].1
            }
            _ => panic!("a handler may use only the keys that its key specs declare"),
        }
    }

    /// The numbers of the held shards.
    pub fn numbers(&self) -> ShardSet {
        match self {
            Held::None => ShardSet::new(),
            Held::One(shard, _) => smallvec::smallvec![*shard],
            Held::Many(guards) => guards.iter().map(|(shard, _)| *shard).collect(),
        }
    }

    /// Is the shard among the held ones?
    pub fn has(&self, shard: usize) -> bool {
        match self {
            Held::None => false,
            Held::One(held, _) => *held == shard,
            Held::Many(guards) => guards.binary_search_by_key(&shard, |(held, _)| *held).is_ok(),
        }
    }

    /// All held shards.
    pub fn shards(&mut self) -> impl Iterator<Item = &mut Shard> {
        let (one, many) = match self {
            Held::None => (None, None),
            Held::One(_, guard) => (Some(guard), None),
            Held::Many(guards) => (None, Some(guards)),
        };
        one.into_iter()
            .map(|guard| &mut **guard)
            .chain(many.into_iter().flatten().map(|(_, guard)| &mut **guard))
    }

    /// Exchanges the contents of all shards, which must all be held, for freshly loaded ones.
    pub fn adopt(&mut self, shards: Vec<Shard>) {
        assert!(self.is_all(), "a data set is exchanged as a whole");
        self.shards().zip(shards).for_each(|(old, new)| old.adopt(new));
    }

    /// Is every shard held?
    pub fn is_all(&self) -> bool {
        matches!(self, Held::Many(guards) if guards.len() == SHARDS)
    }
}
