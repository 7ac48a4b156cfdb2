//! Many clients at once against a server that executes on several threads: what must hold all the same.
//!
//! - `linearizable`: what the clients were told can be put into one order that respects real time and in which a server
//!   with one thread would have said the same;
//! - `replay`: the replication stream, sent to an empty server as plain commands, gives the same data set, and replicas
//!   that attach in the middle of the storm end with it too;
//! - `snapshots`: every dump.rdb shows the data set as it was at one moment.
//!
//! Schedules cannot be replayed, but what the clients send comes from seeds; a failure prints its seed and its history.
//! `REDPOLL_CONCURRENCY_ROUNDS=20` runs twenty times as many rounds, each with a seed of its own.

mod support;

#[path = "support/mix.rs"]
#[allow(dead_code)]
mod mix;

// Of the interop tests' tools, this crate uses a part.
#[path = "interop/compare.rs"]
#[allow(dead_code)]
mod compare;
#[path = "interop/observer.rs"]
#[allow(dead_code)]
mod observer;
#[path = "interop/proxy.rs"]
#[allow(dead_code)]
mod proxy;
#[path = "interop/topology.rs"]
#[allow(dead_code)]
mod topology;
#[path = "interop/wire.rs"]
#[allow(dead_code)]
mod wire;

#[path = "concurrency/checker.rs"]
mod checker;
#[path = "concurrency/history.rs"]
mod history;
#[path = "concurrency/linearizable.rs"]
mod linearizable;
#[path = "concurrency/model.rs"]
mod model;
#[path = "concurrency/replay.rs"]
mod replay;
#[path = "concurrency/snapshots.rs"]
mod snapshots;
#[path = "concurrency/steps.rs"]
mod steps;
#[path = "concurrency/storm.rs"]
mod storm;

/// More threads than a small machine has cores: the scheduler then cuts commands wherever it likes.
const IO_THREADS: [&str; 2] = ["--io-threads", "4"];

/// The seeds of a test's rounds: `standard` of them, times REDPOLL_CONCURRENCY_ROUNDS.
fn seeds(standard: u64) -> std::ops::Range<u64> {
    let times = std::env::var("REDPOLL_CONCURRENCY_ROUNDS")
        .map_or(1, |text| text.parse().expect("a number of rounds"));
    0..standard * times
}

/// A server under test with several I/O threads.
fn many_threads() -> topology::Node {
    topology::Node::start(topology::Kind::Redpoll, 0, &IO_THREADS).expect("the server under test")
}
