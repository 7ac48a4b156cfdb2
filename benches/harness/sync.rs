//! A synchronization as benches watch it.

use super::harness::support::client::Client;
use super::harness::support::server::Server;
use super::harness::support::wait_until;
use super::harness::{Figures, info, memory_mb};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How often the master's memory is looked at. Looking costs the kernel some milliseconds.
const MEMORY_PERIOD: Duration = Duration::from_millis(250);
/// A synchronization that takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(600);

/// Attaches the replica and waits until it is in step, which becomes a figure, and does `beside` until then. Returns the most memory
/// of the master that was seen, MB, and what `beside` has come to.
pub fn synchronize<T: Send>(
    figures: &mut Figures,
    master: &Server,
    [at_master, at_replica]: [&mut Client; 2],
    beside: impl FnOnce(&AtomicBool) -> T + Send,
) -> (f64, T) {
    let pid = master.pid().expect("it runs");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let beside = scope.spawn(|| beside(&over));
        let peak = scope.spawn(|| peak_memory(pid, &over));
        let began = Instant::now();
        // A failure in here must not leave the others waiting.
        let _ends = Ends(&over);
        attach(master, at_replica);
        wait_until("the replica is in step", DEADLINE, || is_in_step(at_master, at_replica));
        figures.add("until in step, s", began.elapsed().as_secs_f64());
        over.store(true, Relaxed);
        let beside = beside.join().expect("what is done beside goes well");
        (peak.join().expect("memory can be read"), beside)
    })
}

/// Says that it is over, however it ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn attach(master: &Server, at_replica: &mut Client) {
    let port = master.port().to_string();
    assert_eq!(at_replica.call(&["REPLICAOF", "127.0.0.1", &port]).text(), "OK");
}

/// Whether the replica has at least what the master had a moment before.
pub fn is_in_step(at_master: &mut Client, at_replica: &mut Client) -> bool {
    thread::sleep(Duration::from_millis(15));
    let offset = |client: &mut Client, field| info(client, "replication", field)?.parse::<u64>().ok();
    let wanted = offset(at_master, "master_repl_offset");
    info(at_replica, "replication", "master_link_status").as_deref() == Some("up")
        && offset(at_replica, "slave_repl_offset") >= wanted
}

/// The most memory that was seen, MB.
fn peak_memory(pid: u32, over: &AtomicBool) -> f64 {
    let mut peak = memory_mb(pid);
    while !over.load(Relaxed) {
        thread::sleep(MEMORY_PERIOD);
        peak = peak.max(memory_mb(pid));
    }
    peak
}
