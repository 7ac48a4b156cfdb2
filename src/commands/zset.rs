//! Sorted sets: members one by one, their scores and ranks. Ranges, pops, combinations and random members stand in the
//! modules below.

mod combine;
mod pop;
mod random;
mod range;

use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events::{Class, Event};
use crate::types::Limits;
use crate::types::double;
use crate::types::zset::Zset;
use range::{LexRange, ScoreRange};

/// The family's rows.
pub const ROWS: &[Row] = &[
    ZADD,
    ZINCRBY,
    ZREM,
    ZCARD,
    ZSCORE,
    ZMSCORE,
    ZRANK,
    ZREVRANK,
    ZCOUNT,
    ZLEXCOUNT,
    range::ZRANGE,
    range::ZRANGESTORE,
    range::ZREVRANGE,
    range::ZRANGEBYSCORE,
    range::ZREVRANGEBYSCORE,
    range::ZRANGEBYLEX,
    range::ZREVRANGEBYLEX,
    range::ZREMRANGEBYRANK,
    range::ZREMRANGEBYSCORE,
    range::ZREMRANGEBYLEX,
    pop::ZPOPMIN,
    pop::ZPOPMAX,
    pop::BZPOPMIN,
    pop::BZPOPMAX,
    pop::ZMPOP,
    pop::BZMPOP,
    combine::ZUNION,
    combine::ZUNIONSTORE,
    combine::ZINTER,
    combine::ZINTERSTORE,
    combine::ZINTERCARD,
    combine::ZDIFF,
    combine::ZDIFFSTORE,
    random::ZRANDMEMBER,
    random::ZSCAN,
];

const READ: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))];
const DELETED_FROM: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))];
const OVERWRITTEN: KeySpec = KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE));
const QUICK_READ: Flags = Flags::READONLY.union(Flags::FAST);
const QUICK_WRITE: Flags = Flags::WRITE.union(Flags::FAST);

/// An event of sorted sets.
const fn event(name: &'static str) -> Event {
    Event::new(Class::ZSET, name)
}

/// How ZADD treats members that are there and those that are not.
#[derive(Clone, Copy, Default)]
pub(super) struct AddOptions {
    pub nx: bool,
    pub xx: bool,
    pub gt: bool,
    pub lt: bool,
    pub ch: bool,
    pub incr: bool,
}

impl AddOptions {
    /// Reads the options from the second argument on; also the position behind them.
    fn parse(args: Args<'_>, incr: bool) -> (AddOptions, usize) {
        let mut options = AddOptions { incr, ..AddOptions::default() };
        let mut at = 2;
        while at < args.len() {
            let option = match () {
                () if args.is(at, "nx") => &mut options.nx,
                () if args.is(at, "xx") => &mut options.xx,
                () if args.is(at, "ch") => &mut options.ch,
                () if args.is(at, "incr") => &mut options.incr,
                () if args.is(at, "gt") => &mut options.gt,
                () if args.is(at, "lt") => &mut options.lt,
                () => break,
            };
            *option = true;
            at += 1;
        }
        (options, at)
    }

    /// Do the options go together, with so many arguments behind them?
    fn check(&self, left: usize) -> Result<(), Error> {
        if left == 0 || !left.is_multiple_of(2) {
            return Err(error::SYNTAX);
        }
        if self.nx && self.xx {
            return Err(error::NX_AND_XX);
        }
        if (self.nx && (self.gt || self.lt)) || (self.gt && self.lt) {
            return Err(error::GT_LT_NX);
        }
        if self.incr && left > 2 {
            return Err(error::INCR_SINGLE_PAIR);
        }
        Ok(())
    }

    /// The score that a member gets, if it is to get one.
    ///
    /// # Errors
    /// When an increment leads to no number.
    fn new_score(&self, old: Option<f64>, score: f64) -> Result<Option<f64>, Error> {
        let Some(old) = old else { return Ok((!self.xx).then_some(score)) };
        if self.nx {
            return Ok(None);
        }
        let score = if self.incr { old + score } else { score };
        if score.is_nan() {
            return Err(error::SCORE_NAN);
        }
        let refused = (self.gt && score <= old) || (self.lt && score >= old);
        Ok((!refused).then_some(score))
    }
}

/// What ZADD did.
#[derive(Default)]
pub(super) struct Added {
    added: usize,
    updated: usize,
    /// The last member's score, unless nothing was done with it.
    score: Option<f64>,
}

impl Added {
    /// Members added or changed.
    pub fn changes(&self) -> usize {
        self.added + self.updated
    }

    /// The number that the client is told.
    pub fn told(&self, options: &AddOptions) -> usize {
        if options.ch { self.changes() } else { self.added }
    }

    fn add_one(
        &mut self,
        zset: &mut Zset,
        (member, score): (&[u8], f64),
        options: &AddOptions,
        limits: &Limits,
    ) -> Result<(), Error> {
        let conditional = options.nx || options.xx || options.gt || options.lt || options.incr;
        let score = match conditional {
            true => options.new_score(zset.score(member), score)?,
            false => Some(score),
        };
        self.score = score;
        let Some(score) = score else { return Ok(()) };
        match zset.insert(member, score, limits) {
            None => self.added += 1,
            Some(old) => self.updated += usize::from(old != score),
        }
        Ok(())
    }
}

/// Adds members with their scores to the sorted set at a key.
pub(super) fn add_all<'m>(
    call: &mut Call<'_, '_>,
    options: &AddOptions,
    mut pairs: impl Iterator<Item = (&'m [u8], f64)>,
) -> Result<Added, Error> {
    let limits = call.server.limits();
    let name = if options.incr { "zincr" } else { "zadd" };
    let mut edit = call.view.object_or_new::<Zset>(call.args.at(1), event(name))?;
    let mut done = Added::default();
    edit.change(|zset| {
        let result = pairs.try_for_each(|pair| done.add_one(zset, pair, options, &limits));
        (done.changes(), result)
    })
    .1?;
    Ok(done)
}

const ZADD: Row = Row::new("zadd", -4, Group::SortedSet, "1.2.0", zadd)
    .element(3)
    .flags(QUICK_WRITE.union(Flags::DENYOOM))
    .categories(Acl::SORTEDSET)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))]);

fn zadd(call: &mut Call<'_, '_>) -> Result<(), Error> {
    add(call, false)
}

const ZINCRBY: Row = Row::new("zincrby", 4, Group::SortedSet, "1.2.0", zincrby)
    .element(3)
    .flags(QUICK_WRITE.union(Flags::DENYOOM))
    .categories(Acl::SORTEDSET)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))]);

/// ZADD with INCR; even its other options are understood.
fn zincrby(call: &mut Call<'_, '_>) -> Result<(), Error> {
    add(call, true)
}

fn add(call: &mut Call<'_, '_>, incr: bool) -> Result<(), Error> {
    let args = call.args;
    let (options, first) = AddOptions::parse(args, incr);
    options.check(args.len() - first)?;
    let score = |at: usize| double::parse(args.at(at)).ok_or(error::NOT_FLOAT);
    let positions = (first..args.len()).step_by(2);
    let done = match args.len() - first {
        2 => {
            let score = score(first)?;
            add_all(call, &options, std::iter::once((args.at(first + 1), score)))?
        }
        _ => {
            let scores = positions.clone().map(score).collect::<Result<Vec<_>, _>>()?;
            add_all(call, &options, positions.map(|at| args.at(at + 1)).zip(scores))?
        }
    };
    match done.score {
        Some(score) if options.incr => call.reply.double(score),
        None if options.incr => call.reply.null(),
        _ => call.reply.len(done.told(&options)),
    }
    Ok(())
}

const ZREM: Row = Row::new("zrem", -3, Group::SortedSet, "1.2.0", zrem)
    .element(2)
    .flags(QUICK_WRITE)
    .categories(Acl::SORTEDSET)
    .keys(DELETED_FROM);

fn zrem(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let members = call.args.from(2);
    let removed = match call.view.object_mut::<Zset>(call.args.at(1), event("zrem"))? {
        Some(mut edit) => edit.change(|zset| members.filter(|member| zset.remove(member).is_some()).count()),
        None => 0,
    };
    call.reply.len(removed);
    Ok(())
}

const ZCARD: Row = Row::new("zcard", 2, Group::SortedSet, "1.2.0", zcard)
    .flags(QUICK_READ)
    .categories(Acl::SORTEDSET)
    .keys(&[KeySpec::one(1, KeyFlags::RO)]);

fn zcard(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let len = call.view.object::<Zset>(call.args.at(1))?.map_or(0, |zset| zset.len());
    call.reply.len(len);
    Ok(())
}

const ZSCORE: Row = Row::new("zscore", 3, Group::SortedSet, "1.2.0", zscore)
    .element(2)
    .flags(QUICK_READ)
    .categories(Acl::SORTEDSET)
    .keys(READ);

fn zscore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let zset = call.view.object::<Zset>(call.args.at(1))?;
    match zset.and_then(|zset| zset.score(call.args.at(2))) {
        Some(score) => call.reply.double(score),
        None => call.reply.null(),
    }
    Ok(())
}

const ZMSCORE: Row = Row::new("zmscore", -3, Group::SortedSet, "6.2.0", zmscore)
    .element(2)
    .flags(QUICK_READ)
    .categories(Acl::SORTEDSET)
    .keys(READ);

fn zmscore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let members = call.args.from(2);
    let zset = call.view.object::<Zset>(call.args.at(1))?;
    call.reply.array(members.len());
    for member in members {
        match zset.as_ref().and_then(|zset| zset.score(member)) {
            Some(score) => call.reply.double(score),
            None => call.reply.null(),
        }
    }
    Ok(())
}

const ZRANK: Row = Row::new("zrank", -3, Group::SortedSet, "2.0.0", zrank)
    .element(2)
    .flags(QUICK_READ)
    .categories(Acl::SORTEDSET)
    .keys(READ);

fn zrank(call: &mut Call<'_, '_>) -> Result<(), Error> {
    rank(call, |rank, _| rank)
}

const ZREVRANK: Row = Row::new("zrevrank", -3, Group::SortedSet, "2.0.0", zrevrank)
    .element(2)
    .flags(QUICK_READ)
    .categories(Acl::SORTEDSET)
    .keys(READ);

fn zrevrank(call: &mut Call<'_, '_>) -> Result<(), Error> {
    rank(call, |rank, len| len - 1 - rank)
}

/// `count` tells the rank to reply from that in ascending order and the number of members.
fn rank(call: &mut Call<'_, '_>, count: fn(usize, usize) -> usize) -> Result<(), Error> {
    let args = call.args;
    let with_score = match args.len() {
        3 => false,
        4 if args.is(3, "withscore") => true,
        4 => return Err(error::SYNTAX),
        _ => return Err(Error::arity(call.command.row.name)),
    };
    let zset = call.view.object::<Zset>(args.at(1))?;
    let found =
        zset.and_then(|zset| zset.rank(args.at(2)).map(|(rank, score)| (count(rank, zset.len()), score)));
    match found {
        Some((rank, score)) if with_score => {
            call.reply.array(2);
            call.reply.len(rank);
            call.reply.double(score);
        }
        Some((rank, _)) => call.reply.len(rank),
        None if with_score => call.reply.null_array(),
        None => call.reply.null(),
    }
    Ok(())
}

const ZCOUNT: Row = Row::new("zcount", 4, Group::SortedSet, "2.0.0", zcount)
    .flags(QUICK_READ)
    .categories(Acl::SORTEDSET)
    .keys(READ);

fn zcount(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let range = ScoreRange::parse(call.args.at(2), call.args.at(3))?;
    let count = call.view.object::<Zset>(call.args.at(1))?.map_or(0, |zset| range.ranks(&zset).len());
    call.reply.len(count);
    Ok(())
}

const ZLEXCOUNT: Row = Row::new("zlexcount", 4, Group::SortedSet, "2.8.9", zlexcount)
    .flags(QUICK_READ)
    .categories(Acl::SORTEDSET)
    .keys(READ);

fn zlexcount(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let range = LexRange::parse(call.args.at(2), call.args.at(3))?;
    let count = call.view.object::<Zset>(call.args.at(1))?.map_or(0, |zset| range.ranks(&zset).len());
    call.reply.len(count);
    Ok(())
}

#[cfg(test)]
mod tests;
