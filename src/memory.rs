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

fn read(what: impl Fn() -> tikv_jemalloc_ctl::Result<usize>) -> u64 {
    // The figures are cached until the epoch advances.
    match tikv_jemalloc_ctl::epoch::advance().and_then(|_| what()) {
        Ok(bytes) => bytes as u64,
        Err(_) => 0,
    }
}
