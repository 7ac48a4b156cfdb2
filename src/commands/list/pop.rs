//! LPOP, RPOP and LMPOP, and BLPOP, BRPOP and BLMPOP, which wait for something to take.
//!
//! The log gets LPOP and RPOP with the list that was chosen and the number that was taken.

use super::{RW_ACCESS_DELETE, end_at, not_negative, popped, wait};
use crate::command::{Acl, Begin, Find, Flags, Group, KeySpec, Row};
use crate::commands::mpop;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::resp::Reply;
use crate::types::limits::Limits;
use crate::types::list::{Direction, End, List};
use std::ops::{ControlFlow, Range};

pub const LPOP: Row = Row::new("lpop", -2, Group::List, "1.0.0", lpop)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_ACCESS_DELETE)]);

fn lpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    pop(call, End::Front)
}

pub const RPOP: Row = Row::new("rpop", -2, Group::List, "1.0.0", rpop)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_ACCESS_DELETE)]);

fn rpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    pop(call, End::Back)
}

fn pop(call: &mut Call<'_, '_>, end: End) -> Result<(), Error> {
    if call.args.len() > 3 {
        return Err(Error::arity(call.command.row.name));
    }
    let count = match call.args.len() {
        2 => None,
        _ => Some(not_negative(call, 2, error::NOT_POSITIVE)?),
    };
    let limits = call.server.limits();
    let Some(mut edit) = call.view.object_mut::<List>(call.args.at(1), popped(end))? else {
        if count.is_some() {
            call.reply.null_array()
        } else {
            call.reply.null()
        }
        return Ok(());
    };
    let reply = &mut call.reply;
    match count {
        Some(count) => {
            edit.change(|list| take(list, end, count, &limits, reply));
        }
        None => {
            edit.change(|list| list.pop(end, &limits, |element| reply.element(element)));
        }
    }
    Ok(())
}

/// Replies with up to `count` elements from an end, the outermost first, and removes them. Returns how many.
fn take(list: &mut List, end: End, count: usize, limits: &Limits, reply: &mut Reply<'_>) -> usize {
    let len = list.len();
    let count = count.min(len);
    reply.array(count);
    let (outermost, direction, first) = match end {
        End::Front => (0, Direction::Forward, 0),
        End::Back => (len - 1, Direction::Backward, len - count),
    };
    let mut left = count;
    list.walk(outermost, direction, |element| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        reply.element(element);
        ControlFlow::Continue(())
    });
    list.remove_range(first, count, limits);
    count
}

/// The keys of LMPOP and BLMPOP, whose number is at `index`.
const fn counted(index: usize) -> KeySpec {
    let find = Find::KeyNum { index: 0, first: 1, step: 1 };
    KeySpec { flags: RW_ACCESS_DELETE, begin: Begin::Index(index), find, notes: None }
}

pub const LMPOP: Row = Row::new("lmpop", -4, Group::List, "7.0.0", lmpop)
    .flags(Flags::WRITE)
    .categories(Acl::LIST)
    .keys(&[counted(1)]);

fn lmpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let asked = mpop::parse(call.args, 1, |at| end_at(call, at))?;
    if !take_from_first(call, asked.keys, asked.end, asked.count)? {
        call.reply.null_array();
    }
    Ok(())
}

pub const BLMPOP: Row = Row::new("blmpop", -5, Group::List, "7.0.0", blmpop)
    .flags(Flags::WRITE.union(Flags::BLOCKING))
    .categories(Acl::LIST)
    .keys(&[counted(2)]);

fn blmpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let asked = mpop::parse(call.args, 2, |at| end_at(call, at))?;
    let deadline_ms = call.deadline_secs(1)?;
    if !take_from_first(call, asked.keys.clone(), asked.end, asked.count)? {
        wait(call, asked.keys, deadline_ms, |reply| reply.null_array());
    }
    Ok(())
}

/// Takes from the first of the lists that is there. Returns whether there was one.
fn take_from_first(
    call: &mut Call<'_, '_>,
    keys: Range<usize>,
    end: End,
    count: usize,
) -> Result<bool, Error> {
    let limits = call.server.limits();
    for at in keys {
        let key = call.args.at(at);
        let Some(mut edit) = call.view.object_mut::<List>(key, popped(end))? else { continue };
        call.reply.array(2);
        call.reply.bulk(key);
        let taken = edit.change(|list| take(list, end, count, &limits, &mut call.reply));
        drop(edit);
        call.propagate_instead(&[name(end), key, itoa::Buffer::new().format(taken).as_bytes()]);
        return Ok(true);
    }
    Ok(false)
}

fn name(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LPOP",
        End::Back => b"RPOP",
    }
}

pub const BLPOP: Row = Row::new("blpop", -3, Group::List, "2.0.0", blpop)
    .flags(Flags::WRITE.union(Flags::BLOCKING))
    .categories(Acl::LIST)
    .keys(&[KeySpec::range(1, -2, 1, RW_ACCESS_DELETE)]);

fn blpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    blocking_pop(call, End::Front)
}

pub const BRPOP: Row = Row::new("brpop", -3, Group::List, "2.0.0", brpop)
    .flags(Flags::WRITE.union(Flags::BLOCKING))
    .categories(Acl::LIST)
    .keys(&[KeySpec::range(1, -2, 1, RW_ACCESS_DELETE)]);

fn brpop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    blocking_pop(call, End::Back)
}

fn blocking_pop(call: &mut Call<'_, '_>, end: End) -> Result<(), Error> {
    let last = call.args.len() - 1;
    let deadline_ms = call.deadline_secs(last)?;
    let limits = call.server.limits();
    for at in 1..last {
        let key = call.args.at(at);
        let Some(mut edit) = call.view.object_mut::<List>(key, popped(end))? else { continue };
        call.reply.array(2);
        call.reply.bulk(key);
        edit.change(|list| list.pop(end, &limits, |element| call.reply.element(element)));
        drop(edit);
        call.propagate_instead(&[name(end), key]);
        return Ok(());
    }
    wait(call, 1..last, deadline_ms, |reply| reply.null_array());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn takes_one_or_several() {
        check(&[
            ("rpush l a b c d 5", ":5"),
            ("lpop l", "$1 a"),
            ("rpop l 2", "*2 $1 5 $1 d"),
            ("lpop l 0", "*0"),
            ("lpop l 9", "*2 $1 b $1 c"),
            ("exists l", ":0"),
            ("lpop l", "$-1"),
            ("lpop l 1", "*-1"),
            ("lpop l 0", "*-1"),
            ("lpop l x", "-ERR value is out of range, must be positive"),
            ("rpop l -1", "-ERR value is out of range, must be positive"),
            ("rpop l 1 2", "-ERR wrong number of arguments for 'rpop' command"),
            ("set s 1", "+OK"),
            ("lpop s", WRONG_TYPE),
        ]);
    }

    #[test]
    fn takes_from_the_first_list_that_is_there() {
        check(&[
            ("rpush l a b c", ":3"),
            ("lmpop 2 none l right count 2", "*2 $1 l *2 $1 c $1 b"),
            ("blmpop 0 2 none l left", "*2 $1 l *1 $1 a"),
            ("lmpop 2 none l left", "*-1"),
            ("rpush l a b", ":2"),
            ("brpop none l 0", "*2 $1 l $1 b"),
            ("blpop none l 1.5", "*2 $1 l $1 a"),
            ("set s 1", "+OK"),
            ("blpop none s l 0", WRONG_TYPE),
            ("lmpop 2 s l left", WRONG_TYPE),
        ]);
    }

    #[test]
    fn arguments_are_read_in_redis_order() {
        check(&[
            ("lmpop x l up", "-ERR numkeys should be greater than 0"),
            ("lmpop 0 l left", "-ERR numkeys should be greater than 0"),
            ("lmpop 2 l left", "-ERR syntax error"),
            ("lmpop 9223372036854775807 l left", "-ERR syntax error"),
            ("lmpop 1 l up", "-ERR syntax error"),
            ("lmpop 1 l left count", "-ERR syntax error"),
            ("lmpop 1 l left count 0", "-ERR count should be greater than 0"),
            ("lmpop 1 l left count 1 count 1", "-ERR syntax error"),
            ("blmpop x 0 l left", "-ERR numkeys should be greater than 0"),
            ("blmpop x 1 l left", "-ERR timeout is not a float or out of range"),
            ("blpop l \" 1\"", "-ERR timeout is not a float or out of range"),
            ("blmpop 0 0 l left", "-ERR numkeys should be greater than 0"),
            ("blpop l -1", "-ERR timeout is negative"),
        ]);
    }

    #[test]
    fn the_log_gets_the_plain_forms() {
        let mut bench = Bench::new();
        bench.run("rpush l a b c d e");
        bench.logged();
        for line in
            ["rpop l", "lpop l 1", "blpop none l 0", "lmpop 2 none l right count 9", "lpop l", "lpop l 0"]
        {
            bench.run(line);
        }
        assert_eq!(bench.logged(), "rpop l lpop l 1 LPOP l RPOP l 2");
    }

    #[test]
    fn does_not_wait_inside_a_transaction() {
        check(&[
            ("multi", "+OK"),
            ("blpop l 0", "+QUEUED"),
            ("blmpop 0 1 l left", "+QUEUED"),
            ("blmove l l left left 0", "+QUEUED"),
            ("brpoplpush l l 0", "+QUEUED"),
            ("exec", "*4 *-1 *-1 $-1 $-1"),
        ]);
    }
}
