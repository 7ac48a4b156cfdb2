//! One end of a link played by the test: what a server says and shows at each step of a synchronization, and what it does with a
//! peer that does not keep to its part.

use super::topology::{Kind, Node, eventually};
use super::wire::{Wire, words};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a server that has been told this much in REPLCONF.
fn introduced(node: &Node, options: &[&str]) -> Wire {
    let mut wire = Wire::new(TcpStream::connect(("127.0.0.1", node.port())).expect("connect"), PATIENCE);
    for option in options {
        let words: Vec<&str> = option.split(' ').collect();
        assert_eq!(asked(&mut wire, &[&["REPLCONF"][..], &words].concat()), "+OK", "{option}");
    }
    wire
}

fn asked(wire: &mut Wire, request: &[&str]) -> String {
    wire.send_command(request).expect("send a request");
    wire.full_line().expect("a reply")
}

/// The snapshot behind a head that ends it by a mark.
fn marked(wire: &mut Wire, head: &str) -> Vec<u8> {
    let mark = head.strip_prefix("$EOF:").unwrap_or_else(|| panic!("not ended by a mark: {head}"));
    let file = wire.payload_until(mark.as_bytes()).expect("a snapshot up to its mark");
    assert!(file.starts_with(b"REDIS00"));
    file
}

/// SYNC of a peer that knows marks gets its snapshot without waiting for its length to be known; the stream follows its first
/// acknowledgement.
pub fn sync_may_end_by_a_mark(kind: Kind) {
    let Some(node) = Node::start(kind, 0, &[]) else { return };
    let mut wire = introduced(&node, &["capa eof"]);
    let head = asked(&mut wire, &["SYNC"]);
    marked(&mut wire, &head);
    eventually("it is online", || node.info("slave0").contains(",port=0,state=online,"));
    node.call("SET k v");
    eventually("it gets the stream", || {
        wire.send_command(&["REPLCONF", "ACK", "0"]).expect("acknowledge");
        wire.has_bytes_within(Duration::from_millis(100))
    });
    assert!(node.call("CLIENT LIST TYPE replica").text().contains(" cmd=replconf "));
    assert_eq!(words(&wire.command().expect("the stream")), ["SELECT", "0"]);
    assert_eq!(words(&wire.command().expect("the stream")), ["SET", "k", "v"]);
    let unnamed = "Synchronization with replica 127.0.0.1:<unknown-replica-port> succeeded";
    node.wait_for_log(unnamed);
}

/// Who wants a snapshot and nothing else gets it, and its connection ends.
pub fn rdb_only_ends_behind_the_snapshot(kind: Kind) {
    let Some(node) = Node::start(kind, 0, &[]) else { return };
    node.call("SET k v");
    let mut wire = introduced(&node, &["capa eof rdb-only 1"]);
    let head = asked(&mut wire, &["SYNC"]);
    marked(&mut wire, &head);
    assert!(wire.full_line().is_err(), "the connection goes on");
    let says = "RDB transfer completed, rdb only replica (127.0.0.1:<unknown-replica-port>) should be disconnected asap";
    node.wait_for_log(says);
    eventually("it is forgotten", || node.info("connected_slaves") == "0");
}

/// Who wants no data gets a file without, and the stream from there on.
pub fn a_filter_leaves_the_data_out(kind: Kind) {
    let Some(node) = Node::start(kind, 0, &[]) else { return };
    node.call("SET secret value");
    for filter in ["", "functions"] {
        let mut wire = introduced(&node, &["capa eof"]);
        assert_eq!(asked(&mut wire, &["REPLCONF", "rdb-filter-only", filter]), "+OK");
        let head = asked(&mut wire, &["SYNC"]);
        let file = marked(&mut wire, &head);
        assert!(!file.windows(6).any(|bytes| bytes == b"secret"), "{filter:?}");
        eventually("it gets the stream", || {
            node.call("SET another value");
            wire.send_command(&["REPLCONF", "ACK", "0"]).expect("acknowledge");
            wire.has_bytes_within(Duration::from_millis(100))
        });
        assert_eq!(words(&wire.command().expect("the stream")), ["SELECT", "0"]);
    }
}

/// A replica's link is no client's connection: whoever asks for something there is cut off, and the log says why.
pub fn a_replica_gets_no_replies(kind: Kind) {
    let Some(node) = Node::start(kind, 0, &[]) else { return };
    for (request, name) in
        [(&["PING"][..], "ping"), (&["CLIENT", "LIST"], "client|list"), (&["WHAT"], "<unknown>")]
    {
        let mut wire = introduced(&node, &["capa eof"]);
        assert!(asked(&mut wire, &["PSYNC", "?", "-1"]).starts_with("+FULLRESYNC "));
        let head = wire.full_line().expect("the snapshot's head");
        marked(&mut wire, &head);
        wire.send_command(request).expect("send a request");
        assert!(wire.full_line().is_err(), "{request:?} did not end the link");
        let says = format!("Replica generated a reply to command '{name}', disconnecting it: id=");
        node.wait_for_log(&says);
    }
}

/// PSYNC with FAILOVER hands the role over to a replica of the same history, and to nobody else.
pub fn psync_can_hand_the_role_over(kind: Kind) {
    let (Some(master), Some(replica)) = (Node::start(kind, 0, &[]), Node::start(kind, 1, &[])) else {
        return;
    };
    let (id, other) = (master.info("master_replid"), "a".repeat(40));
    let mut wire = introduced(&master, &[]);
    let refused = "-ERR PSYNC FAILOVER can't be sent to a master.";
    assert_eq!(asked(&mut wire, &["PSYNC", &id, "1", "FAILOVER"]), refused);
    replica.follow(master.port());
    eventually("the link is up", || replica.link_is_up());
    let id = master.info("master_replid");
    let mut wire = introduced(&replica, &["capa eof", "capa psync2"]);
    let refused = "-ERR PSYNC FAILOVER replid must match my replid.";
    assert_eq!(asked(&mut wire, &["PSYNC", &other, "1", "FAILOVER"]), refused);
    assert_eq!(replica.info("role"), "slave");
    let next = (replica.offset() + 1).to_string();
    let answer = asked(&mut wire, &["PSYNC", &id, &next, "FAILOVER"]);
    assert_eq!(replica.info("role"), "master");
    assert_eq!(answer, format!("+CONTINUE {}", replica.info("master_replid")));
    assert_eq!(replica.info("master_replid2"), id);
}

/// A snapshot that was announced and has not begun is a synchronization already; before it nothing is known of a link that was
/// never up.
pub fn an_announced_snapshot_is_a_sync(kind: Kind) {
    let Some(node) = Node::start(kind, 0, &[]) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let id = node.info("master_replid");
    node.follow(listener.local_addr().expect("bound").port());
    let mut wire = Wire::new(listener.accept().expect("a replica").0, PATIENCE);
    let psync = loop {
        let request = words(&wire.command().expect("a request"));
        match request[0].as_str() {
            "PING" => wire.send(b"+PONG\r\n").expect("answered"),
            "REPLCONF" => wire.send(b"+OK\r\n").expect("answered"),
            _ => break request,
        }
    };
    assert_eq!(psync, ["PSYNC", &id, "1"], "a master's own history is what it asks for first");
    let state = || node.call("ROLE").items().expect("ROLE is an array")[3].text();
    assert_eq!(state(), "handshake");
    assert_eq!(node.info("master_sync_in_progress"), "0");
    assert_eq!(node.info("slave_repl_offset"), "0");
    wire.send(format!("+FULLRESYNC {id} 17\r\n").as_bytes()).expect("answered");
    eventually("the sync is in progress", || node.info("master_sync_in_progress") == "1");
    assert_eq!(state(), "sync");
    let shown =
        ["total_bytes", "read_bytes", "left_bytes"].map(|what| node.number(&format!("master_sync_{what}")));
    assert_eq!(shown, [-1, 0, -1]);
    assert_eq!(node.number("master_link_down_since_seconds"), -1);
    wire.send(b"$1000\r\nREDIS0010").expect("sent");
    eventually("bytes have come", || node.number("master_sync_read_bytes") == 9);
    assert_eq!(node.number("master_sync_total_bytes"), 1000);
}

/// A master that cannot serve us yet costs nothing to ask: each second, however often it has refused.
pub fn a_master_that_refuses_is_asked_each_second(kind: Kind) {
    const TRIES: usize = 5;
    let Some(node) = Node::start(kind, 0, &[]) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    node.follow(listener.local_addr().expect("bound").port());
    let mut tried_at = Instant::now();
    for _ in 0..TRIES {
        let mut wire = Wire::new(listener.accept().expect("a replica").0, PATIENCE);
        tried_at = Instant::now();
        assert_eq!(words(&wire.command().expect("a request")), ["PING"]);
        wire.send(b"-LOADING Redis is loading the dataset in memory\r\n").expect("answered");
    }
    listener.accept().expect("a replica");
    let pause = tried_at.elapsed();
    assert!(pause < Duration::from_secs(5), "{pause:?}");
    node.wait_for_log("Error reply to PING from master: '-LOADING");
    node.call("REPLICAOF NO ONE");
    node.follow(1);
    assert_eq!(node.number("master_link_down_since_seconds"), -1);
}
