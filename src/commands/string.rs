//! String commands: GET and those on several keys at once; the others stand in the modules below, by what they do.
//!
//! Values are stored as Redis shows them: an integer where a whole value is given that is one, raw where a part of a
//! string was changed. Large values are shared, never copied, from the request to the keyspace and from there to replies.

mod conditional;
mod counter;
mod expiring;
mod lcs;
mod msetex;
mod range;

pub(super) use range::{RO_ACCESS, RW_ACCESS_UPDATE, clamp, may_be_as_long};

use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::Error;
use crate::executor::Call;
use crate::keyspace::Ttl;
use crate::keyspace::events;

/// The family's rows.
pub const ROWS: &[Row] = &[
    GET,
    MGET,
    MSET,
    MSETNX,
    expiring::SET,
    expiring::SETNX,
    expiring::SETEX,
    expiring::PSETEX,
    expiring::GETSET,
    expiring::GETDEL,
    expiring::GETEX,
    range::APPEND,
    range::STRLEN,
    range::SETRANGE,
    range::GETRANGE,
    range::SUBSTR,
    counter::INCR,
    counter::DECR,
    counter::INCRBY,
    counter::DECRBY,
    counter::INCRBYFLOAT,
    lcs::LCS,
    conditional::DIGEST,
    conditional::DELEX,
    msetex::MSETEX,
];

const GET: Row = Row::new("get", 2, Group::String, "1.0.0", get)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn get(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.view.read_string(call.args.at(1))? {
        Some(value) => call.reply.value(value),
        None => call.reply.null(),
    }
    Ok(())
}

const MGET: Row = Row::new("mget", -2, Group::String, "1.0.0", mget)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::range(1, -1, 1, RO_ACCESS)])
    .tips(&["request_policy:multi_shard"]);

fn mget(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let keys = call.args.from(1);
    call.reply.array(keys.len());
    for key in keys {
        match call.view.read_string(key) {
            Ok(Some(value)) => call.reply.value(value),
            Ok(None) | Err(_) => call.reply.null(),
        }
    }
    Ok(())
}

const MSET: Row = Row::new("mset", -3, Group::String, "1.0.1", mset)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec::range(1, -1, 2, KeyFlags::OW.union(KeyFlags::UPDATE))])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]);

fn mset(call: &mut Call<'_, '_>) -> Result<(), Error> {
    set_pairs(call, |_| false)?;
    call.reply.ok();
    Ok(())
}

const MSETNX: Row = Row::new("msetnx", -3, Group::String, "1.0.1", msetnx)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec::range(1, -1, 2, KeyFlags::OW.union(KeyFlags::INSERT))]);

fn msetnx(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let set =
        set_pairs(call, |call| (1..call.args.len()).step_by(2).any(|at| call.view.exists(call.args.at(at))))?;
    call.reply.int(i64::from(set));
    Ok(())
}

/// Sets all pairs unless something is in the way. Returns whether it did.
fn set_pairs(
    call: &mut Call<'_, '_>,
    blocked: impl FnOnce(&mut Call<'_, '_>) -> bool,
) -> Result<bool, Error> {
    if call.args.len().is_multiple_of(2) {
        return Err(Error::arity(call.command.row.name));
    }
    if blocked(call) {
        return Ok(false);
    }
    for at in (1..call.args.len()).step_by(2) {
        call.view.set(call.args.at(at), call.args.value(at + 1), Ttl::Clear);
        call.view.notify(events::SET, call.args.at(at));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn several_keys_at_once() {
        check(&[
            ("mset a 1 b two", "+OK"),
            ("mget a b none", "*3 $1 1 $3 two $-1"),
            ("mset a 1 b", "-ERR wrong number of arguments for 'mset' command"),
            ("msetnx a 5 c", "-ERR wrong number of arguments for 'msetnx' command"),
            ("msetnx c 1 a 2", ":0"),
            ("mget c a", "*2 $-1 $1 1"),
            ("msetnx c 1 d 2 c 3", ":1"),
            ("mget c d", "*2 $1 3 $1 2"),
        ]);
    }

    #[test]
    fn a_refused_msetnx_is_not_logged() {
        let mut bench = Bench::new();
        bench.check("mset a 1", "+OK");
        bench.logged();
        bench.check("msetnx b 1 a 1", ":0");
        assert_eq!(bench.logged(), "");
    }
}
