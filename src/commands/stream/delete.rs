//! XDEL, and XDELEX and XACKDEL, which look at groups' references as well (8.2; by their documentation).
//!
//! The two new ones are logged as XACK and XDEL, which every version knows.

use super::add::{log_deleted, log_released, references};
use super::{DELETE, Requests, event, strict_id};
use crate::command::{Acl, Flags, Group, KeyFlags, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events::Event;
use crate::types::stream::{References, Released, Stream, StreamId};

const DELETED: Event = event("xdel");

/// What XDELEX and XACKDEL say about an ID.
const UNKNOWN: i64 = -1;
const GONE: i64 = 1;
const REFERENCED: i64 = 2;

pub const XDEL: Row = Row::new("xdel", -3, Group::Stream, "5.0.0", xdel)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, DELETE)]);

fn xdel(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let Some(mut edit) = call.view.object_mut::<Stream>(call.args.at(1), DELETED)? else {
        call.reply.int(0);
        return Ok(());
    };
    let ids = call.args.from(2).map(strict_id).collect::<Result<Vec<_>, _>>()?;
    let deleted = edit.change(|stream| ids.iter().filter(|id| stream.delete(**id)).count());
    drop(edit);
    call.reply.len(deleted);
    Ok(())
}

pub const XDELEX: Row = Row::new("xdelex", -5, Group::Stream, "8.2.0", xdelex)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, DELETE)]);

fn xdelex(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (policy, ids) = parse(call.args, 2)?;
    let key = call.args.at(1);
    let Some(mut edit) = call.view.object_mut::<Stream>(key, DELETED)? else {
        return reply(call, &vec![UNKNOWN; ids.len()]);
    };
    let mut done = Done::default();
    let results: Vec<i64> = ids
        .iter()
        .map(|id| {
            let found = edit.get(*id).is_some();
            if found && policy == References::Acknowledged && !edit.is_acknowledged(*id) {
                return REFERENCED;
            }
            done.delete(&mut edit, *id, policy);
            if found { GONE } else { UNKNOWN }
        })
        .collect();
    drop(edit);
    done.log(call, Vec::new());
    reply(call, &results)
}

pub const XACKDEL: Row = Row::new("xackdel", -6, Group::Stream, "8.2.0", xackdel)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, DELETE.union(KeyFlags::UPDATE))]);

fn xackdel(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (policy, ids) = parse(call.args, 3)?;
    let (key, name) = (call.args.at(1), call.args.at(2));
    let edit = call.view.object_mut::<Stream>(key, DELETED)?;
    let Some(mut edit) = edit.filter(|stream| stream.group(name).is_some()) else {
        return reply(call, &vec![UNKNOWN; ids.len()]);
    };
    let (mut done, mut acknowledged) = (Done::default(), Vec::new());
    let results: Vec<i64> = ids
        .iter()
        .map(|id| {
            let (_, was_pending) = edit.change(|stream| {
                let group = stream.group_mut(name).expect("it was just seen");
                (false, group.acknowledge(*id))
            });
            if !was_pending {
                if policy == References::Delete && edit.get(*id).is_none() {
                    // Other groups' references to what is not there go all the same.
                    done.delete(&mut edit, *id, policy);
                }
                return UNKNOWN;
            }
            acknowledged.push((name.into(), *id));
            if policy == References::Acknowledged && !edit.is_acknowledged(*id) {
                return REFERENCED;
            }
            done.delete(&mut edit, *id, policy);
            GONE
        })
        .collect();
    drop(edit);
    done.log(call, acknowledged);
    reply(call, &results)
}

fn reply(call: &mut Call<'_, '_>, results: &[i64]) -> Result<(), Error> {
    call.reply.array(results.len());
    results.iter().for_each(|result| call.reply.int(*result));
    Ok(())
}

/// What was done to a stream, for the log.
#[derive(Default)]
struct Done {
    ids: Vec<StreamId>,
    released: Vec<Released>,
}

impl Done {
    /// Deletes an entry if it is there, and groups' references if that is asked for.
    fn delete(&mut self, edit: &mut crate::keyspace::Edit<'_, '_, Stream>, id: StreamId, policy: References) {
        if edit.change(|stream| stream.delete(id)) {
            self.ids.push(id);
        }
        if policy == References::Delete {
            let (_, released) = edit.change(|stream| (false, stream.release(id)));
            self.released.extend(released);
        }
    }

    fn log(mut self, call: &mut Call<'_, '_>, acknowledged: Vec<Released>) {
        let key = call.args.at(1);
        self.released.extend(acknowledged);
        if !self.released.is_empty() {
            call.view.count_change();
        }
        let mut requests = Requests::default();
        log_released(&mut requests, key, &self.released);
        log_deleted(&mut requests, key, &self.ids);
        requests.log(call);
    }
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id …` from `at` on, in any order.
fn parse(args: Args<'_>, mut at: usize) -> Result<(References, Vec<StreamId>), Error> {
    let (mut policy, mut ids) = (None, None);
    while at < args.len() {
        if let Some(given) = references(args, at) {
            if policy.replace(given).is_some() {
                return Err(error::SYNTAX);
            }
            at += 1;
        } else if args.is(at, "ids") && at + 1 < args.len() && ids.is_none() {
            let count = args.int(at + 1).ok().and_then(|count| usize::try_from(count).ok());
            let count = count.filter(|count| *count > 0).ok_or(error::IDS_NOT_POSITIVE)?;
            let from = at + 2;
            if count > args.len() - from {
                return Err(error::IDS_MISMATCH);
            }
            ids = Some(args.from(from).take(count).map(strict_id).collect::<Result<Vec<_>, _>>()?);
            at = from + count;
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok((policy.unwrap_or_default(), ids.ok_or(error::SYNTAX)?))
}
