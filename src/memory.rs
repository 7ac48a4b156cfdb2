//! What the allocator knows.

use tikv_jemalloc_ctl::{Access, AsName};

/// Bytes that are allocated (`used_memory`); 0 where the allocator does not tell (tests).
pub fn used_bytes() -> u64 {
    read(tikv_jemalloc_ctl::stats::allocated::read)
}

/// Bytes in active pages (`allocator_active`).
pub fn active_bytes() -> u64 {
    read(tikv_jemalloc_ctl::stats::active::read)
}

/// Bytes in resident pages (`allocator_resident`).
pub fn resident_bytes() -> u64 {
    read(tikv_jemalloc_ctl::stats::resident::read)
}

/// Hands the pages that nothing lies in back to the system (MEMORY PURGE): an arena that is told to keep none for any
/// time does so at once. Arenas that are not in use, and have nothing to give, answer with an error.
pub fn purge() {
    let arenas = tikv_jemalloc_ctl::arenas::narenas::read().unwrap_or(0);
    for arena in 0..arenas {
        let name = format!("arena.{arena}.dirty_decay_ms\0");
        // The value is a C `ssize_t`.
        if let Ok(usual_ms) = Access::<isize>::update(name.name(), 0) {
            let _ = name.name().write(usual_ms);
        }
    }
}

/// The allocator's own report, text (MEMORY MALLOC-STATS).
pub fn report() -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = tikv_jemalloc_ctl::stats_print::stats_print(&mut text, Default::default());
    text
}

/// The process's resident memory, bytes (`used_memory_rss`); 0 where the system does not tell.
pub fn rss_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:") * 1024
}

/// The machine's memory, bytes (`total_system_memory`); 0 where the system does not tell.
pub fn system_bytes() -> u64 {
    kilobytes("/proc/meminfo", "MemTotal:") * 1024
}

fn kilobytes(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn read(what: impl Fn() -> tikv_jemalloc_ctl::Result<usize>) -> u64 {
    // The figures are cached until the epoch advances.
    match tikv_jemalloc_ctl::epoch::advance().and_then(|_| what()) {
        Ok(bytes) => bytes as u64,
        Err(_) => 0,
    }
}
