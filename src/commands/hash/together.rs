//! Two things with fields at once: HGETDEL, HGETEX, HSETEX.
//!
//! In the log they are the commands that do the one thing that changes something: HDEL, HPEXPIREAT, HPERSIST, HSET, which
//! servers understand that do not know these. Source of replies and errors: the commands' documentation (Redis 8.0).

use super::expiry::{
    EXPIRE_EVENT, PERSIST_EVENT, expire_field, fields, is_past, persist_field, propagate_expiry,
    propagate_fields, time_ms,
};
use super::{DELETED, FAST_WRITE, RW_UPDATE, SET, live_field, reply_values, row, set_field, write_values};
use crate::command::{Flags, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::resp::parser::number;
use crate::types::hash::{Expiry, Hash};

const FAST_UPDATE: Flags = Flags::WRITE.union(Flags::FAST);

const READ_AND_DELETED: &[KeySpec] =
    &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))];

const READ_AND_UPDATED: &[KeySpec] = &[KeySpec {
    notes: Some("RW and UPDATE because it changes the TTL"),
    ..KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))
}];

pub(super) const HGETDEL: Row =
    row("hgetdel", -5, "8.0.0", hgetdel).flags(FAST_UPDATE).keys(READ_AND_DELETED);

fn hgetdel(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, as_of_ms) = (call.args, call.view.elements_as_of_ms());
    call.view.check_type::<Hash>(args.at(1))?;
    let names = fields(args, 2, error::FIELDS_NOT_POSITIVE)?;
    call.reply.array(names.len());
    let mut deleted = Vec::new();
    match call.view.object_mut::<Hash>(args.at(1), DELETED)? {
        None => names.iter().for_each(|_| call.reply.null()),
        Some(mut edit) => {
            edit.change(|hash| {
                for name in &names {
                    match live_field(hash, name, as_of_ms) {
                        None => call.reply.null(),
                        Some(field) => {
                            call.reply.element(field.value);
                            hash.remove(name);
                            deleted.push(*name);
                        }
                    }
                }
                deleted.len()
            });
        }
    }
    if !deleted.is_empty() {
        propagate_fields(call, b"HDEL", &deleted);
    }
    Ok(())
}

/// What is said about expiries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TimeOption {
    Unsaid,
    Persist,
    Keep,
    At(i64),
}

/// On what condition fields are set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    NoneIsThere,
    AllAreThere,
}

struct Options<'c> {
    time: TimeOption,
    condition: Condition,
    /// What stands behind FIELDS and its number, to the end.
    fields: Vec<&'c [u8]>,
}

/// What tells HGETEX's options from HSETEX's.
struct Grammar {
    sets: bool,
    words_per_field: usize,
    two_times: Error,
}

const HGETEX_GRAMMAR: Grammar =
    Grammar { sets: false, words_per_field: 1, two_times: error::HGETEX_ONE_TIME };
const HSETEX_GRAMMAR: Grammar = Grammar { sets: true, words_per_field: 2, two_times: error::HSETEX_ONE_TIME };

/// The words that bring a time: the word, its unit in milliseconds, whether it is a Unix time.
const TIME_WORDS: [(&str, i64, bool); 4] =
    [("ex", 1000, false), ("px", 1, false), ("exat", 1000, true), ("pxat", 1, true)];

impl<'c> Options<'c> {
    fn parse(call: &Call<'c, '_>, grammar: &Grammar) -> Result<Options<'c>, Error> {
        let args = call.args;
        let mut options =
            Options { time: TimeOption::Unsaid, condition: Condition::Always, fields: Vec::new() };
        let mut at = 2;
        while !args.is(at, "fields") {
            let word = args.get(at).ok_or(error::FIELDS_MISSING)?;
            let condition = match () {
                () if grammar.sets && args.is(at, "fnx") => Some(Condition::NoneIsThere),
                () if grammar.sets && args.is(at, "fxx") => Some(Condition::AllAreThere),
                () => None,
            };
            if let Some(condition) = condition {
                if options.condition != Condition::Always {
                    return Err(error::HSETEX_ONE_CONDITION);
                }
                options.condition = condition;
            } else {
                let (time, next) = time_option(call, at, grammar)?
                    .ok_or_else(|| Error::quoting("unknown argument: ", word, ""))?;
                if options.time != TimeOption::Unsaid {
                    return Err(grammar.two_times.clone());
                }
                (options.time, at) = (time, next);
            }
            at += 1;
        }
        options.fields = words_of_fields(args, at + 1, grammar.words_per_field, call.command.row.name)?;
        Ok(options)
    }
}

/// The option about expiries at `at`, if it is one, and where its last word stands.
fn time_option(
    call: &Call<'_, '_>,
    at: usize,
    grammar: &Grammar,
) -> Result<Option<(TimeOption, usize)>, Error> {
    let args = call.args;
    let (word, option) =
        if grammar.sets { ("keepttl", TimeOption::Keep) } else { ("persist", TimeOption::Persist) };
    if args.is(at, word) {
        return Ok(Some((option, at)));
    }
    let Some((_, unit_ms, absolute)) = TIME_WORDS.into_iter().find(|(word, ..)| args.is(at, word)) else {
        return Ok(None);
    };
    let text = args.get(at + 1).ok_or(error::NO_EXPIRE_TIME)?;
    let base_ms = if absolute { 0 } else { call.view.now_ms() };
    let at_ms = time_ms(text, base_ms, unit_ms, call.command.row.name)?;
    Ok(Some((TimeOption::At(at_ms), at + 1)))
}

/// The words behind the number of fields at `at`.
fn words_of_fields<'c>(
    args: Args<'c>,
    at: usize,
    words_per_field: usize,
    command: &str,
) -> Result<Vec<&'c [u8]>, Error> {
    let count = args.get(at).and_then(number).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let count = count.ok_or(error::FIELDS_INVALID)?;
    let words = args.from(at + 1);
    if count.checked_mul(words_per_field) != Some(words.len()) {
        return Err(Error::arity(command));
    }
    Ok(words.collect())
}

pub(super) const HGETEX: Row = row("hgetex", -5, "8.0.0", hgetex).flags(FAST_UPDATE).keys(READ_AND_UPDATED);

fn hgetex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.view.check_type::<Hash>(call.args.at(1))?;
    let options = Options::parse(call, &HGETEX_GRAMMAR)?;
    let (key, as_of_ms) = (call.args.at(1), call.view.elements_as_of_ms());
    let (event, at_ms) = match options.time {
        TimeOption::Unsaid | TimeOption::Keep => return reply_values(call, options.fields.iter().copied()),
        TimeOption::Persist => (PERSIST_EVENT, None),
        TimeOption::At(at_ms) if is_past(call, at_ms) => (DELETED, Some(at_ms)),
        TimeOption::At(at_ms) => (EXPIRE_EVENT, Some(at_ms)),
    };
    call.reply.array(options.fields.len());
    let Some(mut edit) = call.view.object_read_mut::<Hash>(key, event)? else {
        options.fields.iter().for_each(|_| call.reply.null());
        return Ok(());
    };
    let mut changed = Vec::new();
    edit.change(|hash| {
        write_values(&mut call.reply, hash, options.fields.iter().copied(), as_of_ms);
        changed.extend(options.fields.iter().copied().filter(|name| match at_ms {
            None => persist_field(hash, name, as_of_ms) == 1,
            Some(at_ms) => {
                let there = live_field(hash, name, as_of_ms).is_some();
                there && expire_field(hash, name, at_ms, event == DELETED) > 0
            }
        }));
        changed.len()
    });
    drop(edit);
    match at_ms {
        _ if changed.is_empty() => {}
        None => propagate_persist(call, &changed),
        Some(_) if event == DELETED => propagate_fields(call, b"HDEL", &changed),
        Some(at_ms) => propagate_expiry(call, at_ms, &changed),
    }
    Ok(())
}

fn propagate_persist(call: &mut Call<'_, '_>, names: &[&[u8]]) {
    let mut count = itoa::Buffer::new();
    let words = [&b"FIELDS"[..], count.format(names.len()).as_bytes()].into_iter();
    let words: Vec<&[u8]> = words.chain(names.iter().copied()).collect();
    propagate_fields(call, b"HPERSIST", &words);
}

pub(super) const HSETEX: Row = row("hsetex", -6, "8.0.0", hsetex).flags(FAST_WRITE).keys(RW_UPDATE);

fn hsetex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.view.check_type::<Hash>(call.args.at(1))?;
    let options = Options::parse(call, &HSETEX_GRAMMAR)?;
    let set = may_set(call, &options)?;
    if set {
        match options.time {
            TimeOption::At(at_ms) if is_past(call, at_ms) => delete_instead(call, &options)?,
            _ => set_all(call, &options)?,
        }
    }
    call.reply.int(i64::from(set));
    Ok(())
}

fn may_set(call: &mut Call<'_, '_>, options: &Options<'_>) -> Result<bool, Error> {
    if options.condition == Condition::Always {
        return Ok(true);
    }
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.peek_object::<Hash>(call.args.at(1))?;
    let is_there =
        |pair: &[&[u8]]| hash.as_ref().is_some_and(|hash| live_field(hash, pair[0], as_of_ms).is_some());
    let mut pairs = options.fields.chunks_exact(2);
    Ok(match options.condition {
        Condition::AllAreThere => pairs.all(is_there),
        _ => !pairs.any(is_there),
    })
}

/// The fields that would be set expire at once: those that are there go.
fn delete_instead(call: &mut Call<'_, '_>, options: &Options<'_>) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let Some(mut edit) = call.view.object_mut::<Hash>(call.args.at(1), DELETED)? else { return Ok(()) };
    let mut deleted = Vec::new();
    edit.change(|hash| {
        let names = options.fields.iter().copied().step_by(2);
        deleted.extend(names.filter(|name| live_field(hash, name, as_of_ms).is_some() && hash.remove(name)));
        deleted.len()
    });
    drop(edit);
    if !deleted.is_empty() {
        propagate_fields(call, b"HDEL", &deleted);
    }
    Ok(())
}

/// Sets the fields; the log gets an HSET, which clears expiries, and what they are then.
fn set_all(call: &mut Call<'_, '_>, options: &Options<'_>) -> Result<(), Error> {
    let (key, limits, as_of_ms) = (call.args.at(1), call.server.limits(), call.view.elements_as_of_ms());
    let expiry = match options.time {
        TimeOption::At(at_ms) => Expiry::At(at_ms.max(1)),
        TimeOption::Keep => Expiry::Keep,
        TimeOption::Unsaid | TimeOption::Persist => Expiry::Clear,
    };
    let mut expiring: Vec<(i64, Vec<&[u8]>)> = Vec::new();
    call.view.object_or_new::<Hash>(key, SET)?.change(|hash| {
        for pair in options.fields.chunks_exact(2) {
            set_field(hash, (pair[0], pair[1]), expiry, &limits, as_of_ms);
            let Some(at_ms) = hash.field(pair[0]).and_then(|field| field.expiry_ms) else { continue };
            match expiring.last_mut() {
                Some((same_ms, names)) if *same_ms == at_ms => names.push(pair[0]),
                _ => expiring.push((at_ms, vec![pair[0]])),
            }
        }
        options.fields.len() / 2
    });
    if matches!(expiry, Expiry::At(_)) {
        call.view.notify(EXPIRE_EVENT, key);
    }
    propagate_fields(call, b"HSET", &options.fields);
    expiring.iter().for_each(|(at_ms, names)| propagate_expiry(call, *at_ms, names));
    Ok(())
}
