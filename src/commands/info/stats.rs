//! INFO stats, commandstats and errorstats: what was counted since the start or CONFIG RESETSTAT.

use super::Info;
use super::lines::{Lines, ratio};
use crate::command::{Command, table};
use crate::stats::Rate;
use std::sync::atomic::Ordering::Relaxed;

/// `# Stats`.
pub fn stats(info: &Info<'_>, lines: &mut Lines) {
    let stats = &info.server.stats;
    traffic(info, lines);
    lines.put("rejected_connections", stats.rejected_connections.load(Relaxed));
    lines.put("sync_full", stats.sync_full.load(Relaxed));
    lines.put("sync_partial_ok", stats.sync_partial_ok.load(Relaxed));
    lines.put("sync_partial_err", stats.sync_partial_err.load(Relaxed));
    lines.put("expired_keys", info.shards.expired);
    lines.put("expired_subkeys", info.shards.expired_fields);
    lines.put("expired_stale_perc", "0.00");
    lines.put("expired_time_cap_reached_count", 0);
    lines.put("expire_cycle_cpu_milliseconds", stats.expire_cycle_ns.load(Relaxed) / 1_000_000);
    lines.put("evicted_keys", 0);
    lines.put("evicted_clients", 0);
    lines.put("total_eviction_exceeded_time", 0);
    lines.put("current_eviction_exceeded_time", 0);
    lines.put("keyspace_hits", info.shards.hits);
    lines.put("keyspace_misses", info.shards.misses);
    pubsub(info, lines);
    lines.put("latest_fork_usec", 0);
    lines.put("total_forks", 0);
    lines.put("migrate_cached_sockets", info.server.migrate_sockets.len());
    lines.put("slave_expires_tracked_keys", info.shards.own_expires);
    lines.put("active_defrag_hits", 0);
    lines.put("active_defrag_misses", 0);
    lines.put("active_defrag_key_hits", 0);
    lines.put("active_defrag_key_misses", 0);
    lines.put("total_active_defrag_time", 0);
    lines.put("current_active_defrag_time", 0);
    lines.put("tracking_total_keys", 0);
    lines.put("tracking_total_items", 0);
    lines.put("tracking_total_prefixes", 0);
    lines.put("unexpected_error_replies", stats.unexpected_errors.load(Relaxed));
    lines.put("total_error_replies", stats.errors().values().sum::<u64>());
    lines.put("dump_payload_sanitizations", stats.sanitized_blocks.load(Relaxed));
    let (reads, writes) =
        (stats.total(|thread| thread.reads.get()), stats.total(|thread| thread.writes.get()));
    lines.put("total_reads_processed", reads);
    lines.put("total_writes_processed", writes);
    lines.put("io_threaded_reads_processed", reads);
    lines.put("io_threaded_writes_processed", writes);
    lines.put("reply_buffer_shrinks", 0);
    lines.put("reply_buffer_expands", 0);
    lines.put("acl_access_denied_auth", stats.denied_auths.load(Relaxed));
    lines.put("acl_access_denied_cmd", 0);
    lines.put("acl_access_denied_key", 0);
    lines.put("acl_access_denied_channel", 0);
    lines.put("lock_hold_max_usec", stats.lock_hold_max_usec());
}

/// Connections, commands and bytes, in all and per second.
fn traffic(info: &Info<'_>, lines: &mut Lines) {
    let stats = &info.server.stats;
    let kbps = |rate| stats.rate(rate) as f64 / 1024.0;
    lines.put("total_connections_received", stats.total(|thread| thread.connections.get()));
    lines.put("total_commands_processed", stats.total(|thread| thread.commands_processed.get()));
    lines.put("instantaneous_ops_per_sec", stats.rate(Rate::Commands));
    let (repl_input, repl_output) =
        (stats.repl_input_bytes.load(Relaxed), stats.repl_output_bytes.load(Relaxed));
    let input = stats.total(|thread| thread.net_input_bytes.get()) + repl_input;
    let output = stats.total(|thread| thread.net_output_bytes.get()) + repl_output;
    lines.put("total_net_input_bytes", input);
    lines.put("total_net_output_bytes", output);
    lines.put("total_net_repl_input_bytes", repl_input);
    lines.put("total_net_repl_output_bytes", repl_output);
    lines.decimal("instantaneous_input_kbps", kbps(Rate::Input));
    lines.decimal("instantaneous_output_kbps", kbps(Rate::Output));
    lines.decimal("instantaneous_input_repl_kbps", kbps(Rate::ReplInput));
    lines.decimal("instantaneous_output_repl_kbps", kbps(Rate::ReplOutput));
}

fn pubsub(info: &Info<'_>, lines: &mut Lines) {
    lines.put("pubsub_channels", info.server.pubsub.channels());
    lines.put("pubsub_patterns", info.server.pubsub.patterns());
    lines.put("pubsubshard_channels", 0);
}

/// `# Commandstats`: commands that were called or refused, in the table's order, subcommands in their container's place.
pub fn commands(info: &Info<'_>, lines: &mut Lines) {
    for command in table().commands() {
        one_command(info, command, lines);
        command.subcommands.iter().for_each(|sub| one_command(info, sub, lines));
    }
}

fn one_command(info: &Info<'_>, command: &Command, lines: &mut Lines) {
    let stats = &info.server.stats;
    let calls = stats.total(|thread| thread.commands[command.id].calls.get());
    let usec = stats.total(|thread| thread.commands[command.id].nanos.get()) / 1000;
    let rejected = stats.total(|thread| thread.commands[command.id].rejected.get());
    let failed = stats.total(|thread| thread.commands[command.id].failed.get());
    if calls + rejected + failed > 0 {
        lines.put(
            format_args!("cmdstat_{}", command.row.name),
            format_args!(
                "calls={calls},usec={usec},usec_per_call={:.2},rejected_calls={rejected},failed_calls={failed}",
                ratio(usec, calls)
            ),
        );
    }
}

/// `# Errorstats`.
pub fn errors(info: &Info<'_>, lines: &mut Lines) {
    for (code, count) in info.server.stats.errors() {
        lines.put(format_args!("errorstat_{code}"), format_args!("count={count}"));
    }
}
