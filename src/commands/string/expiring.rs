//! SET with its options, and the commands that Redis has made parts of it since: SETNX, SETEX, PSETEX, GETSET, GETDEL, GETEX.
//!
//! The log gets deadlines, never durations: `SET … EX` becomes `SET … PXAT`, GETEX becomes PEXPIREAT, PERSIST or DEL. A deadline
//! that has passed does not keep SET from setting (the key is found expired by whoever looks next); GETEX deletes.

use super::conditional::Condition;
use super::range::RW_ACCESS_UPDATE;
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events;
use crate::keyspace::view::Viewer;
use crate::keyspace::{Entry, Ttl};
use crate::resp::parser::number;
use smallvec::SmallVec;

/// The words that say when a key expires.
const TIME_WORDS: [TimeWord; 4] = [
    TimeWord { word: "EX", seconds: true, absolute: false },
    TimeWord { word: "PX", seconds: false, absolute: false },
    TimeWord { word: "EXAT", seconds: true, absolute: true },
    TimeWord { word: "PXAT", seconds: false, absolute: true },
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimeWord {
    word: &'static str,
    seconds: bool,
    /// A Unix time, not a duration.
    absolute: bool,
}

/// What a command says about the TTL: one thing at most, though a time may be given again.
#[derive(Clone, Copy, Debug)]
pub(super) enum TtlOption<'c> {
    Unsaid,
    Keep,
    Persist,
    Time(TimeWord, &'c [u8]),
}

impl<'c> TtlOption<'c> {
    /// Takes KEEPTTL if that stands at `at` and nothing else was said. Returns whether it did.
    pub(super) fn take_keep(&mut self, args: Args<'c>, at: usize) -> bool {
        let takes = args.is(at, "KEEPTTL") && matches!(self, TtlOption::Unsaid | TtlOption::Keep);
        if takes {
            *self = TtlOption::Keep;
        }
        takes
    }

    /// Takes the time option at `at`. Returns where its value stands.
    pub(super) fn take_time(&mut self, args: Args<'c>, at: usize) -> Result<usize, Error> {
        let word = TIME_WORDS.into_iter().find(|word| args.is(at, word.word)).ok_or(error::SYNTAX)?;
        let fits = match self {
            TtlOption::Unsaid => true,
            TtlOption::Time(earlier, _) => *earlier == word,
            TtlOption::Keep | TtlOption::Persist => false,
        };
        let value = args.get(at + 1).filter(|_| fits).ok_or(error::SYNTAX)?;
        *self = TtlOption::Time(word, value);
        Ok(at + 1)
    }
}

/// The deadline in Unix milliseconds that a time option names.
pub(super) fn deadline_ms(word: TimeWord, text: &[u8], now_ms: i64, command: &str) -> Result<i64, Error> {
    let n = number(text).ok_or(error::NOT_INTEGER)?;
    let ms = if word.seconds { n.checked_mul(1000) } else { Some(n) };
    ms.filter(|ms| *ms > 0)
        .and_then(|ms| if word.absolute { Some(ms) } else { ms.checked_add(now_ms) })
        .ok_or_else(|| Error::invalid_expire(command))
}

/// When alone a key is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Only<'c> {
    IfMissing,
    IfThere,
    If(Condition<'c>),
}

struct SetOptions<'c> {
    only: Option<Only<'c>>,
    get: bool,
    ttl: TtlOption<'c>,
}

impl<'c> SetOptions<'c> {
    fn parse(args: Args<'c>) -> Result<SetOptions<'c>, Error> {
        let mut options = SetOptions { only: None, get: false, ttl: TtlOption::Unsaid };
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "NX") && matches!(options.only, None | Some(Only::IfMissing)) {
                options.only = Some(Only::IfMissing);
            } else if args.is(at, "XX") && matches!(options.only, None | Some(Only::IfThere)) {
                options.only = Some(Only::IfThere);
            } else if args.is(at, "GET") {
                options.get = true;
            } else if options.only.is_none()
                && let Some(condition) = Condition::parse(args, at)?
            {
                options.only = Some(Only::If(condition));
                at += 1;
            } else if !options.ttl.take_keep(args, at) {
                at = options.ttl.take_time(args, at)?;
            }
            at += 1;
        }
        Ok(options)
    }
}

pub(super) const SET: Row = Row::new("set", -3, Group::String, "1.0.0", set)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE.union(KeyFlags::VARIABLE_FLAGS))
        .notes("RW and ACCESS due to the optional `GET` argument")])
    .key_finder(crate::command::finders::set);

fn set(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.args.len() == 3 {
        call.view.set(call.args.at(1), call.args.value(2), Ttl::Clear);
        call.view.notify(events::SET, call.args.at(1));
        call.reply.ok();
        return Ok(());
    }
    let options = SetOptions::parse(call.args)?;
    let ttl = match options.ttl {
        TtlOption::Unsaid | TtlOption::Persist => Ttl::Clear,
        TtlOption::Keep => Ttl::Keep,
        TtlOption::Time(word, text) => Ttl::At(deadline_ms(word, text, call.view.now_ms(), "set")?),
    };
    if options.get {
        reply_old(call)?;
    }
    let key = call.args.at(1);
    let refused = match options.only {
        None => false,
        Some(Only::IfMissing) => call.view.exists(key),
        // What is there is an access for the LFU counter once it is overwritten.
        Some(Only::IfThere) => call.view.peek(key).is_none(),
        Some(Only::If(condition)) => !condition.holds(call.view.string_for_write(key)?),
    };
    if refused {
        if !options.get {
            call.reply.null();
        }
        return Ok(());
    }
    if !options.get {
        call.reply.ok();
    }
    set_value(call, 2, ttl);
    let decided = options.get || matches!(options.only, Some(Only::If(_)));
    if decided && !matches!(ttl, Ttl::At(_)) {
        propagate_decided(call, options.only);
    }
    Ok(())
}

/// Sets the key at position 1 to the argument at `value`; the log gets a deadline as such.
fn set_value(call: &mut Call<'_, '_>, value: usize, ttl: Ttl) {
    let key = call.args.at(1);
    call.view.set(key, call.args.value(value), ttl);
    call.view.notify(events::SET, key);
    if let Ttl::At(at) = ttl {
        call.view.notify(events::EXPIRE, key);
        let mut digits = itoa::Buffer::new();
        call.propagate_instead(&[b"SET", key, call.args.at(value), b"PXAT", digits.format(at).as_bytes()]);
    }
}

/// Replicas need no answer and ask for no condition on the value: the log gets the command without both.
fn propagate_decided(call: &mut Call<'_, '_>, only: Option<Only<'_>>) {
    let mut words: SmallVec<[&[u8]; 8]> = call.args.from(0).take(3).collect();
    let mut at = words.len();
    while at < call.args.len() {
        if matches!(only, Some(Only::If(_))) && matches!(Condition::parse(call.args, at), Ok(Some(_))) {
            at += 1;
        } else if !call.args.is(at, "GET") {
            words.push(call.args.at(at));
        }
        at += 1;
    }
    call.propagate_instead(&words);
}

/// Replies the key's present value. Returns whether there is one.
fn reply_old(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    let old = call.view.read_string(call.args.at(1))?;
    match old {
        Some(value) => call.reply.value(value),
        None => call.reply.null(),
    }
    Ok(old.is_some())
}

pub(super) const SETNX: Row = Row::new("setnx", 3, Group::String, "1.0.0", setnx)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::INSERT))]);

fn setnx(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let there = call.view.exists(call.args.at(1));
    if !there {
        set_value(call, 2, Ttl::Clear);
    }
    call.reply.int(i64::from(!there));
    Ok(())
}

pub(super) const SETEX: Row = Row::new("setex", 4, Group::String, "2.0.0", setex)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))]);

fn setex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_for(call, TIME_WORDS[0])
}

pub(super) const PSETEX: Row = Row::new("psetex", 4, Group::String, "2.6.0", psetex)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))]);

fn psetex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_for(call, TIME_WORDS[1])
}

fn set_for(call: &mut Call<'_, '_>, word: TimeWord) -> Result<(), Error> {
    let at = deadline_ms(word, call.args.at(2), call.view.now_ms(), call.command.row.name)?;
    set_value(call, 3, Ttl::At(at));
    call.reply.ok();
    Ok(())
}

pub(super) const GETSET: Row = Row::new("getset", 3, Group::String, "1.0.0", getset)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn getset(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_old(call)?;
    set_value(call, 2, Ttl::Clear);
    call.propagate_instead(&[b"SET", call.args.at(1), call.args.at(2)]);
    Ok(())
}

pub(super) const GETDEL: Row = Row::new("getdel", 2, Group::String, "6.2.0", getdel)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))]);

fn getdel(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if reply_old(call)? {
        call.view.remove(call.args.at(1));
        call.view.notify(events::DEL, call.args.at(1));
        call.propagate_instead(&[b"DEL", call.args.at(1)]);
    }
    Ok(())
}

pub(super) const GETEX: Row = Row::new("getex", -2, Group::String, "6.2.0", getex)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE).notes("RW and UPDATE because it changes the TTL")]);

fn getex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let option = parse_getex(call.args)?;
    let (key, now_ms) = (call.args.at(1), call.view.now_ms());
    let Some(value) = call.view.read_string(key)? else {
        call.reply.null();
        return Ok(());
    };
    let deadline = match option {
        TtlOption::Time(word, text) => Some((word, deadline_ms(word, text, now_ms, "getex")?)),
        TtlOption::Unsaid | TtlOption::Keep | TtlOption::Persist => None,
    };
    call.reply.value(value);
    match (option, deadline) {
        (_, Some((word, at))) => expire_at(call, key, at, word.absolute && at <= now_ms),
        (TtlOption::Persist, None) if call.view.peek(key).and_then(Entry::expiry_ms).is_some() => {
            call.view.set_expiry(key, None);
            call.view.notify(events::PERSIST, key);
            call.propagate_instead(&[b"PERSIST", key]);
        }
        _ => {}
    }
    Ok(())
}

fn parse_getex(args: Args<'_>) -> Result<TtlOption<'_>, Error> {
    let mut option = TtlOption::Unsaid;
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "PERSIST") && matches!(option, TtlOption::Unsaid | TtlOption::Persist) {
            option = TtlOption::Persist;
        } else {
            at = option.take_time(args, at)?;
        }
        at += 1;
    }
    Ok(option)
}

fn expire_at(call: &mut Call<'_, '_>, key: &[u8], at: i64, past: bool) {
    if past && call.view.moment.viewer == Viewer::OnMaster {
        call.view.remove(key);
        call.view.notify(events::DEL, key);
        let word: &[u8] = if call.server.lazy_expire() { b"UNLINK" } else { b"DEL" };
        call.propagate_instead(&[word, key]);
    } else {
        call.view.set_expiry(key, Some(at));
        call.view.notify(events::EXPIRE, key);
        call.propagate_instead(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}

#[cfg(test)]
mod tests {
    use crate::client::Kind;
    use crate::commands::testing::{Bench, NOW_MS};

    /// Lines, their replies and what the log gets; `{n}` stands for `n` milliseconds from now.
    fn check(script: &[(&str, &str, &str)]) {
        let mut bench = Bench::new();
        bench.run("set selected 0");
        bench.logged();
        for (line, reply, logged) in script {
            bench.check(line, reply);
            let expected = match logged.split_once('{') {
                Some((before, n)) => {
                    format!("{before}{}", NOW_MS + n.trim_end_matches('}').parse::<i64>().unwrap())
                }
                None => (*logged).to_owned(),
            };
            assert_eq!(bench.logged(), expected, "{line}");
        }
    }

    const SYNTAX: &str = "-ERR syntax error";
    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";

    #[test]
    fn set_logs_deadlines() {
        check(&[
            ("set k v ex 100", "+OK", "SET k v PXAT {100000}"),
            ("set k v px 100000 nx", "$-1", ""),
            ("set k v px 5 get xx", "$1 v", "SET k v PXAT {5}"),
            ("set k v pxat 1999999999999 get", "$1 v", "SET k v PXAT 1999999999999"),
            ("SET k v exat 1999999999", "+OK", "SET k v PXAT 1999999999000"),
            ("set k w GET", "$1 v", "set k w"),
            ("set k v get nx", "$1 w", ""),
            ("set k v keepttl get xx", "$1 w", "set k v keepttl xx"),
            ("set k v ex 10 ex 20", "+OK", "SET k v PXAT {20000}"),
            ("set k v pxat 9223372036854775807", "+OK", "SET k v PXAT 9223372036854775807"),
            ("setex k 100 v", "+OK", "SET k v PXAT {100000}"),
            ("psetex k 100 v", "+OK", "SET k v PXAT {100}"),
            ("setnx k v", ":0", ""),
            ("setnx k2 12", ":1", "setnx k2 12"),
            ("getset k 12", "$1 v", "SET k 12"),
            ("getset k3 12", "$-1", "SET k3 12"),
            ("getdel k3", "$2 12", "DEL k3"),
            ("getdel k3", "$-1", ""),
        ]);
    }

    #[test]
    fn a_deadline_in_the_past_is_set_and_then_found_expired() {
        check(&[
            ("set k v exat 1", "+OK", "SET k v PXAT 1000"),
            ("get k", "$-1", "DEL k"),
            ("set k v pxat 5", "+OK", "SET k v PXAT 5"),
            ("set k w keepttl", "+OK", "MULTI DEL k set k w keepttl EXEC"),
            ("get k", "$1 w", ""),
        ]);
    }

    #[test]
    fn a_masters_stream_just_sets() {
        let mut bench = Bench::new();
        bench.client.kind = Kind::Master;
        bench.check("set k v pxat 1000", "+OK");
        bench.check("get k", "$1 v");
    }

    #[test]
    fn options_of_set_exclude_each_other() {
        for options in
            ["nx xx", "ex 1 px 1", "ex 1 keepttl", "keepttl ex 1", "ex", "foo", "persist", "keepttl exat 5"]
        {
            check(&[(&format!("set k v {options}"), SYNTAX, "")]);
        }
        check(&[("set k v nx nx keepttl keepttl", "+OK", "set k v nx nx keepttl keepttl")]);
    }

    #[test]
    fn deadlines_are_positive_and_fit() {
        for line in
            ["set k v ex", "set k v px", "set k v exat", "set k v pxat", "setex k", "psetex k", "getex k ex"]
        {
            let name = line.split(' ').next().unwrap();
            let end = if line.ends_with(" k") { " v" } else { "" };
            let invalid = format!("-ERR invalid expire time in '{name}' command");
            for n in ["0", "-1", "-9223372036854775808"] {
                check(&[("set k 1", "+OK", "set k 1"), (&format!("{line} {n}{end}"), &invalid, "")]);
            }
            let text = format!("{line} a{end}");
            check(&[("set k 1", "+OK", "set k 1"), (&text, NOT_INTEGER, "")]);
        }
        for line in
            ["set k v ex 9223372036854776", "set k v px 9223372036854775807", "set k v exat 9223372036854776"]
        {
            check(&[(line, "-ERR invalid expire time in 'set' command", "")]);
        }
    }

    #[test]
    fn getex_logs_what_it_does() {
        check(&[
            ("set k 12", "+OK", "set k 12"),
            ("getex k", "$2 12", ""),
            ("getex k ex 100", "$2 12", "PEXPIREAT k {100000}"),
            ("getex k persist", "$2 12", "PERSIST k"),
            ("getex k persist", "$2 12", ""),
            ("getex k exat 9999999999", "$2 12", "PEXPIREAT k 9999999999000"),
            ("getex k ex 1 persist", SYNTAX, ""),
            ("getex k persist px 1", SYNTAX, ""),
            ("getex k keepttl", SYNTAX, ""),
            ("getex none ex a", "$-1", ""),
            ("getex none foo", SYNTAX, ""),
            ("getex k pxat 1", "$2 12", "DEL k"),
            ("get k", "$-1", ""),
        ]);
    }
}
