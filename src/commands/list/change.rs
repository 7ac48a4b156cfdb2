//! LSET, LINSERT, LREM and LTRIM.

use super::{RW_DELETE, RW_INSERT, event, resolve, resolve_range};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::types::list::{Direction, List};
use std::ops::ControlFlow;

pub const LSET: Row = Row::new("lset", 4, Group::List, "1.0.0", lset)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))]);

fn lset(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let limits = call.server.limits();
    let mut edit = call.view.object_mut::<List>(call.args.at(1), event("lset"))?.ok_or(error::NO_SUCH_KEY)?;
    let index = call.args.int(2)?;
    let value = call.args.at(3);
    let at = resolve(index, edit.len()).filter(|at| *at < edit.len()).ok_or(error::INDEX_OUT_OF_RANGE)?;
    edit.change(|list| {
        list.make_room(1, value.len(), &limits);
        list.set(at, value, &limits);
        true
    });
    call.reply.ok();
    Ok(())
}

pub const LINSERT: Row = Row::new("linsert", 5, Group::List, "2.2.0", linsert)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_INSERT)]);

fn linsert(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let behind = match () {
        () if call.args.is(2, "AFTER") => 1,
        () if call.args.is(2, "BEFORE") => 0,
        () => return Err(error::SYNTAX),
    };
    let limits = call.server.limits();
    let Some(mut edit) = call.view.object_mut::<List>(call.args.at(1), event("linsert"))? else {
        call.reply.int(0);
        return Ok(());
    };
    let (pivot, value) = (call.args.at(3), call.args.at(4));
    let at = first_equal(&edit, pivot);
    edit.change(|list| {
        // Redis makes room before it looks for the pivot.
        list.make_room(1, value.len(), &limits);
        at.map(|at| list.insert(at + behind, value, &limits))
    });
    match at {
        Some(_) => call.reply.len(edit.len()),
        None => call.reply.int(-1),
    }
    Ok(())
}

/// The index of the first element equal to `wanted`.
fn first_equal(list: &List, wanted: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (0, false);
    list.walk(0, Direction::Forward, |element| {
        found = element.eq_bytes(wanted);
        at += usize::from(!found);
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found.then_some(at)
}

pub const LREM: Row = Row::new("lrem", 4, Group::List, "1.0.0", lrem)
    .flags(Flags::WRITE)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_DELETE)]);

fn lrem(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let count = call.args.int(2)?;
    let direction = if count < 0 { Direction::Backward } else { Direction::Forward };
    let most = match count {
        0 => usize::MAX,
        count => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let limits = call.server.limits();
    let value = call.args.at(3);
    let removed = match call.view.object_mut::<List>(call.args.at(1), event("lrem"))? {
        Some(mut edit) => edit.change(|list| list.remove_equal(value, direction, most, &limits)),
        None => 0,
    };
    call.reply.len(removed);
    Ok(())
}

pub const LTRIM: Row = Row::new("ltrim", 4, Group::List, "1.0.0", ltrim)
    .flags(Flags::WRITE)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_DELETE)]);

fn ltrim(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (start, stop) = (call.args.int(2)?, call.args.int(3)?);
    let limits = call.server.limits();
    let key = call.args.at(1);
    let Some(mut edit) = call.view.object_mut::<List>(key, event("ltrim"))? else {
        call.reply.ok();
        return Ok(());
    };
    let len = edit.len();
    let (from, kept) = resolve_range(start, stop, len);
    edit.change(|list| {
        list.remove_range(from + kept, len - from - kept, &limits);
        list.remove_range(0, from, &limits);
        len - kept
    });
    drop(edit);
    if kept == len {
        // WATCH and listeners are told whether or not anything was cut off.
        call.view.touch(event("ltrim"), key);
    }
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn an_element_is_replaced() {
        check(&[
            ("rpush l a b c", ":3"),
            ("lset l 0 x", "+OK"),
            ("lset l -1 7", "+OK"),
            ("lrange l 0 -1", "*3 $1 x $1 b $1 7"),
            ("lset l 3 x", "-ERR index out of range"),
            ("lset l -4 x", "-ERR index out of range"),
            ("lset l x x", "-ERR value is not an integer or out of range"),
            ("lset none x x", "-ERR no such key"),
        ]);
    }

    #[test]
    fn elements_come_in_between() {
        check(&[
            ("rpush l a 1 a", ":3"),
            ("linsert l before a x", ":4"),
            ("linsert l after 1 y", ":5"),
            ("linsert l after none y", ":-1"),
            ("linsert none after a y", ":0"),
            ("linsert l up a y", "-ERR syntax error"),
            ("lrange l 0 -1", "*5 $1 x $1 a $1 1 $1 y $1 a"),
        ]);
    }

    #[test]
    fn elements_are_removed_from_either_end() {
        check(&[
            ("rpush l a b a b a", ":5"),
            ("lrem l -1 a", ":1"),
            ("lrem l 1 b", ":1"),
            ("lrange l 0 -1", "*3 $1 a $1 a $1 b"),
            ("lrem l 0 z", ":0"),
            ("lrem l 0 a", ":2"),
            ("lrem l -9223372036854775808 b", ":1"),
            ("exists l", ":0"),
            ("lrem none x a", "-ERR value is not an integer or out of range"),
        ]);
    }

    #[test]
    fn a_list_is_cut_down_to_a_range() {
        check(&[
            ("rpush l a b c d e", ":5"),
            ("ltrim l 1 -2", "+OK"),
            ("lrange l 0 -1", "*3 $1 b $1 c $1 d"),
            ("ltrim l -100 100", "+OK"),
            ("llen l", ":3"),
            ("ltrim l 2 1", "+OK"),
            ("exists l", ":0"),
            ("ltrim l 0 1", "+OK"),
        ]);
    }

    #[test]
    fn what_changes_nothing_is_not_logged() {
        let mut bench = Bench::new();
        bench.run("rpush l a b c");
        bench.logged();
        for line in ["lrem l 0 z", "ltrim l 0 -1", "linsert l before z y", "lset l 9 x"] {
            bench.run(line);
        }
        assert_eq!(bench.logged(), "");
        bench.run("ltrim l 1 -1");
        bench.run("lrem l 0 b");
        assert_eq!(bench.logged(), "ltrim l 1 -1 lrem l 0 b");
    }
}
