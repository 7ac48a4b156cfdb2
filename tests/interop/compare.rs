//! What "the same data" and "the same offset" mean, read through ordinary commands.
//!
//! Two nodes agree when their offsets, their DEBUG DIGESTs and, for each key of each database, TYPE, value and
//! PEXPIRETIME are equal. The digest alone would do for most faults, but it hides times to live and shows nothing
//! about where the difference is.

use super::topology::{Node, Topology, eventually_ok, eventually_some};
use crate::support::client::{Client, Value};
use std::collections::BTreeMap;

/// Keys asked for in one write: bounded, so that 1 MB values do not fill both sides' buffers at once.
const KEYS_PER_BATCH: usize = 32;
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
    let (data, other_data) = (data_of(one), data_of(other));
    if data != other_data {
        return Some(format!("between {one} and {other}:\n{}", describe(&data, &other_data)));
    }
    let [digest, other_digest] = [one, other].map(|node| node.call("DEBUG DIGEST").text());
    (digest != other_digest)
        .then(|| format!("equal keys, but digest {digest} on {one}, {other_digest} on {other}"))
}

fn describe(data: &Data, other: &Data) -> String {
    let keys = data.keys().chain(other.keys().filter(|key| !data.contains_key(*key)));
    let shown = |entry: Option<&(String, Vec<u8>, i64)>| match entry {
        Some((kind, value, expiry)) => {
            let start = value[..value.len().min(40)].escape_ascii();
            format!("{kind} of {} bytes \"{start}\", expires {expiry}", value.len())
        }
        None => "nothing".to_owned(),
    };
    keys.filter(|key| data.get(*key) != other.get(*key))
        .take(SHOWN_DIFFERENCES)
        .map(|key| {
            let name = key.1.escape_ascii();
            format!("db {} {name:.60}: {} / {}\n", key.0, shown(data.get(key)), shown(other.get(key)))
        })
        .collect()
}

/// Everything that a client can see of a node's keyspace.
pub fn data_of(node: &Node) -> Data {
    let mut client = node.connect();
    let keyspace = node.call("INFO keyspace").text();
    let databases = keyspace.lines().filter_map(|line| line.strip_prefix("db")?.split(':').next());
    let mut data = Data::new();
    for database in databases {
        client.call(&["SELECT", database]);
        let keys = client.call(&["KEYS", "*"]);
        let keys: Vec<Vec<u8>> = keys.items().expect("an array of keys").iter().map(bytes_of).collect();
        for batch in keys.chunks(KEYS_PER_BATCH) {
            read_batch(&mut client, database, batch, &mut data);
        }
    }
    data
}

fn read_batch(client: &mut Client, database: &str, keys: &[Vec<u8>], data: &mut Data) {
    for key in keys {
        for name in [&b"TYPE"[..], b"GET", b"PEXPIRETIME"] {
            client.send(&[name, key]).expect("send a question");
        }
    }
    for key in keys {
        let mut answer = || client.read_reply().expect("an answer").value;
        let (kind, value, expiry) = (answer(), answer(), answer());
        assert!(!value.is_error(), "GET {}: {value}", key.escape_ascii());
        if kind.text() != "none" {
            let entry = (kind.text(), bytes_of(&value), expiry.int().expect("a time"));
            data.insert((database.to_owned(), key.clone()), entry);
        }
    }
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
