//! COMMAND DOCS: what people want to know about a command, from `docs.json`.
//!
//! The file has one line per command and only what a [`Row`](super::Row) does not know; it is parsed when somebody asks for the
//! first time. The order of fields is Redis's (observed: redis-server 7.0.15).

use super::Command;
use super::introspect::simple_set;
use crate::resp::Reply;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::OnceLock;

/// One command's documentation.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct Doc {
    summary: Option<String>,
    complexity: Option<String>,
    doc_flags: Vec<String>,
    deprecated_since: Option<String>,
    replaced_by: Option<String>,
    /// Versions and what they changed.
    history: Vec<(String, String)>,
    arguments: Vec<Argument>,
}

/// One argument, or a block or choice of arguments.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Argument {
    name: String,
    r#type: String,
    key_spec_index: Option<i64>,
    token: Option<String>,
    since: Option<String>,
    deprecated_since: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    arguments: Vec<Argument>,
}

/// A map's entries, counted and written alike.
type Entries<'a> = Vec<(&'static str, Entry<'a>)>;

enum Entry<'a> {
    Text(&'a str),
    Int(i64),
    Names(&'a [String]),
    History(&'a [(String, String)]),
    Arguments(&'a [Argument]),
    Subcommands(&'a [&'static Command]),
}

/// Writes a command's name and its documentation: one entry of COMMAND DOCS's map.
pub fn doc(reply: &mut Reply<'_>, command: &Command) {
    static NONE: OnceLock<Doc> = OnceLock::new();
    let doc = all().get(command.row.name).unwrap_or_else(|| NONE.get_or_init(Doc::default));
    reply.bulk(command.row.name);
    let mut entries = Entries::new();
    text(&mut entries, "summary", doc.summary.as_deref());
    text(&mut entries, "since", Some(command.row.since));
    text(&mut entries, "group", Some(command.row.group.name()));
    text(&mut entries, "complexity", doc.complexity.as_deref());
    list(&mut entries, "doc_flags", &doc.doc_flags, Entry::Names);
    text(&mut entries, "deprecated_since", doc.deprecated_since.as_deref());
    text(&mut entries, "replaced_by", doc.replaced_by.as_deref());
    list(&mut entries, "history", &doc.history, Entry::History);
    list(&mut entries, "arguments", &doc.arguments, Entry::Arguments);
    list(&mut entries, "subcommands", &command.subcommands, Entry::Subcommands);
    write(reply, &entries);
}

fn all() -> &'static HashMap<String, Doc> {
    static ALL: OnceLock<HashMap<String, Doc>> = OnceLock::new();
    ALL.get_or_init(|| {
        serde_json::from_str(include_str!("docs.json")).expect("docs.json is part of the program")
    })
}

fn argument(reply: &mut Reply<'_>, argument: &Argument) {
    let mut entries = Entries::new();
    text(&mut entries, "name", Some(&argument.name));
    text(&mut entries, "type", Some(&argument.r#type));
    entries.extend(argument.key_spec_index.map(|index| ("key_spec_index", Entry::Int(index))));
    text(&mut entries, "token", argument.token.as_deref());
    text(&mut entries, "since", argument.since.as_deref());
    text(&mut entries, "deprecated_since", argument.deprecated_since.as_deref());
    list(&mut entries, "flags", &argument.flags, Entry::Names);
    list(&mut entries, "arguments", &argument.arguments, Entry::Arguments);
    write(reply, &entries);
}

fn text<'a>(entries: &mut Entries<'a>, name: &'static str, value: Option<&'a str>) {
    entries.extend(value.map(|value| (name, Entry::Text(value))));
}

fn list<'a, T>(
    entries: &mut Entries<'a>,
    name: &'static str,
    items: &'a [T],
    entry: fn(&'a [T]) -> Entry<'a>,
) {
    if !items.is_empty() {
        entries.push((name, entry(items)));
    }
}

fn write(reply: &mut Reply<'_>, entries: &Entries<'_>) {
    reply.map(entries.len());
    for (name, entry) in entries {
        reply.bulk(name);
        match entry {
            Entry::Text(value) => reply.bulk(value),
            Entry::Int(value) => reply.int(*value),
            Entry::Names(names) => {
                simple_set(reply, &names.iter().map(String::as_str).collect::<Vec<_>>(), "");
            }
            Entry::History(changes) => {
                reply.set(changes.len());
                for (version, change) in *changes {
                    reply.array(2);
                    reply.bulk(version);
                    reply.bulk(change);
                }
            }
            Entry::Arguments(arguments) => {
                reply.array(arguments.len());
                arguments.iter().for_each(|one| argument(reply, one));
            }
            Entry::Subcommands(subcommands) => {
                reply.map(subcommands.len());
                subcommands.iter().for_each(|sub| doc(reply, sub));
            }
        }
    }
}
