//! XINFO: what there is to know about streams, groups and consumers.

use super::{READ, limit, reply_entry, reply_range};
use crate::command::{Acl, Flags, Group, Handler, KeySpec, Row};
use crate::commands::container;
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::resp::Reply;
use crate::types::stream::{self, Consumer, Entry, Stream, StreamId};

pub const XINFO: Row = Row::new("xinfo", -2, Group::Stream, "5.0.0", container).subcommands(&[
    sub("xinfo|consumers", 4, consumers).tips(&["nondeterministic_output"]),
    sub("xinfo|groups", 3, groups),
    Row::new("xinfo|help", 2, Group::Stream, "5.0.0", help)
        .flags(Flags::LOADING.union(Flags::STALE))
        .categories(Acl::STREAM),
    sub("xinfo|stream", -3, stream_info),
]);

const ASKED: &[KeySpec] = &[KeySpec::one(2, READ)];

/// A row for a question about one stream.
const fn sub(name: &'static str, arity: i16, handler: Handler) -> Row {
    Row::new(name, arity, Group::Stream, "5.0.0", handler)
        .flags(Flags::READONLY)
        .categories(Acl::STREAM)
        .keys(ASKED)
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    const LINES: &[&str] = &[
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
    ];
    call.reply.help("xinfo", LINES);
    Ok(())
}

fn consumers(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name, now_ms) = (call.args.at(2), call.args.at(3), call.view.now_ms());
    let stream = call.view.object::<Stream>(key)?.ok_or(error::NO_SUCH_KEY)?;
    let group = stream.group(name).ok_or_else(|| Error::no_group_of_key(name, key))?;
    let reply = &mut call.reply;
    reply.array(group.consumers_len());
    for (_, consumer) in group.consumers() {
        let since = |ms: i64| now_ms.saturating_sub(ms).max(0);
        reply.map(4);
        reply.bulk("name");
        reply.bulk(consumer.name());
        pair(reply, "pending", consumer.pending_len() as i64);
        pair(reply, "idle", since(consumer.seen_ms));
        pair(reply, "inactive", consumer.active_ms.map_or(-1, since));
    }
    Ok(())
}

fn groups(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let stream = call.view.object::<Stream>(call.args.at(2))?.ok_or(error::NO_SUCH_KEY)?;
    let reply = &mut call.reply;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk("name");
        reply.bulk(name);
        pair(reply, "consumers", group.consumers_len() as i64);
        pair(reply, "pending", group.pending_len() as i64);
        id_pair(reply, "last-delivered-id", group.last_id);
        progress(reply, &stream, group);
    }
    Ok(())
}

fn stream_info(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let stream = call.view.object::<Stream>(args.at(2))?.ok_or(error::NO_SUCH_KEY)?;
    match full_limit(args)? {
        None => summary(&mut call.reply, &stream),
        Some(limit) => full(&mut call.reply, &stream, limit),
    }
    Ok(())
}

/// How many entries FULL shows, if it is asked for.
fn full_limit(args: Args<'_>) -> Result<Option<u64>, Error> {
    const SHOWN: u64 = 10;
    let unknown = || Error::subcommand_syntax("XINFO", args.at(1));
    match args.len() {
        3 => Ok(None),
        4 | 6 if !args.is(3, "full") => Err(unknown()),
        4 => Ok(Some(SHOWN)),
        6 if !args.is(4, "count") => Err(unknown()),
        6 => {
            let count = args.int(5)?;
            Ok(Some(if count < 0 { SHOWN } else { limit(count) }))
        }
        _ => Err(unknown()),
    }
}

fn pair(reply: &mut Reply<'_>, name: &str, n: i64) {
    reply.bulk(name);
    reply.int(n);
}

fn id_pair(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name);
    reply.bulk(id.text());
}

/// The seven fields that both forms begin with.
fn counters(reply: &mut Reply<'_>, stream: &Stream) {
    let marks = stream.marks();
    pair(reply, "length", marks.len as i64);
    pair(reply, "radix-tree-keys", stream.nodes_len() as i64);
    pair(reply, "radix-tree-nodes", stream.radix_nodes() as i64);
    id_pair(reply, "last-generated-id", marks.last_id);
    id_pair(reply, "max-deleted-entry-id", marks.max_deleted_id);
    pair(reply, "entries-added", marks.entries_added as i64);
    id_pair(reply, "recorded-first-entry-id", marks.first_id);
}

/// `entries-read` and `lag`.
fn progress(reply: &mut Reply<'_>, stream: &Stream, group: &stream::Group) {
    let lag = stream.marks().lag(group.entries_read, group.last_id);
    for (name, n) in [("entries-read", group.entries_read.map(|read| read as i64)), ("lag", lag)] {
        reply.bulk(name);
        match n {
            Some(n) => reply.int(n),
            None => reply.null(),
        }
    }
}

fn summary(reply: &mut Reply<'_>, stream: &Stream) {
    reply.map(10);
    counters(reply, stream);
    pair(reply, "groups", stream.groups().len() as i64);
    let mut edge = |name: &str, entry: Option<Entry<'_>>| {
        reply.bulk(name);
        match entry {
            Some(entry) => reply_entry(reply, &entry),
            None => reply.null(),
        }
    };
    edge("first-entry", stream.first());
    edge("last-entry", stream.last());
}

fn full(reply: &mut Reply<'_>, stream: &Stream, limit: u64) {
    reply.map(9);
    counters(reply, stream);
    reply.bulk("entries");
    reply_range(reply, stream, (StreamId::MIN, StreamId::MAX), limit);
    reply.bulk("groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk("name");
        reply.bulk(name);
        id_pair(reply, "last-delivered-id", group.last_id);
        progress(reply, stream, group);
        pair(reply, "pel-count", group.pending_len() as i64);
        reply.bulk("pending");
        let shown = group.pending_len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        reply.array(shown);
        for (id, pending) in group.pending_from(StreamId::MIN).take(shown) {
            reply.array(4);
            reply.bulk(id.text());
            reply.bulk(group.consumer(pending.consumer).name());
            reply.int(pending.delivered_ms);
            reply.int(pending.deliveries as i64);
        }
        reply.bulk("consumers");
        reply.array(group.consumers_len());
        group.consumers().for_each(|(_, consumer)| full_consumer(reply, group, consumer, limit));
    }
}

fn full_consumer(reply: &mut Reply<'_>, group: &stream::Group, consumer: &Consumer, limit: u64) {
    reply.map(5);
    reply.bulk("name");
    reply.bulk(consumer.name());
    pair(reply, "seen-time", consumer.seen_ms);
    pair(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    pair(reply, "pel-count", consumer.pending_len() as i64);
    reply.bulk("pending");
    let shown = consumer.pending_len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    reply.array(shown);
    for id in consumer.pending_from(StreamId::MIN).take(shown) {
        let pending = group.pending(id).expect("both lists have the same entries");
        reply.array(3);
        reply.bulk(id.text());
        reply.int(pending.delivered_ms);
        reply.int(pending.deliveries as i64);
    }
}
