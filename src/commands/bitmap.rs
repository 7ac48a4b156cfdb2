//! Bitmap commands: strings seen as bits, numbered from the first byte's highest.
//!
//! What works on whole strings (BITCOUNT, BITPOS, BITOP) goes by words, in `types::bits`; here are arguments, limits and
//! replies. BITCOUNT and BITPOS look at the key before they look at a range, which only has a meaning within a string
//! (7.0 and 7.2; later versions the other way round). A change that would change nothing is none: it is neither logged nor does it fail a WATCH, as in Redis.

mod field;

use super::string::{RO_ACCESS, RW_ACCESS_UPDATE, clamp, may_be_as_long};
use crate::client::Client;
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events;
use crate::keyspace::{BLOB_MIN_BYTES, Blob, NewValue, Ttl, ValueRef};
use crate::resp::parser::number;
use crate::server::Server;
use crate::types::bits::{self, Combine};

/// The family's rows.
pub const ROWS: &[Row] = &[SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP, field::BITFIELD, field::BITFIELD_RO];

/// A bit's number. With a `width`, `#n` means the n-th integer of so many bits.
///
/// # Errors
/// When it is none, or lies beyond the longest string that this client may make.
fn bit_offset(client: &Client, server: &Server, text: &[u8], width: Option<u32>) -> Result<u64, Error> {
    let (text, scale) = match (width, text) {
        (Some(width), [b'#', rest @ ..]) => (rest, i64::from(width)),
        _ => (text, 1),
    };
    number(text)
        .and_then(|n| n.checked_mul(scale))
        .and_then(|n| u64::try_from(n).ok())
        .filter(|n| may_be_as_long(client, server, n / 8 + 1))
        .ok_or(error::BIT_OFFSET)
}

const SETBIT: Row = Row::new("setbit", 4, Group::Bitmap, "2.2.0", setbit)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::BITMAP)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE)]);

fn setbit(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let bit = bit_offset(call.client, call.server, call.args.at(2), None)?;
    let on = match call.args.int(3) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(error::BIT_VALUE),
    };
    let byte = (bit / 8) as usize;
    let (key, mut was, mut raw) = (call.args.at(1), false, true);
    let bytes = call.view.edit(key, |old| {
        raw = old.is_none_or(ValueRef::is_raw);
        let mut digits = itoa::Buffer::new();
        let text = old.map_or(&[][..], |old| old.text(&mut digits));
        was = bits::get(text, bit);
        Ok::<_, Error>((byte >= text.len() || was != on).then_some(text.len().max(byte + 1)))
    })?;
    if let Some(bytes) = bytes {
        bits::set(bytes, bit, on);
        call.view.notify(events::SETBIT, key);
    } else if !raw {
        call.view.make_raw(key);
    }
    call.reply.int(i64::from(was));
    Ok(())
}

const GETBIT: Row = Row::new("getbit", 3, Group::Bitmap, "2.2.0", getbit)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::BITMAP)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn getbit(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let bit = bit_offset(call.client, call.server, call.args.at(2), None)?;
    let value = call.view.read_string(call.args.at(1))?;
    let on = value.is_some_and(|value| bits::get(value.text(&mut itoa::Buffer::new()), bit));
    call.reply.int(i64::from(on));
    Ok(())
}

/// Are the positions of a range bits, as the word at `at` says (if there is one), or bytes?
fn counts_bits(args: Args<'_>, at: usize) -> Result<bool, Error> {
    match args.get(at) {
        None => Ok(false),
        Some(_) if args.is(at, "BIT") => Ok(true),
        Some(_) if args.is(at, "BYTE") => Ok(false),
        Some(_) => Err(error::SYNTAX),
    }
}

/// The first and the last bit of a range; `None` when it is empty.
fn bit_range(start: i64, end: i64, len: usize, by_bit: bool) -> Option<(u64, u64)> {
    let range = clamp(start, end, if by_bit { len * 8 } else { len })?;
    let unit = if by_bit { 1 } else { 8 };
    Some((range.start as u64 * unit, range.end as u64 * unit - 1))
}

const BITCOUNT: Row = Row::new("bitcount", -2, Group::Bitmap, "2.6.0", bitcount)
    .flags(Flags::READONLY)
    .categories(Acl::BITMAP)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn bitcount(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let Some(value) = call.view.read_string(args.at(1))? else {
        call.reply.int(0);
        return Ok(());
    };
    let (start, end) = match args.len() {
        2 => (0, -1),
        4 | 5 => (args.int(2)?, args.int(3)?),
        _ => return Err(error::SYNTAX),
    };
    if start < 0 && end < 0 && start > end {
        // Whatever the unit is said to be.
        call.reply.int(0);
        return Ok(());
    }
    let by_bit = counts_bits(args, 4)?;
    let mut digits = itoa::Buffer::new();
    let bytes = value.text(&mut digits);
    let range = bit_range(start, end, bytes.len(), by_bit);
    let ones = range.map_or(0, |(first, last)| bits::count_range(bytes, first, last));
    call.reply.int(ones as i64);
    Ok(())
}

const BITPOS: Row = Row::new("bitpos", -3, Group::Bitmap, "2.8.7", bitpos)
    .flags(Flags::READONLY)
    .categories(Acl::BITMAP)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn bitpos(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let wanted = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(error::BITPOS_BIT),
    };
    let Some(value) = call.view.read_string(args.at(1))? else {
        call.reply.int(if wanted { -1 } else { 0 });
        return Ok(());
    };
    if args.len() > 6 {
        return Err(error::SYNTAX);
    }
    let start = if args.len() > 3 { args.int(3)? } else { 0 };
    let by_bit = counts_bits(args, 5)?;
    let end = if args.len() > 4 { args.int(4)? } else { -1 };
    let mut digits = itoa::Buffer::new();
    let bytes = value.text(&mut digits);
    let position = bit_range(start, end, bytes.len(), by_bit).and_then(|(first, last)| {
        // Behind a string without a given end there are zeros.
        let beyond = (!wanted && args.len() < 5).then_some(last + 1);
        bits::find(bytes, wanted, first, last).or(beyond)
    });
    call.reply.int(position.map_or(-1, |bit| bit as i64));
    Ok(())
}

const BITOP: Row = Row::new("bitop", -4, Group::Bitmap, "2.6.0", bitop)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::BITMAP)
    .keys(&[KeySpec::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)), KeySpec::range(3, -1, 1, RO_ACCESS)]);

fn bitop(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let how = if args.is(1, "AND") {
        Some(Combine::And)
    } else if args.is(1, "OR") {
        Some(Combine::Or)
    } else if args.is(1, "XOR") {
        Some(Combine::Xor)
    } else if args.is(1, "NOT") {
        None
    } else {
        return Err(error::SYNTAX);
    };
    if how.is_none() && args.len() != 4 {
        return Err(error::BITOP_NOT);
    }
    let sources = args.from(3).map(|key| source(call, key)).collect::<Result<Vec<_>, _>>()?;
    let result = combined(&sources, how);
    let (dest, len) = (args.at(2), result.len());
    if len == 0 {
        call.view.put_nothing(dest);
    } else {
        let value = match len {
            BLOB_MIN_BYTES.. => NewValue::Blob(Blob::new(result)),
            _ => NewValue::Bytes { bytes: &result, raw: true },
        };
        call.view.set(dest, value, Ttl::Clear);
        call.view.notify(events::SET, dest);
    }
    call.reply.len(len);
    Ok(())
}

/// A source's string, shared where it is large; empty when it is missing.
fn source(call: &mut Call<'_, '_>, key: &[u8]) -> Result<Blob, Error> {
    Ok(match call.view.read_string(key)? {
        None => Blob::new(Vec::new()),
        Some(ValueRef::Blob(blob)) => blob.clone(),
        Some(value) => Blob::new(value.text(&mut itoa::Buffer::new()).to_vec()),
    })
}

/// The combination of all sources, as long as the longest; without a `how`, the only source inverted.
fn combined(sources: &[Blob], how: Option<Combine>) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = Vec::with_capacity(len);
    if let Some((first, rest)) = sources.split_first() {
        result.extend_from_slice(first);
        result.resize(len, 0);
        match how {
            Some(how) => rest.iter().for_each(|other| bits::combine(&mut result, other, how)),
            None => bits::invert(&mut result),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    const SYNTAX: &str = "-ERR syntax error";
    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
    const OFFSET: &str = "-ERR bit offset is not an integer or out of range";

    #[test]
    fn single_bits() {
        check(&[
            ("setbit b 7 1", ":0"),
            ("setbit b 7 1", ":1"),
            ("setbit b 70 0", ":0"),
            ("strlen b", ":9"),
            ("getbit b 7", ":1"),
            ("getbit b 6", ":0"),
            ("getbit b 100000", ":0"),
            ("getbit none 5", ":0"),
            ("set n 1", "+OK"),
            ("getbit n 3", ":1"),
            ("setbit n 6 1", ":0"),
            ("get n", "$1 3"),
            ("setbit big 200000 1", ":0"),
            ("getbit big 200000", ":1"),
            ("strlen big", ":25001"),
        ]);
    }

    #[test]
    fn bits_that_cannot_be() {
        check(&[
            ("setbit b -1 1", OFFSET),
            ("setbit b a 1", OFFSET),
            ("setbit b 4294967296 1", OFFSET),
            ("setbit b #1 1", OFFSET),
            ("setbit b 1 2", "-ERR bit is not an integer or out of range"),
            ("setbit b 1 a", "-ERR bit is not an integer or out of range"),
            ("getbit b 4294967296", OFFSET),
            ("getbit b 4294967295", ":0"),
        ]);
    }

    #[test]
    fn only_changes_are_logged() {
        let mut bench = Bench::new();
        bench.check("setbit b 7 1", ":0");
        bench.check("setbit b 7 1", ":1");
        bench.check("setbit b 3 0", ":0");
        bench.check("setbit b 70 0", ":0");
        assert_eq!(bench.logged(), "SELECT 0 setbit b 7 1 setbit b 70 0");
    }

    #[test]
    fn counting() {
        check(&[
            ("set f foobar", "+OK"),
            ("bitcount f", ":26"),
            ("bitcount f 1 1", ":6"),
            ("bitcount f 5 30 BIT", ":17"),
            ("bitcount f 5 30 byte", ":4"),
            ("bitcount f -2 -1", ":7"),
            ("bitcount f -1 -2", ":0"),
            ("bitcount f -1 -2 foo", ":0"),
            ("bitcount f 0 -5 bit", ":25"),
            ("bitcount f -100 -90", ":4"),
            ("bitcount f 3 2", ":0"),
            ("bitcount f 1", SYNTAX),
            ("bitcount f 0 -1 foo", SYNTAX),
            ("bitcount f 0 0 bit x", SYNTAX),
            ("bitcount f a 1", NOT_INTEGER),
            ("bitcount none 0 -1", ":0"),
            ("bitcount none a b", ":0"),
            ("bitcount none 0 1 foo", ":0"),
            ("lpush list a", ":1"),
            ("bitcount list a b", WRONG_TYPE),
            ("bitcount list 1", WRONG_TYPE),
            ("set e \"\"", "+OK"),
            ("bitcount e 0 -1", ":0"),
        ]);
    }

    #[test]
    fn finding() {
        check(&[
            ("set f foobar", "+OK"),
            ("bitpos f 1", ":1"),
            ("bitpos f 0", ":0"),
            ("bitpos f 1 2", ":17"),
            ("bitpos f 1 7", ":-1"),
            ("bitpos f 1 8 20 bit", ":9"),
            ("bitpos f 0 9 10 bit", ":-1"),
            ("bitpos f 2", "-ERR The bit argument must be 1 or 0."),
            ("bitpos f a", NOT_INTEGER),
            ("bitpos f 1 a", NOT_INTEGER),
            ("bitpos f 1 0 a", NOT_INTEGER),
            ("bitpos f 1 -1 -2 foo", SYNTAX),
            ("bitpos f 0 0 1 bit x", SYNTAX),
            ("bitpos none 0", ":0"),
            ("bitpos none 1", ":-1"),
            ("bitpos none 1 a", ":-1"),
            ("bitpos none a", NOT_INTEGER),
            ("lpush list a", ":1"),
            ("bitpos list 1 a", WRONG_TYPE),
            ("bitpos list 1 0 1 bit x", WRONG_TYPE),
            ("bitpos list 2", "-ERR The bit argument must be 1 or 0."),
            ("set e \"\"", "+OK"),
            ("bitpos e 0", ":-1"),
            ("set ff \"\\xff\\xff\"", "+OK"),
            ("bitpos ff 0", ":16"),
            ("bitpos ff 0 1", ":16"),
            ("bitpos ff 0 0 -1", ":-1"),
            ("bitpos ff 0 2", ":-1"),
        ]);
    }

    #[test]
    fn combining() {
        check(&[
            ("mset a abc b ab n 12", "+OK"),
            ("bitop and d a b", ":3"),
            ("get d", "$3 ab\0"),
            ("bitop OR d a b none", ":3"),
            ("get d", "$3 abc"),
            ("bitop xor d a a", ":3"),
            ("get d", "$3 \0\0\0"),
            ("bitop not d n", ":2"),
            ("bitop not d d", ":2"),
            ("get d", "$2 12"),
            ("bitop or d none none2", ":0"),
            ("strlen d", ":0"),
            ("bitop foo d a", SYNTAX),
            ("bitop not d a b", "-ERR BITOP NOT must be called with a single source key."),
        ]);
    }

    #[test]
    fn combining_large_strings_clears_the_ttl_and_is_logged_as_it_came() {
        let mut bench = Bench::new();
        bench.check("setbit a 400000 1", ":0");
        bench.check("setbit b 399999 1", ":0");
        bench.check("setex d 100 x", "+OK");
        bench.logged();
        bench.check("bitop or d a b", ":50001");
        bench.run("getex d persist");
        assert_eq!(bench.logged(), "bitop or d a b");
        bench.check("bitpos d 1", ":399999");
        bench.check("bitcount d", ":2");
        bench.check("bitop and d none", ":0");
        bench.check("bitop and d none", ":0");
        assert_eq!(bench.logged(), "bitop and d none");
    }
}
