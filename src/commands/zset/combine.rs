//! Unions, intersections and differences of sorted sets and sets; a set's members have the score 1.
//!
//! The result is built as a large sorted set, whose scores keep all that scores have (even the sign of 0), and made small in the
//! end if it is stored and fits. Sources are taken in the order of their sizes, since the last digit of a sum depends on it.

use super::{OVERWRITTEN, event};
use crate::command::{Acl, Begin, Find, Flags, Group, Handler, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::{Entry, Reading};
use crate::resp::parser::number;
use crate::types::element::Element;
use crate::types::set::Set;
use crate::types::zset::{Direction, Zset};
use crate::types::{Limits, double};

const fn counted_sources(index: usize) -> KeySpec {
    KeySpec {
        flags: KeyFlags::RO.union(KeyFlags::ACCESS),
        begin: Begin::Index(index),
        find: Find::KeyNum { index: 0, first: 1, step: 1 },
        notes: None,
    }
}

const fn reading(name: &'static str, since: &'static str, handler: Handler) -> Row {
    Row::new(name, -3, Group::SortedSet, since, handler)
        .flags(Flags::READONLY)
        .categories(Acl::SORTEDSET)
        .keys(const { &[counted_sources(1)] })
}

const fn storing(name: &'static str, since: &'static str, handler: Handler) -> Row {
    Row::new(name, -4, Group::SortedSet, since, handler)
        .flags(Flags::WRITE.union(Flags::DENYOOM))
        .categories(Acl::SORTEDSET)
        .keys(const { &[OVERWRITTEN, counted_sources(2)] })
}

/// What is done with the sources.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Reply,
    Count,
    Store,
}

/// How the scores of a member become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, sum: f64, value: f64) -> f64 {
        match self {
            // Infinities of both signs cancel out.
            Aggregate::Sum => number_or_zero(sum + value),
            Aggregate::Min => {
                if value < sum {
                    value
                } else {
                    sum
                }
            }
            Aggregate::Max => {
                if value > sum {
                    value
                } else {
                    sum
                }
            }
        }
    }
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What one key holds.
enum Source<'v> {
    Zset(Reading<'v, Zset>),
    Set(Reading<'v, Set>),
    Nothing,
}

impl<'v> Source<'v> {
    fn of(entry: Option<&'v Entry>) -> Result<Source<'v>, Error> {
        let Some(entry) = entry else { return Ok(Source::Nothing) };
        match entry.object::<Set>() {
            Ok(set) => Ok(Source::Set(set)),
            Err(_) => Ok(Source::Zset(entry.object::<Zset>()?)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Source::Zset(zset) => zset.len(),
            Source::Set(set) => set.len(),
            Source::Nothing => 0,
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Zset(zset) => zset.score(member),
            Source::Set(set) => set.contains(member).then_some(1.0),
            Source::Nothing => None,
        }
    }

    /// Gives members and scores to `f` until it says that it has enough.
    fn try_each(&self, mut f: impl FnMut(Element<'_>, f64) -> bool) {
        let _: bool = match self {
            Source::Zset(zset) => zset.iter().all(|(member, score)| f(member, score)),
            Source::Set(set) => set.iter().all(|member| f(member, 1.0)),
            Source::Nothing => true,
        };
    }
}

/// The command's arguments.
struct Request {
    /// Positions of the keys.
    keys: std::ops::Range<usize>,
    /// One for each key.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Members to count; 0: all.
    limit: usize,
}

impl Request {
    /// Reads the keys after their number at `at`.
    fn parse_keys(call: &Call<'_, '_>, at: usize) -> Result<Request, Error> {
        let count = call.args.int(at)?;
        if count < 1 {
            let name = call.command.row.name;
            return Err(Error::err(format!("at least 1 input key is needed for '{name}' command")));
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > call.args.len() - at - 1 {
            return Err(error::SYNTAX);
        }
        Ok(Request {
            keys: at + 1..at + 1 + count,
            weights: vec![1.0; count],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        })
    }

    /// Reads the options behind the keys.
    fn parse_options(&mut self, args: Args<'_>, operation: Operation, result: Use) -> Result<(), Error> {
        let weighs = operation != Operation::Diff && result != Use::Count;
        let mut at = self.keys.end;
        while at < args.len() {
            let left = args.len() - at;
            match () {
                () if weighs && left > self.keys.len() && args.is(at, "weights") => {
                    for (weight, at) in self.weights.iter_mut().zip(at + 1..) {
                        *weight = double::parse(args.at(at)).ok_or(error::WEIGHT_NOT_FLOAT)?;
                    }
                    at += self.keys.len();
                }
                () if weighs && left >= 2 && args.is(at, "aggregate") => {
                    at += 1;
                    self.aggregate = match () {
                        () if args.is(at, "sum") => Aggregate::Sum,
                        () if args.is(at, "min") => Aggregate::Min,
                        () if args.is(at, "max") => Aggregate::Max,
                        () => return Err(error::SYNTAX),
                    };
                }
                () if result == Use::Reply && args.is(at, "withscores") => self.with_scores = true,
                () if result == Use::Count && left >= 2 && args.is(at, "limit") => {
                    at += 1;
                    let limit = number(args.at(at)).and_then(|limit| usize::try_from(limit).ok());
                    self.limit = limit.ok_or(error::LIMIT_NEGATIVE)?;
                }
                () => return Err(error::SYNTAX),
            }
            at += 1;
        }
        Ok(())
    }
}

/// A source and its weight.
type Weighed<'v> = (Source<'v>, f64);

/// Each member with its score in the intersection, until `f` has enough. Smallest source first.
fn intersect(sources: &[Weighed<'_>], aggregate: Aggregate, mut f: impl FnMut(&[u8], f64) -> bool) {
    let Some(((first, weight), others)) = sources.split_first() else { return };
    first.try_each(|member, score| {
        let mut digits = itoa::Buffer::new();
        let member = member.text(&mut digits);
        let mut sum = number_or_zero(weight * score);
        for (other, weight) in others {
            let Some(score) = other.score(member) else { return true };
            sum = aggregate.of(sum, weight * score);
        }
        f(member, sum)
    });
}

fn union(sources: &[Weighed<'_>], aggregate: Aggregate, limits: &Limits) -> Zset {
    let mut result = Zset::large(limits);
    for (source, weight) in sources {
        source.try_each(|member, score| {
            let mut digits = itoa::Buffer::new();
            let (member, value) = (member.text(&mut digits), number_or_zero(weight * score));
            let sum = result.score(member).map_or(value, |sum| aggregate.of(sum, value));
            if sum == 0.0 {
                // To put one zero in another's place is no change, even if the signs differ.
                result.remove(member);
            }
            result.insert(member, sum, limits);
            true
        });
    }
    result
}

/// The members of the first source that no other has.
fn subtract(sources: &[Weighed<'_>], limits: &Limits) -> Zset {
    let mut result = Zset::large(limits);
    let Some(((first, _), others)) = sources.split_first() else { return result };
    first.try_each(|member, score| {
        let mut digits = itoa::Buffer::new();
        let member = member.text(&mut digits);
        if !others.iter().any(|(other, _)| other.score(member).is_some()) {
            result.insert(member, score, limits);
        }
        true
    });
    result
}

/// What an operation came to.
enum Outcome {
    Members(Zset),
    Count(usize),
}

/// Reads the request and does the operation. Also whether scores are asked for.
fn combine(
    call: &mut Call<'_, '_>,
    at: usize,
    operation: Operation,
    result: Use,
) -> Result<(Outcome, bool), Error> {
    let mut request = Request::parse_keys(call, at)?;
    let limits = call.server.limits();
    let args = call.args;
    let keys = request.keys.clone().map(|at| args.at(at));
    let entries = call.view.read_all(keys, |entry| Source::of(Some(entry)).map(drop))?;
    let sources = entries.into_iter().map(Source::of).collect::<Result<Vec<_>, _>>()?;
    request.parse_options(args, operation, result)?;
    let mut sources: Vec<Weighed<'_>> = sources.into_iter().zip(request.weights).collect();
    if operation != Operation::Diff {
        sources.sort_by_key(|(source, _)| source.len());
    }
    let aggregate = request.aggregate;
    if result == Use::Count {
        let mut count = 0;
        intersect(&sources, aggregate, |_, _| {
            count += 1;
            count != request.limit
        });
        return Ok((Outcome::Count(count), false));
    }
    let members = match operation {
        Operation::Union => union(&sources, aggregate, &limits),
        Operation::Diff => subtract(&sources, &limits),
        Operation::Inter => {
            let mut members = Zset::large(&limits);
            intersect(&sources, aggregate, |member, score| {
                members.insert(member, score, &limits);
                true
            });
            members
        }
    };
    Ok((Outcome::Members(members), request.with_scores))
}

fn reply(call: &mut Call<'_, '_>, operation: Operation, result: Use) -> Result<(), Error> {
    match combine(call, 1, operation, result)? {
        (Outcome::Count(count), _) => call.reply.len(count),
        (Outcome::Members(zset), with_scores) => {
            let members = zset.range(0..zset.len(), Direction::Forward);
            super::range::reply_members(&mut call.reply, members, with_scores);
        }
    }
    Ok(())
}

fn store(call: &mut Call<'_, '_>, operation: Operation, name: &'static str) -> Result<(), Error> {
    let (Outcome::Members(zset), _) = combine(call, 2, operation, Use::Store)? else {
        unreachable!("only ZINTERCARD counts")
    };
    let (len, zset) = (zset.len(), zset.compacted(&call.server.limits()));
    call.view.put_object(call.args.at(1), zset, event(name));
    call.reply.len(len);
    Ok(())
}

pub(super) const ZUNION: Row = reading("zunion", "6.2.0", zunion);

fn zunion(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply(call, Operation::Union, Use::Reply)
}

pub(super) const ZUNIONSTORE: Row = storing("zunionstore", "2.0.0", zunionstore);

fn zunionstore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    store(call, Operation::Union, "zunionstore")
}

pub(super) const ZINTER: Row = reading("zinter", "6.2.0", zinter);

fn zinter(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply(call, Operation::Inter, Use::Reply)
}

pub(super) const ZINTERSTORE: Row = storing("zinterstore", "2.0.0", zinterstore);

fn zinterstore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    store(call, Operation::Inter, "zinterstore")
}

pub(super) const ZINTERCARD: Row = reading("zintercard", "7.0.0", zintercard);

fn zintercard(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply(call, Operation::Inter, Use::Count)
}

pub(super) const ZDIFF: Row = reading("zdiff", "6.2.0", zdiff);

fn zdiff(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply(call, Operation::Diff, Use::Reply)
}

pub(super) const ZDIFFSTORE: Row = storing("zdiffstore", "6.2.0", zdiffstore);

fn zdiffstore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    store(call, Operation::Diff, "zdiffstore")
}
