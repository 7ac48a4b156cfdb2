//! Parts of strings: APPEND, STRLEN, SETRANGE, GETRANGE and its old name SUBSTR.

use crate::client::{Client, Kind};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::events::{Class, Event};
use crate::keyspace::{Ttl, ValueRef};
use crate::server::Server;

pub(in crate::commands) const RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
pub(in crate::commands) const RW_ACCESS_UPDATE: KeyFlags =
    KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);

/// `proto-max-bulk-len` cannot be set below this, bytes: shorter strings need not ask.
const ALWAYS_ALLOWED_BYTES: u64 = 1024 * 1024;

/// May a string be so many bytes long (`proto-max-bulk-len`)? A master's stream is obeyed whatever our own limit is.
pub(in crate::commands) fn may_be_as_long(client: &Client, server: &Server, bytes: u64) -> bool {
    bytes <= ALWAYS_ALLOWED_BYTES
        || client.kind == Kind::Master
        || bytes <= server.config.load().proto_max_bulk_len
}

pub(super) const APPEND: Row = Row::new("append", 3, Group::String, "2.0.0", append)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))]);

fn append(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, tail) = (call.args.at(1), call.args.at(2));
    let mut old_len = 0;
    let bytes = call.view.edit(key, |old| {
        let Some(old) = old else { return Ok(None) };
        old_len = old.text_len();
        let len = old_len + tail.len();
        if !may_be_as_long(call.client, call.server, len as u64) {
            return Err(error::STRING_TOO_LONG);
        }
        Ok(Some(len))
    })?;
    match bytes {
        Some(bytes) => {
            bytes[old_len..].copy_from_slice(tail);
            call.reply.len(bytes.len());
        }
        None => {
            call.view.set(key, call.args.value(2), Ttl::Clear);
            call.reply.len(tail.len());
        }
    }
    call.view.notify(Event::new(Class::STRING, "append"), key);
    Ok(())
}

pub(super) const STRLEN: Row = Row::new("strlen", 2, Group::String, "2.2.0", strlen)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::RO)]);

fn strlen(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let value = call.view.read_string(call.args.at(1))?;
    call.reply.len(value.map_or(0, ValueRef::text_len));
    Ok(())
}

pub(super) const SETRANGE: Row = Row::new("setrange", 4, Group::String, "2.2.0", setrange)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))]);

fn setrange(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, part) = (call.args.at(1), call.args.at(3));
    let offset = u64::try_from(call.args.int(2)?).map_err(|_| error::OFFSET_OUT_OF_RANGE)?;
    let mut old_len = 0;
    let bytes = call.view.edit(key, |old| {
        old_len = old.map_or(0, ValueRef::text_len);
        if part.is_empty() {
            return Ok(None);
        }
        let end = offset + part.len() as u64;
        if !may_be_as_long(call.client, call.server, end) {
            return Err(error::STRING_TOO_LONG);
        }
        Ok(Some(old_len.max(end as usize)))
    })?;
    match bytes {
        Some(bytes) => {
            bytes[offset as usize..][..part.len()].copy_from_slice(part);
            call.reply.len(bytes.len());
            call.view.notify(Event::new(Class::STRING, "setrange"), key);
        }
        None => call.reply.len(old_len),
    }
    Ok(())
}

pub(super) const GETRANGE: Row = Row::new("getrange", 4, Group::String, "2.4.0", getrange)
    .flags(Flags::READONLY)
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

pub(super) const SUBSTR: Row = Row::new("substr", 4, Group::String, "1.0.0", getrange)
    .flags(Flags::READONLY)
    .categories(Acl::STRING)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn getrange(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (start, end) = (call.args.int(2)?, call.args.int(3)?);
    let value = call.view.read_string(call.args.at(1))?;
    let Some(range) = value.and_then(|value| resolve(start, end, value.text_len())) else {
        call.reply.bulk("");
        return Ok(());
    };
    match value {
        Some(ValueRef::Blob(blob)) => call.reply.bulk_blob(blob, range),
        Some(value) => call.reply.bulk(&value.text(&mut itoa::Buffer::new())[range]),
        None => call.reply.bulk(""),
    }
    Ok(())
}

/// The positions from `start` to `end` (inclusive, negative ones from the end) among `len`; `None` when there are none.
fn resolve(start: i64, end: i64, len: usize) -> Option<std::ops::Range<usize>> {
    if start < 0 && end < 0 && start > end { None } else { clamp(start, end, len) }
}

/// The same where both ends may be before the first position, in any order, and then mean the first (BITPOS).
pub(in crate::commands) fn clamp(start: i64, end: i64, len: usize) -> Option<std::ops::Range<usize>> {
    let len = len as i64;
    let from_start = |at: i64| if at < 0 { (at + len).max(0) } else { at };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    (start <= end).then(|| start as usize..end as usize + 1)
}

#[cfg(test)]
mod tests {
    use crate::client::Kind;
    use crate::commands::testing::{Bench, check};
    use crate::keyspace::BLOB_MIN_BYTES;

    #[test]
    fn append_makes_and_lengthens() {
        check(&[
            ("append k 10", ":2"),
            ("incr k", ":11"),
            ("append k \"\"", ":2"),
            ("append k x", ":3"),
            ("get k", "$3 11x"),
            ("append e \"\"", ":0"),
            ("get e", "$0"),
        ]);
    }

    #[test]
    fn append_crosses_every_size() {
        let mut bench = Bench::new();
        let piece = "0123456789".repeat(300);
        bench.check("setex k 100 a", "+OK");
        for n in 1..=12 {
            bench.check(&format!("append k {piece}"), &format!(":{}", 1 + n * piece.len()));
        }
        let expected = format!("a{}", piece.repeat(12));
        assert!(expected.len() > 2 * BLOB_MIN_BYTES);
        bench.check("get k", &format!("${} {expected}", expected.len()));
        bench.check("getrange k 3000 23000", &format!("$20001 {}", &expected[3000..=23_000]));
        bench.check("getex k persist", &format!("${} {expected}", expected.len()));
        assert!(bench.logged().ends_with("PERSIST k"), "the TTL stayed");
    }

    #[test]
    fn setrange_fills_with_zeros() {
        check(&[
            ("setrange k 0 \"\"", ":0"),
            ("strlen k", ":0"),
            ("setrange k 2 ab", ":4"),
            ("get k", "$4 \0\0ab"),
            ("setrange k 1 xy", ":4"),
            ("get k", "$4 \0xyb"),
            ("setrange k 9 \"\"", ":4"),
            ("setrange k -1 a", "-ERR offset is out of range"),
            ("setrange k a a", "-ERR value is not an integer or out of range"),
            ("set n 1234", "+OK"),
            ("setrange n 1 x", ":4"),
            ("get n", "$4 1x34"),
            ("setrange big 20000 x", ":20001"),
            ("getrange big 19999 -1", "$2 \0x"),
        ]);
    }

    #[test]
    fn nothing_written_is_nothing_logged() {
        let mut bench = Bench::new();
        bench.check("setrange k 5 \"\"", ":0");
        bench
            .check("setrange k 536870912 a", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        bench.check(
            "setrange k 9223372036854775807 a",
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        );
        assert_eq!(bench.logged(), "");
        bench.check("append k a", ":1");
        assert_eq!(bench.logged(), "SELECT 0 append k a");
    }

    #[test]
    fn the_limit_is_the_configuration_s_and_not_for_a_master() {
        let mut bench = Bench::new();
        let mut config = (**bench.server.config.load()).clone();
        config.proto_max_bulk_len = 1024 * 1024;
        bench.server.config.store(config.into());
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        bench.check("setrange k 1048575 a", ":1048576");
        bench.check("append k a", too_long);
        bench.check("setrange k 1048576 a", too_long);
        bench.check("append k \"\"", ":1048576");
        bench.client.kind = Kind::Master;
        bench.check("append k a", ":1048577");
    }

    #[test]
    fn ranges_count_from_both_ends() {
        check(&[
            ("set k hello", "+OK"),
            ("getrange k 0 -1", "$5 hello"),
            ("getrange k -100 100", "$5 hello"),
            ("getrange k -3 -2", "$2 ll"),
            ("getrange k -1 -2", "$0"),
            ("getrange k 3 1", "$0"),
            ("getrange k -10 -9", "$1 h"),
            ("getrange k 5 9", "$0"),
            ("getrange k 0 a", "-ERR value is not an integer or out of range"),
            ("getrange none 0 -1", "$0"),
            ("set n -12", "+OK"),
            ("substr n 1 9223372036854775807", "$2 12"),
            ("substr n -9223372036854775808 0", "$1 -"),
            ("strlen n", ":3"),
        ]);
    }
}
