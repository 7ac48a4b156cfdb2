//! Random members, and ZSCAN.

use super::READ;
use crate::command::{Acl, Flags, Group, Row};
use crate::commands::chance::{Chance, below};
use crate::commands::generic::scan::{Found, Request, parse_cursor};
use crate::error::{self, Error};
use crate::executor::{Args, Call, outgrows};
use crate::resp::Reply;
use crate::types::element::Element;
use crate::types::zset::Zset;

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
            .and_then(|zset| zset.nth(below(zset.len(), seed)).map(|(m, _)| m.to_vec()))
        {
            Some(member) => call.reply.bulk(member),
            None => call.reply.null(),
        }
        return Ok(());
    }
    let (count, with_scores) = parse_count(args)?;
    let limit = call.waiting_limit();
    let Some(zset) = call.view.object::<Zset>(args.at(1))? else {
        call.reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let repeats = count < 0;
    let len = if repeats { wanted } else { wanted.min(zset.len()) };
    let flat = with_scores && !call.reply.resp3();
    call.reply.array(if flat { 2 * len } else { len });
    let mut chance = Chance::new(seed);
    let show = |reply: &mut Reply<'_>, rank: usize| {
        if let Some((member, score)) = zset.nth(rank) {
            reply_member(reply, member, with_scores.then_some(score));
        }
    };
    if repeats {
        for _ in 0..len {
            show(&mut call.reply, chance.below(zset.len()));
            if outgrows(&call.reply, limit, call.client) {
                break;
            }
        }
    } else if len == zset.len() {
        zset.iter().for_each(|(member, score)| {
            reply_member(&mut call.reply, member, with_scores.then_some(score));
        });
    } else {
        chance.distinct(len, zset.len()).for_each(|rank| show(&mut call.reply, rank));
    }
    Ok(())
}

/// The number of members, negative if they may repeat, and whether scores are wanted.
fn parse_count(args: Args<'_>) -> Result<(i64, bool), Error> {
    let count = args.int(2)?;
    if count == i64::MIN {
        return Err(error::LONG_OUT_OF_RANGE);
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

pub(super) const ZSCAN: Row = Row::new("zscan", -3, Group::SortedSet, "2.8.0", zscan)
    .flags(Flags::READONLY)
    .categories(Acl::SORTEDSET)
    .keys(READ)
    .tips(&["nondeterministic_output"]);

fn zscan(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let cursor = parse_cursor(call.args.at(2))?;
    let (mut found, mut next) = (Found::default(), 0);
    if let Some(zset) = call.view.object::<Zset>(call.args.at(1))? {
        let request = Request::of_elements(call.args)?;
        let mut digits = itoa::Buffer::new();
        next = zset.scan(cursor, request.count, |member, score| {
            let text = member.text(&mut digits);
            if request.matches(text) {
                found.add(text);
                found.add(score.text(&mut digits));
            }
        });
    }
    found.reply_with_cursor(next, &mut call.reply);
    Ok(())
}
