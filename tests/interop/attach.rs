//! A replica attaches, in each way there is, while its master is being written to: afterwards both hold the same.

use super::compare::assert_converges;
use super::load::{Expiry, Load, plant, plant_bulk, send_all};
use super::proxy::{Cut, Proxy};
use super::topology::{Kind, Node, Topology, eventually};
use crate::mix::line;

/// Commands that the load writes after the last link is up: the stream must be seen to flow, not only the RDB file.
const WRITES_AFTER_SYNC: u64 = 1600;
/// Enough that a full sync takes its time, and the rate that makes it so: about two seconds.
const BULK_MEGABYTES: usize = 8;
const SLOW_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// REPLICAOF sent to running servers, which must forget what they held before. Then all is flushed and planted once
/// more, so that each shape of value has come by the stream too, not only by the RDB file.
pub fn at_run_time(kinds: &[Kind]) {
    let Some(topology) = Topology::start(kinds, &[]) else { return };
    plant(topology.master());
    for node in &topology.nodes[1..] {
        node.call("SET left-over 1");
    }
    let load = Load::start(topology.master(), 1, Expiry::Soon);
    load.wait_for(100);
    topology.attach();
    load.wait_for(WRITES_AFTER_SYNC);
    topology.master().call("FLUSHALL");
    plant(topology.master());
    load.wait_for(WRITES_AFTER_SYNC);
    load.stop();
    assert_converges(&topology);
}

/// `--replicaof` on the command line of a server that starts.
pub fn at_start(kinds: &[Kind]) {
    let Some(first) = Node::start(kinds[0], 0, &[]) else { return };
    plant(&first);
    let load = Load::start(&first, 2, Expiry::Soon);
    load.wait_for(100);
    let Some(topology) = Topology::start_as_replicas(first, kinds) else { return };
    topology.wait_for_links();
    load.wait_for(WRITES_AFTER_SYNC);
    load.stop();
    assert_converges(&topology);
}

/// Hashes whose fields have times to live, by the RDB file and by the stream, by cut links and a restart.
pub fn with_fields_that_expire(kinds: &[Kind]) {
    let Some(mut topology) = Topology::start(kinds, &[]) else { return };
    if topology.master().is_oracle() {
        return;
    }
    let far = (0..700).map(|n| format!("HPEXPIREAT plant:fields 41024448{n:05} FIELDS 1 f{n}"));
    let fields: Vec<String> = (0..900).map(|n| format!("f{n} {n}")).collect();
    let some = ["HSET plant:small a 1 b 2 c 3", "HPEXPIREAT plant:small 4102444800123 FIELDS 1 b"];
    let lines =
        some.map(str::to_owned).into_iter().chain([format!("HSET plant:fields {}", fields.join(" "))]);
    let commands: Vec<Vec<Vec<u8>>> = lines.chain(far).map(|text| line(&text)).collect();
    send_all(&mut topology.master().connect(), &commands);
    let load = Load::start_with_fields_that_expire(topology.master(), 14, Expiry::Soon);
    load.wait_for(WRITES_AFTER_SYNC);
    topology.attach();
    let times = topology.last().call("HPEXPIRETIME plant:small FIELDS 2 a b");
    assert_eq!(
        times.items().map(|times| [times[0].int(), times[1].int()]),
        Some([Some(-1), Some(4102444800123)])
    );
    for link in &topology.links {
        load.wait_for(WRITES_AFTER_SYNC / 4);
        link.cut(Cut::Reset);
    }
    topology.wait_for_links();
    load.wait_for(WRITES_AFTER_SYNC);
    let port = topology.links.last().expect("a link").port();
    let last = topology.nodes.last_mut().expect("a replica");
    last.shut_down_with_save();
    last.start_again_following(port);
    topology.wait_for_links();
    load.wait_for(WRITES_AFTER_SYNC);
    load.stop();
    assert_converges(&topology);
    assert_eq!(topology.last().call("HLEN plant:fields").int(), Some(900));
}

/// Each way to send the file (from disk, from memory) with each way to load it.
pub fn with_each_diskless_setting(kinds: &[Kind]) {
    for sync in ["yes", "no"] {
        for load in ["disabled", "on-empty-db", "swapdb"] {
            println!("repl-diskless-sync {sync}, repl-diskless-load {load}");
            attach_with(kinds, &["--repl-diskless-sync", sync, "--repl-diskless-load", load]);
        }
    }
}

fn attach_with(kinds: &[Kind], args: &[&str]) {
    let Some(topology) = Topology::start(kinds, args) else { return };
    plant(topology.master());
    let load = Load::start(topology.master(), 3, Expiry::Late);
    topology.attach();
    load.wait_for(WRITES_AFTER_SYNC / 4);
    load.stop();
    assert_converges(&topology);
}

/// The second replica comes while the first, on a slow link, is still receiving its file.
pub fn second_replica_during_full_sync(kinds: &[Kind]) {
    for sync in ["yes", "no"] {
        let args = ["--repl-diskless-sync", sync];
        let Some(mut topology) = Topology::start(kinds, &args) else { return };
        let Some(second) = Node::start(kinds[1], 2, &args) else { return };
        plant_bulk(topology.master(), BULK_MEGABYTES, 0);
        let load = Load::start(topology.master(), 4, Expiry::Late);

        topology.links[0].throttle(Some(SLOW_BYTES_PER_SECOND));
        topology.nodes[1].follow(topology.links[0].port());
        eventually("the first full sync has begun", || topology.master().number("connected_slaves") == 1);
        let direct = Proxy::to(topology.master().port());
        second.follow(direct.port());
        assert!(
            !topology.nodes[1].link_is_up(),
            "the first full sync was over before the second replica came"
        );

        eventually("the second replica is in", || second.link_is_up());
        topology.wait_for_links();
        topology.links[0].throttle(None);
        load.wait_for(WRITES_AFTER_SYNC / 4);
        load.stop();
        assert_converges(&topology);
        topology.nodes.push(second);
        super::compare::assert_same(&[topology.master(), topology.last()]);
    }
}
