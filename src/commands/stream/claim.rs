//! XCLAIM and XAUTOCLAIM: pending entries change hands.
//!
//! An entry that is pending but no longer there is dropped from the list when it is met. Each entry that changes is logged as an
//! XCLAIM that says all about it, so a replica comes to the same, a dropped one included: it is not there on either side.

use super::read::{CONSUMER_CREATED, consumer};
use super::{DELETE, Requests, SILENT, UPDATE, interval_start, reply_entry, strict_id};
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::Edit;
use crate::resp::{Out, Reply};
use crate::types::stream::{ConsumerNumber, Pending, Stream, StreamId};

pub const XCLAIM: Row = Row::new("xclaim", -6, Group::Stream, "5.0.0", xclaim)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, UPDATE)])
    .tips(&["nondeterministic_output"]);

pub const XAUTOCLAIM: Row = Row::new("xautoclaim", -6, Group::Stream, "6.2.0", xautoclaim)
    .flags(Flags::WRITE.union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, DELETE)])
    .tips(&["nondeterministic_output"]);

/// How entries are claimed.
#[derive(Clone, Copy)]
struct Claim {
    now_ms: i64,
    min_idle_ms: i64,
    delivered_ms: i64,
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
}

/// A group of the stream that is being edited, and who claims.
struct Claimant<'e, 'v, 'k> {
    edit: &'e mut Edit<'v, 'k, Stream>,
    key: &'e [u8],
    group: &'e [u8],
    consumer: ConsumerNumber,
    requests: Requests,
    changes: usize,
}

/// What became of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Claimed,
    /// It was pending but is not in the stream any more: neither is it pending now.
    Dropped,
    Left,
}

impl Claimant<'_, '_, '_> {
    /// Claims an entry. `text`: its ID as it is logged.
    fn claim(&mut self, (id, text): (StreamId, &[u8]), claim: &Claim, reply: &mut Reply<'_>) -> Outcome {
        let group = self.edit.group(self.group).expect("the group was found before");
        let pending = group.pending(id);
        let entry = self.edit.get(id);
        let Some(entry) = entry else {
            return match pending {
                Some(pending) => self.drop_pending((id, text), pending),
                None => Outcome::Left,
            };
        };
        let old = match pending {
            Some(pending) => {
                let idle_ms = claim.now_ms.saturating_sub(pending.delivered_ms);
                if claim.min_idle_ms > 0 && idle_ms < claim.min_idle_ms {
                    return Outcome::Left;
                }
                pending
            }
            None if claim.force => Pending { consumer: self.consumer, delivered_ms: 0, deliveries: 1 },
            None => return Outcome::Left,
        };
        let deliveries = match claim.retry_count {
            Some(count) => count,
            None => old.deliveries.wrapping_add(u64::from(!claim.just_id)),
        };
        if claim.just_id {
            reply.bulk(id.text())
        } else {
            reply_entry(reply, &entry)
        }
        self.give(
            (id, text),
            Pending { consumer: self.consumer, delivered_ms: claim.delivered_ms, deliveries },
            claim,
        );
        Outcome::Claimed
    }

    fn give(&mut self, (id, text): (StreamId, &[u8]), pending: Pending, claim: &Claim) {
        let (key, name, requests) = (self.key, self.group, &mut self.requests);
        self.edit.change(|stream| {
            let group = stream.group_mut(name).expect("the group was found before");
            group.set_pending(id, pending);
            group.consumer_mut(pending.consumer).active_ms = Some(claim.now_ms);
            requests.claim((key, name), group, text, pending);
            false
        });
        self.changes += 1;
    }

    fn drop_pending(&mut self, (id, text): (StreamId, &[u8]), pending: Pending) -> Outcome {
        let (key, name, requests) = (self.key, self.group, &mut self.requests);
        self.edit.change(|stream| {
            let group = stream.group_mut(name).expect("the group was found before");
            requests.claim((key, name), group, text, pending);
            group.acknowledge(id);
            false
        });
        self.changes += 1;
        Outcome::Dropped
    }
}

/// A number with an error of its own.
fn int_or(args: Args<'_>, at: usize, error: Error) -> Result<i64, Error> {
    args.int(at).map_err(|_| error)
}

fn xclaim(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, now_ms) = (call.args, call.view.now_ms());
    let (key, name) = (args.at(1), args.at(2));
    let edit = call.view.object_read_mut::<Stream>(key, SILENT)?;
    let edit = edit.filter(|stream| stream.group(name).is_some());
    let mut edit = edit.ok_or_else(|| Error::no_group(key, name, ""))?;
    let min_idle_ms = int_or(args, 4, error::XCLAIM_MIN_IDLE)?.max(0);
    let ids: Vec<StreamId> = args.from(5).map_while(|text| StreamId::parse(text, 0)).collect();
    let (claim, last_id) = claim_options(args, 5 + ids.len(), min_idle_ms, now_ms)?;
    let (_, mut moved) = edit.change(|stream| {
        let group = stream.group_mut(name).expect("it was just seen");
        let moved = last_id > group.last_id;
        group.last_id = group.last_id.max(last_id);
        (false, moved)
    });
    let (consumer, created) = consumer(&mut edit, name, args.at(3), now_ms);
    let mut claimant =
        Claimant { edit: &mut edit, key, group: name, consumer, requests: Requests::default(), changes: 0 };
    let mut parts = Out::default();
    let mut claimed = 0;
    for (id, text) in ids.into_iter().zip(args.from(5)) {
        let mut reply = Reply::new(&mut parts, call.reply.proto);
        match claimant.claim((id, text), &claim, &mut reply) {
            Outcome::Claimed => claimed += 1,
            Outcome::Dropped => {}
            Outcome::Left => continue,
        }
        // The request says it.
        moved = false;
    }
    let Claimant { mut requests, changes, .. } = claimant;
    if moved {
        requests.progress((key, name), edit.group(name).expect("it was just seen"));
    }
    drop(edit);
    finish(call, requests, created, changes + usize::from(moved));
    call.reply.array(claimed);
    parts.append_to(call.reply.out());
    Ok(())
}

/// XCLAIM's options from `at` on, and LASTID.
fn claim_options(
    args: Args<'_>,
    mut at: usize,
    min_idle_ms: i64,
    now_ms: i64,
) -> Result<(Claim, StreamId), Error> {
    let mut claim =
        Claim { now_ms, min_idle_ms, delivered_ms: -1, retry_count: None, force: false, just_id: false };
    let mut last_id = StreamId::MIN;
    while at < args.len() {
        let more = at + 1 < args.len();
        let mut taken = 2;
        if args.is(at, "force") {
            (claim.force, taken) = (true, 1);
        } else if args.is(at, "justid") {
            (claim.just_id, taken) = (true, 1);
        } else if args.is(at, "idle") && more {
            claim.delivered_ms = now_ms.wrapping_sub(int_or(args, at + 1, error::XCLAIM_IDLE)?);
        } else if args.is(at, "time") && more {
            claim.delivered_ms = int_or(args, at + 1, error::XCLAIM_TIME)?;
        } else if args.is(at, "retrycount") && more {
            claim.retry_count = u64::try_from(int_or(args, at + 1, error::XCLAIM_RETRY_COUNT)?).ok();
        } else if args.is(at, "lastid") && more {
            last_id = strict_id(args.at(at + 1))?;
        } else {
            return Err(Error::quoting("Unrecognized XCLAIM option '", args.at(at), "'"));
        }
        at += taken;
    }
    if !(0..=now_ms).contains(&claim.delivered_ms) {
        // Not given, or nonsense: another clock's idea of the time.
        claim.delivered_ms = now_ms;
    }
    Ok((claim, last_id))
}

/// Logs and counts what was done.
fn finish(call: &mut Call<'_, '_>, mut requests: Requests, created: bool, changes: usize) {
    let args = call.args;
    if created {
        call.view.notify(CONSUMER_CREATED, args.at(1));
        if !requests.claims_for(args.at(3)) {
            requests.create_consumer((args.at(1), args.at(2)), args.at(3));
        }
    }
    (0..changes + usize::from(created)).for_each(|_| call.view.count_change());
    requests.log(call);
}

/// XAUTOCLAIM looks at so many entries for each that it may claim.
const ATTEMPTS: i64 = 10;
const COUNT_DEFAULT: i64 = 100;
/// Redis's limit of COUNT: the size of an ID must not overflow.
const COUNT_MAX: i64 = i64::MAX / 16;

fn xautoclaim(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, now_ms) = (call.args, call.view.now_ms());
    let (key, name) = (args.at(1), args.at(2));
    let min_idle_ms = int_or(args, 4, error::XAUTOCLAIM_MIN_IDLE)?.max(0);
    let start = interval_start(args.at(5))?;
    let (count, just_id) = autoclaim_options(args)?;
    let edit = call.view.object_read_mut::<Stream>(key, SILENT)?;
    let edit = edit.filter(|stream| stream.group(name).is_some());
    let mut edit = edit.ok_or_else(|| Error::no_group(key, name, ""))?;
    let (consumer, created) = consumer(&mut edit, name, args.at(3), now_ms);
    let attempts = usize::try_from(count.saturating_mul(ATTEMPTS)).unwrap_or(usize::MAX);
    let group = edit.group(name).expect("it was just seen");
    // What is claimed or dropped on the way does not change what lies ahead.
    let ahead = group.clone();
    let mut ahead = ahead.pending_from(start);
    let claim = Claim { now_ms, min_idle_ms, delivered_ms: now_ms, retry_count: None, force: false, just_id };
    let mut claimant =
        Claimant { edit: &mut edit, key, group: name, consumer, requests: Requests::default(), changes: 0 };
    let mut parts = Out::default();
    let (mut claimed, mut dropped) = (0, Vec::new());
    for (id, _) in ahead.by_ref().take(attempts) {
        let mut reply = Reply::new(&mut parts, call.reply.proto);
        match claimant.claim((id, id.text().as_ref()), &claim, &mut reply) {
            Outcome::Claimed => claimed += 1,
            Outcome::Dropped => dropped.push(id),
            Outcome::Left => {}
        }
        if claimed + dropped.len() as i64 == count {
            break;
        }
    }
    let next = ahead.next().map_or(StreamId::MIN, |(id, _)| id);
    let Claimant { requests, changes, .. } = claimant;
    drop(edit);
    finish(call, requests, created, changes);
    call.reply.array(3);
    call.reply.bulk(next.text());
    call.reply.array(claimed as usize);
    parts.append_to(call.reply.out());
    call.reply.array(dropped.len());
    dropped.iter().for_each(|id| call.reply.bulk(id.text()));
    Ok(())
}

/// COUNT and JUSTID.
fn autoclaim_options(args: Args<'_>) -> Result<(i64, bool), Error> {
    let (mut at, mut count, mut just_id) = (6, COUNT_DEFAULT, false);
    while at < args.len() {
        if args.is(at, "count") && at + 1 < args.len() {
            let given = int_or(args, at + 1, error::COUNT_BELOW_ONE)?;
            count = Some(given).filter(|n| (1..=COUNT_MAX).contains(n)).ok_or(error::COUNT_BELOW_ONE)?;
            at += 2;
        } else if args.is(at, "justid") {
            just_id = true;
            at += 1;
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok((count, just_id))
}
