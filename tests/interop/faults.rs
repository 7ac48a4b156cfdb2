//! A master that does the wrong thing on every connection: its replica keeps what it has, answers, says why, and tries
//! again; and follows a sane master as soon as it is pointed to one.

use super::compare::{assert_converges, data_of};
use super::fake_master::{FakeMaster, Fault};
use super::load::plant;
use super::proxy::Proxy;
use super::topology::{Kind, Node, Topology, eventually, oracle_is_under_test};
use crate::support::client::Value;
use std::fs;

/// Connections that the fake must have seen before the replica counts as persistent.
const ATTEMPTS: usize = 2;
/// Seconds of silence after which the replica gives its master up; lowered from 60 for [`Fault::Silence`].
const REPL_TIMEOUT: &str = "2";

/// One fault against a replica of `kind`, and then a sane master that heals it.
pub fn survive(kind: Kind, fault: Fault) {
    let Some(topology) = replica_with_data(kind) else { return };
    let replica = topology.last();
    let data_before = data_of(replica);
    let fake = FakeMaster::committing(fault, sane_rdb());
    replica.follow(fake.port());
    if replica.is_oracle() && ends_a_real_redis(fault) {
        wait_for_explanation(replica, fault);
        println!("SKIPPED from here: a real redis-server exits on {fault:?}");
        return;
    }
    let witness = if fault.is_after_the_sync() { "new" } else { "old" };
    read_until_tried_again(replica, &fake, fault, witness);
    eventually("what is served after the fault", || replica.call("GET witness").text() == witness);
    if witness == "old" {
        assert!(data_of(replica) == data_before, "{fault:?} has changed the data");
    }
    wait_for_explanation(replica, fault);

    plant(topology.master());
    replica.follow(topology.links[0].port());
    topology.wait_for_links();
    assert_converges(&topology);
    assert_eq!(replica.call("EXISTS witness").int(), Some(0));
}

/// A sane master, and a node with data of its own that could follow it. Only by loading beside (swapdb) does a real
/// Redis keep its data when a file is damaged; Redpoll must with its defaults.
fn replica_with_data(kind: Kind) -> Option<Topology> {
    let mut args = vec!["--repl-timeout", REPL_TIMEOUT];
    if oracle_is_under_test() {
        args.extend(["--repl-diskless-load", "swapdb"]);
    }
    let master = Node::start(Kind::Redis, 0, &[])?;
    let replica = Node::start(kind, 1, &args)?;
    plant(&replica);
    replica.call("SET witness old");
    let link = Proxy::to(master.port());
    Some(Topology { nodes: vec![master, replica], links: vec![link] })
}

/// Reads all the while; each read must be answered, from the old data or (where the sync succeeds) from the new.
fn read_until_tried_again(replica: &Node, fake: &FakeMaster, fault: Fault, witness: &str) {
    let one_is_enough = replica.is_oracle() && fault == Fault::UnknownCommand; // a real Redis logs it and goes on
    let attempts = if one_is_enough { 1 } else { ATTEMPTS };
    let mut reader = replica.connect();
    eventually(&format!("the replica tries again after {fault:?}"), || {
        let answer = reader.line("GET witness");
        let known = ["old", witness].contains(&answer.text().as_str());
        assert!(known || replica.is_oracle() && is_loading(&answer), "a read during {fault:?}: {answer}");
        fake.attempts() >= attempts
    });
}

fn wait_for_explanation(replica: &Node, fault: Fault) {
    eventually(&format!("the log explains {fault:?}"), || {
        let log = replica.log().to_lowercase();
        fault.explained_by().iter().any(|word| log.contains(word))
    });
}

/// What a real Redis does about files that it takes for damaged (observed: redis-server 7.0.15).
fn ends_a_real_redis(fault: Fault) -> bool {
    matches!(fault, Fault::FlippedByte | Fault::WrongChecksum | Fault::UnknownType)
}

fn is_loading(reply: &Value) -> bool {
    reply.text().starts_with("LOADING")
}

/// A file that a real Redis has saved: a few keys, among them one whose value [`Fault::FlippedByte`] looks for.
fn sane_rdb() -> Vec<u8> {
    let mut node = Node::start(Kind::Redis, 9, &[]).expect("the peer was there a moment ago");
    node.call("SET witness new");
    node.call("SET target spoil-me");
    for number in 0..1000 {
        node.call(&format!("SET filler:{number} {number}-{number}"));
    }
    node.shut_down_with_save();
    fs::read(node.dir().join("dump.rdb")).expect("the saved file")
}
