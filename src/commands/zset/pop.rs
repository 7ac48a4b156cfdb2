//! Taking the least or the greatest members away: ZPOPMIN and its relatives, those that wait included.
//!
//! The log gets what a pop came to: BZPOPMIN and ZMPOP as the ZPOPMIN or ZPOPMAX of the key that had something.

use super::{QUICK_WRITE, event};
use crate::blocked::{Nothing, Request};
use crate::command::{Acl, Begin, Find, Flags, Group, KeyFlags, KeySpec, Row};
use crate::commands::mpop::{self, Asked};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::resp::parser::number;
use crate::types::zset::{Direction, Zset};

const POPPED: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    /// The plain command's name.
    fn command(self) -> &'static str {
        match self {
            End::Min => "ZPOPMIN",
            End::Max => "ZPOPMAX",
        }
    }

    fn event(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }
}

/// Members with their scores, in the order in which they were popped.
type Popped = Vec<(Vec<u8>, f64)>;

/// Pops up to `count` members; `None` when there is no sorted set.
fn take(call: &mut Call<'_, '_>, key: &[u8], end: End, count: usize) -> Result<Option<Popped>, Error> {
    let Some(mut edit) = call.view.object_mut::<Zset>(key, event(end.event()))? else { return Ok(None) };
    let (_, popped) = edit.change(|zset| {
        let count = count.min(zset.len());
        let (ranks, direction) = match end {
            End::Min => (0..count, Direction::Forward),
            End::Max => (zset.len() - count..zset.len(), Direction::Backward),
        };
        let members = zset.range(ranks.clone(), direction);
        let popped: Vec<_> = members.map(|(member, score)| (member.to_vec(), score)).collect();
        (zset.remove_range(ranks), popped)
    });
    Ok(Some(popped))
}

/// Members and scores: each pair an array of its own, or all in one.
fn reply_popped(call: &mut Call<'_, '_>, popped: &[(Vec<u8>, f64)], pairs: bool) {
    call.reply.array(if pairs { popped.len() } else { 2 * popped.len() });
    for (member, score) in popped {
        if pairs {
            call.reply.array(2);
        }
        call.reply.bulk(member);
        call.reply.double(*score);
    }
}

pub(super) const ZPOPMIN: Row = Row::new("zpopmin", -2, Group::SortedSet, "5.0.0", zpopmin)
    .flags(QUICK_WRITE)
    .categories(Acl::SORTEDSET)
    .keys(&[KeySpec::one(1, POPPED)]);

fn zpopmin(call: &mut Call<'_, '_>) -> Result<(), Error> {
    pop(call, End::Min)
}

pub(super) const ZPOPMAX: Row = Row::new("zpopmax", -2, Group::SortedSet, "5.0.0", zpopmax)
    .flags(QUICK_WRITE)
    .categories(Acl::SORTEDSET)
    .keys(&[KeySpec::one(1, POPPED)]);

fn zpopmax(call: &mut Call<'_, '_>) -> Result<(), Error> {
    pop(call, End::Max)
}

fn pop(call: &mut Call<'_, '_>, end: End) -> Result<(), Error> {
    let args = call.args;
    if args.len() > 3 {
        return Err(error::SYNTAX);
    }
    let count = args.get(2).map(|text| number(text).and_then(|count| usize::try_from(count).ok()));
    let count = count.map(|count| count.ok_or(error::NOT_POSITIVE)).transpose()?;
    let popped = take(call, args.at(1), end, count.unwrap_or(1))?.unwrap_or_default();
    let pairs = count.is_some() && call.reply.resp3();
    reply_popped(call, &popped, pairs);
    Ok(())
}

pub(super) const BZPOPMIN: Row = Row::new("bzpopmin", -3, Group::SortedSet, "5.0.0", bzpopmin)
    .flags(QUICK_WRITE.union(Flags::BLOCKING))
    .categories(Acl::SORTEDSET)
    .keys(&[KeySpec::range(1, -2, 1, POPPED)]);

fn bzpopmin(call: &mut Call<'_, '_>) -> Result<(), Error> {
    blocking_pop(call, End::Min)
}

pub(super) const BZPOPMAX: Row = Row::new("bzpopmax", -3, Group::SortedSet, "5.0.0", bzpopmax)
    .flags(QUICK_WRITE.union(Flags::BLOCKING))
    .categories(Acl::SORTEDSET)
    .keys(&[KeySpec::range(1, -2, 1, POPPED)]);

fn bzpopmax(call: &mut Call<'_, '_>) -> Result<(), Error> {
    blocking_pop(call, End::Max)
}

fn blocking_pop(call: &mut Call<'_, '_>, end: End) -> Result<(), Error> {
    let args = call.args;
    let deadline_ms = call.deadline_secs(args.len() - 1)?;
    for at in 1..args.len() - 1 {
        let key = args.at(at);
        let Some(popped) = take(call, key, end, 1)? else { continue };
        call.reply.array(3);
        call.reply.bulk(key);
        for (member, score) in &popped {
            call.reply.bulk(member);
            call.reply.double(*score);
        }
        call.propagate_instead(&[end.command().as_bytes(), key]);
        return Ok(());
    }
    wait(call, 1..args.len() - 1, deadline_ms);
    Ok(())
}

/// Waits for one of the keys at some positions, or says that there is nothing.
fn wait(call: &mut Call<'_, '_>, keys: std::ops::Range<usize>, deadline_ms: Option<i64>) {
    if !call.may_block() {
        return call.reply.null_array();
    }
    call.block(Request {
        keys: keys.map(|at| call.args.at(at).into()).collect(),
        wanted: "zset",
        or_gone: false,
        deadline_ms,
        nothing: Nothing::NullArray,
        args: None,
    });
}

const fn counted_keys(index: usize) -> KeySpec {
    KeySpec {
        flags: POPPED,
        begin: Begin::Index(index),
        find: Find::KeyNum { index: 0, first: 1, step: 1 },
        notes: None,
    }
}

pub(super) const ZMPOP: Row = Row::new("zmpop", -4, Group::SortedSet, "7.0.0", zmpop)
    .flags(Flags::WRITE)
    .categories(Acl::SORTEDSET)
    .keys(&[counted_keys(1)]);

fn zmpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let request = mpop::parse(call.args, 1, |at| end_at(call.args, at))?;
    if !pop_first(call, &request)? {
        call.reply.null_array();
    }
    Ok(())
}

pub(super) const BZMPOP: Row = Row::new("bzmpop", -5, Group::SortedSet, "7.0.0", bzmpop)
    .flags(Flags::WRITE.union(Flags::BLOCKING))
    .categories(Acl::SORTEDSET)
    .keys(&[counted_keys(2)]);

fn bzmpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let request = mpop::parse(call.args, 2, |at| end_at(call.args, at))?;
    let deadline_ms = call.deadline_secs(1)?;
    if !pop_first(call, &request)? {
        wait(call, request.keys, deadline_ms);
    }
    Ok(())
}

/// The word at `at` for the end.
fn end_at(args: Args<'_>, at: usize) -> Result<End, Error> {
    match () {
        () if args.is(at, "min") => Ok(End::Min),
        () if args.is(at, "max") => Ok(End::Max),
        () => Err(error::SYNTAX),
    }
}

/// Pops from the first key that has something. Returns whether one had.
fn pop_first(call: &mut Call<'_, '_>, request: &Asked<End>) -> Result<bool, Error> {
    for at in request.keys.clone() {
        let key = call.args.at(at);
        let Some(popped) = take(call, key, request.end, request.count)? else { continue };
        call.reply.array(2);
        call.reply.bulk(key);
        reply_popped(call, &popped, true);
        let mut digits = itoa::Buffer::new();
        let count = digits.format(popped.len());
        call.propagate_instead(&[request.end.command().as_bytes(), key, count.as_bytes()]);
        return Ok(true);
    }
    Ok(false)
}
