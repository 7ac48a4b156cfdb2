//! What the allocator knows.

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
