//! LCS: the longest common subsequence of two strings.
//!
//! The usual table of the lengths of all prefixes' common subsequences, walked back from its end. For the length alone
//! two rows of it are enough; Redis's limit on the whole table's size is kept all the same.

use super::range::RO_ACCESS;
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::{Blob, ValueRef};
use std::ops::RangeInclusive;

pub(super) const LCS: Row = Row::new("lcs", -3, Group::String, "7.0.0", lcs)
    .flags(Flags::READONLY)
    .categories(Acl::STRING)
    .keys(&[KeySpec::range(1, 1, 1, RO_ACCESS)]);

#[derive(Clone, Copy, Default, Debug)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: u64,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, Error> {
        let mut options = Options::default();
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "IDX") {
                options.idx = true;
            } else if args.is(at, "LEN") {
                options.len = true;
            } else if args.is(at, "WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.is(at, "MINMATCHLEN") && at + 1 < args.len() {
                at += 1;
                options.min_match_len = args.int(at)?.max(0) as u64;
            } else {
                return Err(error::SYNTAX);
            }
            at += 1;
        }
        if options.idx && options.len {
            return Err(error::LCS_IDX_AND_LEN);
        }
        Ok(options)
    }
}

fn lcs(call: &mut Call<'_, '_>) -> Result<(), Error> {
    // Both are looked at before either is refused.
    let (a, b) = (read(call, 1), read(call, 2));
    let (a, b) = (a?, b?);
    let options = Options::parse(call.args)?;
    let longest = u32::MAX as usize - 1;
    if a.len() >= longest || b.len() >= longest {
        return Err(error::LCS_TOO_LONG);
    }
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * size_of::<u32>() as u128 > u128::from(call.server.config.load().proto_max_bulk_len) {
        return Err(error::LCS_TOO_LARGE);
    }
    if options.len {
        call.reply.len(length(&a, &b));
        return Ok(());
    }
    let found = Common::of(&a, &b);
    if options.idx {
        reply_matches(call, &found, options);
    } else {
        call.reply.bulk(&found.text);
    }
    Ok(())
}

/// The string at a key for as long as the command needs it, shared where it is large.
fn read(call: &mut Call<'_, '_>, at: usize) -> Result<Blob, Error> {
    let value = call.view.read_string(call.args.at(at)).map_err(|_| error::LCS_NOT_STRINGS)?;
    Ok(match value {
        None => Blob::new(Vec::new()),
        Some(ValueRef::Blob(blob)) => blob.clone(),
        Some(value) => Blob::new(value.text(&mut itoa::Buffer::new()).to_vec()),
    })
}

fn reply_matches(call: &mut Call<'_, '_>, found: &Common, options: Options) {
    let reply = &mut call.reply;
    let long_enough = |run: &&Run| run.len() >= options.min_match_len;
    reply.map(2);
    reply.bulk("matches");
    reply.array(found.runs.iter().filter(long_enough).count());
    for run in found.runs.iter().filter(long_enough) {
        reply.array(2 + usize::from(options.with_match_len));
        for range in [&run.a, &run.b] {
            reply.array(2);
            reply.len(*range.start());
            reply.len(*range.end());
        }
        if options.with_match_len {
            reply.int(run.len() as i64);
        }
    }
    reply.bulk("len");
    reply.len(found.text.len());
}

/// The length alone: two rows.
fn length(a: &[u8], b: &[u8]) -> usize {
    let mut above = vec![0u32; b.len() + 1];
    let mut row = above.clone();
    for x in a {
        fill_row(*x, b, &above, &mut row);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()] as usize
}

/// Lengths for one more byte `x` of the first string; `row[0]` is 0.
fn fill_row(x: u8, b: &[u8], above: &[u32], row: &mut [u32]) {
    let mut left = 0;
    for (j, y) in b.iter().enumerate() {
        left = if x == *y { above[j] + 1 } else { left.max(above[j + 1]) };
        row[j + 1] = left;
    }
}

/// A stretch that both strings have, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Run {
    a: RangeInclusive<usize>,
    b: RangeInclusive<usize>,
}

impl Run {
    fn len(&self) -> u64 {
        (self.a.end() - self.a.start()) as u64 + 1
    }
}

/// The common subsequence and the stretches that it consists of, the last one first.
struct Common {
    text: Vec<u8>,
    runs: Vec<Run>,
}

impl Common {
    fn of(a: &[u8], b: &[u8]) -> Common {
        let width = b.len() + 1;
        let mut table = vec![0u32; (a.len() + 1) * width];
        for (i, x) in a.iter().enumerate() {
            let (above, row) = table[i * width..(i + 2) * width].split_at_mut(width);
            fill_row(*x, b, above, row);
        }
        let mut common = Common { text: Vec::new(), runs: Vec::new() };
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                common.push(a[i], i, j);
            } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common.text.reverse();
        common
    }

    /// Adds a byte before all others; it lengthens the last run where it touches it.
    fn push(&mut self, byte: u8, i: usize, j: usize) {
        self.text.push(byte);
        match self.runs.last_mut() {
            Some(run) if *run.a.start() == i + 1 && *run.b.start() == j + 1 => {
                *run = Run { a: i..=*run.a.end(), b: j..=*run.b.end() };
            }
            _ => self.runs.push(Run { a: i..=i, b: j..=j }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use proptest::prelude::*;

    fn check(line: &str, reply: &str) {
        let mut bench = Bench::new();
        bench.run("mset a ohmytext b mynewtext n 12");
        bench.check(line, reply);
    }

    #[test]
    fn replies_are_those_of_the_real_server() {
        check("lcs a b", "$6 mytext");
        check("lcs a b len", ":6");
        let last = "*2 *2 :4 :7 *2 :5 :8";
        check("lcs a b idx", &format!("*4 $7 matches *2 {last} *2 *2 :2 :3 *2 :0 :1 $3 len :6"));
        check("lcs a b idx minmatchlen 4", &format!("*4 $7 matches *1 {last} $3 len :6"));
        let last = "*3 *2 :4 :7 *2 :5 :8 :4";
        check("lcs a b IDX MINMATCHLEN 4 WITHMATCHLEN", &format!("*4 $7 matches *1 {last} $3 len :6"));
        check("lcs a none", "$0");
        check("lcs a none idx", "*4 $7 matches *0 $3 len :0");
        check("lcs n n", "$2 12");
    }

    #[test]
    fn mistakes() {
        check("lcs a b idx len", "-ERR If you want both the length and indexes, please just use IDX.");
        check("lcs a b minmatchlen a", "-ERR value is not an integer or out of range");
        check("lcs a b minmatchlen", "-ERR syntax error");
        check("lcs a b foo", "-ERR syntax error");
    }

    #[test]
    fn the_table_has_a_limit() {
        let mut bench = Bench::new();
        bench.run("setrange k 11590 x");
        let too_large = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        bench.check("lcs k k len", too_large);
    }

    fn is_subsequence(of: &[u8], text: &[u8]) -> bool {
        let mut rest = of.iter();
        text.iter().all(|byte| rest.any(|other| other == byte))
    }

    proptest! {
        #[test]
        fn the_subsequence_is_common_and_as_long_as_the_length(a in "[abc]{0,30}", b in "[abc]{0,30}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let common = Common::of(a, b);
            prop_assert_eq!(common.text.len(), length(a, b));
            prop_assert!(is_subsequence(a, &common.text) && is_subsequence(b, &common.text));
            let runs: Vec<u8> = common.runs.iter().rev().flat_map(|run| a[run.a.clone()].to_vec()).collect();
            prop_assert_eq!(&runs, &common.text);
            prop_assert!(common.runs.iter().all(|run| a[run.a.clone()] == b[run.b.clone()]));
        }
    }
}
