//! Active expiry: on a master, keys whose time has come are deleted although nobody asks for them. On a replica to which clients
//! may write, those are to which clients gave a time: the others are its master's to expire.
//!
//! The index tells what is due, so nothing is sampled and nothing is left behind; a slice under a shard's lock is bounded, so
//! that a hundred thousand keys that expire in the same second stop nobody. Nor does it wait for a shard in which a command takes
//! its time: whoever expires keys also accepts clients and keeps the timers, and comes back with its next turn.

use crate::executor::{Effects, events, serve_ready};
use crate::keyspace::view::{Moment, Viewer};
use crate::keyspace::{Held, SHARDS, View};
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Keys deleted under one lock: some 50 to 100 microseconds.
const SLICE_KEYS: usize = 100;

/// How long a turn waits for a shard that is locked: longer than short commands hold it. Once, as many may be.
pub const PATIENCE: Duration = Duration::from_millis(1);

/// Deletes what is due, shard by shard; `pause` is awaited between slices so that others of the thread go on.
pub async fn run(server: &Arc<Server>) {
    if server.is_loading() || !server.active_expire.load(Relaxed) {
        return;
    }
    let mut patience = PATIENCE;
    for shard in 0..SHARDS {
        loop {
            let Some(held) = Held::one_within(&server.keyspace, shard, patience) else {
                patience = Duration::ZERO;
                break;
            };
            if !slice(server, held) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// One slice of one shard. Returns whether more is due.
fn slice(server: &Arc<Server>, held: Held<'_>) -> bool {
    // The role does not change while a shard is held.
    let moment = Moment {
        now_ms: server.clock.now_ms(),
        viewer: if server.is_replica() { Viewer::OnReplica } else { Viewer::OnMaster },
        access: server.access_policy(),
        no_touch: true,
        seed: 0,
        events: server.events(),
    };
    let since = server.clock.instant();
    crate::hold::mark(since);
    let mut view = View::new(&server.keyspace, held, 0, moment);
    let more = if moment.viewer == Viewer::OnMaster {
        view.forget_own();
        view.expire_due(SLICE_KEYS)
    } else {
        view.expire_own(SLICE_KEYS)
    };
    let mut effects = Effects::new(server.log.is_wanted());
    effects.add_expired(&mut view, server.lazy_expire());
    let grew = effects.append_separately(server);
    let (happened, ready) = (view.take_events(), view.take_ready());
    drop(view);
    let took = since.elapsed();
    server.stats.record_lock(took);
    server.stats.expire_cycle_ns.fetch_add(took.as_nanos() as u64, Relaxed);
    if grew {
        server.wake_replicas();
    }
    serve_ready(server, ready);
    for published in happened.iter().flat_map(|event| events(server, event, 0, moment.now_ms)) {
        published.called.iter().flat_map(|listeners| listeners.iter()).for_each(|listener| listener.call());
    }
    more
}
