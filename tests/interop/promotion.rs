//! A replica becomes the master, and the others find their way to it without a full resync, unless their histories
//! have parted.

use super::compare::{assert_converges, assert_same};
use super::load::{Expiry, Load, plant};
use super::proxy::Proxy;
use super::topology::{Kind, Node, Topology, eventually};

/// No PINGs while a scenario runs: once the load has stopped, the old master's offset stands still.
const QUIET: [&str; 2] = ["--repl-ping-replica-period", "3600"];
/// Commands written by each load.
const WRITES: u64 = 200;

/// The last of the row is promoted at equal offsets; the old master follows it from there.
pub fn old_master_resumes_by_secondary_id(kinds: &[Kind]) {
    let Some(topology) = in_step(kinds) else { return };
    let (old, new) = (topology.master(), topology.last());
    let (old_id, old_offset) = (old.info("master_replid"), old.offset());
    promote(new);
    assert_eq!(new.info("master_replid2"), old_id, "the old ID is the secondary one");
    assert_eq!(new.number("second_repl_offset"), old_offset + 1);
    assert_ne!(new.info("master_replid"), old_id);

    write_to(new);
    let (full, partial) = new.syncs_given();
    let back = Proxy::to(new.port());
    old.follow(back.port());
    eventually("the old master follows", || old.link_is_up());
    assert_eq!(new.syncs_given(), (full, partial + 1), "(full, partial) syncs given by the new master");
    write_to(new);
    assert_same(&[old, new]);
    assert_eq!(old.info("master_replid"), new.info("master_replid"));
}

/// The old master has written something that the promoted replica never saw: that must go, by a full resync.
pub fn old_master_with_extra_writes_resyncs_fully(kinds: &[Kind]) {
    let Some(topology) = in_step(kinds) else { return };
    let (old, new) = (topology.master(), topology.last());
    promote(new);
    old.call("SET never-seen 1");
    write_to(new);
    let (full, partial) = new.syncs_given();
    let back = Proxy::to(new.port());
    old.follow(back.port());
    eventually("the old master follows", || old.link_is_up());
    assert_eq!(new.syncs_given(), (full + 1, partial), "(full, partial) syncs given by the new master");
    assert_same(&[old, new]);
    assert_eq!(old.call("EXISTS never-seen").int(), Some(0));
}

/// The middle of a chain is promoted: its own replica goes on partially under the new ID, and then the old master
/// comes in at the chain's end, partially too.
pub fn middle_of_a_chain(kinds: &[Kind]) {
    let Some(topology) = in_step(kinds) else { return };
    let [old, middle, last] = &topology.nodes[..] else { panic!("a chain of three") };
    let full = middle.syncs_given().0;
    promote(middle);
    eventually("the sub-replica learns the new ID", || {
        last.link_is_up() && last.info("master_replid") == middle.info("master_replid")
    });
    assert_eq!(middle.syncs_given().0, full, "full syncs given by the promoted one");
    write_to(middle);
    assert_same(&[middle, last]);

    let (full, partial) = last.syncs_given();
    let back = Proxy::to(last.port());
    old.follow(back.port());
    eventually("the old master follows", || old.link_is_up());
    assert_eq!(last.syncs_given(), (full, partial + 1), "(full, partial) syncs given by the chain's end");
    write_to(middle);
    assert_same(&[middle, last, old]);
}

/// A row that has been loaded and has come to rest at one offset.
fn in_step(kinds: &[Kind]) -> Option<Topology> {
    let topology = Topology::start(kinds, &QUIET)?;
    plant(topology.master());
    topology.attach();
    write_to(topology.master());
    assert_converges(&topology);
    Some(topology)
}

fn write_to(node: &Node) {
    let load = Load::start(node, 6, Expiry::Late);
    load.wait_for(WRITES);
    load.stop();
}

fn promote(node: &Node) {
    node.call("REPLICAOF NO ONE");
    assert_eq!(node.info("role"), "master");
}

/// FAILOVER of the master makes its replica the master and itself that one's replica, with no more than partial syncs.
pub fn failover_exchanges_the_roles(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let (master, replica) = (topology.master(), topology.last());
    master.call("SET before 1");
    let given = master.syncs_given();
    assert_eq!(master.call("FAILOVER").text(), "OK");
    eventually("the replica is a master", || replica.info("role") == "master");
    eventually("the former master follows it", || master.link_is_up());
    replica.call("SET after 1");
    eventually("its writes arrive", || master.call("GET after").text() == "1");
    assert_eq!(replica.call("GET before").text(), "1");
    assert_eq!(replica.syncs_given(), (0, 1));
    assert_eq!(master.syncs_given(), given);
    assert_eq!(replica.info("master_replid2"), master.info("master_replid2"));
}
