//! Finding keys: SCAN, KEYS, RANDOMKEY; and what SCAN shares with its relatives, which walk one key's elements.

use crate::command::{Acl, Flags, Group, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::glob;
use crate::keyspace::{Cursor, Entry, View};
use crate::resp::{Reply, encode};

/// The rows of this file.
pub const ROWS: &[Row] = &[KEYS, SCAN, RANDOMKEY];

/// SCAN's COUNT unless told.
const DEFAULT_COUNT: usize = 10;
/// Buckets that a SCAN visits for each element that it may return: a bound for patterns that nothing matches.
const BUCKETS_PER_ELEMENT: usize = 10;

/// Bulk strings whose number is known in the end.
#[derive(Default)]
pub struct Found {
    count: usize,
    bytes: Vec<u8>,
}

impl Found {
    /// Adds one.
    pub fn add(&mut self, text: &[u8]) {
        self.count += 1;
        encode::arg(&mut self.bytes, text);
    }

    fn reply(&self, reply: &mut Reply<'_>) {
        reply.array(self.count);
        reply.raw(&self.bytes);
    }

    /// What SCAN and its relatives answer.
    pub fn reply_with_cursor(&self, next: u64, reply: &mut Reply<'_>) {
        reply.array(2);
        reply.bulk(itoa::Buffer::new().format(next));
        self.reply(reply);
    }
}

const KEYS: Row = Row::new("keys", 2, Group::Generic, "1.0.0", keys)
    .flags(Flags::READONLY.union(Flags::ALL_SHARDS))
    .categories(Acl::KEYSPACE.union(Acl::DANGEROUS))
    .tips(&["request_policy:all_shards", "nondeterministic_output_order"]);

fn keys(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let pattern = call.args.at(1);
    let all = pattern == b"*";
    let mut found = Found::default();
    call.view.for_each_key(|key| {
        if all || glob::matches(pattern, key, false) {
            found.add(key);
        }
    });
    found.reply(&mut call.reply);
    Ok(())
}

const SCAN: Row = Row::new("scan", -2, Group::Generic, "2.8.0", scan)
    .flags(Flags::READONLY.union(Flags::ALL_SHARDS))
    .categories(Acl::KEYSPACE)
    .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"]);

/// What SCAN and its relatives ask for.
pub struct Request<'c> {
    /// At least so many elements, if there are.
    pub count: usize,
    pattern: Option<&'c [u8]>,
    /// Only keys of this type.
    type_name: Option<&'c [u8]>,
    /// Fields without their values.
    pub no_values: bool,
}

/// What is scanned: each has options of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Keys,
    Elements,
    Fields,
}

impl<'c> Request<'c> {
    /// The options of a scan through one key's elements, which follow the cursor.
    ///
    /// # Errors
    /// A syntax error, or a COUNT that is no number.
    pub fn of_elements(args: Args<'c>) -> Result<Request<'c>, Error> {
        Request::parse(args, 3, Of::Elements)
    }

    /// As [`Request::of_elements`], of a hash.
    ///
    /// # Errors
    /// A syntax error, or a COUNT that is no number.
    pub fn of_fields(args: Args<'c>) -> Result<Request<'c>, Error> {
        Request::parse(args, 3, Of::Fields)
    }

    fn parse(args: Args<'c>, from: usize, of: Of) -> Result<Request<'c>, Error> {
        let mut request = Request { count: DEFAULT_COUNT, pattern: None, type_name: None, no_values: false };
        let mut at = from;
        while at < args.len() {
            if of == Of::Fields && args.is(at, "novalues") {
                request.no_values = true;
                at += 1;
                continue;
            }
            let value = args.get(at + 1).ok_or(error::SYNTAX)?;
            if args.is(at, "count") {
                let count = args.int(at + 1)?;
                request.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(error::SYNTAX)?;
            } else if args.is(at, "match") {
                request.pattern = (value != b"*").then_some(value);
            } else if of == Of::Keys && args.is(at, "type") {
                request.type_name = Some(value);
            } else {
                return Err(error::SYNTAX);
            }
            at += 2;
        }
        Ok(request)
    }

    /// Does the text match the pattern?
    pub fn matches(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, text, false))
    }

    fn wants_type(&self, entry: &Entry) -> bool {
        self.type_name.is_none_or(|name| name.eq_ignore_ascii_case(entry.type_name().as_bytes()))
    }
}

fn scan(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let cursor = parse_cursor(call.args.at(1))?;
    let request = Request::parse(call.args, 2, Of::Keys)?;
    let (mut found, mut seen, mut looked_up) = (Found::default(), 0, 0);
    let buckets = request.count.saturating_mul(BUCKETS_PER_ELEMENT);
    // To ask for a key's type is to read it.
    let take = |entry: &Entry| {
        seen += 1;
        if request.matches(entry.key()) {
            looked_up += u64::from(request.type_name.is_some());
            if request.wants_type(entry) {
                found.add(entry.key());
            }
        }
        seen >= request.count
    };
    let found_dead = |view: &mut View<'_>, key: &[u8]| {
        if request.matches(key) {
            match request.type_name {
                Some(_) => view.look(key),
                None => view.peek(key),
            };
        }
    };
    let next = call.view.scan(Cursor::from_number(cursor), buckets, take, found_dead);
    call.view.count_hits(looked_up);
    found.reply_with_cursor(next.map_or(0, Cursor::number), &mut call.reply);
    Ok(())
}

/// A cursor as C's `strtoul` reads it: nothing is 0, and a negative number counts from the top.
///
/// # Errors
/// `ERR invalid cursor`.
pub fn parse_cursor(text: &[u8]) -> Result<u64, Error> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let number =
        digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse().ok());
    let n: u64 = number.flatten().ok_or(error::INVALID_CURSOR)?;
    Ok(if negative { n.wrapping_neg() } else { n })
}

const RANDOMKEY: Row = Row::new("randomkey", 1, Group::Generic, "1.0.0", randomkey)
    .flags(Flags::READONLY.union(Flags::ALL_SHARDS))
    .categories(Acl::KEYSPACE)
    .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]);

fn randomkey(call: &mut Call<'_, '_>) -> Result<(), Error> {
    match call.view.random_key() {
        Some(key) => call.reply.bulk(key),
        None => call.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, NOW_MS};
    use std::collections::HashSet;

    fn bench() -> Bench {
        let mut bench = Bench::new();
        ["set xa 1", "set xb hello", "set y 2"].iter().for_each(|line| bench.check(line, "+OK"));
        bench
    }

    #[track_caller]
    fn check(line: &str, reply: &str) {
        bench().check(line, reply);
    }

    /// The keys of a reply, sorted.
    fn keys(reply: &str) -> Vec<&str> {
        let mut keys: Vec<_> = reply.split(' ').filter(|word| word.starts_with(['x', 'y'])).collect();
        keys.sort_unstable();
        keys
    }

    /// Each deletion is a unit of its own, unlike those of a command that names its keys.
    #[test]
    fn what_a_scan_finds_expired_is_logged_without_a_transaction() {
        for (line, units) in [("scan 0", false), ("randomkey", false), ("mget a b", true)] {
            let mut bench = Bench::new();
            ["set a 1 px 1", "set b 1 px 1"].iter().for_each(|line| bench.check(line, "+OK"));
            bench.server.clock.freeze(NOW_MS + 2);
            bench.logged();
            bench.run(line);
            let logged = bench.logged();
            assert_eq!(logged.matches("DEL ").count(), 2, "{line}: {logged}");
            assert_eq!(logged.contains("MULTI"), units, "{line}: {logged}");
        }
    }

    #[test]
    fn keys_match_patterns() {
        assert_eq!(keys(&bench().run("keys *")), ["xa", "xb", "y"]);
        assert_eq!(keys(&bench().run("keys x?")), ["xa", "xb"]);
        check("keys X*", "*0");
        check("keys y", "*1 $1 y");
    }

    #[test]
    fn a_scan_of_a_small_database_is_one_call() {
        for line in ["scan 0", "scan \"\"", "scan 0 type string", "scan 0 type STRING match * count 3"] {
            let reply = bench().run(line);
            assert!(reply.starts_with("*2 $1 0 *3 "), "{line}: {reply}");
            assert_eq!(keys(&reply), ["xa", "xb", "y"]);
        }
        check("scan 0 match y*", "*2 $1 0 *1 $1 y");
        check("scan 0 type list", "*2 $1 0 *0");
        check("scan 0 type foo", "*2 $1 0 *0");
    }

    #[test]
    fn cursors_are_read_as_c_reads_them() {
        for bad in ["abc", "18446744073709551616", "\" 0\"", "-", "1x", "--1"] {
            check(&format!("scan {bad}"), "-ERR invalid cursor");
        }
        for good in ["-1", "18446744073709551615", "+5", "\"\\x00\""] {
            assert!(bench().run(&format!("scan {good}")).starts_with("*2 "), "{good}");
        }
    }

    #[test]
    fn options_are_checked() {
        for bad in ["count 0", "count -1", "count", "match", "foo bar", "type"] {
            check(&format!("scan 0 {bad}"), "-ERR syntax error");
        }
        check("scan 0 count abc", "-ERR value is not an integer or out of range");
    }

    #[test]
    fn a_scan_of_many_keys_returns_each() {
        let mut bench = Bench::new();
        bench.run("debug populate 3000 x");
        for options in ["", "count 1", "count 100", "match x* count 7", "count 9223372036854775807"] {
            let (mut cursor, mut seen, mut calls) = ("0".to_string(), HashSet::new(), 0);
            loop {
                let reply = bench.run(&format!("scan {cursor} {options}"));
                seen.extend(keys(&reply).into_iter().map(str::to_string));
                cursor = reply.split(' ').nth(2).expect("a cursor").to_string();
                calls += 1;
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(seen.len(), 3_000, "{options}");
            assert!(calls <= 3_000, "{options}: {calls}");
        }
    }

    #[test]
    fn random_keys() {
        assert!(["$2 xa", "$2 xb", "$1 y"].contains(&bench().run("randomkey").as_str()));
        Bench::new().check("randomkey", "$-1");
        Bench::new().resp3().check("randomkey", "_");
    }
}
