//! What users of a replica rely on beside its data: WAIT, AUTH, announced addresses, refusals, expiry, units, channels.

use super::compare::{assert_converges, assert_same, replica_line};
use super::load::{Expiry, Load, plant};
use super::observer::Observer;
use super::topology::{Kind, Topology, eventually, eventually_some};
use crate::support::client::{Client, Value};
use std::time::Duration;

/// A WAIT that is to succeed gets this long (ms); one that is to fail, [`SHORT_WAIT`].
const LONG_WAIT: &str = "10000";
const SHORT_WAIT: &str = "200";
/// Transactions written one after another.
const TRANSACTIONS: usize = 150;

/// WAIT counts the replicas that have acknowledged, no more and no less.
pub fn wait_counts_acknowledgements(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let mut client = topology.master().connect();
    client.set_deadline(Duration::from_secs(20));
    let mut write_and_wait = |count: &str, timeout: &str| {
        client.line("INCR counter");
        client.call(&["WAIT", count, timeout]).int()
    };
    assert_eq!(write_and_wait("1", LONG_WAIT), Some(1));
    assert_eq!(write_and_wait("2", SHORT_WAIT), Some(1), "one replica is not two");
    topology.links[0].stall(true);
    assert_eq!(write_and_wait("1", SHORT_WAIT), Some(0), "nothing comes over a stalled link");
    topology.links[0].stall(false);
    assert_eq!(write_and_wait("1", LONG_WAIT), Some(1));
    assert_eq!(topology.last().call("GET counter").text(), "4");
}

/// WAIT is about all that had been written when the client's last command ran, by whomever; in a transaction it never waits.
pub fn wait_is_about_what_the_client_has_seen(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let (mut reader, mut fresh) = (topology.master().connect(), topology.master().connect());
    topology.links[0].stall(true);
    topology.master().call("SET k v");
    assert_eq!(fresh.call(&["WAIT", "1", LONG_WAIT]).int(), Some(1), "it has seen nothing of the stream");
    assert_eq!(reader.line("GET k").text(), "v");
    assert_eq!(reader.call(&["WAIT", "1", SHORT_WAIT]).int(), Some(0));
    reader.line("MULTI");
    reader.call(&["WAIT", "1", LONG_WAIT]);
    assert_eq!(reader.line("EXEC"), Value::Array(vec![Value::Int(0)]));
    topology.links[0].stall(false);
    assert_eq!(reader.call(&["WAIT", "1", LONG_WAIT]).int(), Some(1));
}

/// Who is in WAIT is blocked, as INFO and CLIENT LIST tell, until CLIENT UNBLOCK or the end of the master's role.
pub fn wait_can_be_ended_from_outside(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let master = topology.master();
    let mut client = master.connect();
    let id = client.line("CLIENT ID").int().expect("a number");
    let mut wait = |end: &str| {
        topology.links[0].stall(true);
        client.line("INCR counter");
        client.send(&["WAIT", "1", "0"]).expect("send WAIT");
        eventually("it is blocked", || master.info("blocked_clients") == "1");
        let line = master.call(&format!("CLIENT LIST ID {id}")).text();
        assert!(line.contains(" flags=b ") && line.contains(" cmd=wait "), "{line}");
        master.call(end);
        let reply = client.read_reply().expect("the wait has ended").value;
        topology.links[0].stall(false);
        reply
    };
    let unblock = format!("CLIENT UNBLOCK {id}");
    assert_eq!(wait(&unblock), Value::Int(0));
    let error = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    assert_eq!(wait(&format!("{unblock} ERROR")), Value::Error(error.into()));
    assert_eq!(master.info("blocked_clients"), "0");
    let reply = wait("REPLICAOF 127.0.0.1 1");
    let error =
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    assert_eq!(reply, Value::Error(error.into()));
    eventually("it is disconnected", || master.call(&format!("CLIENT LIST ID {id}")).text().is_empty());
}

/// Who is told to follow another master keeps its replicas until it knows that their history is not its own any more.
pub fn a_new_master_costs_no_link(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let (former, replica) = (topology.master(), topology.last());
    let Some(above) = super::topology::Node::start(kinds[0], 2, &[]) else { return };
    above.call("SET k above");
    let links = || {
        let list = former.call("CLIENT LIST TYPE replica").text();
        list.split(' ').filter(|word| word.starts_with("id=")).map(String::from).collect::<Vec<_>>()
    };
    let (before, given) = (links(), former.syncs_given());
    assert_eq!(before.len(), 1);
    // Nobody listens there.
    former.follow(1);
    eventually("the link is tried", || former.log().matches("Connecting to MASTER").count() > 1);
    assert_eq!(links(), before);
    assert!(replica.link_is_up());
    assert_eq!(former.syncs_given(), given);
    // A master with a history of its own.
    former.follow(above.port());
    eventually("the new master's data is here", || {
        replica.link_is_up() && replica.connect().line("GET k").text() == "above"
    });
    assert_ne!(links(), before);
}

/// Stalls the replica's link and writes so many values of 1 MiB each.
fn fall_behind(topology: &Topology, client: &mut Client, writes: usize) {
    const VALUE_BYTES: usize = 1 << 20;
    topology.links[0].stall(true);
    for at in 0..writes {
        client.call(&["SET", &format!("key:{}", at % 32), &"x".repeat(VALUE_BYTES)]);
    }
}

/// A replica that is behind by the soft limit for longer than its seconds, with nothing on disk, is cut off, and comes back.
pub fn soft_output_limit_cuts_off(kinds: &[Kind]) {
    /// More than what stands in sockets and the proxy.
    const WRITES: usize = 32;
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let master = topology.master();
    let mut client = master.connect();
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "replica 0 1mb 1"];
    assert_eq!(client.call(&limit).text(), "OK");
    if !master.is_oracle() {
        assert_eq!(client.line("CONFIG SET repl-backlog-disk-size 0").text(), "OK");
    }
    fall_behind(&topology, &mut client, WRITES);
    eventually("the replica is cut off", || master.info("connected_slaves") == "0");
    let says_why = |line: &str| {
        line.contains(" Client id=") && line.ends_with(" for overcoming of output buffer limits.")
    };
    eventually("the log says why", || master.log().lines().any(says_why));
    client.call(&["CONFIG", "SET", "client-output-buffer-limit", "replica 0 0 0"]);
    topology.links[0].stall(false);
    assert_converges(&topology);
}

/// A replica that is far behind is sent what it has missed from the master's disk, and keeps its link; without the disk's share
/// it is cut off.
pub fn the_log_of_who_is_far_behind_is_on_disk(kinds: &[Kind]) {
    const WRITES: usize = 96;
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let master = topology.master();
    let mut client = master.connect();
    let limits =
        ["CONFIG", "SET", "client-output-buffer-limit", "replica 60mb 0 0", "repl-backlog-size", "1mb"];
    assert_eq!(client.call(&limits).text(), "OK");
    let synced = master.number("sync_full");
    fall_behind(&topology, &mut client, WRITES);
    eventually("the log goes to disk", || master.number("repl_backlog_disk_bytes") > 40 << 20);
    assert_eq!(master.info("connected_slaves"), "1");
    topology.links[0].stall(false);
    assert_converges(&topology);
    eventually("the files are given back", || master.number("repl_backlog_disk_bytes") == 0);
    assert_eq!(master.number("sync_full"), synced);
    assert_eq!(client.line("CONFIG SET repl-backlog-disk-size 0").text(), "OK");
    fall_behind(&topology, &mut client, WRITES);
    eventually("the replica is cut off", || master.info("connected_slaves") == "0");
    topology.links[0].stall(false);
    assert_converges(&topology);
}

/// A master with a password is not followed with a wrong one, and is with the right one.
pub fn masterauth_opens_requirepass(kinds: &[Kind]) {
    let Some(topology) = Topology::start(kinds, &[]) else { return };
    plant(topology.master());
    let mut admin = topology.master().connect();
    assert_eq!(admin.line("CONFIG SET requirepass sesame").text(), "OK");
    let replica = topology.last();
    replica.call("CONFIG SET masterauth wrong");
    replica.follow(topology.links[0].port());
    eventually("the replica has tried", || topology.links[0].accepted() >= 2);
    assert_eq!(replica.info("master_link_status"), "down");
    replica.wait_for_log("AUTH");
    replica.call("CONFIG SET masterauth sesame");
    eventually("the link is up with the right password", || replica.link_is_up());
    assert_eq!(admin.call(&["CONFIG", "SET", "requirepass", ""]).text(), "OK");
    assert_converges(&topology);
}

/// What a replica announces is what its master shows.
pub fn announced_address_is_shown(kinds: &[Kind]) {
    let args = ["--replica-announce-ip", "10.11.12.13", "--replica-announce-port", "7777"];
    let Some(topology) = Topology::start_attached(kinds, &args) else { return };
    let line = eventually_some("the replica is online under its announced port", || {
        replica_line(topology.master(), "7777").filter(|line| line.contains("state=online"))
    });
    assert!(line.starts_with("slave0:ip=10.11.12.13,port=7777,state=online,offset="), "{line}");
    let role = topology.master().call("ROLE");
    let replica = &role.items().expect("ROLE is an array")[2].items().expect("replicas")[0];
    let address: Vec<String> = replica.items().expect("a replica")[..2].iter().map(Value::text).collect();
    assert_eq!(address, ["10.11.12.13", "7777"]);
}

/// A replica refuses writes of clients until it is told otherwise.
pub fn replica_refuses_writes(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let mut client = topology.last().connect();
    let refusal = "READONLY You can't write against a read only replica.";
    assert_eq!(client.line("SET k v"), Value::Error(refusal.into()));
    assert_eq!(client.line("DEL k"), Value::Error(refusal.into()));
    client.line("MULTI");
    assert_eq!(client.line("SET k v"), Value::Error(refusal.into()));
    assert!(client.line("EXEC").text().starts_with("EXECABORT"));
    assert_eq!(client.line("CONFIG SET replica-read-only no").text(), "OK");
    assert_eq!(client.line("SET k v").text(), "OK");
}

/// A key whose time has come is gone for a replica's clients at once, and gone from the replica when the master's DEL
/// comes, which an observer sees in the stream.
pub fn expiry_is_driven_by_the_master(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let (master, replica) = (topology.master(), topology.last());
    let mut observer = Observer::attach(master.port());
    master.call("DEBUG SET-ACTIVE-EXPIRE 0");
    master.call("SET logical v PX 300");
    observer.until("the SET", |words| words.get(1).is_some_and(|key| key == "logical"));
    eventually("the replica has the key", || replica.call("DBSIZE").int() == Some(1));
    eventually("the replica's clients see it gone", || replica.call("GET logical") == Value::NullBulk);
    assert_eq!(replica.call("EXISTS logical").int(), Some(0));
    assert_eq!(replica.call("TTL logical").int(), Some(-2));
    assert_eq!(replica.call("DBSIZE").int(), Some(1), "the replica deleted it by itself");

    assert_eq!(master.call("GET logical"), Value::NullBulk);
    assert_eq!(observer.until("a DEL", |words| words[0] != "SELECT"), ["DEL", "logical"]);
    eventually("the replica has deleted it", || replica.call("DBSIZE").int() == Some(0));

    master.call("DEBUG SET-ACTIVE-EXPIRE 1");
    for number in 0..100 {
        master.call(&format!("SET short:{number} v PX {}", 100 + number * 9));
    }
    for node in &topology.nodes {
        eventually("all have vanished", || node.call("DBSIZE").int() == Some(0));
    }
    assert_converges(&topology);
}

/// A replica to which clients may write deletes the keys that they gave a time when it has come, those of its master only in the
/// way of a change; its master never hears of either.
pub fn writable_replica_expires_what_was_written_there(kinds: &[Kind]) {
    const TAKEN_OVER: [&str; 9] = [
        "LPUSH expired:list a",
        "SADD expired:set a",
        "HSET expired:hash f v",
        "ZADD expired:zset 1 a",
        "XADD expired:stream 1-1 f v",
        "PFADD expired:hll a",
        "APPEND expired:string a",
        "SETBIT expired:bits 7 1",
        "SET expired:kept v KEEPTTL",
    ];
    let Some(topology) = Topology::start_attached(kinds, &["--replica-read-only", "no"]) else { return };
    let (master, replica) = (topology.master(), topology.last());
    let keys = |node: &super::topology::Node| node.call("DBSIZE").int();
    master.call("DEBUG SET-ACTIVE-EXPIRE 0");
    for command in TAKEN_OVER {
        let key = command.split(' ').nth(1).expect("a key");
        master.call(&format!("SET {key} v PX 50"));
    }
    master.call("SET expired:untouched v PX 50");
    master.call("SET long v EX 1000");
    eventually("the master's keys are there", || keys(replica) == Some(11));
    eventually("their time has come", || replica.call("EXISTS expired:untouched").int() == Some(0));

    for command in TAKEN_OVER {
        assert!(!replica.call(command).is_error(), "{command}");
        let key = command.split(' ').nth(1).expect("a key");
        assert_eq!(replica.call(&format!("TTL {key}")).int(), Some(-1), "{command}");
    }
    assert_eq!(keys(replica), Some(11), "a key is there twice");
    assert_eq!(replica.call("SCARD expired:set").int(), Some(1));
    assert_eq!(replica.call("GET expired:string").text(), "a");

    for command in ["SET own:a v EX 1000", "EXPIRE own:a 2000", "SET own:b v EX 1000", "SADD own:c x"] {
        replica.call(command);
    }
    assert_eq!(replica.call("SET long w KEEPTTL").text(), "OK");
    assert_eq!(replica.info("slave_expires_tracked_keys"), "2");
    replica.call("PEXPIRE own:b 60");
    replica.call("PEXPIRE own:c 60");
    eventually("the replica's own keys went", || keys(replica) == Some(12));
    assert_eq!(replica.call("EXISTS own:a").int(), Some(1));
    assert_eq!(replica.info("slave_expires_tracked_keys"), "1");
    assert_eq!(keys(master), Some(11));
    assert_eq!(replica.call("FLUSHALL").text(), "OK");
    assert_eq!(replica.info("slave_expires_tracked_keys"), "0");
}

/// A transaction is applied as one, and stands in one piece in the stream that a replica passes on.
pub fn transactions_arrive_as_units(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let (master, replica) = (topology.master(), topology.last());
    let mut observer = Observer::attach(replica.port());
    let load = Load::start(master, 10, Expiry::Late);
    let mut writer = master.connect();
    let mut reader = replica.connect();
    for number in 0..TRANSACTIONS {
        for line in ["MULTI", &format!("SET unit:a {number}"), &format!("SET unit:b {number}"), "EXEC"] {
            assert!(!writer.line(line).is_error());
        }
        let pair = reader.line("MGET unit:a unit:b");
        let pair = pair.items().expect("two values");
        assert_eq!(pair[0], pair[1], "a transaction was seen half done");
    }
    load.stop();
    for number in 0..TRANSACTIONS {
        next_transaction_is(&mut observer, &number.to_string());
    }
    assert_converges(&topology);
}

/// Reads to the next MULTI whose commands are about `unit:`; they must be the two, between MULTI and EXEC.
fn next_transaction_is(observer: &mut Observer, number: &str) {
    let first = observer.until("the transaction", |words| words.get(1).is_some_and(|key| key == "unit:a"));
    assert_eq!(observer.previous(), ["MULTI"], "what stands before {first:?}");
    let mut next = || super::wire::words(&observer.next());
    assert_eq!(first, ["SET", "unit:a", number]);
    assert_eq!(next(), ["SET", "unit:b", number]);
    assert_eq!(next(), ["EXEC"]);
}

/// Clients write in turn, each in its own database: the stream selects each time, and begins with a SELECT.
pub fn every_database_gets_its_writes(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let mut observer = Observer::attach(topology.master().port());
    let mut clients: Vec<(usize, Client)> = [3, 0, 12].map(|db| (db, topology.master().connect())).into();
    for (database, client) in &mut clients {
        client.line(&format!("SELECT {database}"));
    }
    for round in 0..20 {
        for (database, client) in &mut clients {
            client.line(&format!("SET round:{round} {database}"));
        }
    }
    clients[0].1.line("SWAPDB 3 5");
    clients[0].1.line("SET after-swap 3");
    clients[1].1.line("MOVE round:0 7");
    let mut selected = None;
    for _ in 0..60 {
        let words =
            observer.until("a SELECT or a SET", |words| ["SELECT", "SET"].contains(&words[0].as_str()));
        if words[0] == "SELECT" {
            selected = Some(words[1].clone());
            observer.until("a SET", |words| {
                assert_eq!((words[0].as_str(), Some(&words[2])), ("SET", selected.as_ref()));
                true
            });
        } else {
            assert_eq!(selected.as_ref(), Some(&words[2]), "the stream writes without having selected");
        }
    }
    assert_converges(&topology);
}

/// A message published at the top reaches subscribers at the end of the row.
pub fn messages_pass_along(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let mut subscriber = topology.last().connect();
    subscriber.line("SUBSCRIBE news");
    let mut by_pattern = topology.last().connect();
    by_pattern.line("PSUBSCRIBE n?ws");
    topology.master().call("PUBLISH news hello");
    let words = |reply: &Value| reply.items().expect("a message").iter().map(Value::text).collect::<Vec<_>>();
    assert_eq!(words(&subscriber.read_reply().expect("a message").value), ["message", "news", "hello"]);
    assert_eq!(
        words(&by_pattern.read_reply().expect("a message").value),
        ["pmessage", "n?ws", "news", "hello"]
    );
    assert_converges(&topology);
}

/// An observer at the master and one at the end of the row read the same bytes at the same offsets.
pub fn stream_is_passed_on_unchanged(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    topology.master().call("SET settle 1");
    assert_same(&topology.nodes.iter().collect::<Vec<_>>());
    let mut at_master = Observer::attach(topology.master().port());
    let mut at_end = Observer::attach(topology.last().port());
    assert_eq!(at_master.replid, at_end.replid);
    let load = Load::start(topology.master(), 12, Expiry::Soon);
    load.wait_for(1000);
    load.stop();
    topology.master().call("SET the-end 1");
    let is_end = |words: &[String]| words.get(1).is_some_and(|key| key == "the-end");
    at_master.until("the end", is_end);
    at_end.until("the end", is_end);
    assert_eq!(at_master.offset(), at_end.offset());
    let from = at_master.start_offset.max(at_end.start_offset);
    let since = |observer: &Observer| -> Vec<_> {
        observer.seen().iter().filter(|(offset, _)| *offset > from).cloned().collect()
    };
    let (above, below) = (since(&at_master), since(&at_end));
    assert!(above.len() > 300, "only {} commands in common", above.len());
    assert!(above == below, "the commands or their offsets differ");
}
