//! Whole clusters in one thread, in virtual time, from a seed.
//!
//! Each seed is a story: a master, replicas and chains of them, clients that write, keys that expire; links that are slow, are
//! cut at any byte, or say nothing any more; nodes that are killed, restarted, promoted, sent to another master. The servers are
//! the real ones: only sockets, time and chance are simulated.
//!
//! First SAFETY: at no moment does a replica hold anything but a prefix of some master's history, in bytes and in data
//! (`oracle`). Then LIVENESS: all is healed, and all nodes come to equal data, offsets and ids.
//!
//! That it can fail was tried with errors put in by hand: a SELECT lost where a snapshot begins, a former id valid for too long
//! (at PSYNC, at a promotion, at a restart), a full resync one byte off, a log that starts one byte late, changes that a snapshot
//! does not capture, half a transaction applied, a replica that expires keys by itself or on load, DELs lost at load. Each
//! is found within the first hundred seeds.
//!
//! ```text
//! cargo test --test simulation                                     1,000 seeds
//! REDPOLL_SIM_SEEDS=5000..9000 cargo test --test simulation        others
//! REDPOLL_SIM_SEED=17 cargo test --test simulation replay          one, with all that its servers log
//! ```

#![allow(clippy::disallowed_methods, reason = "the runtime of a simulation has its own, virtual, time")]

#[path = "simulation/contents.rs"]
mod contents;
#[path = "simulation/coverage.rs"]
mod coverage;
#[path = "support/mix.rs"]
#[allow(dead_code)]
mod mix;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/node.rs"]
mod node;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/rng.rs"]
mod rng;
#[path = "simulation/scenario.rs"]
mod scenario;
#[path = "simulation/transcript.rs"]
mod transcript;
#[path = "simulation/workload.rs"]
mod workload;

use coverage::Coverage;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The seeds of a usual run.
const SEEDS: Range<u64> = 0..1000;

/// Runs seeds on all cores, each in one thread. The first that fails ends it.
fn run_all(seeds: Range<u64>) -> Coverage {
    let (next, failed, sum) =
        (AtomicU64::new(seeds.start), Mutex::new(None), Mutex::new(Coverage::default()));
    let work = || {
        while failed.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                return;
            }
            match run(seed, false) {
                Ok(coverage) => sum.lock().unwrap().add(&coverage),
                Err(error) => {
                    failed.lock().unwrap().get_or_insert((seed, error));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).for_each(|_| {
            scope.spawn(work);
        });
    });
    if let Some((seed, error)) = failed.into_inner().unwrap() {
        panic!("seed {seed}: {error}\nReplay: REDPOLL_SIM_SEED={seed} cargo test --test simulation replay");
    }
    sum.into_inner().unwrap()
}

/// Runs a seed; a panic of the servers' code is a failure like any other.
fn run(seed: u64, loud: bool) -> Result<Coverage, String> {
    catch_unwind(AssertUnwindSafe(|| scenario::run(seed, loud))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
    })
}

#[test]
fn every_seed_is_safe_and_comes_together() {
    let seeds = match std::env::var("REDPOLL_SIM_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("REDPOLL_SIM_SEEDS=from..to");
            from.parse().expect("a number")..to.parse().expect("a number")
        }
        Err(_) => SEEDS,
    };
    let began = std::time::Instant::now();
    let count = seeds.end - seeds.start;
    let coverage = run_all(seeds);
    eprintln!("{count} seeds in {:.1} s: {coverage:#?}", began.elapsed().as_secs_f64());
    assert_interesting(&coverage, count);
}

/// What must have happened, per 1,000 seeds: far less than usually does.
fn assert_interesting(coverage: &Coverage, seeds: u64) {
    let wanted = [
        ("full syncs", coverage.full_syncs, 1000),
        ("partial syncs", coverage.partial_syncs, 1000),
        ("partial syncs refused", coverage.refused_partial_syncs, 300),
        ("cuts", coverage.cuts, 1000),
        ("cuts in transactions", coverage.cuts_in_transactions, 30),
        ("cuts in snapshots", coverage.cut_snapshots, 100),
        ("half-open connections", coverage.half_open, 100),
        ("kills", coverage.kills, 300),
        ("shutdowns", coverage.shutdowns, 300),
        ("promotions", coverage.promotions, 300),
        ("split brains", coverage.split, 300),
        ("expired keys", coverage.expired, 1000),
        ("collections in one piece", coverage.packed, 1000),
        ("collections of many pieces", coverage.large, 1000),
        ("streams", coverage.streams, 1000),
        ("entries that wait to be acknowledged", coverage.pending, 1000),
        ("fields with a time to live", coverage.timed_fields, 300),
        ("data sets compared", coverage.compared, 10_000),
    ];
    for (what, count, at_least) in wanted {
        assert!(count * 1000 >= at_least * seeds, "the simulation has become tame: {what}: {count}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let first = run(seed, false);
        assert_eq!(first, run(seed, false), "seed {seed}");
    }
}

/// `REDPOLL_SIM_SEED=17 cargo test --test simulation replay`
#[test]
fn replay() {
    let Ok(seed) = std::env::var("REDPOLL_SIM_SEED") else { return };
    let seed = seed.parse().expect("a number");
    match run(seed, true) {
        Ok(coverage) => eprintln!("seed {seed}: {coverage:#?}"),
        Err(error) => panic!("seed {seed}: {error}"),
    }
}
