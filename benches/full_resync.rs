//! A full synchronization under load: what it costs the master, its clients, and the replica's clients.
//!
//! ```text
//! cargo bench --bench full_resync [-- --keys 2000000 --megabytes 256 --rounds 3] [--apart] [--smoke]
//! ```
//!
//! A master with many small keys and one huge one serves a steady load, of which no operation waits for another's reply (an
//! open loop: a server that stalls is charged for all that was due meanwhile). A replica of the same kind, which has data of its own, is attached.
//! `repl-diskless-sync-delay` is 0 for both: it is a choice, not a cost. Values cannot be compressed.

mod harness;
#[path = "harness/load.rs"]
mod load;
#[path = "harness/sync.rs"]
mod sync;

use harness::support::client::{Client, Value};
use harness::support::server::Server;
use harness::support::wait_until;
use harness::{
    Figures, Kind, Noise, connect, cpu_seconds, fill, info, is_smoke, key, memory_mb, option, print_table,
};
use load::Load;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use sync::{DEADLINE, is_in_step};

/// Bytes of a value.
const VALUE_BYTES: usize = 100;
/// How often the replica is asked for a key.
const PROBE_PERIOD: Duration = Duration::from_millis(2);
/// One operation in so many is a SET, the others are GETs.
const SET_EVERY: u64 = 5;

struct Sizes {
    keys: usize,
    huge_bytes: usize,
}

fn main() {
    load::stay_apart();
    let small = is_smoke();
    let size = |name, full, smoke| option(name, if small { smoke } else { full });
    let sizes = Sizes {
        keys: size("--keys", 2_000_000, 20_000),
        huge_bytes: size("--megabytes", 256, 4) * 1_000_000,
    };
    let (mut redis, mut redpoll) = (Figures::default(), Figures::default());
    for _ in 0..size("--rounds", 3, 1) {
        for kind in Kind::all() {
            let figures = if kind == Kind::Redis { &mut redis } else { &mut redpoll };
            synchronize(kind, &sizes, figures);
        }
    }
    print_table(&redis, &redpoll);
}

fn synchronize(kind: Kind, sizes: &Sizes, figures: &mut Figures) {
    let master = kind.start(&["--repl-diskless-sync-delay", "0"]);
    let replica = kind.start(&[]);
    let (mut at_master, mut at_replica) = (connect(&master), connect(&replica));
    fill(&mut at_master, sizes.keys, VALUE_BYTES);
    let huge = Noise::new(3).bytes(sizes.huge_bytes);
    assert_eq!(at_master.call(&[&b"SET"[..], b"huge", &huge]).text(), "OK");
    assert_eq!(at_master.line("SET probe new").text(), "OK");
    assert_eq!(at_replica.line("SET probe old").text(), "OK");
    assert_eq!(at_master.line("CONFIG RESETSTAT").text(), "OK");

    let keys = sizes.keys;
    let load = Load::start(master.addr(), move |noise| {
        let key = key(noise.number() as usize % keys);
        if noise.number().is_multiple_of(SET_EVERY) {
            vec![b"SET".to_vec(), key, noise.bytes(VALUE_BYTES)]
        } else {
            vec![b"GET".to_vec(), key]
        }
    });
    let (master_pid, replica_pid) = (master.pid().expect("it runs"), replica.pid().expect("it runs"));
    let cpu_before = (cpu_seconds(master_pid), cpu_seconds(replica_pid));
    let memory_before = memory_mb(master_pid);
    let beside = |over: &AtomicBool| longest_silence(&replica, over);
    let (peak, silence) = sync::synchronize(figures, &master, [&mut at_master, &mut at_replica], beside);
    // A child's time is counted once it has been waited for.
    wait_until("the snapshot is over", DEADLINE, || {
        info(&mut at_master, "persistence", "rdb_bgsave_in_progress").as_deref() == Some("0")
    });
    figures.add("master's processor time, s", cpu_seconds(master_pid) - cpu_before.0);
    figures.add("replica's processor time, s", cpu_seconds(replica_pid) - cpu_before.1);
    let lateness = load.stop();
    figures.add("longest latency of the load, ms", lateness.replies.as_secs_f64() * 1000.0);
    figures.add("the load's own latest waking, ms", lateness.waking.as_secs_f64() * 1000.0);
    figures.add("master's memory above before, MB", peak - memory_before);
    figures.add("replica without a real answer, ms", silence.as_secs_f64() * 1000.0);
    figures.add_lock_hold("lock_hold_max_usec", &mut at_master);
    check_data(&mut at_master, &mut at_replica, &huge);
}

/// The longest time in which the replica gave no value, though it has one before and after.
fn longest_silence(replica: &Server, over: &AtomicBool) -> Duration {
    let mut client = connect(replica);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !over.load(Relaxed) {
        if matches!(client.line("GET probe"), Value::Bulk(_)) {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        thread::sleep(PROBE_PERIOD);
    }
    longest.max(last.elapsed())
}

/// Without load, both must come to the same data.
fn check_data(at_master: &mut Client, at_replica: &mut Client, huge: &[u8]) {
    wait_until("the replica has the load's last writes", DEADLINE, || is_in_step(at_master, at_replica));
    assert_eq!(at_replica.line("GET probe").text(), "new");
    assert_eq!(at_replica.line("GET huge").bytes(), Some(huge));
    assert_eq!(at_replica.line("DBSIZE"), at_master.line("DBSIZE"));
    let mut noise = Noise::new(5);
    for _ in 0..100 {
        let key = format!("GET k:{}", noise.number() % 1000);
        assert_eq!(at_replica.line(&key), at_master.line(&key), "{key}");
    }
}
