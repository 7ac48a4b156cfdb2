//! The rows held against the checked-in facts: `tests/data/commands.json`, one line per command of Redis 7.2.
//!
//! A row that does not agree fails with its name, the field, what is expected and what stands there. Commands that are
//! missing are not demanded here.

use super::introspect::{acl_names, flag_names, key_flag_names};
use super::keys::{LegacyRange, legacy_range};
use super::{Begin, Find, KeyFlags, KeySpec, Row, table};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Commands that came after 7.2, with the version that their documentation names.
const NEWER: &[(&str, &str)] = &[
    ("hexpire", "7.4.0"),
    ("hpexpire", "7.4.0"),
    ("hexpireat", "7.4.0"),
    ("hpexpireat", "7.4.0"),
    ("httl", "7.4.0"),
    ("hpttl", "7.4.0"),
    ("hexpiretime", "7.4.0"),
    ("hpexpiretime", "7.4.0"),
    ("hpersist", "7.4.0"),
    ("hgetdel", "8.0.0"),
    ("hgetex", "8.0.0"),
    ("hsetex", "8.0.0"),
    ("xackdel", "8.2.0"),
    ("xdelex", "8.2.0"),
    ("delex", "8.4.0"),
    ("digest", "8.4.0"),
    ("msetex", "8.4.0"),
];

fn facts() -> Map<String, Value> {
    serde_json::from_str(include_str!("../../tests/data/commands.json")).expect("the facts are JSON")
}

/// A list without its order, which the facts do not keep.
fn names(list: &Value) -> BTreeSet<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|name| name.as_str().expect("a name").to_string()).collect()
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    json!(names.into_iter().collect::<BTreeSet<_>>())
}

fn spec_as_fact(spec: &KeySpec) -> Value {
    let begin = match spec.begin {
        Begin::Index(index) => json!({"index": {"index": index}}),
        Begin::Keyword { word, from } => json!({"keyword": {"keyword": word, "startfrom": from}}),
        Begin::Unknown => json!({"unknown": {}}),
    };
    let find = match spec.find {
        Find::Range { last, step, limit } => {
            json!({"range": {"lastkey": last, "keystep": step, "limit": limit}})
        }
        Find::KeyNum { index, first, step } => {
            json!({"keynum": {"keynumidx": index, "firstkey": first, "keystep": step}})
        }
        Find::Unknown => json!({"unknown": {}}),
    };
    let mut fact = json!({"begin": begin, "find": find, "flags": sorted(key_flag_names(spec.flags))});
    if let Some(notes) = spec.notes {
        fact["notes"] = json!(notes);
    }
    fact
}

/// Where a row and its fact differ, as sentences.
fn differences(row: &Row, fact: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |field: &str, expected: Value, got: Value| {
        if expected != got {
            found.push(format!("{}: {field}: expected {expected}, got {got}", row.name));
        }
    };
    let list = |field: &str| fact.get(field).cloned().unwrap_or_else(|| json!([]));
    same("arity", fact["arity"].clone(), json!(row.arity));
    same("group", fact["group"].clone(), json!(row.group.name()));
    same("since", fact["since"].clone(), json!(row.since));
    same("flags", json!(names(&fact["flags"])), sorted(flag_names(row)));
    same("acl", json!(names(&fact["acl"])), sorted(acl_names(row.acl())));
    same("tips", list("tips"), json!(row.tips));
    let mut keys = list("keys");
    for key in keys.as_array_mut().expect("a list") {
        key["flags"] = json!(names(&key["flags"]));
    }
    same("keys", keys, json!(row.keys.iter().map(spec_as_fact).collect::<Vec<_>>()));
    let (range, _) = legacy_range(row.keys);
    same("range", range_of(fact), json!([range.first, range.last, range.step]));
    found
}

fn range_of(fact: &Value) -> Value {
    fact.get("range").cloned().unwrap_or_else(|| json!([0, 0, 0]))
}

#[test]
fn rows_agree_with_the_facts() {
    let facts = facts();
    let mut wrong = Vec::new();
    for command in table().all() {
        let name = command.row.name;
        match facts.get(name) {
            Some(fact) => wrong.extend(differences(command.row, fact)),
            None if NEWER.contains(&(name, command.row.since)) => {}
            None => {
                wrong.push(format!("{name}: not a command of Redis 7.2; list it in NEWER with its version"))
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn names_are_unique_and_within_their_container() {
    let mut seen = BTreeSet::new();
    for command in table().all() {
        assert!(seen.insert(command.row.name), "{} stands in two families", command.row.name);
        for sub in &command.subcommands {
            assert!(sub.row.name.starts_with(&format!("{}|", command.row.name)), "{}", sub.row.name);
        }
    }
}

#[test]
fn specs_that_tell_too_little_have_a_key_finder() {
    for row in table().all().map(|command| command.row) {
        let vague = KeyFlags::VARIABLE_FLAGS | KeyFlags::INCOMPLETE;
        let needed = row
            .keys
            .iter()
            .any(|spec| spec.flags.intersects(vague) || (spec.begin == Begin::Unknown && row.is_write()));
        assert!(!needed || row.key_finder.is_some(), "{}: key_finder(finders::…) is missing", row.name);
    }
}

/// A key spec made from its fact.
fn spec_of(fact: &Value) -> KeySpec {
    let number = |value: &Value| value.as_i64().expect("a number");
    let size = |value: &Value| usize::try_from(number(value)).expect("not negative");
    let begin = match fact["begin"].get("index") {
        Some(spec) => Begin::Index(size(&spec["index"])),
        None => Begin::Unknown,
    };
    let find = match fact["find"].get("range") {
        Some(spec) => {
            Find::Range { last: number(&spec["lastkey"]) as i32, step: size(&spec["keystep"]), limit: 0 }
        }
        None => Find::Unknown,
    };
    let mut flags = KeyFlags::empty();
    flags.set(KeyFlags::INCOMPLETE, names(&fact["flags"]).contains("incomplete"));
    KeySpec { flags, begin, find, notes: None }
}

#[test]
fn the_legacy_range_follows_from_the_specs_of_every_command() {
    for (name, fact) in facts() {
        let specs: Vec<_> = fact["keys"].as_array().into_iter().flatten().map(spec_of).collect();
        let (LegacyRange { first, last, step }, movable) = legacy_range(&specs);
        assert_eq!(json!([first, last, step]), range_of(&fact), "{name}");
        assert_eq!(movable, names(&fact["flags"]).contains("movablekeys"), "{name}");
    }
}
