//! XREAD and XREADGROUP: several streams at once, and waiting for what comes.
//!
//! A client that waits runs the same request again when a stream changes. `$` means the stream's end when the request
//! came, so it is replaced by that ID in the request that is kept.

use super::{READ, Requests, SILENT, event, limit, reply_entry, reply_range, strict_id};
use crate::blocked::{Nothing, Request};
use crate::client::OwnedArg;
use crate::command::{Acl, Begin, Find, Flags, Group, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::entry::Reading;
use crate::keyspace::{Edit, View};
use crate::resp::{Out, Proto, Reply};
use crate::types::stream::{ConsumerNumber, Pending, Stream, StreamId};

/// The keys behind STREAMS: the first half of what follows.
const fn streams(from: i32) -> KeySpec {
    KeySpec {
        flags: READ,
        begin: Begin::Keyword { word: "STREAMS", from },
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: None,
    }
}

/// Where the search for STREAMS begins in XREADGROUP: behind GROUP and its two names.
const GROUP_STREAMS_FROM: i32 = 4;

pub const XREAD: Row = Row::new("xread", -4, Group::Stream, "5.0.0", xread)
    .flags(Flags::READONLY.union(Flags::BLOCKING))
    .categories(Acl::STREAM)
    .keys(&[streams(1)]);

pub const XREADGROUP: Row = Row::new("xreadgroup", -7, Group::Stream, "5.0.0", xreadgroup)
    .flags(Flags::WRITE.union(Flags::BLOCKING))
    .categories(Acl::STREAM)
    .keys(&[streams(GROUP_STREAMS_FROM)]);

/// The arguments before the keys.
struct Options<'c> {
    /// BLOCK was given, with this deadline.
    block: Option<Option<i64>>,
    limit: u64,
    no_ack: bool,
    /// Names of group and consumer.
    group: Option<(&'c [u8], &'c [u8])>,
    /// Where the keys begin, and how many there are.
    keys_at: usize,
    keys: usize,
}

impl<'c> Options<'c> {
    fn parse(call: &Call<'c, '_>, by_group: bool) -> Result<Options<'c>, Error> {
        let args = call.args;
        let mut options =
            Options { block: None, limit: u64::MAX, no_ack: false, group: None, keys_at: 0, keys: 0 };
        let mut at = 1;
        while at < args.len() {
            let more = args.len() - at - 1;
            if args.is(at, "block") && more > 0 {
                options.block = Some(call.deadline_ms(at + 1)?);
                at += 2;
            } else if args.is(at, "count") && more > 0 {
                options.limit = limit(args.int(at + 1)?);
                at += 2;
            } else if args.is(at, "streams") && more > 0 {
                if more % 2 == 1 {
                    return Err(unbalanced());
                }
                (options.keys_at, options.keys) = (at + 1, more / 2);
                break;
            } else if args.is(at, "group") && more > 1 {
                options.group = Some((args.at(at + 1), args.at(at + 2)));
                at += 3;
            } else if args.is(at, "noack") {
                options.no_ack = true;
                at += 1;
            } else {
                return Err(error::SYNTAX);
            }
            match (by_group, options.group.is_some(), options.no_ack) {
                (false, true, _) => return Err(error::XREAD_GROUP),
                (false, _, true) => return Err(error::XREAD_NOACK),
                _ => {}
            }
        }
        if options.keys == 0 {
            return Err(error::SYNTAX);
        }
        Ok(options)
    }

    fn key(&self, args: Args<'c>, index: usize) -> &'c [u8] {
        args.at(self.keys_at + index)
    }

    fn id(&self, args: Args<'c>, index: usize) -> &'c [u8] {
        args.at(self.keys_at + self.keys + index)
    }
}

/// Redis says XREAD in both cases.
fn unbalanced() -> Error {
    Error::err("Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
}

fn xread(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let options = Options::parse(call, false)?;
    let mut starts = Vec::with_capacity(options.keys);
    for index in 0..options.keys {
        let (key, id) = (options.key(call.args, index), options.id(call.args, index));
        starts.push(start(stream_at(call, key)?.as_deref(), id)?);
    }
    let (mut parts, mut served) = (Out::default(), 0);
    for (index, start) in starts.iter().enumerate() {
        let key = options.key(call.args, index);
        let mut reply = Reply::new(&mut parts, call.reply.proto);
        let Some(stream) = stream_at(call, key)? else { continue };
        if stream.last().is_none_or(|last| last.id <= *start) {
            continue;
        }
        let from = start.next().expect("something is behind it");
        name(&mut reply, key);
        reply_range(&mut reply, &stream, (from, StreamId::MAX), options.limit);
        served += 1;
    }
    if served == 0 {
        return wait(call, &options, &starts);
    }
    head(&mut call.reply, served);
    parts.append_to(call.reply.out());
    Ok(())
}

/// The stream at a key, looked up for reading. Who has waited is served without a trace: its look-ups were counted when it came.
fn stream_at<'v>(call: &'v mut Call<'_, '_>, key: &[u8]) -> Result<Option<Reading<'v, Stream>>, Error> {
    if call.client.stands_in {
        return call.view.peek_object(key);
    }
    call.view.object(key)
}

/// The ID behind which XREAD reads.
fn start(stream: Option<&Stream>, text: &[u8]) -> Result<StreamId, Error> {
    match text {
        b"$" => Ok(stream.map_or(StreamId::MIN, |stream| stream.marks().last_id)),
        b"+" => {
            let last = stream.and_then(|stream| stream.last().map(|last| last.id));
            Ok(last.and_then(StreamId::prev).unwrap_or_default())
        }
        b">" => Err(error::XREAD_NEW),
        text => strict_id(text),
    }
}

/// The head of a reply about so many streams.
fn head(reply: &mut Reply<'_>, streams: usize) {
    match reply.proto {
        Proto::Resp2 => reply.array(streams),
        Proto::Resp3 => reply.map(streams),
    }
}

/// A stream's name; its entries follow.
fn name(reply: &mut Reply<'_>, key: &[u8]) {
    if reply.proto == Proto::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// There is nothing: waits if that is asked for and possible.
fn wait(call: &mut Call<'_, '_>, options: &Options<'_>, starts: &[StreamId]) -> Result<(), Error> {
    let Some(deadline_ms) = options.block.filter(|_| call.may_block()) else {
        call.reply.null_array();
        return Ok(());
    };
    let mut args: Vec<OwnedArg> = call.args.0.iter().map(OwnedArg::from).collect();
    for (index, start) in starts.iter().enumerate() {
        let at = options.keys_at + options.keys + index;
        // `$` is what it was when the client came; `+` is the last entry of when it is served.
        if call.args.at(at) == b"$" {
            args[at] = OwnedArg::from(&crate::resp::parser::Arg::Slice(start.text().as_ref()));
        }
    }
    call.block(Request {
        keys: (0..options.keys).map(|index| options.key(call.args, index).into()).collect(),
        wanted: "stream",
        or_gone: options.group.is_some(),
        deadline_ms,
        nothing: Nothing::NullArray,
        args: Some(args),
    });
    Ok(())
}

/// What XREADGROUP wants of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// `>`: what nobody of the group has been given.
    New,
    /// What the consumer has not acknowledged, behind an ID.
    History(StreamId),
}

/// What a stream has for a consumer.
#[derive(Clone, Copy)]
enum Served {
    Nothing,
    /// The entries behind the first ID, so many.
    New(StreamId, u64),
    History(StreamId),
}

fn xreadgroup(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let options = Options::parse(call, true)?;
    let names = options.group.ok_or(error::XREADGROUP_WITHOUT_GROUP)?;
    let (args, from) = (call.args, GROUP_STREAMS_FROM as usize);
    if (from..args.len()).find(|at| args.is(*at, "streams")) != Some(options.keys_at - 1) {
        // A name like the keyword before it: the keys that the key specs find are not these.
        return Err(error::SYNTAX);
    }
    let mut wanted = Vec::with_capacity(options.keys);
    for index in 0..options.keys {
        require_group(call, options.key(args, index), names.0)?;
        wanted.push(parse_wanted(options.id(args, index))?);
    }
    let mut requests = Requests::default();
    let mut served = 0;
    // The number of streams stands before them, and is known behind them.
    let mut parts = Out::default();
    for (index, wanted) in wanted.into_iter().enumerate() {
        let mut reply = Reply::new(&mut parts, call.reply.proto);
        served += usize::from(read_stream(call, &options, index, wanted, &mut reply, &mut requests)?);
    }
    requests.log(call);
    if served == 0 {
        return wait(call, &options, &[]);
    }
    head(&mut call.reply, served);
    parts.append_to(call.reply.out());
    Ok(())
}

/// There must be a stream with that group. Who waited for it is told in other words that it is gone.
fn require_group(call: &mut Call<'_, '_>, key: &[u8], group: &[u8]) -> Result<(), Error> {
    let has_group = stream_at(call, key).map(|found| found.map(|stream| stream.group(group).is_some()));
    match has_group {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) if call.client.stands_in => Err(error::XREADGROUP_GROUP_GONE),
        _ if call.client.stands_in => Err(error::XREADGROUP_STREAM_GONE),
        Ok(_) => Err(Error::no_group(key, group, " in XREADGROUP with GROUP option")),
        Err(error) => Err(error),
    }
}

fn parse_wanted(text: &[u8]) -> Result<Wanted, Error> {
    match text {
        b">" => Ok(Wanted::New),
        b"$" => Err(error::XREADGROUP_END),
        b"+" => Err(error::XREADGROUP_LAST),
        text => match strict_id(text)? {
            StreamId::MAX => Ok(Wanted::New),
            id => Ok(Wanted::History(id)),
        },
    }
}

/// Reads one stream for a consumer, who is created if need be. Returns whether there is anything to say.
fn read_stream(
    call: &mut Call<'_, '_>,
    options: &Options<'_>,
    index: usize,
    wanted: Wanted,
    reply: &mut Reply<'_>,
    requests: &mut Requests,
) -> Result<bool, Error> {
    let key = options.key(call.args, index);
    let (group, consumer_name) = options.group.expect("checked before");
    let now_ms = call.view.now_ms();
    let find = if call.client.stands_in { View::object_mut } else { View::object_read_mut };
    let Some(mut edit) = find(call.view, key, SILENT)? else { return Ok(false) };
    let (consumer, created) = consumer(&mut edit, group, consumer_name, now_ms);
    let served = serves(&edit, group, wanted, options.limit);
    if created && (options.no_ack || !matches!(served, Served::New(..))) {
        // No XCLAIM will tell of it.
        requests.create_consumer((key, group), consumer_name);
    }
    match served {
        Served::Nothing => {}
        Served::New(from, count) => {
            name(reply, key);
            reply.array(count as usize);
            deliver(
                &mut edit,
                (key, group),
                (consumer, now_ms, options.no_ack),
                (from, count),
                reply,
                requests,
            );
        }
        Served::History(from) => {
            name(reply, key);
            repeat(&mut edit, group, consumer, (from, options.limit, now_ms), reply);
        }
    }
    drop(edit);
    if created {
        call.view.notify(CONSUMER_CREATED, key);
        call.view.count_change();
    }
    let is_served = !matches!(served, Served::Nothing);
    if is_served {
        call.view.count_change();
    }
    Ok(is_served)
}

/// A consumer was created on the way.
pub const CONSUMER_CREATED: crate::keyspace::Event = event("xgroup-createconsumer");

/// The consumer of a group that exists, and whether it had to be created. It has been seen.
pub fn consumer(
    edit: &mut Edit<'_, '_, Stream>,
    group: &[u8],
    name: &[u8],
    now_ms: i64,
) -> (ConsumerNumber, bool) {
    let (_, found) = edit.change(|stream| {
        let group = stream.group_mut(group).expect("the group was found before");
        let known = group.find_consumer(name);
        let number = known.unwrap_or_else(|| group.add_consumer(name, now_ms));
        group.consumer_mut(number).seen_ms = now_ms;
        (false, (number, known.is_none()))
    });
    found
}

fn serves(stream: &Stream, group: &[u8], wanted: Wanted, limit: u64) -> Served {
    let read = stream.group(group).expect("the group was found before").last_id;
    match wanted {
        Wanted::History(from) => Served::History(from),
        Wanted::New => match read.next() {
            Some(from) => match stream.count(from, StreamId::MAX, limit) {
                0 => Served::Nothing,
                count => Served::New(from, count),
            },
            None => Served::Nothing,
        },
    }
}

/// Gives new entries to a consumer.
fn deliver(
    edit: &mut Edit<'_, '_, Stream>,
    (key, name): (&[u8], &[u8]),
    (consumer, now_ms, no_ack): (ConsumerNumber, i64, bool),
    (from, count): (StreamId, u64),
    reply: &mut Reply<'_>,
    requests: &mut Requests,
) {
    let entries = edit.range(from, StreamId::MAX).take(count as usize);
    let ids: Vec<StreamId> =
        entries.inspect(|entry| reply_entry(reply, entry)).map(|entry| entry.id).collect();
    edit.change(|stream| {
        for id in ids {
            stream.advance(name, id);
            let group = stream.group_mut(name).expect("the group was found before");
            if !no_ack {
                let pending = Pending { consumer, delivered_ms: now_ms, deliveries: 1 };
                group.set_pending(id, pending);
                group.consumer_mut(consumer).active_ms = Some(now_ms);
                requests.claim((key, name), group, id.text().as_ref(), pending);
            }
        }
        if no_ack {
            requests.progress((key, name), stream.group(name).expect("the group was found before"));
        }
        false
    });
}

/// Shows a consumer again what it has not acknowledged.
fn repeat(
    edit: &mut Edit<'_, '_, Stream>,
    name: &[u8],
    consumer: ConsumerNumber,
    (after, limit, now_ms): (StreamId, u64, i64),
    reply: &mut Reply<'_>,
) {
    let group = edit.group(name).expect("the group was found before");
    let from = after.next().expect("the largest ID stands for new entries");
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let ids: Vec<StreamId> = group.consumer(consumer).pending_from(from).take(limit).collect();
    reply.array(ids.len());
    let mut there = Vec::with_capacity(ids.len());
    for id in ids {
        match edit.get(id) {
            Some(entry) => {
                reply_entry(reply, &entry);
                there.push(id);
            }
            None => {
                reply.array(2);
                reply.bulk(id.text());
                reply.null_array();
            }
        }
    }
    edit.change(|stream| {
        let group = stream.group_mut(name).expect("the group was found before");
        for id in there {
            let pending = group.pending(id).expect("it is pending for the consumer");
            let deliveries = pending.deliveries.wrapping_add(1);
            group.set_pending(id, Pending { delivered_ms: now_ms, deliveries, ..pending });
        }
        false
    });
}
