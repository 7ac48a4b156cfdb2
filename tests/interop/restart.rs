//! A clean restart of either side ends in a partial resync: the RDB file carries the ID and the offset.

use super::compare::assert_converges;
use super::load::{Expiry, Load, plant, plant_bulk};
use super::topology::{Kind, Node, Topology, eventually, eventually_some};

/// Commands written between the steps.
const WRITES: u64 = 150;
/// What the interrupted BGSAVE has to write.
const BULK_MEGABYTES: usize = 24;
/// BGSAVEs interrupted, each a little later than the one before.
const CRASHES: u32 = 3;

/// SHUTDOWN SAVE of the last replica while its master is written to, and a start with `--replicaof`.
pub fn replica_resumes_partially(kinds: &[Kind]) {
    let Some(mut topology) = loaded(kinds) else { return };
    let load = Load::start(topology.master(), 8, Expiry::Soon);
    load.wait_for(WRITES);
    let above = topology.nodes.len() - 2;
    let (full, partial) = topology.nodes[above].syncs_given();
    let port = topology.links[above].port();
    let replica = topology.nodes.last_mut().expect("a replica");
    replica.shut_down_with_save();
    load.wait_for(WRITES);
    replica.start_again_following(port);
    topology.wait_for_links();
    load.wait_for(WRITES);
    load.stop();
    let syncs = topology.nodes[above].syncs_given();
    assert_eq!(syncs, (full, partial + 1), "(full, partial) syncs given by the replica's master");
    assert_converges(&topology);
}

/// SHUTDOWN SAVE of the master under load: it comes back with a new ID, and with the old one as its secondary.
pub fn master_is_resumed_from_partially(kinds: &[Kind]) {
    let Some(mut topology) = loaded(kinds) else { return };
    let old_id = topology.master().info("master_replid");
    let load = Load::start(topology.master(), 9, Expiry::Soon);
    load.wait_for(WRITES);
    topology.nodes[0].shut_down_with_save();
    topology.nodes[0].start_again();
    eventually("the replica resumes", || {
        let (full, partial) = topology.master().syncs_given();
        assert_eq!(full, 0, "the replica had to resync fully after a clean restart of its master");
        partial == 1
    });
    topology.wait_for_links();
    assert_eq!(topology.master().info("master_replid2"), old_id, "the ID of before is the secondary one");
    assert_ne!(topology.master().info("master_replid"), old_id);
    load.wait_for(WRITES);
    load.stop();
    assert_converges(&topology);
}

/// SHUTDOWN SAVE of a chain's middle under load: it resumes from its master, and its own replica resumes from it.
pub fn middle_of_a_chain_resumes(kinds: &[Kind]) {
    let Some(mut topology) = loaded(kinds) else { return };
    let load = Load::start(topology.master(), 13, Expiry::Soon);
    load.wait_for(WRITES);
    let (full, partial) = topology.master().syncs_given();
    let port = topology.links[0].port();
    topology.nodes[1].shut_down_with_save();
    load.wait_for(WRITES);
    topology.nodes[1].start_again_following(port);
    eventually("the end of the chain has resumed", || topology.nodes[1].syncs_given().1 == 1);
    topology.wait_for_links();
    load.wait_for(WRITES);
    load.stop();
    assert_eq!(
        topology.master().syncs_given(),
        (full, partial + 1),
        "(full, partial) syncs given by the master"
    );
    assert_eq!(topology.nodes[1].syncs_given(), (0, 1), "(full, partial) syncs given by the middle");
    assert_converges(&topology);
}

/// SIGKILL while a BGSAVE runs: what is loaded afterwards is one of the saved states, whole, never something between.
///
/// A real Redis forks, and its orphan may still finish an earlier file: hence any state that was ever saved will do.
pub fn crash_during_bgsave_leaves_a_whole_file(kind: Kind) {
    let Some(mut node) = Node::start(kind, 0, &[]) else { return };
    plant(&node);
    node.call("SAVE");
    let mut saved = vec![node.call("DEBUG DIGEST").text()];
    for attempt in 0..CRASHES {
        plant_bulk(&node, BULK_MEGABYTES, u64::from(attempt));
        saved.push(node.call("DEBUG DIGEST").text());
        node.call("BGSAVE");
        for _ in 0..attempt {
            node.call("PING");
        }
        node.crash();
        node.start_again();
        let found = node.call("DEBUG DIGEST").text();
        assert!(saved.contains(&found), "the data after crash {attempt} are none of the saved states");
    }
}

/// With save points, what FLUSHALL has emptied stays so after a crash: here, and on a replica.
pub fn flushed_data_stays_away(kinds: &[Kind]) {
    let Some(mut topology) = Topology::start(kinds, &["--save", "3600 100000"]) else { return };
    plant(topology.master());
    topology.attach();
    for node in &topology.nodes {
        // A replica saves what it has synchronized.
        eventually("nobody saves", || node.info("rdb_bgsave_in_progress") == "0");
        node.call("SAVE");
    }
    assert_eq!(topology.master().call("FLUSHALL").text(), "OK");
    let replica = topology.last();
    eventually("the replica is empty", || replica.call("DBSIZE").int() == Some(0));
    eventually("its file is, too", || replica.info("rdb_changes_since_last_save") == "0");
    for node in &mut topology.nodes {
        node.crash();
        node.start_again();
        assert_eq!(node.call("DBSIZE").int(), Some(0), "{node}");
    }
}

/// A replica with save points has what it has synchronized on its disk, without waiting for one of them.
pub fn a_full_sync_reaches_the_disk(kinds: &[Kind]) {
    let Some(mut topology) = Topology::start(kinds, &["--save", "3600 100000"]) else { return };
    plant(topology.master());
    topology.attach();
    let keys = topology.master().call("DBSIZE").int();
    eventually("the file is there", || topology.last().dir().join("dump.rdb").exists());
    let replica = topology.nodes.last_mut().expect("there is one");
    replica.crash();
    replica.start_again();
    assert_eq!(replica.call("DBSIZE").int(), keys);
}

/// SHUTDOWN waits for replicas that lag, unless it is told NOW or to give up, and leaves no trace in the stream of those in step.
pub fn shutdown_waits_for_who_lags(kinds: &[Kind]) {
    const ARGS: [&str; 4] = ["--repl-ping-replica-period", "3600", "--shutdown-timeout", "3600"];
    let Some(mut topology) = Topology::start_attached(kinds, &ARGS) else { return };
    topology.master().call("SET k v");
    let offset = topology.master().offset();
    let in_step = |topology: &Topology| {
        let acknowledged = format!(",offset={},", topology.master().offset());
        topology.master().info("slave0").contains(&acknowledged)
    };
    eventually("the replica is in step", || in_step(&topology));
    topology.nodes[0].shut_down(&["SAVE"]);
    topology.nodes[0].start_again();
    topology.wait_for_links();
    assert_eq!(topology.master().offset(), offset);

    topology.links[0].stall(true);
    let mut client = topology.master().connect();
    client.line("INCR counter");
    client.send(&["SHUTDOWN", "NOSAVE"]).expect("send SHUTDOWN");
    let mut second = topology.master().connect();
    let mut watcher = topology.master().connect();
    second.send(&["SHUTDOWN", "NOSAVE"]).expect("send SHUTDOWN");
    eventually("both wait", || watcher.info("blocked_clients") == "2");
    topology.master().wait_for_log("Waiting for replicas before shutting down.");
    let left_ms = eventually_some("the time is limited", || {
        watcher.info("shutdown_in_milliseconds").parse::<i64>().ok()
    });
    assert!((1..=3_600_000).contains(&left_ms), "{left_ms}");
    assert_eq!(topology.master().call("SHUTDOWN ABORT").text(), "OK");
    for asked in [&mut client, &mut second] {
        let refusal = asked.read_reply().expect("it was given up").value.text();
        assert_eq!(refusal, "ERR Errors trying to SHUTDOWN. Check logs.");
    }
    assert_eq!(watcher.info("shutdown_in_milliseconds"), "");
    assert_eq!(watcher.info("blocked_clients"), "0");
    let nothing = topology.master().connect().line("SHUTDOWN ABORT");
    assert_eq!(nothing.text(), "ERR No shutdown in progress.");
    // (redis-server 7.0.15 crashes when the client that asked for the shutdown goes on.)
    assert_eq!(topology.master().call("INCR counter").int(), Some(2));
    topology.nodes[0].shut_down(&["NOSAVE", "NOW"]);
    topology.master().wait_for_log("0 of 1 replicas are in sync when shutting down.");
}

fn loaded(kinds: &[Kind]) -> Option<Topology> {
    let topology = Topology::start(kinds, &[])?;
    plant(topology.master());
    topology.attach();
    Some(topology)
}
