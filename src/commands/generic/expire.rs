//! When keys expire: EXPIRE and its relatives, TTL and its relatives, PERSIST.
//!
//! In the log every one of the EXPIREs is a PEXPIREAT without options (what the options decided has been decided), or the
//! deletion that a time in the past amounts to. A stream that keeps the options, as the real server's does, could not
//! be followed by servers older than 7.0.

use super::{QUICK_READ, QUICK_WRITE};
use crate::command::{Acl, Group, KeyFlags, KeySpec, Row};
use crate::commands::string::RO_ACCESS;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::events;
use crate::keyspace::view::Viewer;

/// The rows of this file.
pub const ROWS: &[Row] = &[EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST];

const UPDATED: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))];
const ASKED: &[KeySpec] = &[KeySpec::one(1, RO_ACCESS)];

/// A row of the EXPIRE kind.
const fn setter(name: &'static str, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, -3, Group::Generic, since, handler)
        .flags(QUICK_WRITE)
        .categories(Acl::KEYSPACE)
        .keys(UPDATED)
}

/// A row of the TTL kind.
const fn getter(name: &'static str, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, 2, Group::Generic, since, handler).flags(QUICK_READ).categories(Acl::KEYSPACE).keys(ASKED)
}

const EXPIRE: Row = setter("expire", "1.0.0", expire);
const PEXPIRE: Row = setter("pexpire", "2.6.0", pexpire);
const EXPIREAT: Row = setter("expireat", "1.2.0", expireat);
const PEXPIREAT: Row = setter("pexpireat", "2.6.0", pexpireat);

fn expire(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let now_ms = call.view.now_ms();
    set_expiry(call, now_ms, 1000)
}

fn pexpire(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let now_ms = call.view.now_ms();
    set_expiry(call, now_ms, 1)
}

fn expireat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_expiry(call, 0, 1000)
}

fn pexpireat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_expiry(call, 0, 1)
}

bitflags::bitflags! {
    /// On what condition a TTL is set.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Condition: u8 {
        const NX = 1;
        const XX = 2;
        const GT = 4;
        const LT = 8;
    }
}

impl Condition {
    fn parse(call: &Call<'_, '_>) -> Result<Condition, Error> {
        let mut condition = Condition::empty();
        for (at, word) in call.args.from(3).enumerate() {
            condition |= match () {
                () if call.args.is(at + 3, "nx") => Condition::NX,
                () if call.args.is(at + 3, "xx") => Condition::XX,
                () if call.args.is(at + 3, "gt") => Condition::GT,
                () if call.args.is(at + 3, "lt") => Condition::LT,
                () => return Err(Error::quoting("Unsupported option ", word, "")),
            };
        }
        let others = Condition::XX | Condition::GT | Condition::LT;
        if condition.contains(Condition::NX) && condition.intersects(others) {
            return Err(error::EXPIRE_NX_AND_OTHERS);
        }
        if condition.contains(Condition::GT | Condition::LT) {
            return Err(error::EXPIRE_GT_AND_LT);
        }
        Ok(condition)
    }

    /// No TTL counts as one that never ends.
    fn holds(self, old_ms: Option<i64>, new_ms: i64) -> bool {
        !(self.contains(Condition::NX) && old_ms.is_some()
            || self.contains(Condition::XX) && old_ms.is_none()
            || self.contains(Condition::GT) && old_ms.is_none_or(|old| new_ms <= old)
            || self.contains(Condition::LT) && old_ms.is_some_and(|old| new_ms >= old))
    }
}

/// Sets the TTL to the second argument, counted in units of `unit_ms` from `base_ms`.
fn set_expiry(call: &mut Call<'_, '_>, base_ms: i64, unit_ms: i64) -> Result<(), Error> {
    let condition = Condition::parse(call)?;
    let at_ms = call
        .args
        .int(2)?
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .ok_or_else(|| Error::invalid_expire(call.command.row.name))?;
    let key = call.args.at(1);
    let Some(old_ms) = call.view.read_for_write(key).map(|entry| entry.expiry_ms()) else {
        call.reply.int(0);
        return Ok(());
    };
    if !condition.holds(old_ms, at_ms) {
        call.reply.int(0);
        return Ok(());
    }
    if is_past(call, at_ms) {
        call.view.remove(key);
        call.view.notify(events::DEL, key);
        call.propagate_instead(&[if call.server.lazy_expire() { b"UNLINK" } else { &b"DEL"[..] }, key]);
    } else {
        call.view.set_expiry(key, Some(at_ms));
        call.view.notify(events::EXPIRE, key);
        if base_ms != 0 || unit_ms != 1 || call.args.len() > 3 {
            call.propagate_instead(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at_ms).as_bytes()]);
        }
    }
    call.reply.int(1);
    Ok(())
}

/// Is a TTL that ends at `at_ms` over before it begins? Only a master decides that.
pub(super) fn is_past(call: &Call<'_, '_>, at_ms: i64) -> bool {
    at_ms <= call.view.now_ms() && call.view.moment.viewer == Viewer::OnMaster
}

const TTL: Row = getter("ttl", "1.0.0", ttl).tips(&["nondeterministic_output"]);
const PTTL: Row = getter("pttl", "2.6.0", pttl).tips(&["nondeterministic_output"]);
const EXPIRETIME: Row = getter("expiretime", "7.0.0", expiretime);
const PEXPIRETIME: Row = getter("pexpiretime", "7.0.0", pexpiretime);

/// Rounded to the nearest second.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

fn ttl(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiry(call, |at_ms, now_ms| seconds((at_ms - now_ms).max(0)))
}

fn pttl(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiry(call, |at_ms, now_ms| (at_ms - now_ms).max(0))
}

fn expiretime(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiry(call, |at_ms, _| seconds(at_ms))
}

fn pexpiretime(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiry(call, |at_ms, _| at_ms)
}

fn reply_expiry(call: &mut Call<'_, '_>, show: impl Fn(i64, i64) -> i64) -> Result<(), Error> {
    let now_ms = call.view.now_ms();
    let expiry = call.view.look(call.args.at(1)).map(|entry| entry.expiry_ms());
    call.reply.int(match expiry {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => show(at_ms.max(0), now_ms),
    });
    Ok(())
}

const PERSIST: Row = Row::new("persist", 2, Group::Generic, "2.2.0", persist)
    .flags(QUICK_WRITE)
    .categories(Acl::KEYSPACE)
    .keys(UPDATED);

fn persist(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let key = call.args.at(1);
    let has_ttl = call.view.read_for_write(key).is_some_and(|entry| entry.expiry_ms().is_some());
    if has_ttl {
        call.view.set_expiry(key, None);
        call.view.notify(events::PERSIST, key);
    }
    call.reply.int(i64::from(has_ttl));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    /// Runs lines on a server that holds `a` (100 s to live), `b` (for ever); the last for its reply and what it logs.
    #[track_caller]
    fn check(lines: &str, reply: &str, logged: &str) {
        let mut bench = Bench::new();
        ["set a 1", "set b 1", "expire a 100"].iter().for_each(|line| {
            bench.run(line);
        });
        bench.check_logged(lines, reply, logged);
    }

    #[test]
    fn every_way_to_set_a_ttl_is_logged_as_an_absolute_time() {
        check("expire b 100", ":1", "PEXPIREAT b 1700000100000");
        check("pexpire b 100", ":1", "PEXPIREAT b 1700000000100");
        check("expireat b 1700000005", ":1", "PEXPIREAT b 1700000005000");
        check("pexpireat b 1700000005000", ":1", "pexpireat b 1700000005000");
        check("pexpireat b 1700000005000 nx", ":1", "PEXPIREAT b 1700000005000");
        check("pexpireat b 9223372036854775807", ":1", "pexpireat b 9223372036854775807");
        check("expire missing 100", ":0", "");
    }

    #[test]
    fn conditions_decide() {
        check("expire a 100 nx", ":0", "");
        check("expire b 100 nx", ":1", "PEXPIREAT b 1700000100000");
        check("expire a 5 xx", ":1", "PEXPIREAT a 1700000005000");
        check("expire b 5 xx", ":0", "");
        check("expire a 100 gt", ":0", "");
        check("expire a 101 GT", ":1", "PEXPIREAT a 1700000101000");
        check("expire b 101 gt", ":0", "");
        check("expire a 100 lt", ":0", "");
        check("expire a 99 lt", ":1", "PEXPIREAT a 1700000099000");
        check("expire b 100 lt", ":1", "PEXPIREAT b 1700000100000");
        check("expire b 100 lt xx", ":0", "");
        let nx = "-ERR NX and XX, GT or LT options at the same time are not compatible";
        ["nx xx", "gt nx", "nx lt"]
            .iter()
            .for_each(|pair| check(&format!("expire missing 1 {pair}"), nx, ""));
        check("expire a 1 gt lt", "-ERR GT and LT options at the same time are not compatible", "");
        check("expire a 1 foo", "-ERR Unsupported option foo", "");
        check("expire a abc foo", "-ERR Unsupported option foo", "");
    }

    #[test]
    fn a_time_in_the_past_deletes() {
        for line in [
            "expire a -1",
            "expire a 0",
            "pexpireat a 5",
            "expireat a 0 lt",
            "pexpireat a -9223372036854775808",
        ] {
            check(line, ":1", "DEL a");
            check(&format!("{line}; exists a"), ":0", "");
        }
        check("pexpireat a 1700000000000", ":1", "DEL a");
        check("pexpireat a 1700000000001", ":1", "pexpireat a 1700000000001");
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        for (line, name) in [
            ("expire a 9223372036854775807", "expire"),
            ("expire missing 9223372036854775807", "expire"),
            ("expire a -9223372036854775808", "expire"),
            ("pexpire a 9223372036854775807", "pexpire"),
            ("expireat a 9223372036854775807", "expireat"),
        ] {
            check(line, &format!("-ERR invalid expire time in '{name}' command"), "");
        }
        check("expire a abc", "-ERR value is not an integer or out of range", "");
    }

    #[test]
    fn ttls_are_shown() {
        check("ttl a", ":100", "");
        check("pttl a", ":100000", "");
        check("expiretime a", ":1700000100", "");
        check("pexpiretime a", ":1700000100000", "");
        check("pexpire a 1499; ttl a", ":1", "");
        check("pexpire a 1500; ttl a", ":2", "");
        for name in ["ttl", "pttl", "expiretime", "pexpiretime"] {
            check(&format!("{name} b"), ":-1", "");
            check(&format!("{name} missing"), ":-2", "");
        }
        check("pexpireat a 9223372036854775807; pexpiretime a", ":9223372036854775807", "");
        check("pexpireat a 33000000000000; ttl a", ":31300000000", "");
    }

    #[test]
    fn persisting() {
        check("persist a", ":1", "persist a");
        check("persist a; ttl a", ":-1", "");
        check("persist b", ":0", "");
        check("persist missing", ":0", "");
    }
}
