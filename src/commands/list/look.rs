//! LLEN, LINDEX, LRANGE and LPOS.

use super::{not_negative, resolve, resolve_range};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::commands::string::RO_ACCESS;
use crate::error::{self, Error};
use crate::executor::Call;
use crate::types::list::{Direction, List};
use std::ops::ControlFlow;

pub const LLEN: Row = Row::new("llen", 2, Group::List, "1.0.0", llen)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, KeyFlags::RO)]);

fn llen(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let len = call.view.object::<List>(call.args.at(1))?.map_or(0, |list| list.len());
    call.reply.len(len);
    Ok(())
}

pub const LINDEX: Row = Row::new("lindex", 3, Group::List, "1.0.0", lindex)
    .flags(Flags::READONLY)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn lindex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let Some(list) = call.view.object::<List>(call.args.at(1))? else {
        call.reply.null();
        return Ok(());
    };
    let index = call.args.int(2)?;
    let found =
        resolve(index, list.len()).and_then(|at| list.with(at, |element| call.reply.element(element)));
    if found.is_none() {
        call.reply.null();
    }
    Ok(())
}

pub const LRANGE: Row = Row::new("lrange", 4, Group::List, "1.0.0", lrange)
    .flags(Flags::READONLY)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

fn lrange(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (start, stop) = (call.args.int(2)?, call.args.int(3)?);
    let Some(list) = call.view.object::<List>(call.args.at(1))? else {
        call.reply.array(0);
        return Ok(());
    };
    let (from, count) = resolve_range(start, stop, list.len());
    call.reply.array(count);
    let mut left = count;
    if left == 0 {
        return Ok(());
    }
    list.walk(from, Direction::Forward, |element| {
        call.reply.element(element);
        left -= 1;
        if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    Ok(())
}

pub const LPOS: Row = Row::new("lpos", -3, Group::List, "6.0.6", lpos)
    .flags(Flags::READONLY)
    .categories(Acl::LIST)
    .keys(&[KeySpec::one(1, RO_ACCESS)]);

/// What LPOS is asked for.
struct Search {
    direction: Direction,
    /// Matches to pass over.
    skip: u64,
    /// As many positions at most, as an array; `None`: one, alone.
    count: Option<usize>,
    /// Elements to compare at most.
    max_len: usize,
}

fn lpos(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let search = parse_search(call)?;
    let needle = call.args.at(2);
    let found = match call.view.object::<List>(call.args.at(1))? {
        Some(list) => positions(&list, needle, &search),
        None => Vec::new(),
    };
    match (search.count, found.first()) {
        (Some(_), _) => {
            call.reply.array(found.len());
            found.iter().for_each(|at| call.reply.len(*at));
        }
        (None, Some(at)) => call.reply.len(*at),
        (None, None) => call.reply.null(),
    }
    Ok(())
}

fn parse_search(call: &Call<'_, '_>) -> Result<Search, Error> {
    let mut search = Search { direction: Direction::Forward, skip: 0, count: None, max_len: usize::MAX };
    let unlimited = |n| if n == 0 { usize::MAX } else { n };
    for at in (3..call.args.len()).step_by(2) {
        let value = at + 1;
        if value >= call.args.len() {
            return Err(error::SYNTAX);
        }
        match () {
            () if call.args.is(at, "RANK") => {
                let rank = call.args.int(value)?;
                search.skip = match rank.unsigned_abs() {
                    0 => return Err(error::LPOS_RANK_ZERO),
                    _ if rank == i64::MIN => return Err(error::LONG_OUT_OF_RANGE),
                    rank => rank - 1,
                };
                search.direction = if rank < 0 { Direction::Backward } else { Direction::Forward };
            }
            () if call.args.is(at, "COUNT") => {
                search.count = Some(unlimited(not_negative(call, value, error::LPOS_COUNT)?));
            }
            () if call.args.is(at, "MAXLEN") => {
                search.max_len = unlimited(not_negative(call, value, error::LPOS_MAXLEN)?);
            }
            () => return Err(error::SYNTAX),
        }
    }
    Ok(search)
}

fn positions(list: &List, needle: &[u8], search: &Search) -> Vec<usize> {
    let (mut found, mut skip, mut compared) = (Vec::new(), search.skip, 0);
    let last = list.len() - 1;
    let start = if search.direction == Direction::Forward { 0 } else { last };
    list.walk(start, search.direction, |element| {
        if compared == search.max_len || found.len() == search.count.unwrap_or(1) {
            return ControlFlow::Break(());
        }
        if element.eq_bytes(needle) {
            match skip {
                0 => found.push(if search.direction == Direction::Forward {
                    compared
                } else {
                    last - compared
                }),
                _ => skip -= 1,
            }
        }
        compared += 1;
        ControlFlow::Continue(())
    });
    found
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn parts_of_a_list() {
        check(&[
            ("rpush l a b 3", ":3"),
            ("llen l", ":3"),
            ("llen none", ":0"),
            ("lindex l -1", "$1 3"),
            ("lindex l 1", "$1 b"),
            ("lindex l 3", "$-1"),
            ("lindex l -4", "$-1"),
            ("lindex l -9223372036854775808", "$-1"),
            ("lindex l x", "-ERR value is not an integer or out of range"),
            ("lindex none x", "$-1"),
            ("lrange l 0 0", "*1 $1 a"),
            ("lrange l -2 9", "*2 $1 b $1 3"),
            ("lrange l -9 -3", "*1 $1 a"),
            ("lrange l 2 1", "*0"),
            ("lrange l 3 3", "*0"),
            ("lrange l -9223372036854775808 9223372036854775807", "*3 $1 a $1 b $1 3"),
            ("lrange none 0 1", "*0"),
            ("lrange none x 1", "-ERR value is not an integer or out of range"),
            ("set s 1", "+OK"),
            ("llen s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn positions_of_an_element() {
        check(&[
            ("rpush l a b 1 a b 1", ":6"),
            ("lpos l 1", ":2"),
            ("lpos l 01", "$-1"),
            ("lpos l a rank 2", ":3"),
            ("lpos l a rank -1", ":3"),
            ("lpos l a rank 3", "$-1"),
            ("lpos l b count 0", "*2 :1 :4"),
            ("lpos l b count 1 rank -1", "*1 :4"),
            ("lpos l b count 0 rank -2", "*1 :1"),
            ("lpos l b maxlen 1", "$-1"),
            ("lpos l b maxlen 2 count 5", "*1 :1"),
            ("lpos l b rank -1 maxlen 1 count 5", "*0"),
            ("lpos none b", "$-1"),
            ("lpos none b count 1", "*0"),
        ]);
    }

    #[test]
    fn lpos_reads_its_options_before_the_list() {
        let rank = "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list";
        check(&[
            ("lpos none a rank 0", rank),
            ("lpos none a rank x", "-ERR value is not an integer or out of range"),
            ("lpos none a count -1", "-ERR COUNT can't be negative"),
            ("lpos none a maxlen x", "-ERR MAXLEN can't be negative"),
            ("lpos none a rank", "-ERR syntax error"),
            ("lpos none a foo 1", "-ERR syntax error"),
        ]);
    }
}
