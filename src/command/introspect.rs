//! COMMAND INFO's view of a row, and the keys of a request as COMMAND GETKEYS tells them.
//!
//! Everything here is derived from [`Row`]; nothing is stored. The names' order is Redis's, so that replies are equal
//! byte for byte (observed: redis-server 7.0.15). In RESP3 flags, categories, tips and specs are sets.

use super::keys::legacy_range;
use super::{Acl, Begin, Command, Find, Flags, FoundKeys, KeyFlags, KeySpec, Row};
use crate::executor::Args;
use crate::resp::Reply;

/// The flags that are shown, in Redis's order. `movablekeys` is derived.
pub const FLAG_NAMES: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::ASKING, "asking"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLEKEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

/// The ACL categories, in Redis's order.
pub const ACL_NAMES: &[(Acl, &str)] = &[
    (Acl::KEYSPACE, "keyspace"),
    (Acl::READ, "read"),
    (Acl::WRITE, "write"),
    (Acl::SET, "set"),
    (Acl::SORTEDSET, "sortedset"),
    (Acl::LIST, "list"),
    (Acl::HASH, "hash"),
    (Acl::STRING, "string"),
    (Acl::BITMAP, "bitmap"),
    (Acl::HYPERLOGLOG, "hyperloglog"),
    (Acl::GEO, "geo"),
    (Acl::STREAM, "stream"),
    (Acl::PUBSUB, "pubsub"),
    (Acl::ADMIN, "admin"),
    (Acl::FAST, "fast"),
    (Acl::SLOW, "slow"),
    (Acl::BLOCKING, "blocking"),
    (Acl::DANGEROUS, "dangerous"),
    (Acl::CONNECTION, "connection"),
    (Acl::TRANSACTION, "transaction"),
    (Acl::SCRIPTING, "scripting"),
];

/// What is done to a key, in Redis's order.
const KEY_FLAG_NAMES: &[(KeyFlags, &str)] = &[
    (KeyFlags::RO, "RO"),
    (KeyFlags::RW, "RW"),
    (KeyFlags::OW, "OW"),
    (KeyFlags::RM, "RM"),
    (KeyFlags::ACCESS, "access"),
    (KeyFlags::UPDATE, "update"),
    (KeyFlags::INSERT, "insert"),
    (KeyFlags::DELETE, "delete"),
    (KeyFlags::NOT_KEY, "not_key"),
    (KeyFlags::INCOMPLETE, "incomplete"),
    (KeyFlags::VARIABLE_FLAGS, "variable_flags"),
];

/// The names of the flags that COMMAND INFO shows.
pub fn flag_names(row: &Row) -> Vec<&'static str> {
    let (_, movable) = legacy_range(row.keys);
    let mut flags = row.flags;
    flags.set(Flags::MOVABLEKEYS, movable);
    FLAG_NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect()
}

/// The names of the categories, without `@`.
pub fn acl_names(acl: Acl) -> Vec<&'static str> {
    ACL_NAMES.iter().filter(|(category, _)| acl.contains(*category)).map(|(_, name)| *name).collect()
}

/// The category of a name, in any case and without `@`.
pub fn acl_category(name: &[u8]) -> Option<Acl> {
    ACL_NAMES.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(acl, _)| *acl)
}

/// The names of what is done to a key.
pub fn key_flag_names(flags: KeyFlags) -> Vec<&'static str> {
    KEY_FLAG_NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect()
}

/// Writes one command's entry of COMMAND INFO.
pub fn info(reply: &mut Reply<'_>, command: &Command) {
    let row = command.row;
    let (range, _) = legacy_range(row.keys);
    reply.array(10);
    reply.bulk(row.name);
    reply.int(row.arity.into());
    simple_set(reply, &flag_names(row), "");
    [range.first, range.last, range.step].into_iter().for_each(|n| reply.int(n));
    simple_set(reply, &acl_names(row.acl()), "@");
    reply.set(row.tips.len());
    row.tips.iter().for_each(|tip| reply.bulk(tip));
    reply.set(row.keys.len());
    row.keys.iter().for_each(|spec| key_spec(reply, spec));
    if command.subcommands.is_empty() {
        return reply.set(0);
    }
    reply.array(command.subcommands.len());
    command.subcommands.iter().for_each(|sub| info(reply, sub));
}

/// Writes names as a set of simple strings, each after `prefix`.
pub fn simple_set(reply: &mut Reply<'_>, names: &[&str], prefix: &str) {
    reply.set(names.len());
    names.iter().for_each(|name| reply.simple(&format!("{prefix}{name}")));
}

fn key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        reply.bulk("notes");
        reply.bulk(notes);
    }
    reply.bulk("flags");
    simple_set(reply, &key_flag_names(spec.flags), "");
    reply.bulk("begin_search");
    match spec.begin {
        Begin::Index(index) => kind(reply, "index", &[("index", index as i64)]),
        Begin::Keyword { word, from } => {
            kind_head(reply, "keyword", 2);
            reply.bulk("keyword");
            reply.bulk(word);
            reply.bulk("startfrom");
            reply.int(from.into());
        }
        Begin::Unknown => kind(reply, "unknown", &[]),
    }
    reply.bulk("find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            let fields = [("lastkey", last.into()), ("keystep", step as i64), ("limit", limit.into())];
            kind(reply, "range", &fields);
        }
        Find::KeyNum { index, first, step } => {
            let fields = [("keynumidx", index as i64), ("firstkey", first as i64), ("keystep", step as i64)];
            kind(reply, "keynum", &fields);
        }
        Find::Unknown => kind(reply, "unknown", &[]),
    }
}

fn kind_head(reply: &mut Reply<'_>, name: &str, fields: usize) {
    reply.map(2);
    reply.bulk("type");
    reply.bulk(name);
    reply.bulk("spec");
    reply.map(fields);
}

fn kind(reply: &mut Reply<'_>, name: &str, fields: &[(&str, i64)]) {
    kind_head(reply, name, fields.len());
    for (field, value) in fields {
        reply.bulk(field);
        reply.int(*value);
    }
}

/// Can this command have keys at all? Channels are none.
pub fn has_keys(row: &Row) -> bool {
    row.key_finder.is_some() || row.keys.iter().any(|spec| !spec.flags.contains(KeyFlags::NOT_KEY))
}

/// The keys of a request whose arity is right; none if its arguments contradict the specs.
pub fn find_keys(row: &Row, args: Args<'_>) -> FoundKeys {
    if let Some(finder) = row.key_finder {
        return finder(args);
    }
    let mut found = FoundKeys::new();
    for spec in row.keys {
        let Some(positions) = spec.positions(args.len(), |at| args.at(at)) else { return FoundKeys::new() };
        found.extend(positions.into_iter().map(|at| (at, spec.flags)));
    }
    found
}
