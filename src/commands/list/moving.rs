//! LMOVE and RPOPLPUSH, and BLMOVE and BRPOPLPUSH, which wait for something to move.

use super::{RW_ACCESS_DELETE, RW_INSERT, end_at, popped, pushed, wait};
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::error::Error;
use crate::executor::Call;
use crate::types::list::{End, List};

const KEYS: &[KeySpec] = &[KeySpec::one(1, RW_ACCESS_DELETE), KeySpec::one(2, RW_INSERT)];
const FLAGS: Flags = Flags::WRITE.union(Flags::DENYOOM);

pub const LMOVE: Row =
    Row::new("lmove", 5, Group::List, "6.2.0", lmove).flags(FLAGS).categories(Acl::LIST).keys(KEYS);

fn lmove(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (from, to) = (end_at(call, 3)?, end_at(call, 4)?);
    if !move_one(call, from, to)? {
        call.reply.null();
    }
    Ok(())
}

pub const RPOPLPUSH: Row =
    Row::new("rpoplpush", 3, Group::List, "1.2.0", rpoplpush).flags(FLAGS).categories(Acl::LIST).keys(KEYS);

fn rpoplpush(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if !move_one(call, End::Back, End::Front)? {
        call.reply.null();
    }
    Ok(())
}

pub const BLMOVE: Row = Row::new("blmove", 6, Group::List, "6.2.0", blmove)
    .flags(FLAGS.union(Flags::BLOCKING))
    .categories(Acl::LIST)
    .keys(KEYS);

fn blmove(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (from, to) = (end_at(call, 3)?, end_at(call, 4)?);
    let deadline_ms = call.deadline_secs(5)?;
    if move_one(call, from, to)? {
        let args = call.args;
        call.propagate_instead(&[b"LMOVE", args.at(1), args.at(2), args.at(3), args.at(4)]);
    } else {
        wait(call, 1..2, deadline_ms, |reply| reply.null());
    }
    Ok(())
}

pub const BRPOPLPUSH: Row = Row::new("brpoplpush", 4, Group::List, "2.2.0", brpoplpush)
    .flags(FLAGS.union(Flags::BLOCKING))
    .categories(Acl::LIST)
    .keys(KEYS);

fn brpoplpush(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let deadline_ms = call.deadline_secs(3)?;
    if move_one(call, End::Back, End::Front)? {
        let args = call.args;
        call.propagate_instead(&[b"RPOPLPUSH", args.at(1), args.at(2)]);
    } else {
        wait(call, 1..2, deadline_ms, |reply| reply.null());
    }
    Ok(())
}

/// Moves an element from one end of a list to one of another, or of the same, and replies with it. Returns whether there was one.
/// Events come in Redis's order: the one of the addition first.
fn move_one(call: &mut Call<'_, '_>, from: End, to: End) -> Result<bool, Error> {
    let (source, destination) = (call.args.at(1), call.args.at(2));
    let limits = call.server.limits();
    let value = match call.view.read_for_write(source) {
        None => return Ok(false),
        Some(entry) => outermost(&*entry.object::<List>()?, from),
    };
    if source == destination {
        if let Some(mut edit) = call.view.object_mut::<List>(source, pushed(to))? {
            edit.change(|list| {
                list.pop(from, &limits, |_| ());
                list.make_room(1, value.len(), &limits);
                list.push(to, &value, &limits);
                true
            });
        }
        call.view.notify(popped(from), source);
    } else {
        call.view.object_or_new::<List>(destination, pushed(to))?.change(|list| {
            list.make_room(1, value.len(), &limits);
            list.push(to, &value, &limits);
            true
        });
        if let Some(mut edit) = call.view.object_mut::<List>(source, popped(from))? {
            edit.change(|list| list.pop(from, &limits, |_| ()));
        }
        // The move as a whole is one change.
        call.view.count_less(destination, 1);
    }
    call.reply.bulk(value);
    Ok(true)
}

fn outermost(list: &List, end: End) -> Vec<u8> {
    let at = match end {
        End::Front => 0,
        End::Back => list.len() - 1,
    };
    list.with(at, |element| element.to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn an_element_moves_from_end_to_end() {
        check(&[
            ("rpush a 1 2 3", ":3"),
            ("lmove a b left right", "$1 1"),
            ("lmove a b right right", "$1 3"),
            ("rpoplpush b b", "$1 3"),
            ("lrange b 0 -1", "*2 $1 3 $1 1"),
            ("blmove a b left left 0", "$1 2"),
            ("exists a", ":0"),
            ("brpoplpush b a 0", "$1 1"),
            ("lrange b 0 -1", "*2 $1 2 $1 3"),
            ("lmove none b left left", "$-1"),
            ("rpoplpush a a", "$1 1"),
            ("rpoplpush a a", "$1 1"),
        ]);
    }

    #[test]
    fn nothing_moves_to_or_from_what_is_no_list() {
        check(&[
            ("set s 1", "+OK"),
            ("rpush l a", ":1"),
            ("lmove l s left left", WRONG_TYPE),
            ("lmove s l left left", WRONG_TYPE),
            ("llen l", ":1"),
            ("lmove none s left left", "$-1"),
            ("lmove l l up left", "-ERR syntax error"),
            ("blmove l l left down x", "-ERR syntax error"),
            ("blmove l l left left x", "-ERR timeout is not a float or out of range"),
        ]);
    }

    #[test]
    fn the_log_gets_the_plain_forms() {
        let mut bench = Bench::new();
        bench.run("rpush a 1 2 3 4");
        bench.logged();
        for line in [
            "lmove a b LEFT RIGHT",
            "rpoplpush a b",
            "blmove a b LEFT RIGHT 0",
            "brpoplpush a b 0",
            "rpoplpush a b",
        ] {
            bench.run(line);
        }
        assert_eq!(bench.logged(), "lmove a b LEFT RIGHT rpoplpush a b LMOVE a b LEFT RIGHT RPOPLPUSH a b");
    }

    #[test]
    fn the_addition_is_told_first() {
        let mut bench = Bench::new();
        bench.run("config set notify-keyspace-events El");
        let mut listener = Bench::client(&bench.server);
        Bench::run_as(&bench.server, &mut listener, "psubscribe *");
        bench.run("rpush a 1");
        bench.run("rpoplpush a a");
        let events = |listener: &crate::client::Client| {
            let mail = Bench::mail(listener);
            let words: Vec<_> = mail.split(' ').filter_map(|word| word.split("__:").nth(1)).collect();
            words.join(" ")
        };
        assert_eq!(events(&listener), "rpush lpush rpop");
    }
}
