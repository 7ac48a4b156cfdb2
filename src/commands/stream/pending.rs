//! XACK and XPENDING: what was delivered and is not acknowledged.

use super::{READ, SILENT, UPDATE, interval_end, interval_start, strict_id};
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::resp::Reply;
use crate::types::stream::{self, Pending, Stream, StreamId};

pub const XACK: Row = Row::new("xack", -4, Group::Stream, "5.0.0", xack)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, UPDATE)]);

fn xack(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name) = (call.args.at(1), call.args.at(2));
    let edit = call.view.object_read_mut::<Stream>(key, SILENT)?;
    let Some(mut edit) = edit.filter(|stream| stream.group(name).is_some()) else {
        call.reply.int(0);
        return Ok(());
    };
    let ids = call.args.from(3).map(strict_id).collect::<Result<Vec<_>, _>>()?;
    let (_, acknowledged) = edit.change(|stream| {
        let group = stream.group_mut(name).expect("it was just seen");
        (false, ids.into_iter().filter(|id| group.acknowledge(*id)).count())
    });
    drop(edit);
    (0..acknowledged).for_each(|_| call.view.count_change());
    call.reply.len(acknowledged);
    Ok(())
}

pub const XPENDING: Row = Row::new("xpending", -3, Group::Stream, "5.0.0", xpending)
    .flags(Flags::READONLY)
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, READ)])
    .tips(&["nondeterministic_output"]);

/// The long form of XPENDING.
struct Query<'c> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    limit: u64,
    consumer: Option<&'c [u8]>,
}

impl<'c> Query<'c> {
    fn parse(args: Args<'c>) -> Result<Query<'c>, Error> {
        let (mut at, mut min_idle_ms) = (3, 0);
        if args.is(3, "idle") {
            min_idle_ms = args.int(4)?;
            if args.len() < 8 {
                return Err(error::SYNTAX);
            }
            at = 5;
        }
        let limit = args.int(at + 2)?.max(0) as u64;
        let (start, end) = (interval_start(args.at(at))?, interval_end(args.at(at + 1))?);
        Ok(Query { min_idle_ms, start, end, limit, consumer: args.get(at + 3) })
    }
}

fn xpending(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name) = (call.args.at(1), call.args.at(2));
    let query = match call.args.len() {
        3 => None,
        6..=9 => Some(Query::parse(call.args)?),
        _ => return Err(error::SYNTAX),
    };
    let now_ms = call.view.now_ms();
    let stream = call.view.object::<Stream>(key)?;
    let group = stream.as_ref().and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| Error::no_group(key, name, ""))?;
    match query {
        None => summary(&mut call.reply, group),
        Some(query) => list(&mut call.reply, group, &query, now_ms),
    }
    Ok(())
}

fn summary(reply: &mut Reply<'_>, group: &stream::Group) {
    reply.array(4);
    reply.len(group.pending_len());
    let Some((first, last)) = group.pending_edges() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply.bulk(first.text());
    reply.bulk(last.text());
    let busy = || group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0);
    reply.array(busy().count());
    for (_, consumer) in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending_len() as i64);
    }
}

fn list(reply: &mut Reply<'_>, group: &stream::Group, query: &Query<'_>, now_ms: i64) {
    let consumer = match query.consumer.map(|name| group.find_consumer(name)) {
        Some(None) => return reply.array(0),
        Some(Some(number)) => Some(group.consumer(number)),
        None => None,
    };
    let all: Box<dyn Iterator<Item = (StreamId, Pending)>> = match consumer {
        Some(consumer) => Box::new(
            consumer
                .pending_from(query.start)
                .map(|id| (id, group.pending(id).expect("both lists have the same entries"))),
        ),
        None => Box::new(group.pending_from(query.start)),
    };
    let idle_ms = |pending: &Pending| now_ms.saturating_sub(pending.delivered_ms);
    let found: Vec<(StreamId, Pending)> = all
        .take_while(|(id, _)| *id <= query.end)
        .filter(|(_, pending)| query.min_idle_ms == 0 || idle_ms(pending) >= query.min_idle_ms)
        .take(usize::try_from(query.limit).unwrap_or(usize::MAX))
        .collect();
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        reply.bulk(id.text());
        reply.bulk(group.consumer(pending.consumer).name());
        reply.int(idle_ms(&pending).max(0));
        reply.int(pending.deliveries as i64);
    }
}
