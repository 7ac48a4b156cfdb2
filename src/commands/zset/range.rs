//! Ranges of sorted sets: by rank, by score, by member; read, stored or removed.
//!
//! Each kind of range becomes a range of ranks first, in O(log n); offsets and counts are then arithmetic.

use super::{DELETED_FROM, OVERWRITTEN, READ, event};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::resp::Reply;
use crate::types::double;
use crate::types::zset::{Cut, Direction, Members, Zset};
use std::ops::Range;

/// Scores from one end to the other.
pub(super) struct ScoreRange {
    min: Cut<'static>,
    max: Cut<'static>,
}

impl ScoreRange {
    /// From two texts: a number as `strtod` reads it, excluded after `(`.
    pub fn parse(min: &[u8], max: &[u8]) -> Result<ScoreRange, Error> {
        let (min, excludes_min) = score_end(min)?;
        let (max, excludes_max) = score_end(max)?;
        Ok(ScoreRange {
            min: if excludes_min { Cut::AboveScore(min) } else { Cut::BelowScore(min) },
            max: if excludes_max { Cut::BelowScore(max) } else { Cut::AboveScore(max) },
        })
    }

    /// The ranks of the members in the range.
    pub fn ranks(&self, zset: &Zset) -> Range<usize> {
        ordered(zset.count_before(&self.min)..zset.count_before(&self.max))
    }
}

fn score_end(text: &[u8]) -> Result<(f64, bool), Error> {
    let (text, excluded) = text.strip_prefix(b"(").map_or((text, false), |rest| (rest, true));
    // C's strings end at the first NUL.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let number = double::prefix(text);
    if number.len != text.len() || number.value.is_nan() {
        return Err(error::RANGE_NOT_FLOAT);
    }
    Ok((number.value, excluded))
}

/// Members from one end to the other.
pub(super) struct LexRange<'a> {
    min: LexEnd<'a>,
    max: LexEnd<'a>,
}

#[derive(Clone, Copy)]
enum LexEnd<'a> {
    First,
    Last,
    Including(&'a [u8]),
    Excluding(&'a [u8]),
}

impl<'a> LexRange<'a> {
    /// From two texts: `-`, `+`, or a member after `[` or, to be excluded, `(`.
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Error> {
        Ok(LexRange { min: lex_end(min)?, max: lex_end(max)? })
    }

    /// The ranks of the members in the range.
    pub fn ranks(&self, zset: &Zset) -> Range<usize> {
        let start = match self.min {
            LexEnd::First => 0,
            LexEnd::Last => zset.len(),
            LexEnd::Including(member) => zset.count_before(&Cut::BelowMember(member)),
            LexEnd::Excluding(member) => zset.count_before(&Cut::AboveMember(member)),
        };
        let end = match self.max {
            LexEnd::First => 0,
            LexEnd::Last => zset.len(),
            LexEnd::Including(member) => zset.count_before(&Cut::AboveMember(member)),
            LexEnd::Excluding(member) => zset.count_before(&Cut::BelowMember(member)),
        };
        ordered(start..end)
    }
}

fn lex_end(text: &[u8]) -> Result<LexEnd<'_>, Error> {
    match text {
        [b'-'] | [b'-', 0, ..] => Ok(LexEnd::First),
        [b'+'] | [b'+', 0, ..] => Ok(LexEnd::Last),
        [b'[', member @ ..] => Ok(LexEnd::Including(member)),
        [b'(', member @ ..] => Ok(LexEnd::Excluding(member)),
        _ => Err(error::RANGE_NOT_STRING),
    }
}

fn ordered(ranks: Range<usize>) -> Range<usize> {
    ranks.start.min(ranks.end)..ranks.end
}

/// Ranks, from the end where negative, both ends included.
struct RankRange {
    start: i64,
    end: i64,
}

impl RankRange {
    fn parse(args: Args<'_>, [start, end]: [usize; 2]) -> Result<RankRange, Error> {
        Ok(RankRange { start: args.int(start)?, end: args.int(end)? })
    }

    /// The ranks that are there; backward they count from the other end.
    fn ranks(&self, zset: &Zset, direction: Direction) -> Range<usize> {
        let len = zset.len() as i64;
        let from_end = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
        let (start, end) = (from_end(self.start).max(0), from_end(self.end));
        if start > end || start >= len {
            return 0..0;
        }
        let (start, end) = (start as usize, end.min(len - 1) as usize + 1);
        match direction {
            Direction::Forward => start..end,
            Direction::Backward => zset.len() - end..zset.len() - start,
        }
    }
}

/// How the ends of a range are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

enum Ends<'a> {
    Rank(RankRange),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

/// What a command of ZRANGE's kind asks for.
struct Query<'a> {
    ends: Ends<'a>,
    direction: Direction,
    with_scores: bool,
    offset: i64,
    /// Negative: all.
    count: i64,
}

/// What the command's name already says.
#[derive(Clone, Copy)]
struct Kind {
    by: Option<By>,
    direction: Option<Direction>,
    stores: bool,
}

impl<'a> Query<'a> {
    /// Reads the ends at `first` and `first + 1` and the options behind them.
    fn parse(args: Args<'a>, first: usize, kind: Kind) -> Result<Query<'a>, Error> {
        let Kind { mut by, mut direction, stores } = kind;
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        let mut at = first + 2;
        while at < args.len() {
            match () {
                () if !stores && args.is(at, "withscores") => with_scores = true,
                () if args.is(at, "limit") && at + 2 < args.len() => {
                    (offset, count) = (args.int(at + 1)?, args.int(at + 2)?);
                    at += 2;
                }
                () if direction.is_none() && args.is(at, "rev") => direction = Some(Direction::Backward),
                () if by.is_none() && args.is(at, "bylex") => by = Some(By::Lex),
                () if by.is_none() && args.is(at, "byscore") => by = Some(By::Score),
                () => return Err(error::SYNTAX),
            }
            at += 1;
        }
        let (by, direction) = (by.unwrap_or(By::Rank), direction.unwrap_or(Direction::Forward));
        if count != -1 && by == By::Rank {
            return Err(error::RANK_LIMIT);
        }
        if with_scores && by == By::Lex {
            return Err(error::LEX_WITHSCORES);
        }
        let ends = Query::ends(args, first, by, direction)?;
        Ok(Query { ends, direction, with_scores, offset, count })
    }

    /// Backward, the greater end of scores and members comes first.
    fn ends(args: Args<'a>, first: usize, by: By, direction: Direction) -> Result<Ends<'a>, Error> {
        let (min, max) = match direction {
            Direction::Forward => (args.at(first), args.at(first + 1)),
            Direction::Backward => (args.at(first + 1), args.at(first)),
        };
        Ok(match by {
            By::Rank => Ends::Rank(RankRange::parse(args, [first, first + 1])?),
            By::Score => Ends::Score(ScoreRange::parse(min, max)?),
            By::Lex => Ends::Lex(LexRange::parse(min, max)?),
        })
    }

    /// The ranks of the members that are asked for.
    fn ranks(&self, zset: &Zset) -> Range<usize> {
        let ranks = match &self.ends {
            Ends::Rank(range) => return range.ranks(zset, self.direction),
            Ends::Score(range) => range.ranks(zset),
            Ends::Lex(range) => range.ranks(zset),
        };
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let skipped = offset.min(ranks.len());
        let count = usize::try_from(self.count).unwrap_or(usize::MAX).min(ranks.len() - skipped);
        match self.direction {
            Direction::Forward => ranks.start + skipped..ranks.start + skipped + count,
            Direction::Backward => ranks.end - skipped - count..ranks.end - skipped,
        }
    }

    fn members<'z>(&self, zset: &'z Zset) -> Members<'z> {
        zset.range(self.ranks(zset), self.direction)
    }
}

/// Members with or without their scores: in RESP2 one after the other, in RESP3 pairs.
pub(super) fn reply_members(reply: &mut Reply<'_>, members: Members<'_>, with_scores: bool) {
    if !with_scores {
        reply.array(members.len());
        return members.for_each(|(member, _)| reply.element(member));
    }
    let pairs = reply.resp3();
    reply.array(if pairs { members.len() } else { 2 * members.len() });
    for (member, score) in members {
        if pairs {
            reply.array(2);
        }
        reply.element(member);
        reply.double(score);
    }
}

fn range(call: &mut Call<'_, '_>, kind: Kind) -> Result<(), Error> {
    let query = Query::parse(call.args, 2, kind)?;
    match call.view.object::<Zset>(call.args.at(1))? {
        Some(zset) => reply_members(&mut call.reply, query.members(&zset), query.with_scores),
        None => call.reply.array(0),
    }
    Ok(())
}

const fn read(name: &'static str, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, -4, Group::SortedSet, since, handler)
        .flags(Flags::READONLY)
        .categories(Acl::SORTEDSET)
        .keys(READ)
}

pub(super) const ZRANGE: Row = read("zrange", "1.2.0", zrange);

fn zrange(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, Kind { by: None, direction: None, stores: false })
}

pub(super) const ZREVRANGE: Row = read("zrevrange", "1.2.0", zrevrange);

fn zrevrange(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, Kind { by: Some(By::Rank), direction: Some(Direction::Backward), stores: false })
}

pub(super) const ZRANGEBYSCORE: Row = read("zrangebyscore", "1.0.5", zrangebyscore);

fn zrangebyscore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, Kind { by: Some(By::Score), direction: Some(Direction::Forward), stores: false })
}

pub(super) const ZREVRANGEBYSCORE: Row = read("zrevrangebyscore", "2.2.0", zrevrangebyscore);

fn zrevrangebyscore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, Kind { by: Some(By::Score), direction: Some(Direction::Backward), stores: false })
}

pub(super) const ZRANGEBYLEX: Row = read("zrangebylex", "2.8.9", zrangebylex);

fn zrangebylex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, Kind { by: Some(By::Lex), direction: Some(Direction::Forward), stores: false })
}

pub(super) const ZREVRANGEBYLEX: Row = read("zrevrangebylex", "2.8.9", zrevrangebylex);

fn zrevrangebylex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, Kind { by: Some(By::Lex), direction: Some(Direction::Backward), stores: false })
}

pub(super) const ZRANGESTORE: Row = Row::new("zrangestore", -5, Group::SortedSet, "6.2.0", zrangestore)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::SORTEDSET)
    .keys(&[OVERWRITTEN, KeySpec::one(2, KeyFlags::RO.union(KeyFlags::ACCESS))]);

fn zrangestore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let query = Query::parse(call.args, 3, Kind { by: None, direction: None, stores: true })?;
    let limits = call.server.limits();
    let mut stored = Zset::default();
    if let Some(zset) = call.view.object::<Zset>(call.args.at(2))? {
        for (member, score) in query.members(&zset) {
            stored.insert(member.text(&mut itoa::Buffer::new()), score, &limits);
        }
    }
    let len = stored.len();
    call.view.put_object(call.args.at(1), stored, event("zrangestore"));
    call.reply.len(len);
    Ok(())
}

fn remove(
    call: &mut Call<'_, '_>,
    name: &'static str,
    ranks: impl FnOnce(&Zset) -> Range<usize>,
) -> Result<(), Error> {
    let removed = match call.view.object_mut::<Zset>(call.args.at(1), event(name))? {
        Some(mut edit) => edit.change(|zset| zset.remove_range(ranks(zset))),
        None => 0,
    };
    call.reply.len(removed);
    Ok(())
}

const fn removing(name: &'static str, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, 4, Group::SortedSet, since, handler)
        .flags(Flags::WRITE)
        .categories(Acl::SORTEDSET)
        .keys(DELETED_FROM)
}

pub(super) const ZREMRANGEBYRANK: Row = removing("zremrangebyrank", "2.0.0", zremrangebyrank);

fn zremrangebyrank(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let range = RankRange::parse(call.args, [2, 3])?;
    remove(call, "zremrangebyrank", |zset| range.ranks(zset, Direction::Forward))
}

pub(super) const ZREMRANGEBYSCORE: Row = removing("zremrangebyscore", "1.2.0", zremrangebyscore);

fn zremrangebyscore(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let range = ScoreRange::parse(call.args.at(2), call.args.at(3))?;
    remove(call, "zremrangebyscore", |zset| range.ranks(zset))
}

pub(super) const ZREMRANGEBYLEX: Row = removing("zremrangebylex", "2.8.9", zremrangebylex);

fn zremrangebylex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let range = LexRange::parse(call.args.at(2), call.args.at(3))?;
    remove(call, "zremrangebylex", |zset| range.ranks(zset))
}
