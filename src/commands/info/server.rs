//! INFO server, clients and cpu: the process and who talks to it.

use super::Info;
use super::lines::Lines;
use crate::client::{ClientFlags, Shared};
use crate::config::COMPATIBLE_VERSION;
use crate::stats::Recent;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::sync::atomic::Ordering::Relaxed;

/// The 24 bits of the clock that LRU counts with, seconds.
const LRU_CLOCK_MAX: i64 = (1 << 24) - 1;

/// `# Server`.
pub fn server(info: &Info<'_>, lines: &mut Lines) {
    let (server, config) = (info.server, &info.config);
    let uptime = (info.now_ms - server.started_ms) / 1000;
    lines.put("redis_version", COMPATIBLE_VERSION);
    lines.put("redpoll_version", env!("CARGO_PKG_VERSION"));
    lines.put("redis_git_sha1", "00000000");
    lines.put("redis_git_dirty", 0);
    lines.put("redis_build_id", crate::config::build_id());
    lines.put("redis_mode", "standalone");
    lines.put("os", os());
    lines.put("arch_bits", usize::BITS);
    lines.put("monotonic_clock", "POSIX clock_gettime");
    lines.put("multiplexing_api", "epoll");
    lines.put("atomicvar_api", "c11-builtin");
    lines.put("gcc_version", "0.0.0");
    lines.put("process_id", std::process::id());
    lines.put("process_supervised", info.shown("supervised"));
    lines.put("run_id", server.run_id);
    lines.put("tcp_port", config.port);
    lines.put("server_time_usec", info.now_ms * 1000);
    lines.put("uptime_in_seconds", uptime);
    lines.put("uptime_in_days", uptime / (24 * 3600));
    lines.put("hz", config.hz);
    lines.put("configured_hz", config.hz);
    lines.put("lru_clock", (info.now_ms / 1000) & LRU_CLOCK_MAX);
    lines.put("executable", std::env::current_exe().unwrap_or_default().display());
    lines.put("config_file", server.config_file.clone().unwrap_or_default().display());
    lines.flag("io_threads_active", config.io_threads > 1);
    if let Some(left_ms) = server.lingering.left_ms(info.now_ms) {
        lines.put("shutdown_in_milliseconds", left_ms);
    }
}

/// The system's name, release and machine.
fn os() -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", read("ostype").trim(), read("osrelease").trim(), std::env::consts::ARCH)
}

/// `# Clients`.
pub fn clients(info: &Info<'_>, lines: &mut Lines) {
    let mut all = info.server.clients.all();
    all.retain(|client| !client.has(ClientFlags::REPLICA));
    let largest = |of: fn(&Shared) -> usize, recent: &Recent| {
        let now = all.iter().map(|client| of(client)).max().unwrap_or(0);
        recent.largest().max(now as u64)
    };
    let stats = &info.server.stats;
    let input = largest(|client| client.query_capacity.load(Relaxed), &stats.recent_input);
    let output = largest(Shared::output_bytes, &stats.recent_output);
    let (blocking_keys, blocking_on_nokey) = info.server.blocked.keys();
    let blocked = all.iter().filter(|client| client.has(ClientFlags::BLOCKED)).count();
    lines.put("connected_clients", all.len());
    lines.put("cluster_connections", 0);
    lines.put("maxclients", info.config.maxclients);
    lines.put("client_recent_max_input_buffer", input);
    lines.put("client_recent_max_output_buffer", output);
    lines.put("blocked_clients", blocked);
    lines.put("tracking_clients", 0);
    lines.put("clients_in_timeout_table", info.server.blocked.with_deadline());
    lines.put("total_blocking_keys", blocking_keys);
    lines.put("total_blocking_keys_on_nokey", blocking_on_nokey);
}

/// `# CPU`. There is no main thread: its lines show what all threads use.
pub fn cpu(_: &Info<'_>, lines: &mut Lines) {
    let (own, children) = (getrusage(UsageWho::RUSAGE_SELF), getrusage(UsageWho::RUSAGE_CHILDREN));
    let mut put = |name: &str, time: Option<nix::sys::time::TimeVal>| {
        let (secs, usecs) = time.map_or((0, 0), |time| (time.tv_sec(), time.tv_usec()));
        lines.put(name, format_args!("{secs}.{usecs:06}"));
    };
    let system = |usage: &nix::Result<Usage>| usage.as_ref().ok().map(Usage::system_time);
    let user = |usage: &nix::Result<Usage>| usage.as_ref().ok().map(Usage::user_time);
    put("used_cpu_sys", system(&own));
    put("used_cpu_user", user(&own));
    put("used_cpu_sys_children", system(&children));
    put("used_cpu_user_children", user(&children));
    put("used_cpu_sys_main_thread", system(&own));
    put("used_cpu_user_main_thread", user(&own));
}
