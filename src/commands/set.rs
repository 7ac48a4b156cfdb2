//! Sets: members in, out and looked at; [`random`] takes chance members, [`algebra`] combines several sets.
//!
//! What goes to the log is the command as it came, but for SPOP, whose choice the replicas could not repeat.

mod algebra;
mod random;

use super::generic::scan::{Found, Request, parse_cursor};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::Error;
use crate::executor::Call;
use crate::keyspace::events::{Class, Event};
use crate::resp::Reply;
use crate::types::set::Set;

/// The family's rows.
pub const ROWS: &[Row] = &[
    SADD,
    SREM,
    SMOVE,
    SISMEMBER,
    SMISMEMBER,
    SCARD,
    SMEMBERS,
    SSCAN,
    random::SPOP,
    random::SRANDMEMBER,
    algebra::SINTER,
    algebra::SINTERCARD,
    algebra::SINTERSTORE,
    algebra::SUNION,
    algebra::SUNIONSTORE,
    algebra::SDIFF,
    algebra::SDIFFSTORE,
];

const READ: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);
const TAKE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

const ADDED: Event = Event::new(Class::SET, "sadd");
const REMOVED: Event = Event::new(Class::SET, "srem");

const SADD: Row = Row::new("sadd", -3, Group::Set, "1.0.0", sadd)
    .element(2)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, INSERT)]);

fn sadd(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, limits) = (call.args, call.server.limits());
    let mut edit = call.view.object_or_new::<Set>(args.at(1), ADDED)?;
    let (new, members) = (edit.is_new(), args.from(2));
    let added = edit.change(|set| {
        if new {
            *set = Set::sized(args.at(2), members.len(), &limits);
        } else {
            set.expect(members.len(), &limits);
        }
        members.filter(|member| set.insert(member, &limits)).count()
    });
    drop(edit);
    call.reply.len(added);
    Ok(())
}

const SREM: Row = Row::new("srem", -3, Group::Set, "1.0.0", srem)
    .element(2)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))]);

fn srem(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let edit = call.view.object_mut::<Set>(args.at(1), REMOVED)?;
    let removed = edit
        .map_or(0, |mut edit| edit.change(|set| args.from(2).filter(|member| set.remove(member)).count()));
    call.reply.len(removed);
    Ok(())
}

const SMOVE: Row = Row::new("smove", 4, Group::Set, "1.0.0", smove)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, TAKE), KeySpec::one(2, INSERT)]);

fn smove(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (from, to, member) = (call.args.at(1), call.args.at(2), call.args.at(3));
    let moved = move_member(call, from, to, member)?;
    call.reply.int(i64::from(moved));
    Ok(())
}

/// Moves a member from one set to another. Returns whether it was there.
fn move_member(call: &mut Call<'_, '_>, from: &[u8], to: &[u8], member: &[u8]) -> Result<bool, Error> {
    let Some(source) = call.view.read_for_write(from) else {
        // Redis has looked the target up, too: an expired one goes.
        call.view.exists(to);
        return Ok(false);
    };
    let is_member = source.object::<Set>()?.contains(member);
    if let Some(target) = call.view.read_for_write(to) {
        target.object::<Set>()?;
    }
    if !is_member || from == to {
        return Ok(is_member);
    }
    if let Some(mut edit) = call.view.object_mut::<Set>(from, REMOVED)? {
        edit.change(|set| set.remove(member));
    }
    let limits = call.server.limits();
    let mut edit = call.view.object_or_new::<Set>(to, ADDED)?;
    let new = edit.is_new();
    edit.change(|set| {
        if new {
            *set = Set::sized(member, 1, &limits);
        }
        set.insert(member, &limits)
    });
    Ok(true)
}

const SISMEMBER: Row = Row::new("sismember", 3, Group::Set, "1.0.0", sismember)
    .element(2)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, KeyFlags::RO)]);

fn sismember(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let set = call.view.object::<Set>(call.args.at(1))?;
    let is_member = set.is_some_and(|set| set.contains(call.args.at(2)));
    call.reply.int(i64::from(is_member));
    Ok(())
}

const SMISMEMBER: Row = Row::new("smismember", -3, Group::Set, "6.2.0", smismember)
    .element(2)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, READ)]);

fn smismember(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let set = call.view.object::<Set>(call.args.at(1))?;
    let members = call.args.from(2);
    call.reply.array(members.len());
    for member in members {
        let is_member = set.as_ref().is_some_and(|set| set.contains(member));
        call.reply.int(i64::from(is_member));
    }
    Ok(())
}

const SCARD: Row = Row::new("scard", 2, Group::Set, "1.0.0", scard)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, KeyFlags::RO)]);

fn scard(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let set = call.view.object::<Set>(call.args.at(1))?;
    call.reply.len(set.map_or(0, |set| set.len()));
    Ok(())
}

const SMEMBERS: Row = Row::new("smembers", 2, Group::Set, "1.0.0", smembers)
    .flags(Flags::READONLY)
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, READ)])
    .tips(&["nondeterministic_output_order"]);

fn smembers(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.view.object::<Set>(call.args.at(1))? {
        Some(set) => reply_all(&mut call.reply, &set),
        None => call.reply.set(0),
    }
    Ok(())
}

fn reply_all(reply: &mut Reply<'_>, set: &Set) {
    reply.set(set.len());
    set.iter().for_each(|member| reply.element(member));
}

const SSCAN: Row = Row::new("sscan", -3, Group::Set, "2.8.0", sscan)
    .flags(Flags::READONLY)
    .categories(Acl::SET)
    .keys(&[KeySpec::one(1, READ)])
    .tips(&["nondeterministic_output"]);

fn sscan(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let cursor = parse_cursor(call.args.at(2))?;
    let (mut found, mut next) = (Found::default(), 0);
    if let Some(set) = call.view.object::<Set>(call.args.at(1))? {
        let request = Request::of_elements(call.args)?;
        let mut digits = itoa::Buffer::new();
        next = set.scan(cursor, request.count, |member| {
            let text = member.text(&mut digits);
            if request.matches(text) {
                found.add(text);
            }
        });
    }
    found.reply_with_cursor(next, &mut call.reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    /// Runs lines on an empty server, each followed by its reply.
    #[track_caller]
    fn check(lines: &[(&str, &str)]) {
        let mut bench = Bench::new();
        lines.iter().for_each(|(line, reply)| bench.check(line, reply));
    }

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn members_come_and_go() {
        check(&[
            ("sadd s a b a 1", ":3"),
            ("sadd s a 2", ":1"),
            ("scard s", ":4"),
            ("scard none", ":0"),
            ("sismember s 1", ":1"),
            ("sismember s 3", ":0"),
            ("sismember none 3", ":0"),
            ("smismember s 1 x a", "*3 :1 :0 :1"),
            ("smismember none 1 x", "*2 :0 :0"),
            ("smembers s", "*4 $1 a $1 b $1 1 $1 2"),
            ("smembers none", "*0"),
            ("srem s a x 1", ":2"),
            ("srem none a", ":0"),
            ("srem s b 2", ":2"),
            ("exists s", ":0"),
        ]);
        let mut bench = Bench::new().resp3();
        bench.check("sadd s 2 1", ":2");
        bench.check("smembers s", "~2 $1 1 $1 2");
        bench.check("smembers none", "~0");
        bench.check("smismember s 1", "*1 :1");
    }

    #[test]
    fn encodings_are_chosen_as_redis_chooses_them() {
        check(&[
            ("sadd s 1 2", ":2"),
            ("object encoding s", "$6 intset"),
            ("sadd s a", ":1"),
            ("object encoding s", "$8 listpack"),
            ("config set set-max-listpack-entries 4 set-max-intset-entries 4", "+OK"),
            ("sadd s 1 2 a 1 2", ":0"),
            ("object encoding s", "$9 hashtable"),
            ("sadd t 1 2 3 4 a", ":5"),
            ("object encoding t", "$9 hashtable"),
            ("sadd u 1 2 3 a", ":4"),
            ("object encoding u", "$8 listpack"),
        ]);
    }

    #[test]
    fn members_move() {
        check(&[
            ("sadd s a b", ":2"),
            ("sadd t b", ":1"),
            ("set str 1", "+OK"),
            ("smove s t a", ":1"),
            ("smembers t", "*2 $1 b $1 a"),
            ("smove s t a", ":0"),
            ("smove s t b", ":1"),
            ("exists s", ":0"),
            ("smove s str b", ":0"),
            ("smove t str x", WRONG_TYPE),
            ("smove str t x", WRONG_TYPE),
            ("smove t t a", ":1"),
            ("smove t t x", ":0"),
            ("smove t new 1", ":0"),
            ("sadd t 1", ":1"),
            ("smove t new 1", ":1"),
            ("object encoding new", "$6 intset"),
        ]);
    }

    #[test]
    fn other_types_are_refused() {
        let lines = ["sadd k a", "srem k a", "sismember k a", "smismember k a", "scard k", "smembers k"];
        for line in lines.iter().chain(&["sscan k 0", "sscan k 0 count 0", "smove k l a"]) {
            check(&[("set k v", "+OK"), (line, WRONG_TYPE)]);
        }
    }

    #[test]
    fn scans_find_what_matches() {
        check(&[
            ("sadd s a 1 12", ":3"),
            ("sscan s 0", "*2 $1 0 *3 $1 a $1 1 $2 12"),
            ("sscan s 0 match 1* count 1", "*2 $1 0 *2 $1 1 $2 12"),
            ("sscan none 0 count 0", "*2 $1 0 *0"),
            ("sscan s x", "-ERR invalid cursor"),
            ("sscan s 0 count 0", "-ERR syntax error"),
            ("sscan s 0 type set", "-ERR syntax error"),
            ("sscan s 0 match", "-ERR syntax error"),
        ]);
        let mut bench = Bench::new();
        (0..1_000).for_each(|n| bench.check(&format!("sadd s w{n}"), ":1"));
        let (mut cursor, mut seen) = ("0".to_string(), std::collections::HashSet::new());
        loop {
            let reply = bench.run(&format!("sscan s {cursor}"));
            seen.extend(reply.split(' ').filter(|word| word.starts_with('w')).map(str::to_string));
            cursor = reply.split(' ').nth(2).expect("a cursor").to_string();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn changes_are_logged_as_they_came_and_told() {
        let mut bench = Bench::new();
        bench.check("config set notify-keyspace-events EA", "+OK");
        let mut listener = Bench::client(&bench.server);
        Bench::run_as(&bench.server, &mut listener, "psubscribe *");
        for line in
            ["sadd s a b", "sadd s a", "smove s t a", "smove s s b", "srem s x", "srem s b", "srem s b"]
        {
            bench.run(line);
        }
        assert_eq!(bench.logged(), "SELECT 0 sadd s a b smove s t a srem s b");
        let mail = Bench::mail(&listener);
        let events: Vec<_> =
            mail.split(' ').filter_map(|word| word.strip_prefix("__keyevent@0__:")).collect();
        assert_eq!(events, ["sadd", "srem", "sadd", "srem", "del"]);
    }
}
