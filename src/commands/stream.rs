//! Stream commands: XLEN and ranges; the others stand in the modules below, by what they do.
//!
//! What a group's commands change is logged as what it came to, in commands that a replica carries out without asking its
//! clock: deliveries and claims as XCLAIM with all that there is to know, a group's progress as XGROUP SETID. As in Redis these
//! changes touch no WATCH: a key's watchers wait for its entries. Options of 8.2 are logged in words that every version knows.

mod add;
mod claim;
mod delete;
mod group;
mod info;
mod pending;
mod read;

use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::Call;
use crate::keyspace::events::{Class, Event};
use crate::resp::Reply;
use crate::types::stream::{self, Entry, Stream, StreamId};

/// The family's rows.
pub const ROWS: &[Row] = &[
    add::XADD,
    add::XTRIM,
    add::XSETID,
    XLEN,
    XRANGE,
    XREVRANGE,
    delete::XDEL,
    delete::XDELEX,
    delete::XACKDEL,
    read::XREAD,
    read::XREADGROUP,
    pending::XACK,
    pending::XPENDING,
    claim::XCLAIM,
    claim::XAUTOCLAIM,
    group::XGROUP,
    info::XINFO,
];

const READ: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const UPDATE: KeyFlags = KeyFlags::RW.union(KeyFlags::UPDATE);
const DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::DELETE);
const INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);

/// An event of streams.
const fn event(name: &'static str) -> Event {
    Event::new(Class::STREAM, name)
}

/// For changes that nobody hears of.
const SILENT: Event = Event::new(Class::empty(), "");

/// An argument as an ID; one without a sequence number is the first of its millisecond.
fn strict_id(text: &[u8]) -> Result<StreamId, Error> {
    StreamId::parse(text, 0).ok_or(error::INVALID_STREAM_ID)
}

/// Where an interval begins: an ID, `-`, `+`, or the one behind `(`ID.
fn interval_start(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => strict_id(id)?.next().ok_or(error::INTERVAL_START),
        text => StreamId::parse_bound(text, 0).ok_or(error::INVALID_STREAM_ID),
    }
}

/// Where an interval ends: an ID, `-`, `+`, or the one before `(`ID. One without a sequence number is the last of its
/// millisecond.
fn interval_end(text: &[u8]) -> Result<StreamId, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            let id = StreamId::parse(id, u64::MAX).ok_or(error::INVALID_STREAM_ID)?;
            id.prev().ok_or(error::INTERVAL_END)
        }
        text => StreamId::parse_bound(text, u64::MAX).ok_or(error::INVALID_STREAM_ID),
    }
}

/// Replies with an entry: its ID, and its fields and values as one array.
fn reply_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    reply.bulk(entry.id.text());
    reply.array(2 * entry.len());
    for (field, value) in entry.pairs() {
        reply.element(field);
        reply.element(value);
    }
}

/// Replies with the entries of an interval, at most `limit`.
fn reply_range(reply: &mut Reply<'_>, stream: &Stream, (start, end): (StreamId, StreamId), limit: u64) {
    let count = stream.count(start, end, limit);
    reply.array(count as usize);
    stream.range(start, end).take(count as usize).for_each(|entry| reply_entry(reply, &entry));
}

/// COUNT's number: none is no limit, and nothing is negative.
fn limit(count: i64) -> u64 {
    if count <= 0 { u64::MAX } else { count as u64 }
}

/// Bytes of a number.
fn digits(n: impl itoa::Integer) -> Vec<u8> {
    itoa::Buffer::new().format(n).as_bytes().to_vec()
}

/// Requests for the log, collected while a key is being edited.
#[derive(Default)]
struct Requests(Vec<Vec<Vec<u8>>>);

impl Requests {
    fn push(&mut self, args: &[&[u8]]) {
        self.0.push(args.iter().map(|arg| arg.to_vec()).collect());
    }

    /// XCLAIM of one entry, as it is pending now.
    fn claim(
        &mut self,
        (key, name): (&[u8], &[u8]),
        group: &stream::Group,
        id: &[u8],
        pending: stream::Pending,
    ) {
        self.push(&[
            b"XCLAIM",
            key,
            name,
            group.consumer(pending.consumer).name(),
            b"0",
            id,
            b"TIME",
            &digits(pending.delivered_ms),
            b"RETRYCOUNT",
            &digits(pending.deliveries),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            group.last_id.text().as_ref(),
        ]);
    }

    /// Does an XCLAIM name this consumer? Who runs it creates the consumer too.
    fn claims_for(&self, consumer: &[u8]) -> bool {
        self.0.iter().any(|request| request[0] == b"XCLAIM" && request[3] == consumer)
    }

    /// XGROUP CREATECONSUMER.
    fn create_consumer(&mut self, (key, name): (&[u8], &[u8]), consumer: &[u8]) {
        self.push(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer]);
    }

    /// XGROUP SETID: how far a group has read.
    fn progress(&mut self, (key, name): (&[u8], &[u8]), group: &stream::Group) {
        let read = group.entries_read.map_or(b"-1".to_vec(), digits);
        let id = group.last_id.text();
        self.push(&[b"XGROUP", b"SETID", key, name, id.as_ref(), b"ENTRIESREAD", &read]);
    }

    /// The log gets these instead of the command.
    fn log(self, call: &mut Call<'_, '_>) {
        call.propagate_nothing();
        self.0.iter().for_each(|request| call.propagate_instead(request));
    }
}

const XLEN: Row = Row::new("xlen", 2, Group::Stream, "5.0.0", xlen)
    .flags(Flags::READONLY.union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, KeyFlags::RO)]);

fn xlen(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let len = call.view.object::<Stream>(call.args.at(1))?.map_or(0, |stream| stream.len());
    call.reply.len(len);
    Ok(())
}

const XRANGE: Row = Row::new("xrange", -4, Group::Stream, "5.0.0", xrange)
    .flags(Flags::READONLY)
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, READ)]);

fn xrange(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, false)
}

const XREVRANGE: Row = Row::new("xrevrange", -4, Group::Stream, "5.0.0", xrevrange)
    .flags(Flags::READONLY)
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, READ)]);

fn xrevrange(call: &mut Call<'_, '_>) -> Result<(), Error> {
    range(call, true)
}

fn range(call: &mut Call<'_, '_>, reversed: bool) -> Result<(), Error> {
    let (first, last) = if reversed { (3, 2) } else { (2, 3) };
    let start = interval_start(call.args.at(first))?;
    let end = interval_end(call.args.at(last))?;
    let count = range_count(call)?;
    let Some(stream) = call.view.object::<Stream>(call.args.at(1))? else {
        call.reply.array(0);
        return Ok(());
    };
    match count {
        Some(0) => call.reply.null_array(),
        count if !reversed => {
            reply_range(&mut call.reply, &stream, (start, end), count.unwrap_or(u64::MAX));
        }
        count => {
            let count = stream.count(start, end, count.unwrap_or(u64::MAX)) as usize;
            call.reply.array(count);
            stream.range_rev(start, end).take(count).for_each(|entry| reply_entry(&mut call.reply, &entry));
        }
    }
    Ok(())
}

/// COUNT of a range; negative ones are zero.
fn range_count(call: &Call<'_, '_>) -> Result<Option<u64>, Error> {
    let (mut at, mut count) = (4, None);
    while at < call.args.len() {
        if !call.args.is(at, "count") || at + 1 == call.args.len() {
            return Err(error::SYNTAX);
        }
        count = Some(call.args.int(at + 1)?.max(0) as u64);
        at += 2;
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
