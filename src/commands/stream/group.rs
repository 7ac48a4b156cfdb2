//! XGROUP: groups and consumers come and go.

use super::read::CONSUMER_CREATED;
use super::{DELETE, INSERT, SILENT, UPDATE, event, strict_id};
use crate::command::{Acl, Flags, Group, Handler, KeySpec, Row};
use crate::commands::container;
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::types::stream::{Stream, StreamId};

pub const XGROUP: Row = Row::new("xgroup", -2, Group::Stream, "5.0.0", container).subcommands(&[
    sub("xgroup|create", -5, "5.0.0", create, &[KeySpec::one(2, INSERT)]).flags(WRITE_DENYOOM),
    sub("xgroup|createconsumer", 5, "6.2.0", create_consumer, &[KeySpec::one(2, INSERT)])
        .flags(WRITE_DENYOOM),
    sub("xgroup|delconsumer", 5, "5.0.0", del_consumer, &[KeySpec::one(2, DELETE)]),
    sub("xgroup|destroy", 4, "5.0.0", destroy, &[KeySpec::one(2, DELETE)]),
    Row::new("xgroup|help", 2, Group::Stream, "5.0.0", help)
        .flags(Flags::LOADING.union(Flags::STALE))
        .categories(Acl::STREAM),
    sub("xgroup|setid", -5, "5.0.0", set_id, &[KeySpec::one(2, UPDATE)]),
]);

const WRITE_DENYOOM: Flags = Flags::WRITE.union(Flags::DENYOOM);

/// A row of a subcommand that changes the group of a stream.
const fn sub(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    keys: &'static [KeySpec],
) -> Row {
    Row::new(name, arity, Group::Stream, since, handler)
        .flags(Flags::WRITE)
        .categories(Acl::STREAM)
        .keys(keys)
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    const LINES: &[&str] = &[
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
    ];
    call.reply.help("xgroup", LINES);
    Ok(())
}

/// MKSTREAM, and ENTRIESREAD's number.
fn options(args: Args<'_>, create: bool) -> Result<(bool, Option<u64>), Error> {
    let (mut at, mut make, mut read) = (5, false, None);
    while at < args.len() {
        if create && args.is(at, "mkstream") {
            make = true;
            at += 1;
        } else if args.is(at, "entriesread") && at + 1 < args.len() {
            read = match args.int(at + 1)? {
                -1 => None,
                n => Some(u64::try_from(n).map_err(|_| error::XGROUP_ENTRIES_READ)?),
            };
            at += 2;
        } else {
            return Err(Error::subcommand_syntax("XGROUP", args.at(1)));
        }
    }
    Ok((make, read))
}

fn create(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let (make, read) = options(args, true)?;
    let (key, name) = (args.at(2), args.at(3));
    let created = event("xgroup-create");
    let mut edit = call.view.object_or_new::<Stream>(key, created)?;
    if edit.is_new() && !make {
        return Err(error::XGROUP_NO_KEY);
    }
    if args.len() > 8 {
        return Err(Error::subcommand_syntax("XGROUP", args.at(1)));
    }
    let id = match args.at(4) {
        b"$" => edit.marks().last_id,
        text => strict_id(text)?,
    };
    let is_new = edit.is_new();
    let (_, free) = edit.change(|stream| {
        let free = stream.create_group(name, id, read);
        (free && is_new, free)
    });
    if !free {
        return Err(error::BUSY_GROUP);
    }
    drop(edit);
    if !is_new {
        call.view.count_change();
        call.view.notify(created, key);
    }
    call.reply.ok();
    Ok(())
}

/// The stream and group that a subcommand is about, for a change that nobody hears of by itself.
macro_rules! existing_group {
    ($call:ident, $key:ident, $name:ident) => {{
        let edit = $call.view.object_mut::<Stream>($key, SILENT)?.ok_or(error::XGROUP_NO_KEY)?;
        if edit.group($name).is_none() {
            return Err(Error::no_group_of_key($name, $key));
        }
        edit
    }};
}

fn set_id(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let (_, read) = options(args, false)?;
    let (key, name) = (args.at(2), args.at(3));
    let mut edit = existing_group!(call, key, name);
    if args.len() > 7 {
        return Err(Error::subcommand_syntax("XGROUP", args.at(1)));
    }
    let id = match args.at(4) {
        b"$" => edit.marks().last_id,
        text => StreamId::parse_bound(text, 0).ok_or(error::INVALID_STREAM_ID)?,
    };
    edit.change(|stream| {
        let group = stream.group_mut(name).expect("it was just seen");
        (group.last_id, group.entries_read) = (id, read);
        false
    });
    drop(edit);
    call.view.count_change();
    call.view.notify(event("xgroup-setid"), key);
    call.reply.ok();
    Ok(())
}

fn destroy(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name) = (call.args.at(2), call.args.at(3));
    let edit = call.view.object_mut::<Stream>(key, SILENT)?;
    let mut edit = edit.ok_or(error::XGROUP_NO_KEY)?;
    let (_, destroyed) = edit.change(|stream| (false, stream.remove_group(name)));
    drop(edit);
    if destroyed {
        call.view.count_change();
        call.view.notify(event("xgroup-destroy"), key);
        // Who waits for the group's entries must hear of it.
        call.view.wake(key);
    }
    call.reply.int(i64::from(destroyed));
    Ok(())
}

fn create_consumer(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name, consumer) = (call.args.at(2), call.args.at(3), call.args.at(4));
    let now_ms = call.view.now_ms();
    let mut edit = existing_group!(call, key, name);
    let (_, created) = edit.change(|stream| {
        let group = stream.group_mut(name).expect("it was just seen");
        let free = group.find_consumer(consumer).is_none();
        if free {
            group.add_consumer(consumer, now_ms);
        }
        (false, free)
    });
    drop(edit);
    if created {
        call.view.count_change();
        call.view.notify(CONSUMER_CREATED, key);
    }
    call.reply.int(i64::from(created));
    Ok(())
}

fn del_consumer(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (key, name, consumer) = (call.args.at(2), call.args.at(3), call.args.at(4));
    let mut edit = existing_group!(call, key, name);
    let (_, pending) = edit.change(|stream| {
        let group = stream.group_mut(name).expect("it was just seen");
        (false, group.remove_consumer(consumer))
    });
    drop(edit);
    if pending.is_some() {
        call.view.count_change();
        call.view.notify(event("xgroup-delconsumer"), key);
    }
    call.reply.len(pending.unwrap_or(0));
    Ok(())
}
