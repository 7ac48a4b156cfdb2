//! Keys by name: deleting, looking, moving, copying.

use super::{OVERWRITES, QUICK_READ, QUICK_WRITE};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::commands::string::{RO_ACCESS, RW_ACCESS_UPDATE};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::Entry;
use crate::keyspace::events::{self, Class, Event};

/// The rows of this file.
pub const ROWS: &[Row] = &[DEL, UNLINK, EXISTS, TOUCH, TYPE, RENAME, RENAMENX, COPY, MOVE];

const SUMMED: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const DELETED: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::RM.union(KeyFlags::DELETE))];
const LOOKED_AT: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::RO)];

const DEL: Row = Row::new("del", -2, Group::Generic, "1.0.0", del)
    .flags(Flags::WRITE)
    .categories(Acl::KEYSPACE)
    .keys(DELETED)
    .tips(SUMMED);

/// Also UNLINK: a large value is freed in the background either way.
fn del(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let mut deleted = 0;
    for key in call.args.from(1) {
        if call.view.remove(key) {
            call.view.notify(events::DEL, key);
            deleted += 1;
        }
    }
    call.reply.len(deleted);
    Ok(())
}

const UNLINK: Row = Row::new("unlink", -2, Group::Generic, "4.0.0", del)
    .flags(QUICK_WRITE)
    .categories(Acl::KEYSPACE)
    .keys(DELETED)
    .tips(SUMMED);

const EXISTS: Row = Row::new("exists", -2, Group::Generic, "1.0.0", exists)
    .flags(QUICK_READ)
    .categories(Acl::KEYSPACE)
    .keys(LOOKED_AT)
    .tips(SUMMED);

fn exists(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let there = call.args.from(1).filter(|key| call.view.look(key).is_some()).count();
    call.reply.len(there);
    Ok(())
}

const TOUCH: Row = Row::new("touch", -2, Group::Generic, "3.2.1", touch)
    .flags(QUICK_READ)
    .categories(Acl::KEYSPACE)
    .keys(LOOKED_AT)
    .tips(SUMMED);

/// Touches even for a client that otherwise does not (CLIENT NO-TOUCH).
fn touch(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let no_touch = std::mem::take(&mut call.view.moment.no_touch);
    let touched = call.args.from(1).filter(|key| call.view.read(key).is_some()).count();
    call.view.moment.no_touch = no_touch;
    call.reply.len(touched);
    Ok(())
}

const TYPE: Row = Row::new("type", 2, Group::Generic, "1.0.0", type_)
    .flags(QUICK_READ)
    .categories(Acl::KEYSPACE)
    .keys(&[KeySpec::one(1, KeyFlags::RO)]);

fn type_(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let name = call.view.look(call.args.at(1)).map_or("none", Entry::type_name);
    call.reply.simple(name);
    Ok(())
}

const FROM: KeySpec = KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE));

const RENAME: Row = Row::new("rename", 3, Group::Generic, "1.0.0", rename)
    .flags(Flags::WRITE)
    .categories(Acl::KEYSPACE)
    .keys(&[FROM, KeySpec::one(2, OVERWRITES)]);

fn rename(call: &mut Call<'_, '_>) -> Result<(), Error> {
    rename_to(call, |call| {
        call.reply.ok();
        true
    })
}

const RENAMENX: Row = Row::new("renamenx", 3, Group::Generic, "1.0.0", renamenx)
    .flags(QUICK_WRITE)
    .categories(Acl::KEYSPACE)
    .keys(&[FROM, KeySpec::one(2, KeyFlags::OW.union(KeyFlags::INSERT))]);

fn renamenx(call: &mut Call<'_, '_>) -> Result<(), Error> {
    rename_to(call, |call| {
        let (from, to) = (call.args.at(1), call.args.at(2));
        let free = from != to && !call.view.exists(to);
        call.reply.int(i64::from(free));
        free
    })
}

/// Renames a key if it is there and `reply`, which answers, says so.
fn rename_to(call: &mut Call<'_, '_>, reply: impl Fn(&mut Call<'_, '_>) -> bool) -> Result<(), Error> {
    let (from, to) = (call.args.at(1), call.args.at(2));
    if !call.view.exists(from) {
        return Err(error::NO_SUCH_KEY);
    }
    if reply(call) && from != to {
        let db = call.view.db;
        // The deletion of an expired target is an effect of its own.
        call.view.exists(to);
        call.view.rename(from, to, db);
        call.view.notify(Event::new(Class::GENERIC, "rename_from"), from);
        call.view.notify(Event::new(Class::GENERIC, "rename_to"), to);
    }
    Ok(())
}

const COPY: Row = Row::new("copy", -3, Group::Generic, "6.2.0", copy)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::KEYSPACE)
    .keys(&[KeySpec::one(1, RO_ACCESS), KeySpec::one(2, OVERWRITES)]);

fn copy(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (from, to) = (call.args.at(1), call.args.at(2));
    let (mut to_db, mut replace, mut at) = (call.view.db, false, 3);
    while at < call.args.len() {
        if call.args.is(at, "replace") {
            replace = true;
        } else if call.args.is(at, "db") && at + 1 < call.args.len() {
            at += 1;
            to_db = database(call, at)?;
        } else {
            return Err(error::SYNTAX);
        }
        at += 1;
    }
    if to_db == call.view.db && from == to {
        return Err(error::SAME_OBJECT);
    }
    let copied = call.view.read(from).is_some() && (!call.view.exists_in(to_db, to) || replace);
    if copied {
        call.view.copy(from, to, to_db);
        call.view.notify_in(to_db, Event::new(Class::GENERIC, "copy_to"), to);
    }
    call.reply.int(i64::from(copied));
    Ok(())
}

const MOVE: Row = Row::new("move", 3, Group::Generic, "1.0.0", move_)
    .flags(QUICK_WRITE)
    .categories(Acl::KEYSPACE)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn move_(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let key = call.args.at(1);
    let to_db = database(call, 2)?;
    if to_db == call.view.db {
        return Err(error::SAME_OBJECT);
    }
    let moved = call.view.exists(key) && !call.view.exists_in(to_db, key);
    if moved {
        call.view.rename(key, key, to_db);
        call.view.notify(Event::new(Class::GENERIC, "move_from"), key);
        call.view.notify_in(to_db, Event::new(Class::GENERIC, "move_to"), key);
    }
    call.reply.int(i64::from(moved));
    Ok(())
}

/// The argument at `at` as the number of a database.
///
/// # Errors
/// `ERR value is not an integer or out of range`, `ERR value is out of range, …` beyond 32 bits, or `ERR DB index is out of range`.
fn database(call: &Call<'_, '_>, at: usize) -> Result<u16, Error> {
    known_database(call, i32::try_from(call.args.int(at)?).map_err(|_| error::INT_OUT_OF_RANGE)?)
}

/// The argument at `at` as a 32-bit integer.
pub(super) fn small_int(call: &Call<'_, '_>, at: usize) -> Option<i32> {
    i32::try_from(call.args.int(at).ok()?).ok()
}

/// The database of this number.
///
/// # Errors
/// `ERR DB index is out of range`.
pub(super) fn known_database(call: &Call<'_, '_>, number: i32) -> Result<u16, Error> {
    let known = u16::try_from(number).ok().filter(|db| *db < call.view.databases());
    known.ok_or(error::DB_OUT_OF_RANGE)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, NOW_MS};

    /// Runs lines on an empty server, the last of them for its reply and what it leaves in the log.
    #[track_caller]
    fn check(lines: &str, reply: &str, logged: &str) {
        Bench::new().check_logged(lines, reply, logged);
    }

    #[test]
    fn deleting_and_looking() {
        check("set a 1; set b 1; del a x a b", ":2", "del a x a b");
        check("set a 1; unlink a", ":1", "unlink a");
        check("set a 1; del b", ":0", "");
        check("set a 1; exists a b a", ":2", "");
        check("set a 1; touch a b", ":1", "");
        check("set a 1; type a", "+string", "");
        check("type a", "+none", "");
    }

    #[test]
    fn renaming() {
        check("set a 1; rename a b", "+OK", "rename a b");
        check("set a 1; rename a b; get a", "$-1", "");
        check("set a 1; set b 2; rename a b; get b", "$1 1", "");
        check("set a 1; expire a 100; set b 2; rename a b; pttl b", ":100000", "");
        check("set a 1; set b 2; expire b 100; rename a b; ttl b", ":-1", "");
        check("set a 1; rename a a", "+OK", "");
        check("rename a a", "-ERR no such key", "");
        check("rename a b", "-ERR no such key", "");
        check("set a 1; renamenx a b", ":1", "renamenx a b");
        check("set a 1; renamenx a a", ":0", "");
        check("set a 1; set b 2; renamenx a b", ":0", "");
        check("renamenx a b", "-ERR no such key", "");
    }

    #[test]
    fn copying() {
        check("set a 1; copy a b", ":1", "copy a b");
        check("set a 1; copy a b; get b", "$1 1", "");
        check("set a 1; expire a 100; copy a b; pttl b", ":100000", "");
        check("set a 1; set b 2; copy a b", ":0", "");
        check("set a 1; set b 2; expire b 9; copy a b replace", ":1", "copy a b replace");
        check("set a 1; set b 2; expire b 9; copy a b replace; ttl b", ":-1", "");
        check("copy a b", ":0", "");
        check("set a 1; copy a a", "-ERR source and destination objects are the same", "");
        check("copy a a db 0", "-ERR source and destination objects are the same", "");
        check("set a 1; copy a a db 1", ":1", "copy a a db 1");
        check("set a 1; copy a b replace replace db 2; select 2; get b", "$1 1", "");
        check("copy a b db 99", "-ERR DB index is out of range", "");
        check("copy a b db -1", "-ERR DB index is out of range", "");
        check("copy a b db abc", "-ERR value is not an integer or out of range", "");
        check("copy a b db", "-ERR syntax error", "");
        check("copy a b foo", "-ERR syntax error", "");
    }

    #[test]
    fn moving() {
        check("set a 1; expire a 100; move a 3", ":1", "move a 3");
        check("set a 1; expire a 100; move a 3; select 3; pttl a", ":100000", "");
        check("set a 1; move a 3; exists a", ":0", "");
        check("set a 1; copy a a db 3; move a 3", ":0", "");
        check("move a 3", ":0", "");
        check("move a 0", "-ERR source and destination objects are the same", "");
        check("move a 99", "-ERR DB index is out of range", "");
        check("move a abc", "-ERR value is not an integer or out of range", "");
        check(
            "move a 99999999999",
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
            "",
        );
    }

    #[test]
    fn an_expired_key_is_gone_and_its_deletion_comes_first() {
        let late = |line: &str, reply: &str, logged: &str| {
            let mut bench = Bench::new();
            for line in
                ["set k v", "pexpire k 10", "set other 1", "select 1", "set k v", "pexpire k 10", "select 0"]
            {
                bench.run(line);
            }
            bench.logged();
            bench.server.clock.freeze(NOW_MS + 11);
            bench.check(line, reply);
            assert_eq!(bench.logged(), logged, "{line}");
        };
        late("del k", ":0", "SELECT 0 DEL k");
        late("exists k", ":0", "SELECT 0 DEL k");
        late("expire k 100", ":0", "SELECT 0 DEL k");
        late("ttl k", ":-2", "SELECT 0 DEL k");
        late("rename k b", "-ERR no such key", "SELECT 0 DEL k");
        late("rename other k", "+OK", "SELECT 0 MULTI DEL k rename other k EXEC");
        late("renamenx other k", ":1", "SELECT 0 MULTI DEL k renamenx other k EXEC");
        late("copy other k", ":1", "SELECT 0 MULTI DEL k copy other k EXEC");
        late("copy k other replace", ":0", "SELECT 0 DEL k");
        late("copy other k db 1", ":1", "MULTI DEL k SELECT 0 copy other k db 1 EXEC");
        late("move k 1", ":0", "SELECT 0 DEL k");
        late("keys *", "*1 $5 other", "");
        late("scan 0", "*2 $1 0 *1 $5 other", "SELECT 0 DEL k");
        late("dbsize", ":2", "");
    }
}
