//! Hash commands: setting, getting, counting and listing fields; the others stand in the modules below.
//!
//! Fields may have expiries. A due field is gone for clients: on a master it is deleted when somebody looks at its hash
//! (the keyspace does that, in portions), on a replica it is invisible until the master's HDEL comes; the master's stream sees
//! everything. So every handler asks for fields *as of* a time ([`View::elements_as_of_ms`]).
//!
//! [`View::elements_as_of_ms`]: crate::keyspace::View::elements_as_of_ms

mod expiry;
mod number;
mod random;
mod together;

use super::generic::scan::{Found, Request, parse_cursor};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::Error;
use crate::executor::Call;
use crate::keyspace::events::{Class, Event};
use crate::resp::Reply;
use crate::types::Limits;
use crate::types::element::Element;
use crate::types::hash::{Expiry, Field, Hash, Inserted};

/// The family's rows.
pub const ROWS: &[Row] = &[
    HSET,
    HMSET,
    HSETNX,
    HGET,
    HMGET,
    HDEL,
    HLEN,
    HSTRLEN,
    HEXISTS,
    HGETALL,
    HKEYS,
    HVALS,
    HSCAN,
    number::HINCRBY,
    number::HINCRBYFLOAT,
    random::HRANDFIELD,
    expiry::HEXPIRE,
    expiry::HPEXPIRE,
    expiry::HEXPIREAT,
    expiry::HPEXPIREAT,
    expiry::HTTL,
    expiry::HPTTL,
    expiry::HEXPIRETIME,
    expiry::HPEXPIRETIME,
    expiry::HPERSIST,
    together::HGETDEL,
    together::HGETEX,
    together::HSETEX,
];

const RO_ACCESS: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))];
const RO: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO)];
const RW_UPDATE: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))];
const RW_DELETE: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))];
const FAST_WRITE: Flags = Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST);
const FAST_READ: Flags = Flags::READONLY.union(Flags::FAST);

const SET: Event = Event::new(Class::HASH, "hset");
const DELETED: Event = Event::new(Class::HASH, "hdel");

/// A row of the family.
const fn row(name: &'static str, arity: i16, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, arity, Group::Hash, since, handler).categories(Acl::HASH)
}

/// Sets a field; one that is due counts as new.
fn set_field(
    hash: &mut Hash,
    (name, value): (&[u8], &[u8]),
    expiry: Expiry,
    limits: &Limits,
    as_of_ms: i64,
) -> Inserted {
    let is_due = hash.has_due(as_of_ms) && hash.field(name).is_some_and(|field| !field.is_live(as_of_ms));
    let expiry = if is_due && expiry == Expiry::Keep { Expiry::Clear } else { expiry };
    let inserted = hash.set(name, value, expiry, limits);
    if is_due { Inserted::New } else { inserted }
}

/// A field that is there at a time.
fn live_field<'h>(hash: &'h Hash, name: &[u8], as_of_ms: i64) -> Option<Field<'h>> {
    hash.field(name).filter(|field| field.is_live(as_of_ms))
}

const HSET: Row = row("hset", -4, "2.0.0", hset).element(2).flags(FAST_WRITE).keys(RW_UPDATE);

fn hset(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let created = set_pairs(call)?;
    call.reply.len(created);
    Ok(())
}

const HMSET: Row = row("hmset", -4, "2.0.0", hmset).element(2).flags(FAST_WRITE).keys(RW_UPDATE);

fn hmset(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_pairs(call)?;
    call.reply.ok();
    Ok(())
}

/// Sets the fields that follow the key. Returns how many are new.
fn set_pairs(call: &mut Call<'_, '_>) -> Result<usize, Error> {
    let args = call.args;
    if !args.len().is_multiple_of(2) {
        return Err(Error::arity(call.command.row.name));
    }
    let (limits, as_of_ms) = (call.server.limits(), call.view.elements_as_of_ms());
    let (_, created) = call.view.object_or_new::<Hash>(args.at(1), SET)?.change(|hash| {
        let mut created = 0;
        for at in (2..args.len()).step_by(2) {
            let pair = (args.at(at), args.at(at + 1));
            let inserted = set_field(hash, pair, Expiry::Clear, &limits, as_of_ms);
            created += usize::from(inserted == Inserted::New);
        }
        (args.len() / 2 - 1, created)
    });
    Ok(created)
}

const HSETNX: Row = row("hsetnx", 4, "2.0.0", hsetnx)
    .element(2)
    .flags(FAST_WRITE)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))]);

fn hsetnx(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name, value) = (call.args.at(1), call.args.at(2), call.args.at(3));
    let (limits, as_of_ms) = (call.server.limits(), call.view.elements_as_of_ms());
    let set = call.view.object_or_new::<Hash>(key, SET)?.change(|hash| {
        let free = live_field(hash, name, as_of_ms).is_none();
        if free {
            set_field(hash, (name, value), Expiry::Clear, &limits, as_of_ms);
        }
        free
    });
    call.reply.int(i64::from(set));
    Ok(())
}

const HGET: Row = row("hget", 3, "2.0.0", hget).element(2).flags(FAST_READ).keys(RO_ACCESS);

fn hget(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    match hash.as_ref().and_then(|hash| hash.get(call.args.at(2), as_of_ms)) {
        Some(value) => call.reply.element(value),
        None => call.reply.null(),
    }
    Ok(())
}

const HMGET: Row = row("hmget", -3, "2.0.0", hmget).element(2).flags(FAST_READ).keys(RO_ACCESS);

fn hmget(call: &mut Call<'_, '_>) -> Result<(), Error> {
    reply_values(call, call.args.from(2))
}

/// Writes the values of fields, null for those that are not there.
fn reply_values<'c>(
    call: &mut Call<'_, '_>,
    names: impl ExactSizeIterator<Item = &'c [u8]>,
) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    call.reply.array(names.len());
    match hash {
        Some(hash) => write_values(&mut call.reply, &hash, names, as_of_ms),
        None => names.for_each(|_| call.reply.null()),
    }
    Ok(())
}

/// The fields' values as elements of a reply.
fn write_values<'c>(
    reply: &mut Reply<'_>,
    hash: &Hash,
    names: impl Iterator<Item = &'c [u8]>,
    as_of_ms: i64,
) {
    for name in names {
        match hash.get(name, as_of_ms) {
            Some(value) => reply.element(value),
            None => reply.null(),
        }
    }
}

const HDEL: Row =
    row("hdel", -3, "2.0.0", hdel).element(2).flags(Flags::WRITE.union(Flags::FAST)).keys(RW_DELETE);

fn hdel(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, as_of_ms) = (call.args, call.view.elements_as_of_ms());
    let deleted = call.view.object_mut::<Hash>(args.at(1), DELETED)?.map_or(0, |mut edit| {
        edit.change(|hash| {
            args.from(2)
                .filter(|name| live_field(hash, name, as_of_ms).is_some() && hash.remove(name))
                .count()
        })
    });
    call.reply.len(deleted);
    Ok(())
}

const HLEN: Row = row("hlen", 2, "2.0.0", hlen).flags(FAST_READ).keys(RO);

fn hlen(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    call.reply.len(hash.map_or(0, |hash| hash.live_len(as_of_ms)));
    Ok(())
}

const HSTRLEN: Row = row("hstrlen", 3, "3.2.0", hstrlen).element(2).flags(FAST_READ).keys(RO);

fn hstrlen(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    let value = hash.as_ref().and_then(|hash| hash.get(call.args.at(2), as_of_ms));
    call.reply.len(value.map_or(0, |value| value.len()));
    Ok(())
}

const HEXISTS: Row = row("hexists", 3, "2.0.0", hexists).element(2).flags(FAST_READ).keys(RO);

fn hexists(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    let there = hash.is_some_and(|hash| live_field(&hash, call.args.at(2), as_of_ms).is_some());
    call.reply.int(i64::from(there));
    Ok(())
}

const LISTING: &[&str] = &["nondeterministic_output_order"];
const HGETALL: Row = row("hgetall", 2, "2.0.0", hgetall).flags(Flags::READONLY).keys(RO_ACCESS).tips(LISTING);

fn hgetall(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    call.reply.map(hash.as_ref().map_or(0, |hash| hash.live_len(as_of_ms)));
    for field in hash.iter().flat_map(|hash| hash.iter()).filter(|field| field.is_live(as_of_ms)) {
        call.reply.element(field.name);
        call.reply.element(field.value);
    }
    Ok(())
}

const HKEYS: Row = row("hkeys", 2, "2.0.0", hkeys).flags(Flags::READONLY).keys(RO_ACCESS).tips(LISTING);

fn hkeys(call: &mut Call<'_, '_>) -> Result<(), Error> {
    list(call, |field| field.name)
}

const HVALS: Row = row("hvals", 2, "2.0.0", hvals).flags(Flags::READONLY).keys(RO_ACCESS).tips(LISTING);

fn hvals(call: &mut Call<'_, '_>) -> Result<(), Error> {
    list(call, |field| field.value)
}

fn list(call: &mut Call<'_, '_>, part: impl Fn(Field<'_>) -> Element<'_>) -> Result<(), Error> {
    let as_of_ms = call.view.elements_as_of_ms();
    let hash = call.view.object::<Hash>(call.args.at(1))?;
    call.reply.array(hash.as_ref().map_or(0, |hash| hash.live_len(as_of_ms)));
    let fields = hash.iter().flat_map(|hash| hash.iter());
    fields.filter(|field| field.is_live(as_of_ms)).for_each(|field| call.reply.element(part(field)));
    Ok(())
}

const HSCAN: Row = row("hscan", -3, "2.8.0", hscan)
    .flags(Flags::READONLY)
    .keys(RO_ACCESS)
    .tips(&["nondeterministic_output"]);

fn hscan(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let cursor = parse_cursor(call.args.at(2))?;
    let as_of_ms = call.view.elements_as_of_ms();
    let (mut found, mut next) = (Found::default(), 0);
    if let Some(hash) = call.view.object::<Hash>(call.args.at(1))? {
        let request = Request::of_fields(call.args)?;
        let mut digits = itoa::Buffer::new();
        next = hash.scan(cursor, request.count, |field| {
            let name = field.name.text(&mut digits);
            if field.is_live(as_of_ms) && request.matches(name) {
                found.add(name);
                if !request.no_values {
                    found.add(field.value.text(&mut itoa::Buffer::new()));
                }
            }
        });
    }
    found.reply_with_cursor(next, &mut call.reply);
    Ok(())
}

#[cfg(test)]
mod tests;
