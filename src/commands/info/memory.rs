//! INFO memory.

use super::Info;
use super::lines::{Lines, ratio};
use crate::memory;
use std::sync::atomic::Ordering::Relaxed;

/// `# Memory`.
pub fn memory(info: &Info<'_>, lines: &mut Lines) {
    let (server, config) = (info.server, &info.config);
    let used = memory::used_bytes();
    let rss = memory::rss_bytes();
    let peak = server.stats.note_memory(used);
    let startup = server.stats.startup_memory.load(Relaxed);
    let backlog = server.log.lock().kept_bytes();
    let clients = client_bytes(info);
    let overhead = (startup + backlog + clients).min(used);
    let dataset = used - overhead;
    lines.size("used_memory", used);
    lines.size("used_memory_rss", rss);
    lines.size("used_memory_peak", peak);
    percent(lines, "used_memory_peak_perc", ratio(used, peak));
    lines.put("used_memory_overhead", overhead);
    lines.put("used_memory_startup", startup);
    lines.put("used_memory_dataset", dataset);
    percent(lines, "used_memory_dataset_perc", ratio(dataset, used.saturating_sub(startup)));
    let (active, resident) = (memory::active_bytes(), memory::resident_bytes());
    lines.put("allocator_allocated", used);
    lines.put("allocator_active", active);
    lines.put("allocator_resident", resident);
    lines.size("total_system_memory", memory::system_bytes());
    scripts(lines);
    lines.size("maxmemory", config.maxmemory);
    lines.put("maxmemory_policy", info.shown("maxmemory-policy"));
    overheads(lines, "allocator_frag", active, used);
    overheads(lines, "allocator_rss", resident, active);
    overheads(lines, "rss_overhead", rss, resident);
    lines.decimal("mem_fragmentation_ratio", ratio(rss, used));
    lines.put("mem_fragmentation_bytes", difference(rss, used));
    lines.put("mem_not_counted_for_evict", 0);
    lines.put("mem_replication_backlog", backlog);
    lines.put("mem_total_replication_buffers", backlog);
    lines.put("mem_clients_slaves", 0);
    lines.put("mem_clients_normal", clients);
    lines.put("mem_cluster_links", 0);
    lines.put("mem_aof_buffer", 0);
    lines.put("mem_allocator", "jemalloc-5.3.0");
    lines.put("active_defrag_running", 0);
    lines.put("lazyfree_pending_objects", server.keyspace.reaper().pending());
    lines.put("lazyfreed_objects", server.keyspace.reaper().freed());
}

/// What scripts and functions use: there are none.
fn scripts(lines: &mut Lines) {
    lines.put("used_memory_lua", 0);
    lines.put("used_memory_vm_eval", 0);
    lines.human("used_memory_lua", 0);
    lines.put("used_memory_scripts_eval", 0);
    lines.put("number_of_cached_scripts", 0);
    lines.put("number_of_functions", 0);
    lines.put("number_of_libraries", 0);
    lines.put("used_memory_vm_functions", 0);
    lines.size("used_memory_vm_total", 0);
    lines.put("used_memory_functions", 0);
    lines.size("used_memory_scripts", 0);
}

/// Buffers of clients, replicas' left out.
fn client_bytes(info: &Info<'_>) -> u64 {
    let all = info.server.clients.all();
    let bytes = all.iter().map(|c| c.query_capacity.load(Relaxed) + c.out_bytes.load(Relaxed));
    bytes.sum::<usize>() as u64
}

fn percent(lines: &mut Lines, name: &str, ratio: f64) {
    lines.put(name, format_args!("{:.2}%", ratio * 100.0));
}

/// How much more `outer` is than `inner`, as a ratio and in bytes.
fn overheads(lines: &mut Lines, name: &str, outer: u64, inner: u64) {
    lines.put(format_args!("{name}_ratio"), format_args!("{:.2}", ratio(outer, inner)));
    lines.put(format_args!("{name}_bytes"), difference(outer, inner));
}

fn difference(a: u64, b: u64) -> i64 {
    a as i64 - b as i64
}
