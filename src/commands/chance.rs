//! Choosing by chance: members of a set, fields of a hash. One random number of the command's (see `View::random`) is the seed, so
//! that a run can be replayed.

use rand::rngs::SmallRng;
use rand::{RngCore as _, SeedableRng as _};
use std::collections::HashSet;

/// A number below `n` made of a random one; 0 if `n` is 0.
pub fn below(n: usize, random: u64) -> usize {
    ((u128::from(random) * n as u128) >> u64::BITS) as usize
}

/// A stream of random numbers.
pub struct Chance(SmallRng);

impl Chance {
    /// The stream that begins with a seed.
    pub fn new(seed: u64) -> Chance {
        Chance(SmallRng::seed_from_u64(seed))
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        below(n, self.0.next_u64())
    }

    /// `count` different numbers below `len`, at most all of them: each set of numbers is as likely as any other (Floyd's way,
    /// which does not go through them all).
    pub fn distinct(&mut self, count: usize, len: usize) -> impl Iterator<Item = usize> {
        let count = count.min(len);
        let mut chosen = HashSet::with_capacity(count);
        (len - count..len).map(move |last| {
            let number = self.below(last + 1);
            if chosen.insert(number) {
                return number;
            }
            chosen.insert(last);
            last
        })
    }
}
