//! A synchronization as benches watch it.

use super::harness::support::client::Client;
use super::harness::support::server::Server;
use super::harness::{info, memory_mb};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How often the master's memory is looked at. Looking costs the kernel some milliseconds.
const MEMORY_PERIOD: Duration = Duration::from_millis(250);
/// A synchronization that takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(600);

/// Says that it is over, however it ends.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

pub fn attach(master: &Server, at_replica: &mut Client) {
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
pub fn peak_memory(pid: u32, over: &AtomicBool) -> f64 {
    let mut peak = memory_mb(pid);
    while !over.load(Relaxed) {
        thread::sleep(MEMORY_PERIOD);
        peak = peak.max(memory_mb(pid));
    }
    peak
}
