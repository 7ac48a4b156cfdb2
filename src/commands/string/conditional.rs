//! Conditions on the value that is there, for changes that depend on nobody else's: IFEQ, IFNE, IFDEQ and IFDNE of SET and
//! DELEX, and DIGEST, with which a long value is compared without being sent.
//!
//! In the log stands what was done, without the conditions: replicas need not decide again, and older ones could not. (From
//! the documentation of Redis 8.4.)

use super::range::RO_ACCESS;
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row, finders};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::ValueRef;
use crate::keyspace::events;
use xxhash_rust::xxh3::xxh3_64;

/// Length of a digest: 64 bits in hexadecimal digits.
const DIGEST_DIGITS: usize = 16;

/// What a value must be for a change to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Condition<'c> {
    /// Compares digests, not values.
    digest: bool,
    /// Must be equal, or must differ.
    equal: bool,
    with: &'c [u8],
}

impl<'c> Condition<'c> {
    /// The condition that begins at `at` and takes two arguments; `None` if none does.
    ///
    /// # Errors
    /// The digest is no digest.
    pub(super) fn parse(args: Args<'c>, at: usize) -> Result<Option<Condition<'c>>, Error> {
        let words =
            [("IFEQ", false, true), ("IFNE", false, false), ("IFDEQ", true, true), ("IFDNE", true, false)];
        let found = words.into_iter().find(|(word, _, _)| args.is(at, word));
        let (Some((_, digest, equal)), Some(with)) = (found, args.get(at + 1)) else { return Ok(None) };
        if digest && with.len() != DIGEST_DIGITS {
            return Err(error::NOT_A_DIGEST);
        }
        Ok(Some(Condition { digest, equal, with }))
    }

    /// Does the condition hold for what is there? Nothing differs from every value.
    pub(super) fn holds(&self, value: Option<ValueRef<'_>>) -> bool {
        let same = value.is_some_and(|value| match self.digest {
            true => digest(value).eq_ignore_ascii_case(self.with),
            false => value.text(&mut itoa::Buffer::new()) == self.with,
        });
        same == self.equal
    }
}

/// A value's digest, in lower case.
fn digest(value: ValueRef<'_>) -> [u8; DIGEST_DIGITS] {
    let hash = xxh3_64(value.text(&mut itoa::Buffer::new()));
    std::array::from_fn(|at| b"0123456789abcdef"[(hash >> (4 * (DIGEST_DIGITS - 1 - at))) as usize & 0xf])
}

pub(super) const DIGEST: Row = Row::new("digest", 2, Group::String, "8.4.0", digest_of)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn digest_of(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.view.read_string(call.args.at(1))? {
        Some(value) => call.reply.bulk(digest(value)),
        None => call.reply.null(),
    }
    Ok(())
}

pub(super) const DELEX: Row = Row::new("delex", -2, Group::String, "8.4.0", delex)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE).union(KeyFlags::VARIABLE_FLAGS))])
    .key_finder(finders::delex);

/// Without a condition it is DEL of one key, of whatever type.
fn delex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let key = call.args.at(1);
    let met = match call.args.len() {
        2 => true,
        4 => {
            let condition = Condition::parse(call.args, 2)?.ok_or(error::DELEX_CONDITION)?;
            call.view.string_for_write(key)?.is_some_and(|value| condition.holds(Some(value)))
        }
        _ => return Err(Error::arity(call.command.row.name)),
    };
    let deleted = met && call.view.remove(key);
    if deleted {
        call.view.notify(events::DEL, key);
        call.propagate_instead(&[b"DEL", key]);
    }
    call.reply.int(i64::from(deleted));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    const HELLO_WORLD: &str = "b6acb9d84a38ff74";
    const OTHER: &str = "0123456789abcdef";

    /// Lines before, the last line's reply and what the log gets.
    #[track_caller]
    fn check(lines: &str, reply: &str, logged: &str) {
        let mut bench = Bench::new();
        bench.run("set k \"Hello world\"");
        bench.check_logged(lines, reply, logged);
    }

    /// The first is the documentation's example, the second a known value of XXH3.
    #[test]
    fn digests() {
        check("digest k", &format!("$16 {HELLO_WORLD}"), "");
        check("set k hello; digest k", "$16 9555e8555c62dcfd", "");
        check("digest n", "$-1", "");
        check("digest", "-ERR wrong number of arguments for 'digest' command", "");
    }

    #[test]
    fn set_if() {
        check("set k v ifeq \"Hello world\"", "+OK", "set k v");
        check("set k v ifeq hello", "$-1", "");
        check("set k v ifne hello", "+OK", "set k v");
        check("set k v IFNE \"Hello world\"", "$-1", "");
        check(&format!("set k v ifdeq {HELLO_WORLD}"), "+OK", "set k v");
        check(&format!("set k v ifdeq {}", HELLO_WORLD.to_uppercase()), "+OK", "set k v");
        check(&format!("set k v ifdeq {OTHER}"), "$-1", "");
        check(&format!("set k v ifdne {OTHER} keepttl"), "+OK", "set k v keepttl");
        check(&format!("set k v ifdne {HELLO_WORLD}"), "$-1", "");
        check("set k v ex 100 ifeq \"Hello world\"", "+OK", "SET k v PXAT 1700000100000");
        check("set k v get ifeq x", "$11 Hello world", "");
        check("set k v ifne get get", "$11 Hello world", "set k v");
        check("set n v ifeq v", "$-1", "");
        check("set n v ifne v", "+OK", "set n v");
        check("set n v get ifne v", "$-1", "set n v");
    }

    #[test]
    fn mistakes_in_conditions() {
        for options in ["ifeq", "nx ifeq a", "ifeq a xx", "ifeq a ifne b", "ifeq a ifeq a", "ifxx a"] {
            check(&format!("set k v {options}"), "-ERR syntax error", "");
        }
        let no_digest = "-ERR must be exactly 16 hexadecimal characters";
        check("set k v ifdeq abc", no_digest, "");
        check("delex k ifdne \"\"", no_digest, "");
        check("delex k foo a", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE", "");
        check("delex k ifeq", "-ERR wrong number of arguments for 'delex' command", "");
        check("delex k ifeq a b", "-ERR wrong number of arguments for 'delex' command", "");
    }

    #[test]
    fn delex_deletes_on_a_condition() {
        check("delex k", ":1", "DEL k");
        check("delex n", ":0", "");
        check("delex k ifeq \"Hello world\"", ":1", "DEL k");
        check("delex k ifeq hello", ":0", "");
        check("delex k ifne hello", ":1", "DEL k");
        check(&format!("delex k ifdeq {HELLO_WORLD}"), ":1", "DEL k");
        check(&format!("delex k ifdne {HELLO_WORLD}"), ":0", "");
        check("delex n ifne hello", ":0", "");
        check("delex k; exists k", ":0", "");
    }
}
