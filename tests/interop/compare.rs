//! What "the same data" and "the same offset" mean, read through ordinary commands.
//!
//! Two nodes agree when their offsets, their DEBUG DIGESTs and, for each key of each database, TYPE, value and
//! PEXPIRETIME are equal. The digest alone would do for most faults, but it hides times to live and groups of streams, and
//! shows nothing about where the difference is.

use super::topology::{Node, Topology, eventually_ok, eventually_some};
use crate::support::client::{Client, Value, encode_command};
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys asked for in one write: bounded, so that 1 MB values do not fill both sides' buffers at once.
const KEYS_PER_BATCH: usize = 32;
/// Of values with more elements than that, only the digest and the length are compared; of streams, so many entries and
/// pending entries are.
const MOST_ELEMENTS: i64 = 20_000;
/// What XINFO STREAM FULL tells that the stream of replication does not carry, and how many nodes a stream has. (XCLAIM's
/// LASTID moves a replica's group without counting what it has read; seen so between two redis-servers 7.0.15.)
const NOT_REPLICATED: [&[u8]; 6] =
    [b"seen-time", b"active-time", b"entries-read", b"lag", b"radix-tree-keys", b"radix-tree-nodes"];
/// A digest of large values takes its time.
const DEADLINE: Duration = Duration::from_secs(120);
/// Differences shown in a failure.
const SHOWN_DIFFERENCES: usize = 10;

/// TYPE, value and PEXPIRETIME (ms) by database and key.
type Data = BTreeMap<(String, Vec<u8>), (String, Vec<u8>, i64)>;

/// Waits until all nodes hold the same data at the same offset; panics with the differences if they never do.
///
/// The load must have stopped, but keys may still expire meanwhile: hence the repetition.
pub fn assert_converges(topology: &Topology) {
    let nodes: Vec<&Node> = topology.nodes.iter().collect();
    assert_same(&nodes);
    for (above, below) in topology.nodes.iter().zip(&topology.nodes[1..]) {
        assert_roles(above, below);
    }
}

/// [`assert_converges`] for nodes that do not stand in a row.
pub fn assert_same(nodes: &[&Node]) {
    eventually_ok(|| nodes[1..].iter().find_map(|node| difference(nodes[0], node)).map_or(Ok(()), Err));
}

/// The first sort of difference between two nodes, or `None`.
fn difference(one: &Node, other: &Node) -> Option<String> {
    let (offset, other_offset) = (one.offset(), other.offset());
    if offset != other_offset {
        return Some(format!("offset {offset} on {one}, {other_offset} on {other}"));
    }
    data_difference(one, other)
}

/// The difference between two nodes' data, wherever their offsets are, or `None`.
pub fn data_difference(one: &Node, other: &Node) -> Option<String> {
    if let Some(text) = difference_of(&data_of(one), &data_of(other)) {
        return Some(format!("between {one} and {other}:\n{text}"));
    }
    let [digest, other_digest] = [one, other].map(digest_of);
    (digest != other_digest)
        .then(|| format!("equal keys, but digest {digest} on {one}, {other_digest} on {other}"))
}

/// DEBUG DIGEST.
pub fn digest_of(node: &Node) -> String {
    let mut client = node.connect();
    client.set_deadline(DEADLINE);
    client.line("DEBUG DIGEST").text()
}

/// The first keys that differ, or `None`.
pub fn difference_of(data: &Data, other: &Data) -> Option<String> {
    (data != other).then(|| describe(data, other))
}

fn describe(data: &Data, other: &Data) -> String {
    let keys = data.keys().chain(other.keys().filter(|key| !data.contains_key(*key)));
    let shown = |entry: Option<&(String, Vec<u8>, i64)>, from: usize| match entry {
        Some((kind, value, expiry)) => {
            let start = value[from..].iter().take(100).copied().collect::<Vec<_>>();
            format!(
                "{kind} of {} bytes, at {from} \"{}\", expires {expiry}",
                value.len(),
                start.escape_ascii()
            )
        }
        None => "nothing".to_owned(),
    };
    keys.filter(|key| data.get(*key) != other.get(*key))
        .take(SHOWN_DIFFERENCES)
        .map(|key| {
            let name = key.1.escape_ascii();
            let (one, other) = (data.get(key), other.get(key));
            let same = one.zip(other).map_or(0, |(one, other)| {
                one.1.iter().zip(&other.1).take_while(|(one, other)| one == other).count()
            });
            let from = same.saturating_sub(40);
            format!("db {} {name:.60}: {} / {}\n", key.0, shown(one, from), shown(other, from))
        })
        .collect()
}

/// Everything that a client can see of a node's keyspace.
pub fn data_of(node: &Node) -> Data {
    let mut client = node.connect();
    client.set_deadline(DEADLINE);
    let keyspace = node.call("INFO keyspace").text();
    let databases = keyspace.lines().filter_map(|line| line.strip_prefix("db")?.split(':').next());
    let mut data = Data::new();
    for database in databases {
        client.call(&["SELECT", database]);
        let keys = client.call(&["KEYS", "*"]);
        let keys: Vec<Vec<u8>> = keys.items().expect("an array of keys").iter().map(bytes_of).collect();
        for batch in keys.chunks(KEYS_PER_BATCH) {
            read_batch(&mut client, database, batch, !node.is_oracle(), &mut data);
        }
    }
    data
}

/// `fields_expire`: the server knows times to live of a hash's fields.
fn read_batch(client: &mut Client, database: &str, keys: &[Vec<u8>], fields_expire: bool, data: &mut Data) {
    let about = |name: &str, key: &Vec<u8>| vec![name.as_bytes().to_vec(), key.clone()];
    let types = ask(client, keys.iter().map(|key| about("TYPE", key)).collect());
    let kinds: Vec<String> = types.iter().map(Value::text).collect();
    let keyed = || keys.iter().zip(kinds.iter().map(String::as_str));
    let expiries = ask(client, keys.iter().map(|key| about("PEXPIRETIME", key)).collect());
    let lengths = ask(client, keyed().map(|(key, kind)| about(length_command(kind), key)).collect());
    let is_long = |length: &Value| length.int().is_some_and(|length| length > MOST_ELEMENTS);
    let values =
        keyed().zip(&lengths).map(|((key, kind), length)| value_question(key, kind, is_long(length)));
    let values = ask(client, values.collect());
    for (at, (key, kind)) in keyed().enumerate() {
        if kind == "none" {
            continue;
        }
        let mut value = lengths[at].encode();
        value.extend(canonical(kind, &values[at]));
        if kind == "hash" && fields_expire {
            value.extend(field_expiries(client, key));
        }
        let entry = (kind.to_owned(), value, expiries[at].int().expect("a time"));
        data.insert((database.to_owned(), key.clone()), entry);
    }
}

/// Sends questions in one write and reads their answers. A key may have gone meanwhile; other errors are none of ours.
fn ask(client: &mut Client, questions: Vec<Vec<Vec<u8>>>) -> Vec<Value> {
    let bytes: Vec<u8> = questions.iter().flat_map(|question| encode_command(question)).collect();
    client.send_raw(&bytes).expect("send questions");
    let answer = |question: &Vec<Vec<u8>>| {
        let value = client.read_reply().expect("an answer").value;
        let gone = value.text() == "ERR no such key";
        assert!(gone || !value.is_error(), "{}: {value}", question.join(&b' ').escape_ascii());
        value
    };
    questions.iter().map(answer).collect()
}

fn length_command(kind: &str) -> &'static str {
    match kind {
        "list" => "LLEN",
        "set" => "SCARD",
        "hash" => "HLEN",
        "zset" => "ZCARD",
        "stream" => "XLEN",
        _ => "EXISTS",
    }
}

fn value_question(key: &[u8], kind: &str, is_long: bool) -> Vec<Vec<u8>> {
    let most = MOST_ELEMENTS.to_string();
    let words: &[&[u8]] = match kind {
        "stream" => &[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", most.as_bytes()],
        _ if is_long => &[b"DEBUG", b"DIGEST-VALUE", key],
        "list" => &[b"LRANGE", key, b"0", b"-1"],
        "set" => &[b"SMEMBERS", key],
        "hash" => &[b"HGETALL", key],
        "zset" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
        "string" => &[b"GET", key],
        _ => &[b"EXISTS", key],
    };
    words.iter().map(|word| word.to_vec()).collect()
}

/// A value's bytes, without the order of a table and without what is not replicated.
fn canonical(kind: &str, value: &Value) -> Vec<u8> {
    let sorted = |step: usize| {
        let mut parts: Vec<&[Value]> = value.items().unwrap_or_default().chunks(step).collect();
        parts.sort_by_key(|part| part[0].bytes());
        Value::Array(parts.concat()).encode()
    };
    match kind {
        "set" => sorted(1),
        "hash" => sorted(2),
        "stream" => without_unreplicated(value).encode(),
        "string" => bytes_of(value),
        _ => value.encode(),
    }
}

fn without_unreplicated(value: &Value) -> Value {
    let Some(items) = value.items() else { return value.clone() };
    let mut kept = Vec::new();
    let mut items = items.iter();
    while let Some(item) = items.next() {
        if item.bytes().is_some_and(|name| NOT_REPLICATED.contains(&name)) {
            items.next();
        } else {
            kept.push(without_unreplicated(item));
        }
    }
    Value::Array(kept)
}

/// Each field that has a time to live, and when it ends.
fn field_expiries(client: &mut Client, key: &[u8]) -> Vec<u8> {
    let names = client.call(&[b"HKEYS", key]);
    let mut names: Vec<Vec<u8>> = names.items().unwrap_or_default().iter().map(bytes_of).collect();
    names.sort_unstable();
    let head = [b"HPEXPIRETIME", key, b"FIELDS", names.len().to_string().as_bytes()].map(<[u8]>::to_vec);
    let times = client.call(&[&head[..], &names].concat());
    let times = times.items().unwrap_or_default().iter().filter_map(Value::int);
    let timed = names.iter().zip(times).filter(|(_, time)| *time > 0);
    timed.flat_map(|(name, time)| [name, format!(" {time} ").as_bytes()].concat()).collect()
}

fn bytes_of(value: &Value) -> Vec<u8> {
    value.bytes().unwrap_or_default().to_vec()
}

/// ROLE and INFO on both sides of a link say the same as the offsets.
fn assert_roles(above: &Node, below: &Node) {
    eventually_some(&format!("ROLE shows the link between {above} and {below} at one offset"), || {
        let offset = below.offset();
        let role = below.call("ROLE");
        let role = role.items().expect("ROLE is an array");
        let replica_side = role[0].text() == "slave"
            && role[3].text() == "connected"
            && role[4].int() == Some(offset)
            && below.number("slave_repl_offset") == offset
            && below.info("role") == "slave";
        let port = below.port().to_string();
        let line = replica_line(above, &port)?;
        let master_side = line.contains("state=online") && line.contains(&format!("offset={offset},"));
        (replica_side && master_side && is_listed(above, &port, offset)).then_some(())
    });
}

/// The line of INFO replication that tells of the replica with that port.
pub fn replica_line(master: &Node, port: &str) -> Option<String> {
    let info = master.call("INFO replication").text();
    let port = format!("port={port},");
    info.lines().find(|line| line.starts_with("slave") && line.contains(&port)).map(str::to_owned)
}

/// Whether ROLE of a master (not: of a replica with replicas of its own, which ROLE does not show) lists the replica.
fn is_listed(master: &Node, port: &str, offset: i64) -> bool {
    let role = master.call("ROLE");
    let role = role.items().expect("ROLE is an array");
    if role[0].text() != "master" {
        return true;
    }
    let replicas = role[2].items().expect("the replicas are an array");
    replicas.iter().filter_map(Value::items).any(|r| r[1].text() == port && r[2].text() == offset.to_string())
}
