//! SORT and SORT_RO.
//!
//! The elements are copied out once, each with what it is compared by; everything after that needs the keyspace only for what GET
//! asks for. Patterns may name any key: a request that has one holds all shards (`reach`).
//!
//! Texts are compared byte by byte, as in the C locale. Unlike Redis, which makes a skiplist of a packed sorted set that is sorted, this
//! leaves what it sorts as it is.

use super::string::RO_ACCESS;
use crate::command::keys::Positions;
use crate::command::{Acl, Begin, Find, Flags, Group, KeyFlags, KeySpec, Row, finders};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events::Class;
use crate::keyspace::{Entry, Event, View};
use crate::types::double;
use crate::types::element::Element;
use crate::types::hash::Hash;
use crate::types::list::{Builder, Direction, List};
use crate::types::set::Set;
use crate::types::zset::Zset;
use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

/// The family's rows.
pub const ROWS: &[Row] = &[SORT, SORT_RO];

const UNKNOWN: KeySpec =
    KeySpec { flags: RO_ACCESS, begin: Begin::Unknown, find: Find::Unknown, notes: None };
const BY_PATTERN: KeySpec = UNKNOWN.notes(
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
);
const STORED: KeySpec = KeySpec { flags: KeyFlags::OW.union(KeyFlags::UPDATE), ..UNKNOWN }.notes(
    "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
);
const CATEGORIES: Acl = Acl::SET.union(Acl::SORTEDSET).union(Acl::LIST).union(Acl::DANGEROUS);

const SORT: Row = Row::new("sort", -2, Group::Generic, "1.0.0", sort)
    .flags(Flags::WRITE.union(Flags::DENYOOM))
    .categories(CATEGORIES)
    .keys(&[KeySpec::one(1, RO_ACCESS), BY_PATTERN, STORED])
    .key_finder(finders::sort)
    .reach(reach);

const SORT_RO: Row = Row::new("sort_ro", -2, Group::Generic, "7.0.0", sort)
    .flags(Flags::READONLY)
    .categories(CATEGORIES)
    .keys(&[KeySpec::one(1, RO_ACCESS), BY_PATTERN])
    .reach(reach);

/// All keys if a pattern has an element put in; else what is sorted and where it is stored.
fn reach(args: Args<'_>) -> Option<Positions> {
    let is_pattern = |at: usize| args.get(at).is_some_and(|pattern| pattern.contains(&b'*'));
    let names_keys = |at: usize| (args.is(at, "BY") || args.is(at, "GET")) && is_pattern(at + 1);
    match (2..args.len()).any(names_keys) {
        true => None,
        false => Some(finders::sort(args).into_iter().map(|(at, _)| at).collect()),
    }
}

/// What is asked for.
struct Request<'c> {
    descending: bool,
    alpha: bool,
    /// As given: offset and count.
    limit: Option<(i64, i64)>,
    /// What elements are compared by instead of themselves.
    by: Option<&'c [u8]>,
    /// BY a pattern without a place for the element: as they come.
    unsorted: bool,
    get: Vec<&'c [u8]>,
    store: Option<&'c [u8]>,
}

fn parse<'c>(args: Args<'c>, may_store: bool) -> Result<Request<'c>, Error> {
    let mut request = Request {
        descending: false,
        alpha: false,
        limit: None,
        by: None,
        unsorted: false,
        get: Vec::new(),
        store: None,
    };
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        match () {
            () if args.is(at, "ASC") => request.descending = false,
            () if args.is(at, "DESC") => request.descending = true,
            () if args.is(at, "ALPHA") => request.alpha = true,
            () if args.is(at, "LIMIT") && left >= 2 => {
                request.limit = Some((args.int(at + 1)?, args.int(at + 2)?));
                at += 2;
            }
            () if args.is(at, "STORE") && left >= 1 && may_store => {
                at += 1;
                request.store = Some(args.at(at));
            }
            () if args.is(at, "BY") && left >= 1 => {
                at += 1;
                request.by = Some(args.at(at));
                request.unsorted |= !args.at(at).contains(&b'*');
            }
            () if args.is(at, "GET") && left >= 1 => {
                at += 1;
                request.get.push(args.at(at));
            }
            () => return Err(error::SYNTAX),
        }
        at += 1;
    }
    Ok(request)
}

fn sort(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let mut request = parse(call.args, call.command.row.is_write())?;
    let (items, wanted) = match call.view.read(call.args.at(1)) {
        Some(entry) => collect(entry, &mut request)?,
        None => (Vec::new(), 0..0),
    };
    let items = if request.unsorted { items } else { sorted(call.view, items, &request)? };
    let output = output(call.view, &items[wanted], &request.get);
    match request.store {
        Some(destination) => store(call, destination, &output),
        None => {
            call.reply.array(output.len());
            for value in &output {
                match value {
                    Some(value) => call.reply.bulk(value),
                    None => call.reply.null(),
                }
            }
        }
    }
    Ok(())
}

fn store(call: &mut Call<'_, '_>, destination: &[u8], output: &[Option<Vec<u8>>]) {
    let limits = call.server.limits();
    let mut builder = Builder::default();
    // A list cannot hold nothing: what is missing is stored as an empty string.
    output.iter().for_each(|value| builder.push(value.as_deref().unwrap_or_default(), &limits));
    call.view.put_object(destination, builder.finish(&limits), Event::new(Class::LIST, "sortstore"));
    call.view.count_more(destination, output.len().saturating_sub(1));
    call.reply.len(output.len());
}

/// The elements, in the collection's own order, and which of them are wanted once they are sorted. Those that are not to be
/// sorted are taken from a list or sorted set no further than needed.
fn collect(entry: &Entry, request: &mut Request<'_>) -> Result<(Vec<Vec<u8>>, Range<usize>), Error> {
    let mut items = Vec::new();
    let mut take = |element: Element<'_>| items.push(element.to_vec());
    let wanted = if let Some(list) = entry.read_as::<List>() {
        let wanted = limited(request.limit, list.len());
        let (taken, direction) = needed(&wanted, list.len(), request);
        let mut left = taken.len();
        if left > 0 {
            let backward = direction == Direction::Backward;
            let from = if backward { list.len() - 1 - taken.start } else { taken.start };
            list.walk(from, direction, |element| {
                take(element);
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        wanted.start - taken.start..wanted.end - taken.start
    } else if let Some(zset) = entry.read_as::<Zset>() {
        let wanted = limited(request.limit, zset.len());
        let (taken, direction) = needed(&wanted, zset.len(), request);
        let ranks = match direction {
            Direction::Forward => taken.clone(),
            Direction::Backward => zset.len() - taken.end..zset.len() - taken.start,
        };
        zset.range(ranks, direction).for_each(|(member, _)| take(member));
        wanted.start - taken.start..wanted.end - taken.start
    } else if let Some(set) = entry.read_as::<Set>() {
        if request.unsorted && request.store.is_some() {
            // A set has no order; what is stored must have one.
            (request.unsorted, request.alpha, request.by) = (false, true, None);
        }
        set.iter().for_each(take);
        limited(request.limit, set.len())
    } else {
        return Err(error::WRONG_TYPE);
    };
    Ok((items, wanted))
}

/// The elements to be taken from an ordered collection, counted in the direction in which they are.
fn needed(wanted: &Range<usize>, len: usize, request: &Request<'_>) -> (Range<usize>, Direction) {
    match (request.unsorted, request.descending) {
        (false, _) => (0..len, Direction::Forward),
        (true, false) => (wanted.clone(), Direction::Forward),
        (true, true) => (wanted.clone(), Direction::Backward),
    }
}

/// What LIMIT leaves of so many elements.
fn limited(limit: Option<(i64, i64)>, len: usize) -> Range<usize> {
    let Some((offset, count)) = limit else { return 0..len };
    let start = usize::try_from(offset).unwrap_or(0).min(len);
    let end = usize::try_from(count).map_or(len, |count| len.min(start.saturating_add(count)));
    start..end
}

/// What an element is compared by.
enum Weight {
    Number(f64),
    /// The element itself.
    Own,
    /// What BY has found.
    Text(Option<Vec<u8>>),
}

fn sorted(view: &mut View<'_>, items: Vec<Vec<u8>>, request: &Request<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let weigh = |item: Vec<u8>| {
        let found = request.by.map(|pattern| look_up(view, pattern, &item));
        let weight = match (request.alpha, found) {
            (true, None) => Weight::Own,
            (true, Some(found)) => Weight::Text(found),
            (false, None) => Weight::Number(number(&item)?),
            (false, Some(found)) => Weight::Number(found.map_or(Ok(0.0), |found| number(&found))?),
        };
        Ok((weight, item))
    };
    let mut weighed = items.into_iter().map(weigh).collect::<Result<Vec<_>, Error>>()?;
    weighed.sort_by(|a, b| {
        let order = compare(a, b);
        if request.descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, item)| item).collect())
}

/// Numbers that are equal are told apart by the elements' texts; texts that BY has found are not.
fn compare((a, item_a): &(Weight, Vec<u8>), (b, item_b): &(Weight, Vec<u8>)) -> Ordering {
    match (a, b) {
        (Weight::Number(a), Weight::Number(b)) => {
            a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| item_a.cmp(item_b))
        }
        (Weight::Text(a), Weight::Text(b)) => a.cmp(b),
        _ => item_a.cmp(item_b),
    }
}

/// As C's `strtod` reads it: only up to a NUL, an empty text being zero.
fn number(text: &[u8]) -> Result<f64, Error> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let read = double::prefix(text);
    match read.len == text.len() && !read.out_of_range && !read.value.is_nan() {
        true => Ok(read.value),
        false => Err(error::SORT_NOT_NUMBERS),
    }
}

/// What is given for the elements: themselves, or what each GET finds for each.
fn output(view: &mut View<'_>, items: &[Vec<u8>], get: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    if get.is_empty() {
        return items.iter().cloned().map(Some).collect();
    }
    let pairs = items.iter().flat_map(|item| get.iter().map(move |pattern| (item, pattern)));
    pairs.map(|(item, pattern)| look_up(view, pattern, item)).collect()
}

/// What a pattern stands for: `#` the element; else a key's string, or with `->` a field of a key's hash, the element put in for the
/// first `*` of the key's name.
fn look_up(view: &mut View<'_>, pattern: &[u8], item: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(item.to_vec());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|two| two == b"->").filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let now_ms = view.now_ms();
    let entry = view.read(&[before, item, after].concat())?;
    match field {
        Some(field) => entry.read_as::<Hash>()?.get(field, now_ms).map(|value| value.to_vec()),
        None => Some(entry.string()?.text(&mut itoa::Buffer::new()).to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn numbers_and_texts() {
        check(&[
            ("rpush l 10 9 -1.5 0x10", ":4"),
            ("sort l", "*4 $4 -1.5 $1 9 $2 10 $4 0x10"),
            ("sort l desc", "*4 $4 0x10 $2 10 $1 9 $4 -1.5"),
            ("sort l alpha", "*4 $4 -1.5 $4 0x10 $2 10 $1 9"),
            ("sort_ro l desc alpha limit 1 2", "*2 $2 10 $4 0x10"),
            ("rpush equal 1 1.0 01 +1", ":4"),
            ("sort equal", "*4 $2 +1 $2 01 $1 1 $3 1.0"),
            ("rpush cut 2 \"1\\x00x\"", ":2"),
            ("sort cut", "*2 $3 1\0x $1 2"),
            ("rpush bad 1 x", ":2"),
            ("sort bad", "-ERR One or more scores can't be converted into double"),
            ("sort bad by nosort", "*2 $1 1 $1 x"),
            ("sort none", "*0"),
            ("set s 1", "+OK"),
            ("sort s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn other_collections() {
        check(&[
            ("sadd s 3 1 2", ":3"),
            ("sort s", "*3 $1 1 $1 2 $1 3"),
            ("sadd t b a c", ":3"),
            ("sort t by nosort store d", ":3"),
            ("lrange d 0 -1", "*3 $1 a $1 b $1 c"),
            ("zadd z 3 a 1 b 2 c", ":3"),
            ("sort z alpha desc", "*3 $1 c $1 b $1 a"),
            ("sort z by nosort", "*3 $1 b $1 c $1 a"),
            ("sort z by nosort desc limit 1 5", "*2 $1 c $1 b"),
            ("sort z by nosort limit 3 1", "*0"),
        ]);
    }

    #[test]
    fn patterns_name_keys_and_fields() {
        check(&[
            ("rpush l 1 2 3", ":3"),
            ("mset w_1 30 w_2 20 w_3 10 n_1 one n_3 three", "+OK"),
            ("hset h_1 f 1", ":1"),
            ("hset h_2 f 3", ":1"),
            ("sort l by w_*", "*3 $1 3 $1 2 $1 1"),
            ("sort l by w_* get n_* get #", "*6 $5 three $1 3 $-1 $1 2 $3 one $1 1"),
            ("sort l by h_*->f desc", "*3 $1 2 $1 1 $1 3"),
            (
                "sort l by nosort get h_*->f get h_* get h_*-> get n_*->f get const",
                "*15 $1 1 $-1 $-1 $-1 $-1 $1 3 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1",
            ),
            ("sort l by n_* alpha", "*3 $1 2 $1 1 $1 3"),
            ("sort l by n_*", "-ERR One or more scores can't be converted into double"),
            ("multi", "+OK"),
            ("sort l by w_* limit 0 1", "+QUEUED"),
            ("exec", "*1 *1 $1 3"),
        ]);
    }

    #[test]
    fn a_limit_may_be_anything() {
        check(&[
            ("rpush l 4 3 2 1", ":4"),
            ("sort l limit 1 2", "*2 $1 2 $1 3"),
            ("sort l limit -5 1", "*1 $1 1"),
            ("sort l limit 2 -1", "*2 $1 3 $1 4"),
            ("sort l limit 4 1", "*0"),
            ("sort l limit 0 0", "*0"),
            ("sort l limit 9223372036854775807 9223372036854775807", "*0"),
            ("sort l by nosort desc limit 1 2", "*2 $1 2 $1 3"),
            ("sort l by nosort limit 9 9", "*0"),
            ("sort l by nosort desc limit 9 9", "*0"),
            ("sort l limit 1", "-ERR syntax error"),
            ("sort l limit x 1", "-ERR value is not an integer or out of range"),
        ]);
    }

    #[test]
    fn a_result_is_stored_and_logged_as_it_came() {
        let mut bench = Bench::new();
        bench.run("rpush l 2 1");
        bench.logged();
        bench.check("sort l get # get w_* store d", ":4");
        bench.check("lrange d 0 -1", "*4 $1 1 $0  $1 2 $0");
        bench.check("object encoding d", "$8 listpack");
        bench.check("sort none store d", ":0");
        bench.check("exists d", ":0");
        bench.check("sort none store d", ":0");
        bench.check("sort_ro l store d", "-ERR syntax error");
        assert_eq!(bench.logged(), "sort l get # get w_* store d sort none store d");
    }
}
