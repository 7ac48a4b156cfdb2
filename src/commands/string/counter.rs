//! Strings that count: INCR and its relatives by integers, INCRBYFLOAT by long doubles.
//!
//! An increment overwrites the integer in its entry: one lookup, no allocation. The log gets an integer's increment as it
//! came; a float's as the SET of its result, so that replicas need not compute as we do.

use super::range::RW_ACCESS_UPDATE;
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::events::{Class, Event};
use crate::keyspace::{NewValue, ValueRef};
use crate::resp::parser::number;
use crate::types::long_double::LongDouble;

const FLAGS: Flags = Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST);

pub(super) const INCR: Row = Row::new("incr", 2, Group::String, "1.0.0", incr)
    .flags(FLAGS)
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn incr(call: &mut Call<'_, '_>) -> Result<(), Error> {
    add(call, 1)
}

pub(super) const DECR: Row = Row::new("decr", 2, Group::String, "1.0.0", decr)
    .flags(FLAGS)
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn decr(call: &mut Call<'_, '_>) -> Result<(), Error> {
    add(call, -1)
}

pub(super) const INCRBY: Row = Row::new("incrby", 3, Group::String, "1.0.0", incrby)
    .flags(FLAGS)
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn incrby(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let by = call.args.int(2)?;
    add(call, by)
}

pub(super) const DECRBY: Row = Row::new("decrby", 3, Group::String, "1.0.0", decrby)
    .flags(FLAGS)
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn decrby(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let by = call.args.int(2)?.checked_neg().ok_or(error::DECREMENT_OVERFLOW)?;
    add(call, by)
}

/// What all four that count in integers are called.
const INCRBY_EVENT: Event = Event::new(Class::STRING, "incrby");

fn add(call: &mut Call<'_, '_>, by: i64) -> Result<(), Error> {
    let mut sum = 0;
    call.view.update(call.args.at(1), |old| {
        let old = match old {
            None => 0,
            Some(ValueRef::Int(n)) => n,
            Some(text) => number(text.text(&mut itoa::Buffer::new())).ok_or(error::NOT_INTEGER)?,
        };
        sum = old.checked_add(by).ok_or(error::OVERFLOW)?;
        Ok::<_, Error>(NewValue::Int(sum))
    })?;
    call.view.notify(INCRBY_EVENT, call.args.at(1));
    call.reply.int(sum);
    Ok(())
}

pub(super) const INCRBYFLOAT: Row = Row::new("incrbyfloat", 3, Group::String, "2.6.0", incrbyfloat)
    .flags(FLAGS)
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn incrbyfloat(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, by) = (call.args.at(1), call.args.at(2));
    let mut text = String::new();
    let sum = &mut text;
    call.view.update(key, move |old| {
        let old = match old {
            None => LongDouble::from(0),
            Some(ValueRef::Int(n)) => LongDouble::from(n),
            Some(text) => LongDouble::parse(text.text(&mut itoa::Buffer::new())).ok_or(error::NOT_FLOAT)?,
        };
        let by = LongDouble::parse(by).ok_or(error::NOT_FLOAT)?;
        *sum = old.checked_add(by).ok_or(error::NAN_OR_INFINITY)?.to_text();
        Ok::<_, Error>(NewValue::Bytes { bytes: sum.as_bytes(), raw: false })
    })?;
    call.view.notify(Event::new(Class::STRING, "incrbyfloat"), key);
    call.reply.bulk(&text);
    call.propagate_instead(&[b"SET", key, text.as_bytes(), b"KEEPTTL"]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::keyspace::ValueRef;
    use crate::keyspace::{Held, shard_of};

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
    const OVERFLOW: &str = "-ERR increment or decrement would overflow";

    #[test]
    fn integers_count_to_their_ends() {
        check(&[
            ("incr n", ":1"),
            ("decrby n 3", ":-2"),
            ("decr n", ":-3"),
            ("incrby n 9223372036854775807", ":9223372036854775804"),
            ("incrby n 4", OVERFLOW),
            ("get n", "$19 9223372036854775804"),
            ("set m -9223372036854775808", "+OK"),
            ("decr m", OVERFLOW),
            ("decrby m -9223372036854775808", "-ERR decrement would overflow"),
            ("incrby m 1.5", NOT_INTEGER),
        ]);
    }

    #[test]
    fn only_canonical_integers_count() {
        for text in ["a", "01", "1.0", "+1", "\" 1\"", "\"\"", "9223372036854775808"] {
            check(&[(&format!("set k {text}"), "+OK"), ("incr k", NOT_INTEGER)]);
        }
    }

    #[test]
    fn a_result_is_stored_as_an_integer_and_keeps_its_ttl() {
        let mut bench = Bench::new();
        bench.run("append k 1");
        bench.run("append k 0");
        bench.run("getex k ex 100");
        bench.check("incr k", ":11");
        let hash = bench.server.keyspace.hash(b"k");
        let mut held = Held::one(&bench.server.keyspace, shard_of(hash));
        let shard = held.shard(shard_of(hash));
        let entry = shard.at(0, shard.find(0, hash, b"k").expect("there"));
        assert!(matches!(entry.string(), Some(ValueRef::Int(11))) && entry.expiry_ms().is_some());
    }

    #[test]
    fn floats_add_as_long_doubles_and_are_logged_as_their_result() {
        let mut bench = Bench::new();
        bench.check("set k 10.50", "+OK");
        bench.check("incrbyfloat k 0.1", "$4 10.6");
        bench.check("incrbyfloat k -5", "$3 5.6");
        bench.check("incrbyfloat k 5.0e3", "$22 5005.60000000000000009");
        bench.check("incrbyfloat k -5005.6", "$1 0");
        let sets =
            "SET k 10.6 KEEPTTL SET k 5.6 KEEPTTL SET k 5005.60000000000000009 KEEPTTL SET k 0 KEEPTTL";
        assert_eq!(bench.logged(), format!("SELECT 0 set k 10.50 {sets}"));
    }

    #[test]
    fn what_is_no_float_changes_nothing() {
        let mut bench = Bench::new();
        bench.run("mset k 1 s abc e \"\"");
        bench.logged();
        for line in ["k abc", "k \" 1\"", "k nan", "s 1", "e 1", "k \"\""] {
            bench.check(&format!("incrbyfloat {line}"), "-ERR value is not a valid float");
        }
        bench.check("incrbyfloat k inf", "-ERR increment would produce NaN or Infinity");
        assert_eq!(bench.logged(), "");
    }
}
