//! When fields expire: HEXPIRE and its relatives, HTTL and its relatives, HPERSIST.
//!
//! The log gets what was decided: an HPEXPIREAT with the fields whose expiry was set, without conditions, or the HDEL that a
//! time in the past amounts to. Only a master decides that a time is past. Source of replies and errors: the commands'
//! documentation (Redis 7.4, 8.0).

use super::{DELETED, FAST_READ, FAST_WRITE, RO_ACCESS, RW_UPDATE, live_field, row};
use crate::command::{Flags, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events::{Class, Event};
use crate::keyspace::view::Viewer;
use crate::resp::parser::number;
use crate::types::hash::Hash;

/// The latest expiry that a field may have: 46 bits of milliseconds.
const LATEST_MS: i64 = (1 << 46) - 1;

/// What a question about a field that is not there is answered with.
const NO_FIELD: i64 = -2;

pub(super) const EXPIRE_EVENT: Event = Event::new(Class::HASH, "hexpire");
pub(super) const PERSIST_EVENT: Event = Event::new(Class::HASH, "hpersist");

const fn setter(name: &'static str, handler: crate::command::Handler) -> Row {
    row(name, -6, "7.4.0", handler).flags(FAST_WRITE).keys(RW_UPDATE)
}

const fn getter(name: &'static str, handler: crate::command::Handler) -> Row {
    row(name, -5, "7.4.0", handler).flags(FAST_READ).keys(RO_ACCESS)
}

pub(super) const HEXPIRE: Row = setter("hexpire", hexpire);
pub(super) const HPEXPIRE: Row = setter("hpexpire", hpexpire);
pub(super) const HEXPIREAT: Row = setter("hexpireat", hexpireat);
pub(super) const HPEXPIREAT: Row = setter("hpexpireat", hpexpireat);

fn hexpire(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let now_ms = call.view.now_ms();
    set_expiry(call, now_ms, 1000)
}

fn hpexpire(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let now_ms = call.view.now_ms();
    set_expiry(call, now_ms, 1)
}

fn hexpireat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_expiry(call, 0, 1000)
}

fn hpexpireat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_expiry(call, 0, 1)
}

/// On what condition a field's expiry is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    IfNone,
    IfAny,
    IfLater,
    IfEarlier,
}

impl Condition {
    /// The condition at `at`, if there is one, and where FIELDS is to follow.
    fn parse(args: Args<'_>, at: usize) -> (Condition, usize) {
        let words = [
            ("nx", Condition::IfNone),
            ("xx", Condition::IfAny),
            ("gt", Condition::IfLater),
            ("lt", Condition::IfEarlier),
        ];
        let found = words.into_iter().find(|(word, _)| args.is(at, word));
        found.map_or((Condition::Always, at), |(_, condition)| (condition, at + 1))
    }

    /// No expiry counts as one that never comes.
    fn holds(self, old_ms: Option<i64>, new_ms: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::IfNone => old_ms.is_none(),
            Condition::IfAny => old_ms.is_some(),
            Condition::IfLater => old_ms.is_some_and(|old| new_ms > old),
            Condition::IfEarlier => old_ms.is_none_or(|old| new_ms < old),
        }
    }
}

/// A time in Unix milliseconds, from its text, which counts units of `unit_ms` from `base_ms`.
pub(super) fn time_ms(text: &[u8], base_ms: i64, unit_ms: i64, command: &str) -> Result<i64, Error> {
    let n = number(text).ok_or(error::NOT_INTEGER)?;
    if n < 0 {
        return Err(error::FIELD_EXPIRY_NEGATIVE);
    }
    n.checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .filter(|ms| *ms <= LATEST_MS)
        .ok_or_else(|| Error::invalid_expire(command))
}

/// Is an expiry over before it begins? Only a master decides that.
pub(super) fn is_past(call: &Call<'_, '_>, at_ms: i64) -> bool {
    at_ms <= call.view.now_ms() && call.view.moment.viewer == Viewer::OnMaster
}

/// `FIELDS numfields field …` at `at`, up to the end.
pub(super) fn fields<'c>(args: Args<'c>, at: usize, not_positive: Error) -> Result<Vec<&'c [u8]>, Error> {
    if !args.is(at, "fields") {
        return Err(error::FIELDS_MISSING);
    }
    let count = args.get(at + 1).and_then(number).filter(|n| *n > 0).ok_or(not_positive)?;
    let names = args.from(at + 2);
    if names.len() as i64 != count {
        return Err(error::FIELDS_MISMATCH);
    }
    Ok(names.collect())
}

/// The log gets the absolute expiry of some fields.
pub(super) fn propagate_expiry(call: &mut Call<'_, '_>, at_ms: i64, names: &[&[u8]]) {
    let (mut at, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut words = vec![b"HPEXPIREAT", call.args.at(1), at.format(at_ms).as_bytes(), b"FIELDS"];
    words.push(count.format(names.len()).as_bytes());
    words.extend(names);
    call.propagate_instead(&words);
}

/// The log gets a command about fields of the key.
pub(super) fn propagate_fields(call: &mut Call<'_, '_>, command: &[u8], names: &[&[u8]]) {
    let words: Vec<&[u8]> = [command, call.args.at(1)].into_iter().chain(names.iter().copied()).collect();
    call.propagate_instead(&words);
}

fn set_expiry(call: &mut Call<'_, '_>, base_ms: i64, unit_ms: i64) -> Result<(), Error> {
    let (args, as_of_ms) = (call.args, call.view.elements_as_of_ms());
    call.view.check_type::<Hash>(args.at(1))?;
    let at_ms = time_ms(args.at(2), base_ms, unit_ms, call.command.row.name)?;
    let (condition, at) = Condition::parse(args, 3);
    let names = fields(args, at, error::NUM_FIELDS_NOT_POSITIVE)?;
    let past = is_past(call, at_ms);
    let event = if past { DELETED } else { EXPIRE_EVENT };
    let (mut answers, mut changed) = (Vec::with_capacity(names.len()), Vec::new());
    if let Some(mut edit) = call.view.object_mut::<Hash>(args.at(1), event)? {
        edit.change(|hash| {
            for name in &names {
                let old = live_field(hash, name, as_of_ms).map(|field| field.expiry_ms);
                answers.push(match old {
                    None => NO_FIELD,
                    Some(old_ms) if !condition.holds(old_ms, at_ms) => 0,
                    Some(_) => {
                        changed.push(*name);
                        expire_field(hash, name, at_ms, past)
                    }
                });
            }
            changed.len()
        });
    }
    answers.resize(names.len(), NO_FIELD);
    reply_ints(call, &answers);
    match (changed.is_empty(), past) {
        (true, _) => {}
        (false, true) => propagate_fields(call, b"HDEL", &changed),
        (false, false) => propagate_expiry(call, at_ms, &changed),
    }
    Ok(())
}

/// Sets a field's expiry, or deletes the field if that is past. Returns the reply about it.
pub(super) fn expire_field(hash: &mut Hash, name: &[u8], at_ms: i64, past: bool) -> i64 {
    if past {
        hash.remove(name);
        return 2;
    }
    // A master's stream may bring any time. 0 stands for none where expiries are stored.
    hash.set_expiry(name, Some(at_ms.max(1)));
    1
}

fn reply_ints(call: &mut Call<'_, '_>, answers: &[i64]) {
    call.reply.array(answers.len());
    answers.iter().for_each(|answer| call.reply.int(*answer));
}

pub(super) const HTTL: Row = getter("httl", httl);
pub(super) const HPTTL: Row = getter("hpttl", hpttl).tips(&["nondeterministic_output"]);
pub(super) const HEXPIRETIME: Row = getter("hexpiretime", hexpiretime);
pub(super) const HPEXPIRETIME: Row = getter("hpexpiretime", hpexpiretime);

/// Rounded up: a field that is there has at least a second to live.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(999) / 1000
}

fn httl(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiries(call, |at_ms, now_ms| seconds((at_ms - now_ms).max(0)))
}

fn hpttl(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiries(call, |at_ms, now_ms| (at_ms - now_ms).max(0))
}

fn hexpiretime(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiries(call, |at_ms, _| seconds(at_ms))
}

fn hpexpiretime(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_expiries(call, |at_ms, _| at_ms)
}

fn reply_expiries(call: &mut Call<'_, '_>, show: impl Fn(i64, i64) -> i64) -> Result<(), Error> {
    let (as_of_ms, now_ms) = (call.view.elements_as_of_ms(), call.view.now_ms());
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    let names = fields(call.args, 2, error::FIELDS_NOT_POSITIVE)?;
    let answer = |name: &&[u8]| match hash.as_ref().and_then(|hash| live_field(hash, name, as_of_ms)) {
        None => NO_FIELD,
        Some(field) => field.expiry_ms.map_or(-1, |at_ms| show(at_ms, now_ms)),
    };
    let answers: Vec<i64> = names.iter().map(answer).collect();
    reply_ints(call, &answers);
    Ok(())
}

pub(super) const HPERSIST: Row =
    row("hpersist", -5, "7.4.0", hpersist).flags(Flags::WRITE.union(Flags::FAST)).keys(RW_UPDATE);

fn hpersist(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, as_of_ms) = (call.args, call.view.elements_as_of_ms());
    call.view.check_type::<Hash>(args.at(1))?;
    let names = fields(args, 2, error::FIELDS_NOT_POSITIVE)?;
    let mut answers = Vec::with_capacity(names.len());
    if let Some(mut edit) = call.view.object_mut::<Hash>(args.at(1), PERSIST_EVENT)? {
        edit.change(|hash| {
            answers.extend(names.iter().map(|name| persist_field(hash, name, as_of_ms)));
            answers.iter().filter(|answer| **answer == 1).count()
        });
    }
    answers.resize(names.len(), NO_FIELD);
    reply_ints(call, &answers);
    Ok(())
}

/// Takes a field's expiry away. Returns the reply about it: 1 if it had one.
pub(super) fn persist_field(hash: &mut Hash, name: &[u8], as_of_ms: i64) -> i64 {
    match live_field(hash, name, as_of_ms).map(|field| field.expiry_ms) {
        None => NO_FIELD,
        Some(None) => -1,
        Some(Some(_)) => {
            hash.set_expiry(name, None);
            1
        }
    }
}
