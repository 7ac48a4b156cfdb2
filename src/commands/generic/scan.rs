//! Finding keys: SCAN, KEYS, RANDOMKEY.

use crate::command::{Acl, Flags, Group, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::glob;
use crate::keyspace::Cursor;
use crate::resp::encode;

/// The rows of this file.
pub const ROWS: &[Row] = &[KEYS, SCAN, RANDOMKEY];

/// SCAN's COUNT unless told.
const DEFAULT_COUNT: usize = 10;
/// Buckets that a SCAN visits for each element that it may return: a bound for patterns that nothing matches.
const BUCKETS_PER_ELEMENT: usize = 10;

/// Bulk strings whose number is known in the end.
#[derive(Default)]
struct Found {
    count: usize,
    bytes: Vec<u8>,
}

impl Found {
    fn add(&mut self, key: &[u8]) {
        self.count += 1;
        encode::arg(&mut self.bytes, key);
    }

    fn reply(&self, call: &mut Call<'_, '_>) {
        call.reply.array(self.count);
        call.reply.raw(&self.bytes);
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
    found.reply(call);
    Ok(())
}

const SCAN: Row = Row::new("scan", -2, Group::Generic, "2.8.0", scan)
    .flags(Flags::READONLY.union(Flags::ALL_SHARDS))
    .categories(Acl::KEYSPACE)
    .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"]);

/// What a SCAN asks for.
struct Request<'c> {
    count: usize,
    pattern: Option<&'c [u8]>,
    /// Only elements of this type.
    type_name: Option<&'c [u8]>,
}

impl<'c> Request<'c> {
    fn parse(call: &Call<'c, '_>) -> Result<Request<'c>, Error> {
        let args = call.args;
        let mut request = Request { count: DEFAULT_COUNT, pattern: None, type_name: None };
        for at in (2..args.len()).step_by(2) {
            let value = args.get(at + 1).ok_or(error::SYNTAX)?;
            if args.is(at, "count") {
                let count = args.int(at + 1)?;
                request.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(error::SYNTAX)?;
            } else if args.is(at, "match") {
                request.pattern = (value != b"*").then_some(value);
            } else if args.is(at, "type") {
                request.type_name = Some(value);
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(request)
    }

    fn wants(&self, key: &[u8]) -> bool {
        self.type_name.is_none_or(|name| name.eq_ignore_ascii_case(b"string"))
            && self.pattern.is_none_or(|pattern| glob::matches(pattern, key, false))
    }
}

fn scan(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let cursor = parse_cursor(call.args.at(1)).ok_or(error::INVALID_CURSOR)?;
    let request = Request::parse(call)?;
    let (mut found, mut seen) = (Found::default(), 0);
    let buckets = request.count.saturating_mul(BUCKETS_PER_ELEMENT);
    let next = call.view.scan(Cursor::from_number(cursor), buckets, |entry| {
        seen += 1;
        if request.wants(entry.key()) {
            found.add(entry.key());
        }
        seen >= request.count
    });
    call.reply.array(2);
    call.reply.bulk(itoa::Buffer::new().format(next.map_or(0, Cursor::number)));
    found.reply(call);
    Ok(())
}

/// A cursor as C's `strtoul` reads it: nothing is 0, and a negative number counts from the top.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { n.wrapping_neg() } else { n })
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
