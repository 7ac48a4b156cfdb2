//! Random members, and ZSCAN.

use super::READ;
use crate::command::{Acl, Flags, Group, Row};
use crate::commands::generic::scan::parse_cursor;
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::glob;
use crate::resp::parser::number;
use crate::resp::{Reply, encode};
use crate::types::double;
use crate::types::element::Element;
use crate::types::zset::Zset;
use std::collections::HashSet;

pub(super) const ZRANDMEMBER: Row = Row::new("zrandmember", -2, Group::SortedSet, "6.2.0", zrandmember)
    .flags(Flags::READONLY)
    .categories(Acl::SORTEDSET)
    .keys(READ)
    .tips(&["nondeterministic_output"]);

fn zrandmember(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let seed = call.view.random();
    if args.len() == 2 {
        match call
            .view
            .object::<Zset>(args.at(1))?
            .and_then(|zset| zset.nth(pick(seed, zset.len())).map(|(m, _)| m.to_vec()))
        {
            Some(member) => call.reply.bulk(member),
            None => call.reply.null(),
        }
        return Ok(());
    }
    let (count, with_scores) = parse_count(args)?;
    let Some(zset) = call.view.object::<Zset>(args.at(1))? else {
        call.reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let repeats = count < 0;
    let len = if repeats { wanted } else { wanted.min(zset.len()) };
    let flat = with_scores && !call.reply.resp3();
    call.reply.array(if flat { 2 * len } else { len });
    let mut dice = Dice(seed);
    let mut show = |rank: usize| {
        if let Some((member, score)) = zset.nth(rank) {
            reply_member(&mut call.reply, member, with_scores.then_some(score));
        }
    };
    if repeats {
        (0..len).for_each(|_| show(dice.below(zset.len())));
    } else if len == zset.len() {
        zset.iter().for_each(|(member, score)| {
            reply_member(&mut call.reply, member, with_scores.then_some(score));
        });
    } else {
        dice.distinct(len, zset.len()).into_iter().for_each(show);
    }
    Ok(())
}

/// The number of members, negative if they may repeat, and whether scores are wanted.
fn parse_count(args: Args<'_>) -> Result<(i64, bool), Error> {
    let count = args.int(2)?;
    if count == i64::MIN {
        return Err(error::NOT_IN_LONG_RANGE);
    }
    let with_scores = match args.len() {
        3 => false,
        4 if args.is(3, "withscores") => true,
        _ => return Err(error::SYNTAX),
    };
    // Twice as many replies must be countable.
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(error::VALUE_OUT_OF_RANGE);
    }
    Ok((count, with_scores))
}

fn reply_member(reply: &mut Reply<'_>, member: Element<'_>, score: Option<f64>) {
    if score.is_some() && reply.resp3() {
        reply.array(2);
    }
    reply.element(member);
    if let Some(score) = score {
        reply.double(score);
    }
}

/// A number below `len` from random bits.
fn pick(bits: u64, len: usize) -> usize {
    ((u128::from(bits) * len as u128) >> 64) as usize
}

/// Random numbers from one seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, len: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        pick(z ^ (z >> 31), len)
    }

    /// `count` different numbers below `len`, every choice as likely as every other (Floyd's algorithm).
    fn distinct(&mut self, count: usize, len: usize) -> HashSet<usize> {
        let mut chosen = HashSet::with_capacity(count);
        for last in len - count..len {
            let n = self.below(last + 1);
            if !chosen.insert(n) {
                chosen.insert(last);
            }
        }
        chosen
    }
}

pub(super) const ZSCAN: Row = Row::new("zscan", -3, Group::SortedSet, "2.8.0", zscan)
    .flags(Flags::READONLY)
    .categories(Acl::SORTEDSET)
    .keys(READ)
    .tips(&["nondeterministic_output"]);

fn zscan(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let cursor = parse_cursor(args.at(2))?;
    let Some(zset) = call.view.object::<Zset>(args.at(1))? else {
        call.reply.array(2);
        call.reply.bulk("0");
        call.reply.array(0);
        return Ok(());
    };
    let (pattern, count) = scan_options(args)?;
    let (mut found, mut bytes) = (0, Vec::new());
    let next = zset.scan(cursor, count, |member, score| {
        let mut digits = itoa::Buffer::new();
        let member = member.text(&mut digits);
        if pattern.is_none_or(|pattern| glob::matches(pattern, member, false)) {
            found += 2;
            encode::arg(&mut bytes, member);
            encode::arg(&mut bytes, double::Buffer::default().format(score));
        }
    });
    call.reply.array(2);
    call.reply.bulk(itoa::Buffer::new().format(next));
    call.reply.array(found);
    call.reply.raw(&bytes);
    Ok(())
}

/// MATCH's pattern and COUNT.
fn scan_options(args: Args<'_>) -> Result<(Option<&[u8]>, usize), Error> {
    let (mut pattern, mut count) = (None, 10);
    for at in (3..args.len()).step_by(2) {
        let value = args.get(at + 1).ok_or(error::SYNTAX)?;
        if args.is(at, "count") {
            let n = number(value).ok_or(error::NOT_INTEGER)?;
            count = usize::try_from(n).ok().filter(|n| *n > 0).ok_or(error::SYNTAX)?;
        } else if args.is(at, "match") {
            pattern = (value != b"*").then_some(value);
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok((pattern, count))
}
