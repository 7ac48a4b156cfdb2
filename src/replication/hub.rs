//! The replicas that are attached to us.

use crate::client::Shared;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};
use tokio::sync::Notify;

/// How far a replica has come. Invariant while online: `acked <= sent <= log.end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It waits for a snapshot to begin, or to be complete (bare SYNC).
    AwaitingSnapshot,
    /// It is being sent a snapshot of this offset.
    Loading { from: u64 },
    /// It follows the stream.
    Online { sent: u64, acked: u64 },
}

/// One attached replica.
#[derive(Debug)]
pub struct Replica {
    pub shared: Arc<Shared>,
    /// Where it can be reached, as it announced itself.
    pub ip: String,
    pub port: i32,
    pub progress: Mutex<Progress>,
    /// When it last acknowledged, Unix ms.
    pub acked_at_ms: AtomicI64,
    /// It has acknowledged something since it came online.
    pub acknowledged: AtomicBool,
}

impl Replica {
    /// Its acknowledged offset, if it is online.
    pub fn acked(&self) -> Option<u64> {
        match *self.progress.lock() {
            Progress::Online { acked, .. } => Some(acked),
            _ => None,
        }
    }

    /// Has it acknowledged anything since it came online?
    pub fn has_acknowledged(&self) -> bool {
        self.acknowledged.load(Relaxed)
    }

    /// It has acknowledged `offset`.
    pub fn ack(&self, offset: u64, now_ms: i64) {
        self.acknowledged.store(true, Relaxed);
        self.acked_at_ms.store(now_ms, Relaxed);
        if let Progress::Online { sent, acked } = &mut *self.progress.lock() {
            *acked = offset.clamp(*acked, (*sent).max(*acked));
        }
    }

    /// Whole seconds since its last acknowledgement.
    pub fn lag_secs(&self, now_ms: i64) -> i64 {
        (now_ms - self.acked_at_ms.load(Relaxed)).max(0) / 1000
    }

    /// `ip:port` for log lines.
    pub fn name(&self) -> String {
        match self.port {
            0 => format!("{}:<unknown-replica-port>", self.ip),
            port => format!("{}:{port}", self.ip),
        }
    }
}

/// All attached replicas.
#[derive(Default, Debug)]
pub struct Hub {
    replicas: Mutex<Vec<Arc<Replica>>>,
    count: AtomicUsize,
    /// When the last one left, Unix ms; 0: never.
    pub last_left_ms: AtomicI64,
    /// Somebody has acknowledged something.
    pub acknowledged: Notify,
}

impl Hub {
    /// Enters a replica.
    pub fn add(&self, replica: Arc<Replica>) {
        let mut replicas = self.replicas.lock();
        replicas.push(replica);
        self.count.store(replicas.len(), Relaxed);
    }

    /// Strikes a replica out.
    pub fn remove(&self, replica: &Arc<Replica>, now_ms: i64) {
        let mut replicas = self.replicas.lock();
        replicas.retain(|other| !Arc::ptr_eq(other, replica));
        self.count.store(replicas.len(), Relaxed);
        self.last_left_ms.store(now_ms, Relaxed);
    }

    /// Number of replicas.
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// None attached?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All replicas, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Replica>> {
        self.replicas.lock().clone()
    }

    /// Wakes the replicas' connections: the log or a snapshot has grown.
    pub fn wake(&self) {
        if !self.is_empty() {
            self.replicas.lock().iter().for_each(|replica| replica.shared.call());
        }
    }

    /// Number of replicas that have acknowledged `offset`.
    pub fn acked_by(&self, offset: u64) -> usize {
        let replicas = self.replicas.lock();
        replicas.iter().filter(|replica| replica.acked().is_some_and(|acked| acked >= offset)).count()
    }

    /// Number of replicas whose last acknowledgement is at most `max_lag_secs` old (`min-replicas-to-write`).
    pub fn good(&self, max_lag_secs: i64, now_ms: i64) -> usize {
        let good =
            |replica: &&Arc<Replica>| replica.acked().is_some() && replica.lag_secs(now_ms) <= max_lag_secs;
        self.replicas.lock().iter().filter(good).count()
    }

    /// Cuts all replicas off; they come back and ask again.
    pub fn disconnect_all(&self) {
        self.replicas.lock().iter().for_each(|replica| replica.shared.kill());
    }
}
