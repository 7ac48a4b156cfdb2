//! INFO persistence.

use super::Info;
use super::lines::{Lines, ratio};
use std::sync::atomic::Ordering::Relaxed;

/// `# Persistence`.
pub fn persistence(info: &Info<'_>, lines: &mut Lines) {
    let state = &info.server.persistence;
    lines.flag("loading", info.server.is_loading());
    lines.put("async_loading", 0);
    rdb(info, lines);
    lines.put("rdb_last_cow_size", 0);
    lines.put("rdb_last_load_keys_expired", state.last_load_expired.load(Relaxed));
    lines.put("rdb_last_load_keys_loaded", state.last_load_keys.load(Relaxed));
    aof(lines);
    lines.put("module_fork_in_progress", 0);
    lines.put("module_fork_last_cow_size", 0);
    if info.server.is_loading() {
        loading(info, lines);
    }
}

/// The snapshot that runs, for a file or for replicas, and the last one that was saved.
fn rdb(info: &Info<'_>, lines: &mut Lines) {
    let state = &info.server.persistence;
    let running = info.server.snapshots.current();
    let (done, total) = running.as_ref().map_or((0, 0), |it| (it.keys_done(), it.keys_total));
    let running_secs = running.as_ref().map_or(-1, |it| (info.now_ms - it.started_ms) / 1000);
    lines.put("current_cow_peak", 0);
    lines.put("current_cow_size", 0);
    lines.put("current_cow_size_age", 0);
    lines.decimal("current_fork_perc", ratio(done, total) * 100.0);
    lines.put("current_save_keys_processed", done);
    lines.put("current_save_keys_total", total);
    let unsaved = info.shards.dirty.saturating_sub(state.changes_at_save.load(Relaxed));
    lines.put("rdb_changes_since_last_save", unsaved);
    lines.flag("rdb_bgsave_in_progress", running.is_some());
    lines.put("rdb_last_save_time", state.last_save_ms.load(Relaxed) / 1000);
    lines.put("rdb_last_bgsave_status", if state.last_bgsave_ok() { "ok" } else { "err" });
    lines.put("rdb_last_bgsave_time_sec", state.last_bgsave_secs.load(Relaxed));
    lines.put("rdb_current_bgsave_time_sec", running_secs);
    lines.put("rdb_saves", state.saves.load(Relaxed));
}

/// There is no append-only file.
fn aof(lines: &mut Lines) {
    lines.put("aof_enabled", 0);
    lines.put("aof_rewrite_in_progress", 0);
    lines.put("aof_rewrite_scheduled", 0);
    lines.put("aof_last_rewrite_time_sec", -1);
    lines.put("aof_current_rewrite_time_sec", -1);
    lines.put("aof_last_bgrewrite_status", "ok");
    lines.put("aof_rewrites", 0);
    lines.put("aof_rewrites_consecutive_failures", 0);
    lines.put("aof_last_write_status", "ok");
    lines.put("aof_last_cow_size", 0);
}

fn loading(info: &Info<'_>, lines: &mut Lines) {
    let state = &info.server.persistence;
    let (total, done) = (state.load_total_bytes.load(Relaxed), state.load_done_bytes.load(Relaxed));
    let started_ms = state.load_started_ms.load(Relaxed);
    let elapsed_ms = (info.now_ms - started_ms).max(0) as u64;
    let eta_secs = match done {
        0 => 1,
        done => elapsed_ms.saturating_mul(total.saturating_sub(done)) / done / 1000,
    };
    lines.put("loading_start_time", started_ms / 1000);
    lines.put("loading_total_bytes", total);
    lines.put("loading_rdb_used_mem", state.load_used_mem.load(Relaxed));
    lines.put("loading_loaded_bytes", done);
    lines.decimal("loading_loaded_perc", ratio(done, total) * 100.0);
    lines.put("loading_eta_seconds", eta_secs);
}
