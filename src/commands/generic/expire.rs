//! When keys expire: EXPIRE and its relatives, TTL and its relatives, PERSIST.
//!
//! In the log every one of the EXPIREs is a PEXPIREAT without options (what the options decided has been decided), or the
//! deletion that a time in the past amounts to. A stream that keeps the options, as the real server's does, could not
//! be followed by servers older than 7.0.

use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::view::Viewer;

/// The rows of this file.
pub const ROWS: &[Row] = &[EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST];

const UPDATED: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))];
const ASKED: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))];

/// A row of the EXPIRE kind.
const fn setter(name: &'static str, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, -3, Group::Generic, since, handler)
        .flags(Flags::WRITE.union(Flags::FAST))
        .categories(Acl::KEYSPACE)
        .keys(UPDATED)
}

/// A row of the TTL kind.
const fn getter(name: &'static str, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, 2, Group::Generic, since, handler)
        .flags(Flags::READONLY.union(Flags::FAST))
        .categories(Acl::KEYSPACE)
        .keys(ASKED)
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
                () => {
                    return Err(Error::err(format!("Unsupported option {}", String::from_utf8_lossy(word))));
                }
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
        call.propagate_instead(&[if call.server.lazy_expire() { b"UNLINK" } else { &b"DEL"[..] }, key]);
    } else {
        call.view.set_expiry(key, Some(at_ms));
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
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::KEYSPACE)
    .keys(UPDATED);

fn persist(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let key = call.args.at(1);
    let has_ttl = call.view.read_for_write(key).is_some_and(|entry| entry.expiry_ms().is_some());
    if has_ttl {
        call.view.set_expiry(key, None);
    }
    call.reply.int(i64::from(has_ttl));
    Ok(())
}
