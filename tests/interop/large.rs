//! Large values of every type: they are synced while they are written to, and an RDB file of one server is the other's.
//!
//! `REDPOLL_INTEROP_LARGE=10` makes a sorted set, a hash and a set of 1,000,000 members, a stream of as many entries and a list
//! of 500,000 elements.

use super::compare::{assert_converges, data_of, difference_of, digest_of};
use super::load::{Expiry, Load, plant, send_all};
use super::topology::{Kind, Node, Topology, eventually};
use crate::mix::{Command, line};
use crate::support::client::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Members of the sorted set, the hash and the set, and entries of the stream, without REDPOLL_INTEROP_LARGE.
const MEMBERS: u64 = 100_000;
/// So many times fewer elements has the list.
const LIST_SHARE: u64 = 2;
/// A list of few elements that are large.
const TEXTS: u64 = 1000;
const TEXT_BYTES: usize = 5000;
/// Entries of the stream that each of its groups has been given.
const PENDING: u64 = 3000;
/// Members, fields and elements of one command, and entries of one write.
const AT_ONCE: u64 = 1000;
/// Changes to the large values after the link is up, at least.
const CHANGES_AFTER_SYNC: u64 = 1000;
/// Changes sent in one write.
const BATCH: usize = 20;

fn members() -> u64 {
    let times =
        std::env::var("REDPOLL_INTEROP_LARGE").map_or(1, |text| text.parse().expect("a number of times"));
    MEMBERS * times
}

/// The replica attaches while clients change the large values, and beside them everything else.
pub fn sync_under_load(kinds: &[Kind]) {
    let Some(topology) = Topology::start(kinds, &[]) else { return };
    let members = members();
    plant_large(topology.master(), members);
    let load = Load::start(topology.master(), 15, Expiry::Late);
    let (over, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    let go_on = |more: u64| {
        let goal = changes.load(Ordering::Relaxed) + more;
        eventually("the large values change", || changes.load(Ordering::Relaxed) >= goal);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut client, mut rng) = (topology.master().connect(), StdRng::seed_from_u64(15));
            while !over.load(Ordering::Relaxed) {
                let batch: Vec<Command> = (0..BATCH).map(|_| change(&mut rng, members)).collect();
                send_all(&mut client, &batch);
                changes.fetch_add(BATCH as u64, Ordering::Relaxed);
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            go_on(BATCH as u64);
            topology.attach();
            go_on(CHANGES_AFTER_SYNC);
        }));
        over.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    load.stop();
    assert_converges(&topology);
    let left = topology.last().call("ZCARD large:zset").int().unwrap_or_default() as u64;
    assert!(left > members / 2, "only {left} members were left to compare");
}

/// SHUTDOWN SAVE of the first, whose file the second loads: of large values, of every shape, of what a load has left.
pub fn file_is_loaded(kinds: &[Kind]) {
    let Some(mut first) = Node::start(kinds[0], 0, &[]) else { return };
    let Some(mut second) = Node::start(kinds[1], 1, &[]) else { return };
    plant(&first);
    plant_large(&first, members());
    let load = Load::start(&first, 16, Expiry::Late);
    load.wait_for(1500);
    load.stop();
    let (digest, data) = (digest_of(&first), data_of(&first));
    first.shut_down_with_save();
    second.crash();
    let copied = fs::copy(first.dir().join("dump.rdb"), second.dir().join("dump.rdb"));
    copied.expect("the file can be copied");
    second.start_again();
    if let Some(difference) = difference_of(&data, &data_of(&second)) {
        panic!("of {first}'s data, and of what {second} has loaded:\n{difference}");
    }
    assert_eq!(digest_of(&second), digest);
    for told in ["Loading RDB produced by version 7.", "RDB age ", "RDB memory usage when created "] {
        second.wait_for_log(told);
    }
}

fn plant_large(node: &Node, members: u64) {
    let mut client = node.connect();
    let starts = || (0..members).step_by(AT_ONCE as usize);
    let many = |head: &str, from: u64, word: &dyn Fn(u64) -> String| {
        line(&(from..from + AT_ONCE).fold(head.to_owned(), |text, n| format!("{text} {}", word(n))))
    };
    for from in starts() {
        let zset = many("ZADD large:zset", from, &|n| format!("{}.{} member:{n}", n * 7 % members, n % 4));
        let hash = many("HSET large:hash", from, &|n| format!("field:{n} {}", n * n));
        let set = many("SADD large:set", from, &|n| format!("member:{n}"));
        send_all(&mut client, &[zset, hash, set]);
        if from < members / LIST_SHARE {
            send_all(&mut client, &[many("RPUSH large:list", from, &|n| format!("element:{n}"))]);
        }
        let entries = from..from + AT_ONCE;
        let entry =
            |n: u64| line(&format!("XADD large:stream {}-{} number {n} name entry:{n}", n / 7 + 1, n % 7));
        send_all(&mut client, &entries.map(entry).collect::<Vec<_>>());
    }
    let text = |n: u64| [line("RPUSH large:texts"), vec![format!("{n:0TEXT_BYTES$}").into_bytes()]].concat();
    send_all(&mut client, &(0..TEXTS).map(text).collect::<Vec<_>>());
    for group in ["one", "two"] {
        send_all(&mut client, &[line(&format!("XGROUP CREATE large:stream {group} 0"))]);
        read_group(&mut client, group);
    }
}

fn read_group(client: &mut Client, group: &str) {
    for consumer in ["alice", "bob"] {
        let count = PENDING / 2;
        let read = format!("XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS large:stream >");
        send_all(client, &[line(&read)]);
    }
}

/// A change to one of the large values, which stays large.
fn change(rng: &mut StdRng, members: u64) -> Command {
    let n = rng.random_range(0..members + members / 10);
    let at = rng.random_range(0..members / LIST_SHARE / 2);
    let group = ["one", "two"][rng.random_range(0..2)];
    line(&match rng.random_range(0..26) {
        0 => format!("ZADD large:zset {} member:{n}", n % 1000),
        1 => format!("ZINCRBY large:zset 1.5 member:{n}"),
        2 => format!("ZREM large:zset member:{n}"),
        3 => "ZPOPMIN large:zset 2".into(),
        4 => format!("ZREMRANGEBYRANK large:zset {at} {at}"),
        5 | 6 => format!("HSET large:hash field:{n} {n} other:{n} x"),
        7 => format!("HINCRBY large:hash field:{n} 7"),
        8 => format!("HDEL large:hash field:{n} other:{n}"),
        9 => format!("SADD large:set member:{n}"),
        10 => format!("SREM large:set member:{n}"),
        11 => "SPOP large:set".into(),
        12 => format!("SMOVE large:set large:moved member:{n}"),
        13 => format!("RPUSH large:list {n}"),
        14 => "LPOP large:list".into(),
        15 => format!("LSET large:list {at} changed:{n}"),
        16 => "LMOVE large:list large:list LEFT RIGHT".into(),
        17 => format!("LSET large:texts {} {n:0TEXT_BYTES$}", n % TEXTS),
        18 => "RPOPLPUSH large:texts large:texts".into(),
        19 => format!("XADD large:stream * number {n}"),
        20 => format!("XDEL large:stream {}-{}", n / 7 + 1, n % 7),
        21 => format!("XREADGROUP GROUP {group} carol COUNT 5 STREAMS large:stream >"),
        22 => format!("XACK large:stream {group} {}-{}", n % PENDING / 7 + 1, n % 7),
        23 => format!("XAUTOCLAIM large:stream {group} bob 0 {}-0 COUNT 3", n % PENDING / 7),
        24 => format!("XADD large:stream MAXLEN = {members} * number {n}"),
        _ => format!("COPY large:texts copy:{} REPLACE", n % 3),
    })
}
