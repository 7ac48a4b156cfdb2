//! INFO memory.

use super::Info;
use super::lines::{Lines, ratio};
use crate::client::ClientFlags;
use crate::memory;
use crate::server::Server;
use std::sync::atomic::Ordering::Relaxed;

/// What the server's memory goes to, in bytes.
pub struct Figures {
    pub used: u64,
    /// The most that was ever used.
    pub peak: u64,
    /// Used before the data set was there.
    pub startup: u64,
    pub rss: u64,
    pub active: u64,
    pub resident: u64,
    pub backlog: u64,
    /// What the log holds for replicas beyond the backlog's size.
    pub replicas: u64,
    /// Clients that are no replicas. A value that waits to be sent to one is the data set's.
    pub clients: u64,
}

impl Figures {
    /// As things stand.
    pub fn now(server: &Server) -> Figures {
        let used = memory::used_bytes();
        let log = server.log.lock().memory_bytes();
        let size = if server.hub.is_empty() { log } else { server.config.load().repl_backlog_size };
        Figures {
            used,
            peak: server.stats.note_memory(used),
            startup: server.stats.startup_memory.load(Relaxed),
            rss: memory::rss_bytes(),
            active: memory::active_bytes(),
            resident: memory::resident_bytes(),
            backlog: log.min(size),
            replicas: log.saturating_sub(size),
            clients: client_bytes(server),
        }
    }

    /// What is not the data set.
    pub fn overhead(&self) -> u64 {
        (self.startup + self.backlog + self.replicas + self.clients).min(self.used)
    }
}

/// `# Memory`.
pub fn memory(info: &Info<'_>, lines: &mut Lines) {
    let (server, config) = (info.server, &info.config);
    let figures = Figures::now(server);
    let overhead = figures.overhead();
    let Figures { used, peak, startup, rss, active, resident, backlog, replicas, clients } = figures;
    let dataset = used - overhead;
    lines.size("used_memory", used);
    lines.size("used_memory_rss", rss);
    lines.size("used_memory_peak", peak);
    percent(lines, "used_memory_peak_perc", ratio(used, peak));
    lines.put("used_memory_overhead", overhead);
    lines.put("used_memory_startup", startup);
    lines.put("used_memory_dataset", dataset);
    percent(lines, "used_memory_dataset_perc", ratio(dataset, used.saturating_sub(startup)));
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
    lines.put("mem_total_replication_buffers", backlog + replicas);
    lines.put("mem_clients_slaves", replicas);
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

fn client_bytes(server: &Server) -> u64 {
    let all = server.clients.all();
    let normal = all.iter().filter(|client| !client.has(ClientFlags::REPLICA));
    normal.map(|client| client.own_bytes()).sum::<usize>() as u64
}

fn percent(lines: &mut Lines, name: &str, ratio: f64) {
    lines.put(name, format_args!("{:.2}%", ratio * 100.0));
}

/// How much more `outer` is than `inner`, as a ratio and in bytes.
fn overheads(lines: &mut Lines, name: &str, outer: u64, inner: u64) {
    lines.put(format_args!("{name}_ratio"), format_args!("{:.2}", ratio(outer, inner)));
    lines.put(format_args!("{name}_bytes"), difference(outer, inner));
}

pub fn difference(a: u64, b: u64) -> i64 {
    a as i64 - b as i64
}
