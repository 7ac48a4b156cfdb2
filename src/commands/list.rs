//! List commands. The blocking ones are the others with a timeout: the same functions, which either find something or let
//! the client wait; what waits is run again as it came.
//!
//! Here is what the family shares; below, by what they do: adding at the ends (`push`), taking from them (`pop`), moving from list to list
//! (`moving`), looking (`look`) and changing in the middle (`change`).

mod change;
mod look;
mod moving;
mod pop;
mod push;

use crate::blocked::{Nothing, Request};
use crate::command::{KeyFlags, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::Event;
use crate::keyspace::events::Class;
use crate::resp::Reply;
use crate::types::ObjectType as _;
use crate::types::list::{End, List};

/// The family's rows.
pub const ROWS: &[Row] = &[
    push::LPUSH,
    push::RPUSH,
    push::LPUSHX,
    push::RPUSHX,
    pop::LPOP,
    pop::RPOP,
    pop::LMPOP,
    pop::BLPOP,
    pop::BRPOP,
    pop::BLMPOP,
    moving::LMOVE,
    moving::RPOPLPUSH,
    moving::BLMOVE,
    moving::BRPOPLPUSH,
    look::LLEN,
    look::LINDEX,
    look::LRANGE,
    look::LPOS,
    change::LSET,
    change::LINSERT,
    change::LREM,
    change::LTRIM,
];

const RW_INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);
const RW_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::DELETE);
const RW_ACCESS_DELETE: KeyFlags = RW_DELETE.union(KeyFlags::ACCESS);

const fn event(name: &'static str) -> Event {
    Event::new(Class::LIST, name)
}

/// What adding at an end is called.
const fn pushed(end: End) -> Event {
    match end {
        End::Front => event("lpush"),
        End::Back => event("rpush"),
    }
}

/// What taking from an end is called.
const fn popped(end: End) -> Event {
    match end {
        End::Front => event("lpop"),
        End::Back => event("rpop"),
    }
}

/// The end that the argument at `at` names: LEFT or RIGHT.
fn end_at(call: &Call<'_, '_>, at: usize) -> Result<End, Error> {
    match () {
        () if call.args.is(at, "LEFT") => Ok(End::Front),
        () if call.args.is(at, "RIGHT") => Ok(End::Back),
        () => Err(error::SYNTAX),
    }
}

/// The argument at `at` as a number that is not negative.
fn not_negative(call: &Call<'_, '_>, at: usize, error: Error) -> Result<usize, Error> {
    call.args.int(at).ok().and_then(|n| usize::try_from(n).ok()).ok_or(error)
}

/// The index that a client means, which may count from the end; `None`: before the first element.
fn resolve(index: i64, len: usize) -> Option<usize> {
    if index < 0 {
        len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

/// The elements from `start` to `stop`, both included, as first index and number.
fn resolve_range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let from = resolve(start, len).unwrap_or(0);
    let to = resolve(stop, len).map_or(0, |stop| len.min(stop.saturating_add(1)));
    if from >= to { (0, 0) } else { (from, to - from) }
}

/// Nothing is there: the client waits for a list under one of the keys at these positions. Where it may not wait it gets
/// `instead` at once.
fn wait(
    call: &mut Call<'_, '_>,
    keys: std::ops::Range<usize>,
    deadline_ms: Option<i64>,
    instead: fn(&mut Reply<'_>),
) {
    if !call.may_block() {
        return instead(&mut call.reply);
    }
    call.block(Request {
        keys: keys.map(|at| call.args.at(at).into()).collect(),
        wanted: List::NAME,
        or_gone: false,
        deadline_ms,
        nothing: Nothing::NullArray,
        args: None,
    });
}
