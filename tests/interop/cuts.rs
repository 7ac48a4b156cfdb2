//! The link breaks under a write load, in every way a link can: each time the replica goes on where it was.

use super::compare::assert_converges;
use super::load::{Expiry, Load, plant};
use super::proxy::{Cut, Proxy};
use super::topology::{Kind, Node, Topology, eventually};
use crate::support::client::{Client, encode_command};

/// Cuts per link; `REDPOLL_INTEROP_CUTS` asks for more.
const DEFAULT_CUTS: usize = 5;
/// How far the master runs ahead of a replica that is held off.
const LEAD_BYTES: i64 = 20_000;
/// Commands between two cuts.
const WRITES_BETWEEN: u64 = 60;

/// MULTI, two SETs of 400 bytes, EXEC.
const TRANSACTION_BYTES: u64 = 900;

#[derive(Clone, Copy, Debug)]
enum Method {
    Reset,
    /// So many bytes from now, wherever in a command that is.
    AfterBytes(u64),
    KillReplica,
    KillMaster,
    /// The link stands still until the master is ahead, then it is reset with all that was in flight.
    StallThenReset,
    /// The master cannot be reached until it is ahead.
    Outage,
    Close,
}

const METHODS: [Method; 9] = [
    Method::AfterBytes(1),
    Method::KillReplica,
    Method::StallThenReset,
    Method::KillMaster,
    Method::Outage,
    Method::Reset,
    Method::AfterBytes(997),
    Method::Close,
    Method::AfterBytes(30_011),
];

/// Cuts every link of the row in turn, and compares at the end.
pub fn resume_partially(kinds: &[Kind]) {
    let Some(topology) = Topology::start(kinds, &[]) else { return };
    plant(topology.master());
    let load = Load::start(topology.master(), 5, Expiry::Soon);
    topology.attach();
    for method in METHODS.into_iter().cycle().take(cuts_wanted()) {
        for (place, link) in topology.links.iter().enumerate() {
            load.wait_for(WRITES_BETWEEN);
            cut_and_resume(&topology.nodes[place], link, &topology.nodes[place + 1], method);
        }
    }
    load.wait_for(WRITES_BETWEEN);
    load.stop();
    assert_converges(&topology);
}

/// The last link breaks in the middle of transactions: none is ever applied by half, and each is applied in the end.
pub fn never_apply_half_a_transaction(kinds: &[Kind]) {
    let Some(topology) = Topology::start_attached(kinds, &[]) else { return };
    let above = &topology.nodes[topology.nodes.len() - 2];
    let link = topology.links.last().expect("a link");
    let mut writer = topology.master().connect();
    let mut reader = topology.last().connect();
    let mut number = 0;
    for round in 1..=cuts_wanted() as u64 {
        let (full, partial) = above.syncs_given();
        link.cut_after(round * TRANSACTION_BYTES + round * TRANSACTION_BYTES / 6);
        eventually("the link has resumed after a cut", || {
            number += 1;
            write_transaction(&mut writer, number);
            let pair = reader.line("MGET unit:a unit:b");
            let pair = pair.items().expect("two values");
            assert!(pair[0] == pair[1], "a transaction is seen by half: {} / {}", pair[0], pair[1]);
            !link.cut_is_pending() && above.syncs_given() == (full, partial + 1)
        });
    }
    topology.wait_for_links();
    assert_converges(&topology);
}

/// Two keys get the same value, padded to make the transaction about [`TRANSACTION_BYTES`] long.
fn write_transaction(client: &mut Client, number: u64) {
    let value = format!("{number:0400}");
    let set = |key| ["SET", key, value.as_str()];
    let commands = [&["MULTI"][..], &set("unit:a"), &set("unit:b"), &["EXEC"]];
    let bytes: Vec<u8> = commands.iter().flat_map(|command| encode_command(command)).collect();
    client.send_raw(&bytes).expect("send a transaction");
    for _ in commands {
        assert!(!client.read_reply().expect("a reply").value.is_error());
    }
}

fn cuts_wanted() -> usize {
    let asked = std::env::var("REDPOLL_INTEROP_CUTS");
    asked.map_or(DEFAULT_CUTS, |text| text.parse().expect("REDPOLL_INTEROP_CUTS is a number"))
}

fn cut_and_resume(above: &Node, link: &Proxy, below: &Node, method: Method) {
    let (full, partial) = above.syncs_given();
    cut(above, link, below, method);
    eventually(&format!("{below} resumes after {method:?}"), || {
        let (full_now, partial_now) = above.syncs_given();
        assert_eq!(full_now, full, "{below} had to resync fully after {method:?}");
        partial_now > partial && below.link_is_up()
    });
}

fn cut(above: &Node, link: &Proxy, below: &Node, method: Method) {
    let ahead = || above.offset() > below.offset() + LEAD_BYTES;
    match method {
        Method::Reset => link.cut(Cut::Reset),
        Method::Close => link.cut(Cut::Close),
        Method::AfterBytes(bytes) => {
            link.cut_after(bytes);
            eventually("the bytes have passed", || !link.cut_is_pending());
        }
        Method::KillReplica => assert_eq!(above.call("CLIENT KILL TYPE replica").int(), Some(1)),
        Method::KillMaster => assert_eq!(below.call("CLIENT KILL TYPE master").int(), Some(1)),
        Method::StallThenReset => {
            link.stall(true);
            eventually("the master runs ahead of the stalled link", ahead);
            link.cut(Cut::Reset);
            link.stall(false);
        }
        Method::Outage => {
            link.shut(true);
            link.cut(Cut::Close);
            eventually("the master runs ahead during the outage", ahead);
            link.shut(false);
        }
    }
}
