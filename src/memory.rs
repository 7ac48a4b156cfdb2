//! What the allocator knows.

use tikv_jemalloc_ctl::{Access, AsName, Name};

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
    for_each_arena(|decay_ms| {
        // The value is a C `ssize_t`.
        if let Ok(usual_ms) = Access::<isize>::update(decay_ms, 0) {
            let _ = decay_ms.write(usual_ms);
        }
    });
}

/// Calls `with` with the name of each arena's decay time.
fn for_each_arena(mut with: impl FnMut(&Name)) {
    for arena in 0..tikv_jemalloc_ctl::arenas::narenas::read().unwrap_or(0) {
        with(format!("arena.{arena}.dirty_decay_ms\0").name());
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

/// How long freed pages stay with the process for the next use, milliseconds. The allocator's own default, 10,000, is
/// made for programs that free and allocate the same all the time; collections that grow leave pages behind that nobody wants again.
const DECAY_MS: isize = 500;

/// Gives freed pages back to the system soon; by a thread of the allocator's if `background` (`jemalloc-bg-thread`) says so.
/// To be called before other threads start, and after daemonizing.
pub fn give_back_soon(background: bool) {
    if let Err(error) = b"arenas.dirty_decay_ms\0"[..].name().write(DECAY_MS) {
        tracing::debug!("The allocator keeps its decay: {error}");
    }
    // The line above is about arenas to come. Of the others, those that are not in use answer with an error.
    for_each_arena(|decay_ms| {
        let _ = decay_ms.write(DECAY_MS);
    });
    if background && let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
        tracing::debug!("The allocator has no background thread: {error}");
    }
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
