//! The clockwork: what is done from time to time, ten times a second.

use crate::client::{ClientFlags, Shared};
use crate::expire;
use crate::persistence;
use crate::replication::log::ReplId;
use crate::resp::encode;
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const SECOND_MS: i64 = 1000;

/// When what was last done.
#[derive(Default)]
pub struct Cron {
    second_ms: i64,
    /// Of `repl-ping-replica-period`, since the start.
    ping_periods: i64,
}

impl Cron {
    /// One turn.
    pub async fn turn(&mut self, server: &Arc<Server>) {
        if server.cron_paused.load(Relaxed) {
            return;
        }
        let now_ms = server.clock.now_ms();
        expire::run(server).await;
        server.stats.sample(now_ms);
        server.stats.recent_input.forget_oldest(now_ms);
        server.stats.recent_output.forget_oldest(now_ms);
        crate::control::begin_scheduled_save(server);
        if now_ms - self.second_ms >= SECOND_MS {
            self.second_ms = now_ms;
            self.each_second(server, now_ms);
        }
    }

    fn each_second(&mut self, server: &Arc<Server>, now_ms: i64) {
        if persistence::save_point_reached(server).is_some() {
            // A failure is logged and noted.
            let _ = crate::control::background_save(server);
        }
        self.ping_replicas(server, now_ms);
        let clients = server.clients.all();
        close_idle_clients(server, &clients, now_ms);
        close_full_clients(&clients, now_ms);
        note_largest(server, &clients, now_ms);
        server.migrate_sockets.close_idle(now_ms);
        server.log.close_files();
        release_backlog(server, now_ms);
    }

    /// Replicas must hear from us: a PING in the stream whenever another `repl-ping-replica-period` seconds since the start are
    /// over. One that comes in between waits for it, as in Redis: whoever attaches changes nothing.
    fn ping_replicas(&mut self, server: &Server, now_ms: i64) {
        let period_ms = i64::from(server.config.load().repl_ping_replica_period) * SECOND_MS;
        let periods = (now_ms - server.started_ms) / period_ms;
        let last = std::mem::replace(&mut self.ping_periods, periods);
        if periods <= last || server.is_replica() || server.hub.is_empty() {
            return;
        }
        let mut ping = Vec::new();
        encode::request(&mut ping, &["PING"]);
        server.log.append_request(&ping);
        server.wake_replicas();
    }
}

fn close_idle_clients(server: &Server, clients: &[Arc<Shared>], now_ms: i64) {
    let timeout_ms = i64::from(server.config.load().timeout) * SECOND_MS;
    if timeout_ms == 0 {
        return;
    }
    let spared = ClientFlags::REPLICA
        | ClientFlags::MASTER
        | ClientFlags::BLOCKED
        | ClientFlags::PUBSUB
        | ClientFlags::MONITOR;
    for client in clients {
        if !client.has(spared) && now_ms - client.last_interaction_ms.load(Relaxed) > timeout_ms {
            tracing::debug!("Closing idle client");
            client.kill();
        }
    }
}

/// Clients that do not read are ended when they have been over a soft limit for too long, although nothing more is written to
/// them. A replica's link looks itself, at what it holds of the log.
fn close_full_clients(clients: &[Arc<Shared>], now_ms: i64) {
    for client in clients.iter().filter(|client| !client.has(ClientFlags::REPLICA)) {
        if client.is_over_limit(now_ms) {
            client.cut_off();
            client.call();
        }
    }
}

fn note_largest(server: &Server, clients: &[Arc<Shared>], now_ms: i64) {
    for client in clients {
        server.stats.recent_input.note(now_ms, client.query_capacity.load(Relaxed) as u64);
        server.stats.recent_output.note(now_ms, client.output_bytes() as u64);
    }
}

/// A backlog that no replica has asked for in `repl-backlog-ttl` seconds is given up, and with it the history: writes from
/// now on are in nobody's log.
fn release_backlog(server: &Server, now_ms: i64) {
    let ttl_ms = server.config.load().repl_backlog_ttl.saturating_mul(SECOND_MS);
    let left_ms = server.hub.last_left_ms.load(Relaxed);
    let idle = ttl_ms > 0 && left_ms > 0 && now_ms - left_ms > ttl_ms;
    if !idle || !server.hub.is_empty() || server.is_replica() || !server.log.is_wanted() {
        return;
    }
    let _held = server.keyspace.lock_all();
    if !server.hub.is_empty() || server.snapshots.current().is_some() {
        return;
    }
    server.log.unwant(ReplId::random(&server.entropy));
    server.hub.last_left_ms.store(0, Relaxed);
    tracing::info!(
        "Replication backlog freed after {} seconds without connected replicas.",
        (now_ms - left_ms) / SECOND_MS
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use crate::config::Limit;
    use crate::replication::hub::{Progress, Replica};
    use parking_lot::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicI64};

    #[test]
    fn replicas_are_pinged_at_whole_periods() {
        let mut bench = Bench::new();
        let (server, mut cron) = (bench.server.clone(), Cron::default());
        let mut pinged = |after_secs: i64| {
            cron.ping_replicas(&server, server.started_ms + after_secs * SECOND_MS);
            bench.logged()
        };
        assert_eq!(pinged(3601), "");
        server.hub.add(Arc::new(Replica {
            shared: Bench::client(&server).shared,
            ip: String::new(),
            port: 0,
            progress: Mutex::new(Progress::AwaitingSnapshot),
            acked_at_ms: AtomicI64::new(0),
            acknowledged: AtomicBool::new(false),
        }));
        for (after_secs, expected) in
            [(3602, ""), (3609, ""), (3610, "PING"), (3611, ""), (3635, "PING"), (3639, "")]
        {
            assert_eq!(pinged(after_secs), expected, "after {after_secs} s");
        }
    }

    #[test]
    fn who_is_over_a_soft_limit_for_too_long_is_ended() {
        const LIMIT: Limit = Limit { hard: 1000, soft: 100, soft_secs: 2 };
        for class in [ClientFlags::empty(), ClientFlags::PUBSUB, ClientFlags::MONITOR] {
            let client = Bench::client(&Bench::new().server).shared;
            client.set_flag(class, true);
            client.apply_limits(&[LIMIT; 3]);
            let ended = |unsent: usize, after_ms: i64| {
                client.out_bytes.store(unsent, Relaxed);
                close_full_clients(std::slice::from_ref(&client), after_ms);
                client.has(ClientFlags::CLOSE_ASAP)
            };
            for (unsent, after_ms) in [(101, 0), (101, 2000), (100, 2500), (101, 3000), (900, 5000)] {
                assert!(!ended(unsent, after_ms), "{class:?} {after_ms}");
            }
            assert!(ended(101, 5001), "{class:?}");
            assert!(client.was_called());
        }
    }

    #[test]
    fn a_replica_is_not_measured_here() {
        let client = Bench::client(&Bench::new().server).shared;
        client.set_flag(ClientFlags::REPLICA, true);
        client.apply_limits(&[Limit { hard: 10, soft: 0, soft_secs: 0 }; 3]);
        client.out_bytes.store(100, Relaxed);
        close_full_clients(std::slice::from_ref(&client), 0);
        assert!(!client.has(ClientFlags::CLOSE_ASAP));
    }
}
