//! INFO replication, as Sentinel, exporters and test suites read it.

use super::Info;
use super::lines::Lines;
use crate::replication::hub::{Progress, Replica};
use crate::replication::link::State;

/// `# Replication`.
pub fn replication(info: &Info<'_>, lines: &mut Lines) {
    let server = info.server;
    if server.is_replica() {
        lines.put("role", "slave");
        link(info, lines);
    } else {
        lines.put("role", "master");
    }
    replicas(info, lines);
    lines.put("master_failover_state", "no-failover");
    let wanted = server.log.is_wanted();
    let ring = server.log.lock();
    let (ids, start, end, kept) = (ring.ids, ring.start(), ring.end(), ring.kept_bytes());
    let disk_bytes = ring.disk_bytes();
    drop(ring);
    lines.put("master_replid", ids.id);
    lines.put("master_replid2", ids.id2);
    lines.put("master_repl_offset", end);
    lines.put("second_repl_offset", ids.second_offset);
    lines.flag("repl_backlog_active", wanted);
    lines.put("repl_backlog_size", info.config.repl_backlog_size);
    lines.put("repl_backlog_first_byte_offset", if wanted { start + 1 } else { 0 });
    lines.put("repl_backlog_histlen", if wanted { kept } else { 0 });
    lines.put("repl_backlog_disk_bytes", disk_bytes);
}

/// What a replica tells of its link.
fn link(info: &Info<'_>, lines: &mut Lines) {
    let (server, config) = (info.server, &info.config);
    let status = server.link.status();
    let target = server.link.target().map(|target| (target.host, target.port));
    let (host, port) = target.or_else(|| config.replicaof.clone()).unwrap_or_default();
    let up = status.state == State::Connected;
    let since = |at_ms: i64| (info.now_ms - at_ms).max(0) / 1000;
    let offset = if server.link.may_resume(&server.log) { server.log.end() } else { 1 };
    lines.put("master_host", host);
    lines.put("master_port", port);
    lines.put("master_link_status", if up { "up" } else { "down" });
    lines.put("master_last_io_seconds_ago", if up { since(status.last_io_ms) } else { -1 });
    let sync = match status.state {
        State::AwaitingSync => Some((0, -1)),
        // A stream that ends with a mark has no known length.
        State::Sync { read, total } => Some((read as i64, total.map_or(0, |total| total as i64))),
        _ => None,
    };
    lines.flag("master_sync_in_progress", sync.is_some());
    lines.put("slave_read_repl_offset", offset);
    lines.put("slave_repl_offset", offset);
    if let Some((read, total)) = sync {
        lines.put("master_sync_total_bytes", total);
        lines.put("master_sync_read_bytes", read);
        lines.put("master_sync_left_bytes", total - read);
        let part = if total == 0 { 0.0 } else { read as f64 / total as f64 };
        lines.decimal("master_sync_perc", part * 100.0);
        lines.put("master_sync_last_io_seconds_ago", since(status.last_io_ms));
    }
    if !up {
        let down = if status.down_since_ms > 0 { since(status.down_since_ms) } else { -1 };
        lines.put("master_link_down_since_seconds", down);
    }
    lines.put("slave_priority", config.replica_priority);
    lines.flag("slave_read_only", config.replica_read_only);
    lines.flag("replica_announced", config.replica_announced);
}

fn replicas(info: &Info<'_>, lines: &mut Lines) {
    let (hub, config) = (&info.server.hub, &info.config);
    let replicas = hub.all();
    lines.put("connected_slaves", replicas.len());
    if config.min_replicas_to_write > 0 && config.min_replicas_max_lag > 0 {
        let good = hub.good(i64::from(config.min_replicas_max_lag), info.now_ms);
        lines.put("min_slaves_good_slaves", good);
    }
    for (number, replica) in replicas.iter().enumerate() {
        lines.put(format_args!("slave{number}"), one_replica(replica, info.now_ms));
    }
}

fn one_replica(replica: &Replica, now_ms: i64) -> String {
    let (state, offset, lag) = match *replica.progress.lock() {
        Progress::AwaitingSnapshot => ("wait_bgsave", 0, 0),
        Progress::Loading { .. } => ("send_bulk", 0, 0),
        Progress::Online { acked, .. } => ("online", acked, replica.lag_secs(now_ms)),
    };
    format!("ip={},port={},state={state},offset={offset},lag={lag}", replica.ip, replica.port)
}
