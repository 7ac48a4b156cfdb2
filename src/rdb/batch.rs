//! Elements of a large collection on their way in, some at a time.
//!
//! What is read has no order that the collection's table knows of: each element goes to another place, in no cache. Here a few
//! wait for each other, so that the memory of all their places is asked for at once.

use super::adopt;
use super::build::Partial;
use super::error::Fault;
use crate::types::Limits;
use arrayvec::ArrayVec;

/// Elements that enter together: about as many waits as a processor keeps open.
const TOGETHER: usize = 16;
/// Collections below this are in the cache, or soon will be: their elements enter one by one.
const LARGE: usize = 10_000;

/// An element of a set, a sorted set or a hash.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    pub name: &'a [u8],
    /// A field's; else empty.
    pub value: &'a [u8],
    /// A member's.
    pub score: f64,
    /// A field's.
    pub expiry_ms: Option<i64>,
}

/// Elements that wait.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    waiting: ArrayVec<Waiting, TOGETHER>,
}

struct Waiting {
    name: usize,
    value: usize,
    end: usize,
    score: f64,
    expiry_ms: Option<i64>,
}

impl Batch {
    /// Takes an element for `into`, at once or later.
    pub fn take(&mut self, into: &mut Partial, new: New<'_>, limits: &Limits) -> Result<(), Fault> {
        if into.len() < LARGE {
            return enter(into, new, limits);
        }
        let name = self.bytes.len();
        self.bytes.extend_from_slice(new.name);
        let value = self.bytes.len();
        self.bytes.extend_from_slice(new.value);
        let end = self.bytes.len();
        self.waiting.push(Waiting { name, value, end, score: new.score, expiry_ms: new.expiry_ms });
        if self.waiting.is_full() { self.flush(into, limits) } else { Ok(()) }
    }

    /// Lets all enter that wait.
    pub fn flush(&mut self, into: &mut Partial, limits: &Limits) -> Result<(), Fault> {
        let Batch { bytes, waiting } = self;
        let names: ArrayVec<&[u8], TOGETHER> =
            waiting.iter().map(|new| &bytes[new.name..new.value]).collect();
        into.prefetch(&names);
        drop(names);
        for Waiting { name, value, end, score, expiry_ms } in waiting.drain(..) {
            let (name, value) = (&bytes[name..value], &bytes[value..end]);
            enter(into, New { name, value, score, expiry_ms }, limits)?;
        }
        bytes.clear();
        Ok(())
    }
}

fn enter(into: &mut Partial, new: New<'_>, limits: &Limits) -> Result<(), Fault> {
    match into {
        Partial::Set(set) => adopt::member(set, new.name, limits),
        Partial::Zset(zset) => adopt::scored(zset, new.name, new.score, limits),
        Partial::Hash(hash) => adopt::field(hash, new.name, new.value, new.expiry_ms, limits),
        Partial::List(_) | Partial::Stream(_) => unreachable!("lists and streams have no names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::zset::Zset;

    fn take(batch: &mut Batch, into: &mut Partial, n: usize, limits: &Limits) -> Result<(), Fault> {
        let name = n.to_string();
        let new = New { name: name.as_bytes(), value: b"", score: n as f64, expiry_ms: None };
        batch.take(into, new, limits)
    }

    /// A sorted set of so many members, and what waits.
    fn read(members: usize) -> (Partial, Batch, Limits) {
        let (mut into, mut batch, limits) =
            (Partial::Zset(Zset::default()), Batch::default(), Limits::default());
        (0..members).for_each(|n| take(&mut batch, &mut into, n, &limits).expect("each is new"));
        (into, batch, limits)
    }

    #[test]
    fn all_have_entered_at_the_end() {
        for members in [LARGE - 1, LARGE, LARGE + 1, LARGE + TOGETHER, LARGE + 5 * TOGETHER + 3] {
            let (mut into, mut batch, limits) = read(members);
            batch.flush(&mut into, &limits).expect("each is new");
            let Partial::Zset(zset) = into else { unreachable!("it was one") };
            let read: Vec<(Vec<u8>, f64)> =
                zset.iter().map(|(member, score)| (member.to_vec(), score)).collect();
            let all: Vec<(Vec<u8>, f64)> =
                (0..members).map(|n| (n.to_string().into_bytes(), n as f64)).collect();
            assert_eq!(read, all);
        }
    }

    #[test]
    fn a_member_that_comes_twice_is_found_while_it_waits_too() {
        for (members, twice) in [(LARGE + 40, 3), (LARGE + 40, LARGE + 39), (LARGE - 1, 7)] {
            let (mut into, mut batch, limits) = read(members);
            let taken = take(&mut batch, &mut into, twice, &limits);
            let result = taken.and_then(|()| batch.flush(&mut into, &limits));
            assert!(result.is_err(), "{twice} of {members}");
        }
    }
}
