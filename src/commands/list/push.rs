//! LPUSH, RPUSH, LPUSHX and RPUSHX.

use super::{RW_INSERT, pushed};
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::error::Error;
use crate::executor::Call;
use crate::types::list::{End, List};

const FLAGS: Flags = Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST);

pub const LPUSH: Row = Row::new("lpush", -3, Group::List, "1.0.0", lpush)
    .flags(FLAGS)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_INSERT)]);

fn lpush(call: &mut Call<'_, '_>) -> Result<(), Error> {
    push(call, End::Front)
}

pub const RPUSH: Row = Row::new("rpush", -3, Group::List, "1.0.0", rpush)
    .flags(FLAGS)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_INSERT)]);

fn rpush(call: &mut Call<'_, '_>) -> Result<(), Error> {
    push(call, End::Back)
}

fn push(call: &mut Call<'_, '_>, end: End) -> Result<(), Error> {
    let limits = call.server.limits();
    let mut edit = call.view.object_or_new::<List>(call.args.at(1), pushed(end))?;
    let (_, len) = edit.change(|list| {
        let values = call.args.from(2);
        let added = values.len();
        list.make_room(added, values.map(<[u8]>::len).sum(), &limits);
        call.args.from(2).for_each(|value| list.push(end, value, &limits));
        (added, list.len())
    });
    drop(edit);
    call.reply.len(len);
    Ok(())
}

pub const LPUSHX: Row = Row::new("lpushx", -3, Group::List, "2.2.0", lpushx)
    .flags(FLAGS)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_INSERT)]);

fn lpushx(call: &mut Call<'_, '_>) -> Result<(), Error> {
    push_existing(call, End::Front)
}

pub const RPUSHX: Row = Row::new("rpushx", -3, Group::List, "2.2.0", rpushx)
    .flags(FLAGS)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RW_INSERT)]);

fn rpushx(call: &mut Call<'_, '_>) -> Result<(), Error> {
    push_existing(call, End::Back)
}

fn push_existing(call: &mut Call<'_, '_>, end: End) -> Result<(), Error> {
    if call.view.exists(call.args.at(1)) {
        return push(call, end);
    }
    call.reply.int(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn elements_are_added_one_after_the_other() {
        check(&[
            ("lpush l a b", ":2"),
            ("rpush l c 1", ":4"),
            ("lrange l 0 -1", "*4 $1 b $1 a $1 c $1 1"),
            ("lpushx l x y", ":6"),
            ("rpushx l z", ":7"),
            ("lindex l 0", "$1 y"),
            ("lpushx none x", ":0"),
            ("exists none", ":0"),
            ("set s 1", "+OK"),
            ("rpush s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("rpushx s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn becomes_a_quicklist_beyond_the_limit() {
        check(&[
            ("config set list-max-listpack-size 3", "+OK"),
            ("rpush l a b c", ":3"),
            ("object encoding l", "$8 listpack"),
            ("rpush l d", ":4"),
            ("object encoding l", "$9 quicklist"),
            ("rpush m a b c d e", ":5"),
            ("object encoding m", "$9 quicklist"),
            ("ltrim m 0 0", "+OK"),
            ("object encoding m", "$8 listpack"),
        ]);
    }

    #[test]
    fn is_logged_as_it_came_if_it_did_something() {
        let mut bench = Bench::new();
        bench.run("rpush l a b");
        bench.run("lpushx none a");
        assert_eq!(bench.logged(), "SELECT 0 rpush l a b");
    }
}
