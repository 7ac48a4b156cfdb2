//! BITFIELD: integers of any width within a string.
//!
//! Operations run in order and see each other's results. Before anything is touched the string is made as long as the farthest
//! write needs. When no operation would write anything new, nothing is written at all; to know that, operations are
//! evaluated on the old bytes up to the first that does (before it, none sees another's result). A string that was made longer for
//! writes that failed stays so, and nobody hears of it (observed: redis-server 7.0.15); the log does, so that replicas have it too.

use super::bit_offset;
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row, finders};
use crate::commands::string::{RO_ACCESS, RW_ACCESS_UPDATE};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::ValueRef;
use crate::keyspace::events;
use crate::resp::Reply;
use crate::resp::parser::number;
use crate::types::bits;
use smallvec::SmallVec;

pub(super) const BITFIELD: Row = Row::new("bitfield", -2, Group::Bitmap, "3.2.0", bitfield)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(Acl::BITMAP)
    .keys(&[KeySpec::one(1, RW_ACCESS_UPDATE.union(KeyFlags::VARIABLE_FLAGS))
        .notes("This command allows both access and modification of the key")])
    .key_finder(finders::bitfield);

pub(super) const BITFIELD_RO: Row = Row::new("bitfield_ro", -2, Group::Bitmap, "6.0.0", bitfield_ro)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::BITMAP)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

/// What becomes of a result that does not fit its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// An integer's place and shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    offset: u64,
    /// In bits: 1 to 64, 63 without a sign.
    width: u32,
    signed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Get,
    Set(i64),
    IncrBy(i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Op {
    field: Field,
    action: Action,
    overflow: Overflow,
}

impl Field {
    /// `i16`, `u8` …
    fn shape(text: &[u8]) -> Result<(u32, bool), Error> {
        let (signed, digits) = match text {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return Err(error::BITFIELD_TYPE),
        };
        let most = if signed { 64 } else { 63 };
        let width = number(digits).filter(|width| (1..=most).contains(width)).ok_or(error::BITFIELD_TYPE)?;
        Ok((width as u32, signed))
    }

    /// The string's length in bytes that has room for it.
    fn end_byte(self) -> usize {
        ((self.offset + u64::from(self.width) - 1) / 8) as usize + 1
    }

    fn read(self, bytes: &[u8]) -> i64 {
        self.narrow(bits::read(bytes, self.offset, self.width))
    }

    /// The low bits of `n` as this field shows them.
    fn narrow(self, n: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed { (n << unused) as i64 >> unused } else { (n << unused >> unused) as i64 }
    }

    /// `n` made to fit; `None` when it does not and shall not be made to.
    fn fit(self, n: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = match self.signed {
            true => (-(1i128 << (self.width - 1)), (1i128 << (self.width - 1)) - 1),
            false => (0, (1i128 << self.width) - 1),
        };
        match overflow {
            _ if (min..=max).contains(&n) => Some(n as i64),
            Overflow::Wrap => Some(self.narrow(n as u64)),
            Overflow::Saturate => Some(n.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }
}

impl Op {
    /// Redis's distance from the field's maximum overflows for numbers far below its minimum, which then saturate at the
    /// maximum. Kept (observed: redis-server 7.0.15), for BITFIELD goes to replicas as it came.
    fn saturates_at_the_wrong_end(self, n: i64) -> bool {
        let Field { width, signed, .. } = self.field;
        let overflows = |max: i64| max.checked_sub(n).is_none();
        signed
            && width < 64
            && n < 0
            && self.overflow == Overflow::Saturate
            && overflows(i64::MAX >> (64 - width))
    }

    /// The reply and the value to be written, if any.
    fn evaluate(self, bytes: &[u8]) -> (Option<i64>, Option<i64>) {
        let old = self.field.read(bytes);
        match self.action {
            Action::Get => (Some(old), None),
            Action::Set(n) if self.saturates_at_the_wrong_end(n) => {
                (Some(old), Some(i64::MAX >> (64 - self.field.width)))
            }
            Action::Set(n) => {
                // A negative number is a huge one to a field without a sign.
                let n = if self.field.signed { i128::from(n) } else { i128::from(n as u64) };
                let new = self.field.fit(n, self.overflow);
                (new.and(Some(old)), new)
            }
            Action::IncrBy(by) => {
                let new = self.field.fit(i128::from(old) + i128::from(by), self.overflow);
                (new, new)
            }
        }
    }

    /// Does it write something new? In a string that has grown, whatever is written is.
    fn changes(self, bytes: &[u8], grown: bool) -> bool {
        self.is_news(self.evaluate(bytes).1, bytes, grown)
    }

    /// Is what it writes, if it writes, something new?
    fn is_news(self, new: Option<i64>, bytes: &[u8], grown: bool) -> bool {
        new.is_some_and(|new| grown || new != self.field.read(bytes))
    }

    /// Returns whether it wrote something new.
    fn run(self, bytes: &mut [u8], grown: bool, reply: &mut Reply<'_>) -> bool {
        let (answer, new) = self.evaluate(bytes);
        let changes = self.is_news(new, bytes, grown);
        if let Some(new) = new {
            bits::write(bytes, self.field.offset, self.field.width, new as u64);
        }
        reply_number(reply, answer);
        changes
    }
}

fn reply_number(reply: &mut Reply<'_>, n: Option<i64>) {
    match n {
        Some(n) => reply.int(n),
        None => reply.null(),
    }
}

type Ops = SmallVec<[Op; 4]>;

fn parse(call: &Call<'_, '_>) -> Result<Ops, Error> {
    let args = call.args;
    let mut ops = Ops::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        if args.is(at, "OVERFLOW") && left >= 1 {
            overflow = parse_overflow(args.at(at + 1))?;
            at += 2;
            continue;
        }
        let takes = if args.is(at, "GET") && left >= 2 {
            2
        } else if (args.is(at, "SET") || args.is(at, "INCRBY")) && left >= 3 {
            3
        } else {
            return Err(error::SYNTAX);
        };
        let (width, signed) = Field::shape(args.at(at + 1))?;
        let offset = bit_offset(call.client, call.server, args.at(at + 2), Some(width))?;
        let action = match takes {
            2 => Action::Get,
            _ if args.is(at, "SET") => Action::Set(args.int(at + 3)?),
            _ => Action::IncrBy(args.int(at + 3)?),
        };
        ops.push(Op { field: Field { offset, width, signed }, action, overflow });
        at += 1 + takes;
    }
    Ok(ops)
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, Error> {
    match &*word.to_ascii_lowercase() {
        b"wrap" => Ok(Overflow::Wrap),
        b"sat" => Ok(Overflow::Saturate),
        b"fail" => Ok(Overflow::Fail),
        _ => Err(error::BITFIELD_OVERFLOW),
    }
}

fn bitfield(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let ops = parse(call)?;
    let writes = ops.iter().filter(|op| op.action != Action::Get);
    let Some(need) = writes.map(|op| op.field.end_byte()).max() else {
        return read_only(call, &ops);
    };
    let reply = &mut call.reply;
    let (key, mut raw, mut grown) = (call.args.at(1), true, false);
    let bytes = call.view.edit(key, |old| {
        raw = old.is_none_or(ValueRef::is_raw);
        let mut digits = itoa::Buffer::new();
        let bytes = old.map_or(&[][..], |old| old.text(&mut digits));
        grown = bytes.len() < need;
        if ops.iter().any(|op| op.changes(bytes, grown)) {
            return Ok::<_, Error>(Some(bytes.len().max(need)));
        }
        reply_all(reply, &ops, bytes);
        Ok(None)
    })?;
    if let Some(bytes) = bytes {
        call.reply.array(ops.len());
        let changes = ops.iter().filter(|op| op.run(bytes, grown, &mut call.reply)).count();
        call.view.count_more(key, changes - 1);
        call.view.notify(events::SETBIT, key);
    } else if grown {
        call.view.pad(key, need);
        call.propagate_always();
    } else if !raw {
        call.view.make_raw(key);
    }
    Ok(())
}

fn bitfield_ro(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let ops = parse(call)?;
    if ops.iter().any(|op| op.action != Action::Get) {
        return Err(error::BITFIELD_READ_ONLY);
    }
    read_only(call, &ops)
}

fn read_only(call: &mut Call<'_, '_>, ops: &[Op]) -> Result<(), Error> {
    let value = call.view.read_string(call.args.at(1))?;
    let mut digits = itoa::Buffer::new();
    let bytes = value.map_or(&[][..], |value| value.text(&mut digits));
    reply_all(&mut call.reply, ops, bytes);
    Ok(())
}

/// The replies of operations that change nothing.
fn reply_all(reply: &mut Reply<'_>, ops: &[Op], bytes: &[u8]) {
    reply.array(ops.len());
    ops.iter().for_each(|op| reply_number(reply, op.evaluate(bytes).0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use proptest::prelude::*;

    fn check(script: &[(&str, &str)]) {
        let mut bench = Bench::new();
        script.iter().for_each(|(line, reply)| bench.check(&format!("bitfield {line}"), reply));
    }

    const TYPE: &str =
        "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    const OFFSET: &str = "-ERR bit offset is not an integer or out of range";

    #[test]
    fn operations_see_each_others_results() {
        check(&[
            ("k", "*0"),
            ("k get u8 0", "*1 :0"),
            ("k set u8 0 255", "*1 :0"),
            (
                "k incrby u8 0 1 overflow sat incrby u8 0 -10 incrby u8 #1 300 overflow fail incrby u8 #1 1 get i8 0 get u16 #0",
                "*6 :0 :0 :255 $-1 :0 :255",
            ),
            (
                "k set i64 0 -9223372036854775808 incrby i64 0 -1 overflow sat incrby i64 0 10 incrby i64 0 9223372036854775807",
                "*4 :71776119061217280 :9223372036854775807 :9223372036854775807 :9223372036854775807",
            ),
            ("k set u63 0 -1", "*1 :4611686018427387903"),
            ("k overflow sat set u8 0 -1 set i8 8 -200 set i8 16 200", "*3 :255 :-1 :-1"),
            ("k overflow fail set u8 0 -1 set i8 8 -200", "*2 $-1 $-1"),
            ("k get u8 0 get i8 8 get i8 16", "*3 :255 :-128 :127"),
        ]);
    }

    #[test]
    fn mistakes() {
        check(&[
            ("k get u8", "-ERR syntax error"),
            ("k get u64 0", TYPE),
            ("k get i65 0", TYPE),
            ("k get u0 0", TYPE),
            ("k get U8 0", TYPE),
            ("k get u08 0", TYPE),
            ("k get u8 -1", OFFSET),
            ("k get u8 #-1", OFFSET),
            ("k get u8 ##1", OFFSET),
            ("k get u8 4294967296", OFFSET),
            ("k get i64 #9223372036854775807", OFFSET),
            ("k get u8 4294967295", "*1 :0"),
            ("k overflow foo", "-ERR Invalid OVERFLOW type specified"),
            ("k overflow wrap", "*0"),
            ("k overflow", "-ERR syntax error"),
            ("k set u8 0", "-ERR syntax error"),
            ("k set u8 0 a", "-ERR value is not an integer or out of range"),
            ("k set u8 a a", OFFSET),
            ("k incrby u8 0 1 foo", "-ERR syntax error"),
        ]);
    }

    #[test]
    fn the_read_only_form_only_reads() {
        let mut bench = Bench::new();
        bench.run("set k a");
        bench.check("bitfield_ro k get u8 0 overflow sat get u4 #1", "*2 :97 :1");
        bench.check("bitfield_ro k set u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand");
        bench.check("bitfield_ro none get u8 0", "*1 :0");
        assert_eq!(bench.logged(), "SELECT 0 set k a");
    }

    #[test]
    fn a_write_makes_the_string_raw_even_if_nothing_changes() {
        let mut bench = Bench::new();
        for line in ["bitfield k set u8 0 97", "setbit k 0 0"] {
            for value in ["a", "a1"] {
                bench.run(&format!("set k {value}"));
                bench.check("object encoding k", "$6 embstr");
                bench.run(line);
                bench.check("object encoding k", "$3 raw");
                bench.check("get k", &format!("${} {value}", value.len()));
            }
        }
        assert!(!bench.logged().contains("bit"));
    }

    #[test]
    fn only_changes_are_logged() {
        let mut bench = Bench::new();
        bench.check("bitfield k set u8 8 7", "*1 :0");
        bench.check("bitfield k set u8 8 7 incrby u8 0 0 get u8 8", "*3 :7 :0 :7");
        bench.check("bitfield k overflow fail incrby u2 0 5", "*1 $-1");
        assert_eq!(bench.logged(), "SELECT 0 bitfield k set u8 8 7");
        bench.check("bitfield k set u1 0 1 set u1 0 0", "*2 :0 :1");
        assert_eq!(bench.logged(), "bitfield k set u1 0 1 set u1 0 0");
        bench.check("bitfield k overflow fail incrby u2 100 5", "*1 $-1");
        assert_eq!(bench.logged(), "bitfield k overflow fail incrby u2 100 5", "the string grew");
    }

    proptest! {
        #[test]
        fn fitting_agrees_with_counting_around(
            n in any::<i64>(), by in any::<i64>(), width in 1..=63u32, signed in any::<bool>()
        ) {
            let field = Field { offset: 0, width, signed };
            let sum = i128::from(field.narrow(n as u64)) + i128::from(by);
            let size = 1i128 << width;
            let low = if signed { -size / 2 } else { 0 };
            let wrapped = (sum - low).rem_euclid(size) + low;
            prop_assert_eq!(field.fit(sum, Overflow::Wrap).map(i128::from), Some(wrapped));
            let failed = field.fit(sum, Overflow::Fail).map(i128::from);
            prop_assert_eq!(failed, (wrapped == sum).then_some(sum));
            let nearest = sum.max(low).min(low + size - 1);
            prop_assert_eq!(field.fit(sum, Overflow::Saturate).map(i128::from), Some(nearest));
        }
    }
}
