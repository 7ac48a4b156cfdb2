//! MSETEX: several strings at once, on one condition and with one expiry.
//!
//! Replicas older than the command get what it comes to: MSET, or a SET for each key where the expiry is set or kept. (From
//! the documentation of Redis 8.4.)

use super::expiring::{Only, TtlOption, deadline_ms};
use crate::command::{Acl, Begin, Find, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::{Ttl, events};

pub(super) const MSETEX: Row = Row::new("msetex", -4, Group::String, "8.4.0", msetex)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec {
        flags: KeyFlags::OW.union(KeyFlags::UPDATE),
        begin: Begin::Index(1),
        find: Find::KeyNum { index: 0, first: 1, step: 2 },
        notes: None,
    }])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]);

struct Options<'c> {
    only: Option<Only<'c>>,
    ttl: TtlOption<'c>,
}

impl<'c> Options<'c> {
    /// The options from `at` on.
    fn parse(args: Args<'c>, mut at: usize) -> Result<Options<'c>, Error> {
        let mut options = Options { only: None, ttl: TtlOption::Unsaid };
        while at < args.len() {
            if args.is(at, "NX") && options.only != Some(Only::IfThere) {
                options.only = Some(Only::IfMissing);
            } else if args.is(at, "XX") && options.only != Some(Only::IfMissing) {
                options.only = Some(Only::IfThere);
            } else if !options.ttl.take_keep(args, at) {
                at = options.ttl.take_time(args, at)?;
            }
            at += 1;
        }
        Ok(options)
    }
}

fn msetex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    const FIRST: usize = 2;
    let pairs = call.args.int(1).ok().and_then(|n| usize::try_from(n).ok());
    let pairs = pairs.filter(|n| (1..=i32::MAX as usize).contains(n)).ok_or(error::INVALID_NUMKEYS)?;
    let end = FIRST + 2 * pairs;
    if end > call.args.len() {
        return Err(error::WRONG_PAIRS);
    }
    let options = Options::parse(call.args, end)?;
    let ttl = match options.ttl {
        TtlOption::Unsaid | TtlOption::Persist => Ttl::Clear,
        TtlOption::Keep => Ttl::Keep,
        TtlOption::Time(word, text) => Ttl::At(deadline_ms(word, text, call.view.now_ms(), "msetex")?),
    };
    let mut keys = (FIRST..end).step_by(2);
    let refused = match options.only {
        Some(Only::IfMissing) => keys.any(|at| call.view.exists(call.args.at(at))),
        Some(_) => !keys.all(|at| call.view.peek(call.args.at(at)).is_some()),
        None => false,
    };
    if !refused {
        for at in (FIRST..end).step_by(2) {
            call.view.set(call.args.at(at), call.args.value(at + 1), ttl);
            call.view.notify(events::SET, call.args.at(at));
            if matches!(ttl, Ttl::At(_)) {
                call.view.notify(events::EXPIRE, call.args.at(at));
            }
        }
        propagate(call, FIRST..end, ttl);
    }
    call.reply.int(i64::from(!refused));
    Ok(())
}

/// The log gets MSET, or SETs with the expiry.
fn propagate(call: &mut Call<'_, '_>, pairs: std::ops::Range<usize>, ttl: Ttl) {
    let mut digits = itoa::Buffer::new();
    let expiry: &[&[u8]] = match ttl {
        Ttl::Clear => {
            let words: Vec<&[u8]> =
                std::iter::once(&b"MSET"[..]).chain(pairs.map(|at| call.args.at(at))).collect();
            return call.propagate_instead(&words);
        }
        Ttl::Keep => &[b"KEEPTTL"],
        Ttl::At(at) => &[b"PXAT", digits.format(at).as_bytes()],
    };
    for at in pairs.step_by(2) {
        let set = [&b"SET"[..], call.args.at(at), call.args.at(at + 1)];
        call.propagate_instead(&[&set, expiry].concat());
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    /// Lines on a server with `a` (100 s to live); the last one's reply and what the log gets.
    #[track_caller]
    fn check(lines: &str, reply: &str, logged: &str) {
        let mut bench = Bench::new();
        bench.run("set a 1 ex 100");
        bench.check_logged(lines, reply, logged);
    }

    #[test]
    fn keys_are_set_together() {
        check("msetex 2 a x b y", ":1", "MSET a x b y");
        check("msetex 2 a x b y; mget a b", "*2 $1 x $1 y", "");
        check("msetex 1 a x; ttl a", ":-1", "");
        check("msetex 1 a x keepttl", ":1", "SET a x KEEPTTL");
        check("msetex 1 a x KEEPTTL; ttl a", ":100", "");
        let both = "MULTI SET a x PXAT 1700000005000 SET b y PXAT 1700000005000 EXEC";
        check("msetex 2 a x b y ex 5", ":1", both);
        check("msetex 2 a x b y exat 1700000005", ":1", both);
        check("msetex 2 a x b y px 5000 ; ttl b", ":5", "");
        check("msetex 2 nx x ex y", ":1", "MSET nx x ex y");
    }

    #[test]
    fn all_or_nothing() {
        check("msetex 2 a x b y nx", ":0", "");
        check("msetex 2 b x c y NX", ":1", "MSET b x c y");
        check("msetex 2 a x b y xx", ":0", "");
        check("set b 1; msetex 2 a x b y xx", ":1", "MSET a x b y");
        check("msetex 2 a x b y xx; get a", "$1 1", "");
    }

    #[test]
    fn mistakes() {
        for count in ["0", "-1", "x", "1.5", "2147483648"] {
            check(&format!("msetex {count} a x"), "-ERR invalid numkeys value", "");
        }
        check("msetex 2 a x", "-ERR wrong number of key-value pairs", "");
        check("msetex 2 a x b", "-ERR wrong number of key-value pairs", "");
        for options in ["b", "nx xx", "ex 1 px 1", "ex", "keepttl ex 1", "ex 1 keepttl", "get", "ifeq x"] {
            check(&format!("msetex 1 a x {options}"), "-ERR syntax error", "");
        }
        check("msetex 1 a x ex 0", "-ERR invalid expire time in 'msetex' command", "");
        check("msetex 1 a x ex a", "-ERR value is not an integer or out of range", "");
        check("msetex 1 a", "-ERR wrong number of arguments for 'msetex' command", "");
    }
}
