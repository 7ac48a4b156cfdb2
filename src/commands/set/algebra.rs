//! Several sets together: intersection, union, difference; answered, counted or stored.
//!
//! An answer is written as it is found: an intersection asks of each member of the smallest set whether the others have
//! it, a union gives the largest set and then what no set before had. Nothing is built that is not stored. What is stored
//! gets the encoding that Redis's way of building it would give (see [`intersection`], [`union`], [`difference`]).

use super::READ;
use crate::command::{Acl, Begin, Find, Flags, Group, Handler, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::entry::{Entry, Reading};
use crate::keyspace::events::{Class, Event};
use crate::keyspace::view::View;
use crate::types::element::Element;
use crate::types::intset::Intset;
use crate::types::limits::Limits;
use crate::types::listpack::Listpack;
use crate::types::set::Set;
use std::cmp::Reverse;

/// A union of more sets than these is built before it is answered, since each member would be looked up in all before.
const UNION_LOOKUPS_MAX: usize = 8;

const ANSWERED_KEYS: &[KeySpec] = &[KeySpec::range(1, -1, 1, READ)];
const STORED_KEYS: &[KeySpec] =
    &[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)), KeySpec::range(2, -1, 1, READ)];

const fn answered(name: &'static str, handler: Handler) -> Row {
    Row::new(name, -2, Group::Set, "1.0.0", handler)
        .flags(Flags::READONLY)
        .categories(Acl::SET)
        .keys(ANSWERED_KEYS)
        .tips(&["nondeterministic_output_order"])
}

const fn stored(name: &'static str, handler: Handler) -> Row {
    Row::new(name, -3, Group::Set, "1.0.0", handler)
        .flags(Flags::WRITE.union(Flags::DENYOOM))
        .categories(Acl::SET)
        .keys(STORED_KEYS)
}

/// The sets of some keys, in their order; `None` where there is none.
///
/// # Errors
/// `WRONGTYPE` when a key holds something else.
fn read_sets<'v, 'a>(
    view: &'v mut View<'_>,
    keys: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Option<Reading<'v, Set>>>, Error> {
    let entries = view.read_all(keys, |entry| entry.object::<Set>().map(drop))?;
    entries.into_iter().map(|entry| entry.map(Entry::object).transpose()).collect()
}

/// Stores a result under the first argument and answers how many members it has.
fn store(call: &mut Call<'_, '_>, result: Set, event: &'static str) {
    call.reply.len(result.len());
    call.view.put_object(call.args.at(1), result, Event::new(Class::SET, event));
}

// Intersections.

pub(super) const SINTER: Row = answered("sinter", sinter);
pub(super) const SINTERSTORE: Row = stored("sinterstore", sinterstore);

fn sinter(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let sets = read_sets(call.view, call.args.from(1))?;
    call.reply.set_of(|reply| {
        let mut members = 0;
        intersect(sets, |member| {
            members += 1;
            reply.element(member);
            true
        });
        members
    });
    Ok(())
}

fn sinterstore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let limits = call.server.limits();
    let sets = read_sets(call.view, call.args.from(2))?;
    let result = intersection(sets, &limits);
    store(call, result, "sinterstore");
    Ok(())
}

pub(super) const SINTERCARD: Row = Row::new("sintercard", -3, Group::Set, "7.0.0", sintercard)
    .flags(Flags::READONLY)
    .categories(Acl::SET)
    .keys(&[KeySpec {
        flags: READ,
        begin: Begin::Index(1),
        find: Find::KeyNum { index: 0, first: 1, step: 1 },
        notes: None,
    }]);

fn sintercard(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let count = args.int(1).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(error::NUMKEYS_NOT_POSITIVE)?;
    if count > args.len() - 2 {
        return Err(error::NUMKEYS_TOO_MANY);
    }
    let mut limit = 0;
    for at in (2 + count..args.len()).step_by(2) {
        if !args.is(at, "limit") || at + 1 == args.len() {
            return Err(error::SYNTAX);
        }
        limit = args.int(at + 1).ok().filter(|limit| *limit >= 0).ok_or(error::LIMIT_NEGATIVE)?;
    }
    let sets = read_sets(call.view, args.from(2).take(count))?;
    let mut members = 0;
    intersect(sets, |_| {
        members += 1;
        members != limit
    });
    call.reply.int(members);
    Ok(())
}

/// Gives the members that all sets have to `found`, until it returns false. A missing set has none.
fn intersect(sets: Vec<Option<Reading<'_, Set>>>, mut found: impl FnMut(Element<'_>) -> bool) {
    let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    for member in smallest.iter() {
        if others.iter().all(|other| other.contains_element(member)) && !found(member) {
            return;
        }
    }
}

/// The members that all sets have, as a set of the smallest one's encoding, or of integers if they all are.
fn intersection(sets: Vec<Option<Reading<'_, Set>>>, limits: &Limits) -> Set {
    let smallest = sets.iter().flatten().min_by_key(|set| set.len());
    let mut result = match smallest.map(|set| &**set) {
        Some(Set::Table(_)) => Set::empty_table(limits),
        Some(Set::Packed(_)) => Set::Packed(Listpack::new()),
        Some(Set::Ints(_)) | None => Set::Ints(Intset::new()),
    };
    intersect(sets, |member| {
        result.insert_element(member, limits);
        true
    });
    result.prefer_ints(limits);
    result
}

// Unions.

pub(super) const SUNION: Row = answered("sunion", sunion);
pub(super) const SUNIONSTORE: Row = stored("sunionstore", sunionstore);

fn sunion(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let limits = call.server.limits();
    let mut sets: Vec<_> = read_sets(call.view, call.args.from(1))?.into_iter().flatten().collect();
    if sets.len() > UNION_LOOKUPS_MAX {
        let union = union(&sets, &limits);
        super::reply_all(&mut call.reply, &union);
        return Ok(());
    }
    sets.sort_by_key(|set| Reverse(set.len()));
    call.reply.set_of(|reply| {
        let mut members = 0;
        for (at, set) in sets.iter().enumerate() {
            for member in set.iter() {
                if !sets[..at].iter().any(|before| before.contains_element(member)) {
                    members += 1;
                    reply.element(member);
                }
            }
        }
        members
    });
    Ok(())
}

fn sunionstore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let limits = call.server.limits();
    let sets: Vec<_> = read_sets(call.view, call.args.from(2))?.into_iter().flatten().collect();
    let result = union(&sets, &limits);
    drop(sets);
    store(call, result, "sunionstore");
    Ok(())
}

/// The members of all sets, as if they were added one by one to an empty set of integers.
fn union(sets: &[Reading<'_, Set>], limits: &Limits) -> Set {
    let largest = sets.iter().enumerate().max_by_key(|(_, set)| set.len());
    let shared = largest.and_then(|(at, set)| Some((at, set.shared_if_large(limits)?)));
    let (begun_with, mut result) = shared.map_or((None, Set::default()), |(at, set)| (Some(at), set));
    for (_, set) in sets.iter().enumerate().filter(|(at, _)| Some(*at) != begun_with) {
        for member in set.iter() {
            result.insert_element(member, limits);
        }
    }
    result
}

// Differences.

pub(super) const SDIFF: Row = answered("sdiff", sdiff);
pub(super) const SDIFFSTORE: Row = stored("sdiffstore", sdiffstore);

fn sdiff(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let Some(difference) = Difference::read(call.view, call.args, 1)? else {
        call.reply.set(0);
        return Ok(());
    };
    if difference.is_by_lookup() {
        call.reply.set_of(|reply| {
            let mut members = 0;
            difference.for_each(|member| {
                members += 1;
                reply.element(member);
            });
            members
        });
    } else {
        // A copy of a large set shares its memory; small ones are small.
        let rest = difference.removed_from((*difference.first).clone());
        super::reply_all(&mut call.reply, &rest);
    }
    Ok(())
}

fn sdiffstore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let limits = call.server.limits();
    let result = Difference::read(call.view, call.args, 2)?
        .map_or(Set::default(), |difference| difference.build(&limits));
    store(call, result, "sdiffstore");
    Ok(())
}

/// A set without the members of others.
struct Difference<'v> {
    first: Reading<'v, Set>,
    /// Those that are there, the largest first.
    others: Vec<Reading<'v, Set>>,
}

impl<'v> Difference<'v> {
    /// The sets of the keys from the argument `from` on. None if nothing can remain: without a first set, or if it is among
    /// the others.
    fn read(view: &'v mut View<'_>, args: Args<'_>, from: usize) -> Result<Option<Difference<'v>>, Error> {
        let same = args.from(from + 1).any(|key| key == args.at(from));
        let mut sets = read_sets(view, args.from(from))?.into_iter();
        let Some(first) = sets.next().flatten().filter(|_| !same) else { return Ok(None) };
        let mut others: Vec<_> = sets.flatten().collect();
        others.sort_by_key(|set| Reverse(set.len()));
        Ok(Some(Difference { first, others }))
    }

    /// Is it less work to look up each member in the others than to remove all members of the others? As in Redis, since
    /// the encoding of what is stored depends on it.
    fn is_by_lookup(&self) -> bool {
        let all: usize = self.first.len() + self.others.iter().map(|set| set.len()).sum::<usize>();
        self.first.len() * (1 + self.others.len()) / 2 <= all
    }

    fn for_each(&self, mut found: impl FnMut(Element<'_>)) {
        for member in self.first.iter() {
            if !self.others.iter().any(|other| other.contains_element(member)) {
                found(member);
            }
        }
    }

    /// What remains of a set when the members of all others are removed from it.
    fn removed_from(&self, mut set: Set) -> Set {
        for other in &self.others {
            if set.is_empty() {
                break;
            }
            for member in other.iter() {
                set.remove_element(member);
            }
        }
        set
    }

    /// The difference as if its members were added one by one to an empty set of integers.
    fn build(&self, limits: &Limits) -> Set {
        if !self.is_by_lookup() {
            return self.removed_from(union(std::slice::from_ref(&self.first), limits));
        }
        let mut result = Set::default();
        self.for_each(|member| {
            result.insert_element(member, limits);
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use std::collections::BTreeSet;

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.run("config set set-max-intset-entries 8 set-max-listpack-entries 8");
        for line in ["sadd i 1 2 3 4", "sadd j 3 4 5", "sadd p a b 3", "set str 1"] {
            bench.run(line);
        }
        for n in 0..40 {
            bench.run(&format!("sadd t {n}"));
            bench.run(&format!("sadd w w{n}"));
        }
        bench.logged();
        bench
    }

    #[track_caller]
    fn check(line: &str, reply: &str) {
        bench().check(line, reply);
    }

    /// Stores a result and compares its size and encoding.
    #[track_caller]
    fn check_stored(line: &str, size: usize, encoding: &str) {
        let mut bench = bench();
        bench.check(line, &format!(":{size}"));
        bench.check("scard d", &format!(":{size}"));
        bench.check("object encoding d", encoding);
    }

    #[test]
    fn answers() {
        check("sinter i j", "*2 $1 3 $1 4");
        check("sinter i j p", "*1 $1 3");
        check("sinter i none", "*0");
        check("sinter i", "*4 $1 1 $1 2 $1 3 $1 4");
        check("sunion i j", "*5 $1 1 $1 2 $1 3 $1 4 $1 5");
        check("sunion none p none", "*3 $1 a $1 b $1 3");
        check("sunion none", "*0");
        check("sdiff i j p", "*2 $1 1 $1 2");
        check("sdiff none i", "*0");
        check("sdiff i i", "*0");
        check("sdiff i j j j j j j j j j j", "*2 $1 1 $1 2");
        bench().resp3().check("sinter i j", "~2 $1 3 $1 4");
        bench().resp3().check("sunion none", "~0");
    }

    #[test]
    fn cardinalities() {
        check("sintercard 2 i j", ":2");
        check("sintercard 2 i j limit 1", ":1");
        check("sintercard 2 i j limit 0", ":2");
        check("sintercard 2 i j limit 1 limit 5", ":2");
        check("sintercard 2 i none", ":0");
        for count in ["0", "-1", "x"] {
            check(&format!("sintercard {count} i"), "-ERR numkeys should be greater than 0");
        }
        check("sintercard 2 i", "-ERR Number of keys can't be greater than number of args");
        check("sintercard 9223372036854775807 i", "-ERR Number of keys can't be greater than number of args");
        for options in ["limit", "j", "foo 1"] {
            check(&format!("sintercard 1 i {options}"), "-ERR syntax error");
        }
        check("sintercard 1 str limit -1", "-ERR LIMIT can't be negative");
        check("sintercard 1 str limit x", "-ERR LIMIT can't be negative");
    }

    #[test]
    fn other_types_are_refused_even_where_nothing_would_come_of_them() {
        for line in ["sinter none str", "sunion str", "sdiff none str", "sintercard 2 none str"] {
            check(line, WRONG_TYPE);
        }
        check("sinterstore str i str", WRONG_TYPE);
        check("sinterstore str i", ":4");
    }

    #[test]
    fn what_is_stored_has_redis_encodings() {
        check_stored("sinterstore d i j", 2, "$6 intset");
        check_stored("sinterstore d p p", 3, "$8 listpack");
        check_stored("sinterstore d p t", 1, "$6 intset");
        check_stored("sinterstore d t t", 40, "$9 hashtable");
        check_stored("sinterstore d w w", 40, "$9 hashtable");
        check_stored("sunionstore d i j", 5, "$6 intset");
        check_stored("sunionstore d i p", 6, "$8 listpack");
        check_stored("sunionstore d i t p", 42, "$9 hashtable");
        check_stored("sdiffstore d i j", 2, "$6 intset");
        check_stored("sdiffstore d p i", 2, "$8 listpack");
        check_stored("sdiffstore d t i", 36, "$9 hashtable");
        // Removing from a whole copy keeps the copy's encoding; adding what remains does not know it.
        let mut bench = bench();
        for n in 0..38 {
            bench.run(&format!("sadd part{} w{n}", n % 3));
        }
        bench.check("sunionstore parts part0 part1 part2", ":38");
        bench.check("sdiffstore d w parts", ":2");
        bench.check("object encoding d", "$8 listpack");
        bench.check("sdiffstore d w part0 part1 part2", ":2");
        bench.check("object encoding d", "$9 hashtable");
    }

    #[test]
    fn an_empty_result_removes_the_target() {
        let mut bench = bench();
        bench.check("sinterstore str i w", ":0");
        bench.check("exists str", ":0");
        bench.check("sdiffstore str i i", ":0");
        bench.check("sunionstore i none", ":0");
        assert_eq!(
            bench.logged(),
            "SELECT 0 sinterstore str i w sunionstore i none".replace("SELECT 0 ", "")
        );
    }

    #[test]
    fn targets_may_be_sources() {
        let mut bench = bench();
        bench.check("sunionstore i i j", ":5");
        bench.check("sdiffstore i i j", ":2");
        bench.check("smembers i", "*2 $1 1 $1 2");
        bench.check("sunionstore t t w", ":80");
        bench.check("scard w", ":40");
    }

    /// All ways to combine sets of all encodings, against sets of the standard library.
    #[test]
    fn agrees_with_a_model() {
        let mut bench = bench();
        let keys = ["i", "j", "p", "t", "w", "none", "i", "p", "t", "w"];
        let words = |reply: &str| -> BTreeSet<String> {
            reply.split(' ').filter(|word| !word.starts_with(['$', '*'])).map(str::to_string).collect()
        };
        let sets: Vec<_> = keys.iter().map(|key| words(&bench.run(&format!("smembers {key}")))).collect();
        for round in 0..400usize {
            let chosen: Vec<_> =
                (0..1 + round % 9).map(|n| (round * 7 + n * (1 + round / 90)) % keys.len()).collect();
            let names = chosen.iter().map(|at| keys[*at]).collect::<Vec<_>>().join(" ");
            let mut model = chosen.iter().map(|at| sets[*at].clone());
            let (name, expected) = match round % 3 {
                0 => ("sinter", model.reduce(|a, b| &a & &b)),
                1 => ("sunion", model.reduce(|a, b| &a | &b)),
                _ => ("sdiff", model.next().map(|first| model.fold(first, |a, b| &a - &b))),
            };
            let reply = bench.run(&format!("{name} {names}"));
            assert_eq!(Some(words(&reply)), expected, "{name} {names}: {reply}");
            let size = expected.map_or(0, |set| set.len());
            bench.check(&format!("{name}store d {names}"), &format!(":{size}"));
            let stored = words(&bench.run("smembers d"));
            assert_eq!(stored, words(&reply), "{name}store {names}");
        }
    }
}
