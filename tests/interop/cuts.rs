//! The link breaks under a write load, in every way a link can: each time the replica goes on where it was.

use super::compare::assert_converges;
use super::load::{Expiry, Load, plant};
use super::proxy::{Cut, Proxy};
use super::topology::{Kind, Node, Topology, eventually};

/// Cuts per link; `REDPOLL_INTEROP_CUTS` asks for more.
const DEFAULT_CUTS: usize = 5;
/// How far the master runs ahead of a replica that is held off.
const LEAD_BYTES: i64 = 20_000;
/// Commands between two cuts.
const WRITES_BETWEEN: u64 = 60;

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
