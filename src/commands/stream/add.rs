//! XADD, XTRIM and XSETID: what a stream holds, and where it stands.
//!
//! What was left to the server is logged as it was decided: the ID, and the exact threshold that approximate trimming
//! reached. Trimming that looks at groups' references (8.2) is logged as plain trimming, deletions and acknowledgements.

use super::{DELETE, Requests, SILENT, UPDATE, event, strict_id};
use crate::client::Kind;
use crate::command::{Acl, Flags, Group, KeySpec, Row};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::keyspace::events::Event;
use crate::types::Limits;
use crate::types::stream::{Deleted, GivenId, References, Released, Stream, StreamId, Threshold, Trim};
use smallvec::SmallVec;
use std::borrow::Cow;

pub const XADD: Row = Row::new("xadd", -5, Group::Stream, "5.0.0", xadd)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[
        KeySpec::one(1, UPDATE).notes("UPDATE instead of INSERT because of the optional trimming feature")
    ])
    .tips(&["nondeterministic_output"]);

const ADDED: Event = event("xadd");
const TRIMMED: Event = event("xtrim");

/// Approximate trimming goes through at most so many nodes, unless LIMIT says otherwise.
const TRIM_NODES: u64 = 100;
/// … and through so many entries, where that would be none or too many.
const TRIM_ENTRIES: u64 = 10_000;
const TRIM_ENTRIES_MAX: u64 = 1_000_000;

/// The options of XADD and XTRIM.
#[derive(Default)]
struct Options {
    threshold: Option<Threshold>,
    approximate: bool,
    limit: Option<u64>,
    references: References,
    no_mkstream: bool,
    /// The ID, unless it is `*`.
    given: Option<GivenId>,
    /// Where the options begin that say how to trim, where their threshold is, and the word about references.
    trim_at: usize,
    threshold_at: usize,
    references_at: Option<usize>,
    /// Where the ID is, or the end.
    end: usize,
}

impl Options {
    fn parse(call: &Call<'_, '_>, xadd: bool) -> Result<Options, Error> {
        let args = call.args;
        let mut options = Options::default();
        let (mut at, mut limit) = (2, None);
        while at < args.len() {
            let more = at + 1 < args.len();
            if xadd && args.at(at) == b"*" {
                break;
            } else if (args.is(at, "maxlen") || args.is(at, "minid")) && more {
                at = options.parse_threshold(args, at)?;
            } else if args.is(at, "limit") && more {
                limit = Some(args.int(at + 1)?);
                if limit < Some(0) {
                    return Err(error::TRIM_LIMIT);
                }
                at += 2;
            } else if xadd && args.is(at, "nomkstream") {
                options.no_mkstream = true;
                at += 1;
            } else if let Some(references) = references(args, at) {
                if options.references_at.replace(at).is_some() {
                    return Err(error::SYNTAX);
                }
                options.references = references;
                at += 1;
            } else if xadd {
                options.given = Some(GivenId::parse(args.at(at)).ok_or(error::INVALID_STREAM_ID)?);
                break;
            } else {
                return Err(error::SYNTAX);
            }
        }
        options.end = at;
        if limit.is_some_and(|limit| limit > 0) && options.threshold.is_none() {
            return Err(error::TRIM_LIMIT_ALONE);
        }
        if !xadd && options.threshold.is_none() {
            return Err(error::TRIM_NOTHING);
        }
        let from_master = call.client.kind == Kind::Master;
        options.limit = options.work_limit(limit, from_master, &call.server.limits())?;
        Ok(options)
    }

    /// MAXLEN or MINID at `at`; returns what is behind.
    fn parse_threshold(&mut self, args: Args<'_>, at: usize) -> Result<usize, Error> {
        if self.threshold.is_some() {
            return Err(error::TRIM_TWICE);
        }
        let mark = args.at(at + 1);
        let marked = at + 2 < args.len() && matches!(mark, b"~" | b"=");
        self.approximate = marked && mark == b"~";
        self.trim_at = at;
        self.threshold_at = at + 1 + usize::from(marked);
        self.threshold = Some(if args.is(at, "maxlen") {
            let len = args.int(self.threshold_at)?;
            Threshold::MaxLen(u64::try_from(len).map_err(|_| error::TRIM_MAXLEN)?)
        } else {
            Threshold::MinId(strict_id(args.at(self.threshold_at))?)
        });
        Ok(self.threshold_at + 1)
    }

    /// How many entries may go at most. What a master sends is exact already.
    fn work_limit(
        &self,
        given: Option<i64>,
        from_master: bool,
        limits: &Limits,
    ) -> Result<Option<u64>, Error> {
        match given {
            _ if from_master => Ok(None),
            Some(_) if !self.approximate => Err(error::TRIM_LIMIT_EXACT),
            Some(limit) => Ok((limit > 0).then_some(limit as u64)),
            None if !self.approximate => Ok(None),
            None => match TRIM_NODES.saturating_mul(limits.stream_node_max_entries as u64) {
                0 => Ok(Some(TRIM_ENTRIES)),
                limit => Ok(Some(limit.min(TRIM_ENTRIES_MAX))),
            },
        }
    }

    fn trim(&self) -> Option<Trim> {
        let Options { approximate, limit, references, .. } = *self;
        self.threshold.map(|to| Trim { to, approximate, limit, references })
    }
}

/// The word about references at `at`.
pub fn references(args: Args<'_>, at: usize) -> Option<References> {
    let words =
        [("keepref", References::Keep), ("delref", References::Delete), ("acked", References::Acknowledged)];
    words.into_iter().find(|(word, _)| args.is(at, word)).map(|(_, references)| references)
}

fn xadd(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let options = Options::parse(call, true)?;
    let given = call.args.len().saturating_sub(options.end + 1);
    if given < 2 || given % 2 == 1 {
        return Err(Error::arity("xadd"));
    }
    if options.given == Some(GivenId::Whole(StreamId::MIN)) {
        return Err(error::XADD_ZERO);
    }
    let (key, now_ms, limits) = (call.args.at(1), call.view.now_ms(), call.server.limits());
    let fields: SmallVec<[&[u8]; 16]> = call.args.from(options.end + 1).collect();
    let mut edit = if options.no_mkstream {
        match call.view.object_mut::<Stream>(key, ADDED)? {
            Some(edit) => edit,
            None => {
                call.reply.null();
                return Ok(());
            }
        }
    } else {
        call.view.object_or_new::<Stream>(key, ADDED)?
    };
    let id = next_id(&edit, options.given, now_ms)?;
    if !Stream::fits(fields.iter().map(|text| text.len()).sum()) {
        return Err(error::XADD_TOO_LARGE);
    }
    edit.change(|stream| {
        stream.add(id, &fields, &limits);
        true
    });
    let (_, deleted) =
        edit.change(|stream| (false, options.trim().map(|trim| stream.trim(trim)).unwrap_or_default()));
    let reached = reached(&edit, &options);
    drop(edit);
    call.reply.bulk(id.text());
    if deleted.entries > 0 {
        call.view.notify(TRIMMED, key);
    }
    let chosen = (!matches!(options.given, Some(GivenId::Whole(_)))).then_some(id);
    if chosen.is_some() || options.approximate || options.references_at.is_some() {
        log(call, &options, chosen, reached, deleted);
    }
    Ok(())
}

/// The ID of the entry to be added.
fn next_id(stream: &Stream, given: Option<GivenId>, now_ms: i64) -> Result<StreamId, Error> {
    let last = stream.marks().last_id;
    if last == StreamId::MAX {
        return Err(error::XADD_EXHAUSTED);
    }
    let id = match given {
        None => stream.next_id(now_ms),
        Some(GivenId::Milliseconds(ms)) => stream.next_id_at(ms),
        Some(GivenId::Whole(id)) => Some(id),
    };
    id.filter(|id| *id > last).ok_or(error::XADD_TOO_SMALL)
}

/// The exact threshold that a stream has been trimmed to.
fn reached(stream: &Stream, options: &Options) -> Option<Vec<u8>> {
    Some(match options.threshold? {
        Threshold::MaxLen(_) => super::digits(stream.len()),
        Threshold::MinId(_) => stream.first_stored_id().unwrap_or(StreamId::MAX).text().as_ref().to_vec(),
    })
}

/// Logs what XADD (with the ID, if it was left to the server) or XTRIM came to.
fn log(
    call: &mut Call<'_, '_>,
    options: &Options,
    id: Option<StreamId>,
    reached: Option<Vec<u8>>,
    deleted: Deleted,
) {
    if !call.is_logged() {
        return;
    }
    let key = call.args.at(1);
    let mut args: Vec<Cow<'_, [u8]>> = call.args.from(0).map(Cow::Borrowed).collect();
    if let Some(id) = id {
        args[options.end] = Cow::Owned(id.text().as_ref().to_vec());
    }
    if let Some(reached) = reached.filter(|_| options.approximate) {
        args[options.threshold_at - 1] = Cow::Borrowed(b"=");
        args[options.threshold_at] = Cow::Owned(reached);
    }
    let mut requests = Requests::default();
    let one_by_one = deleted.entries == deleted.ids.len() as u64;
    if options.references == References::Acknowledged && one_by_one {
        // Not the first ones went, if any: instead of the trimming there are deletions.
        drop_trimming(&mut args, options);
    } else if let Some(at) = options.references_at {
        args.remove(at);
    }
    let adds = options.end < call.args.len();
    if adds || deleted.ids.is_empty() {
        requests.push(&args.iter().map(|arg| &**arg).collect::<Vec<_>>());
    }
    log_deleted(&mut requests, key, &deleted.ids);
    log_released(&mut requests, key, &deleted.released);
    requests.log(call);
}

/// Takes all words about trimming out, those of LIMIT too.
fn drop_trimming(args: &mut Vec<Cow<'_, [u8]>>, options: &Options) {
    let limit = (2..options.end).find(|at| {
        args[*at].eq_ignore_ascii_case(b"limit") && !(options.trim_at..=options.threshold_at).contains(at)
    });
    let mut at = 0;
    args.retain(|_| {
        let here = at;
        at += 1;
        let of_limit = limit.is_some_and(|limit| here == limit || here == limit + 1);
        let of_trim = options.threshold.is_some() && (options.trim_at..=options.threshold_at).contains(&here);
        !of_limit && !of_trim && options.references_at != Some(here)
    });
}

/// Logs deletions as XDEL.
pub fn log_deleted(requests: &mut Requests, key: &[u8], ids: &[StreamId]) {
    if !ids.is_empty() {
        let texts: Vec<_> = ids.iter().map(|id| id.text()).collect();
        let mut args: Vec<&[u8]> = vec![b"XDEL", key];
        args.extend(texts.iter().map(AsRef::as_ref));
        requests.push(&args);
    }
}

/// Logs what is pending no more as XACK, a request per group.
pub fn log_released(requests: &mut Requests, key: &[u8], released: &[Released]) {
    let mut names: Vec<&[u8]> = released.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let ids = released.iter().filter(|(of, _)| **of == *name);
        let texts: Vec<_> = ids.map(|(_, id)| id.text()).collect();
        let mut args: Vec<&[u8]> = vec![b"XACK", key, name];
        args.extend(texts.iter().map(AsRef::as_ref));
        requests.push(&args);
    }
}

pub const XTRIM: Row = Row::new("xtrim", -4, Group::Stream, "5.0.0", xtrim)
    .flags(Flags::WRITE)
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, DELETE)])
    .tips(&["nondeterministic_output"]);

fn xtrim(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let options = Options::parse(call, false)?;
    let key = call.args.at(1);
    let Some(mut edit) = call.view.object_mut::<Stream>(key, TRIMMED)? else {
        call.reply.int(0);
        return Ok(());
    };
    let trim = options.trim().expect("XTRIM has a strategy");
    let (_, deleted) = edit.change(|stream| {
        let deleted = stream.trim(trim);
        (deleted.entries, deleted)
    });
    let reached = reached(&edit, &options);
    drop(edit);
    call.reply.int(deleted.entries as i64);
    if deleted.entries > 0 && (options.approximate || options.references_at.is_some()) {
        log(call, &options, None, reached, deleted);
    }
    Ok(())
}

pub const XSETID: Row = Row::new("xsetid", -3, Group::Stream, "5.0.0", xsetid)
    .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
    .categories(Acl::STREAM)
    .keys(&[KeySpec::one(1, UPDATE)]);

fn xsetid(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let id = strict_id(call.args.at(2))?;
    let (added, max_deleted) = xsetid_options(call.args, id)?;
    let key = call.args.at(1);
    let Some(mut edit) = call.view.object_mut::<Stream>(key, SILENT)? else {
        return Err(error::NO_SUCH_KEY);
    };
    let marks = edit.marks();
    if edit.last().is_some_and(|last| id < last.id) {
        return Err(error::XSETID_BELOW_TOP);
    }
    if marks.len > 0 && added.is_some_and(|added| added < marks.len) {
        return Err(error::XSETID_FEWER);
    }
    edit.change(|stream| {
        stream.set_last_id(id, added, max_deleted);
        false
    });
    drop(edit);
    call.view.count_change();
    call.view.notify(event("xsetid"), key);
    call.reply.ok();
    Ok(())
}

/// ENTRIESADDED and MAXDELETEDID; zero says nothing about the latter.
fn xsetid_options(args: Args<'_>, id: StreamId) -> Result<(Option<u64>, Option<StreamId>), Error> {
    let (mut at, mut added, mut max_deleted) = (3, None, None);
    while at < args.len() {
        if args.is(at, "entriesadded") && at + 1 < args.len() {
            added = Some(u64::try_from(args.int(at + 1)?).map_err(|_| error::XSETID_ADDED)?);
        } else if args.is(at, "maxdeletedid") && at + 1 < args.len() {
            let deleted = strict_id(args.at(at + 1))?;
            if id < deleted {
                return Err(error::XSETID_BELOW_GIVEN);
            }
            max_deleted = Some(deleted).filter(|deleted| *deleted != StreamId::MIN);
        } else {
            return Err(error::SYNTAX);
        }
        at += 2;
    }
    Ok((added, max_deleted))
}
