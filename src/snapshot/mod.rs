//! Snapshots without fork: the data set as it was at one moment, while writes go on.
//!
//! [`begin`] locks all shards and the log for an instant: every shard's epoch is raised and the log's offset noted. Then a
//! thread walks shard by shard in short locked slices ([`walk`]); what changes before the walk reaches it is handed over by
//! the shard itself (`crate::keyspace::shard`). Encoding, compression and checksum happen outside the locks; the bytes go to a
//! [`Spool`], from which a file and any number of replicas read, each at its own pace.
//!
//! Nobody who writes ever waits for a snapshot, and no memory grows with the data set: only with what changes meanwhile.

pub mod spool;
pub mod walk;

pub use spool::{Spool, SpoolError};
pub use walk::Slice;

use crate::keyspace::shard::WalkStep;
use crate::keyspace::{Captured, SHARDS};
use crate::rdb;
use crate::replication::log::{Pin, ReplId};
use crate::server::Server;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tokio::sync::Notify;

/// Size of the pieces in which the encoded snapshot reaches the spool, bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// Strings from this size on are not compressed and go to the spool in pieces, so that no copy of a huge one is made.
const IN_PIECES_FROM_BYTES: usize = 4 * 1024 * 1024;

/// A running or finished snapshot.
pub struct Snapshot {
    /// The history and the position in it that the data set stands for.
    pub id: ReplId,
    pub offset: u64,
    pub spool: Spool,
    /// Keys when it began, and how many of them are written.
    pub keys_total: u64,
    keys_done: AtomicU64,
    pub started_ms: i64,
    /// The log from `offset` on, kept for replicas that join late.
    pin: Option<Pin>,
    abandoned: AtomicBool,
}

/// What a snapshot is for.
pub struct Order {
    /// The spool's file, if it is to become a file of its own; else an unlinked one is made when memory is full.
    pub file: Option<PathBuf>,
    /// Where an unlinked file would go.
    pub directory: PathBuf,
    /// Keep the log for replicas.
    pub for_replicas: bool,
}

impl Snapshot {
    /// Keys written so far.
    pub fn keys_done(&self) -> u64 {
        self.keys_done.load(Relaxed)
    }

    /// Nobody needs it any more: the walk goes on without output, to leave the marks equal.
    pub fn abandon(&self) {
        self.abandoned.store(true, Relaxed);
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Relaxed)
    }

    /// Lets go of the log.
    pub fn release_log(&self, server: &Server) {
        if let Some(pin) = self.pin {
            server.log.lock().unpin(pin);
        }
    }
}

/// The one snapshot that may run at a time.
#[derive(Default)]
pub struct Snapshots {
    /// Held while one begins: taken before the shards, never by who holds any.
    starting: Mutex<()>,
    /// A leaf: whoever holds shards may ask for it.
    current: Mutex<Option<Arc<Snapshot>>>,
    over: Notify,
}

/// What a replica that needs a snapshot gets.
pub enum Joined {
    /// One that it can read, and its claim to the log from there on.
    Snapshot(Arc<Snapshot>, Pin),
    /// One runs that is of no use to it: try again when it is over.
    Busy,
}

/// Why a snapshot did not begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartError {
    /// Another one runs.
    Running,
    Failed(SpoolError),
}

impl Snapshots {
    /// The running one.
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.lock().clone()
    }

    /// Ready when the running one is over.
    pub fn over(&self) -> tokio::sync::futures::Notified<'_> {
        self.over.notified()
    }

    /// Begins one, on a thread of its own. `finish` is called on that thread when all is written, and what it returns when the
    /// next one may begin: whoever is told earlier and begins one would be refused.
    ///
    /// # Errors
    /// Another one runs, or the file cannot be made.
    pub fn start<T: FnOnce()>(
        &self,
        server: &Arc<Server>,
        order: Order,
        finish: impl FnOnce(&Arc<Server>, &Snapshot) -> T + Send + 'static,
    ) -> Result<Arc<Snapshot>, StartError> {
        let starting = self.starting.lock();
        if self.current().is_some() {
            return Err(StartError::Running);
        }
        let (snapshot, mut walk) = begin(server, order).map_err(StartError::Failed)?;
        drop(starting);
        let (server, running) = (server.clone(), snapshot.clone());
        let background = server.background.clone();
        let mut finish = Some(finish);
        background.start(
            "snapshot",
            Box::new(move || {
                let more = walk.step();
                if !more && let Some(finish) = finish.take() {
                    let then = finish(&server, &running);
                    *server.snapshots.current.lock() = None;
                    running.release_log(&server);
                    server.snapshots.over.notify_waiters();
                    then();
                }
                more
            }),
        );
        Ok(snapshot)
    }

    /// The running snapshot, or a new one, for a replica.
    ///
    /// # Errors
    /// A new one cannot begin.
    pub fn join(&self, server: &Arc<Server>) -> Result<Joined, SpoolError> {
        if let Some(running) = self.current() {
            return Ok(Snapshots::join_running(server, running));
        }
        let directory = server.directory.clone();
        tracing::info!("Starting snapshot for SYNC with target: replicas sockets");
        match self.start(server, Order { file: None, directory, for_replicas: true }, |_, _| || {}) {
            Ok(snapshot) => Ok(Snapshots::join_running(server, snapshot)),
            Err(StartError::Running) => Ok(Joined::Busy),
            Err(StartError::Failed(error)) => Err(error),
        }
    }

    fn join_running(server: &Server, snapshot: Arc<Snapshot>) -> Joined {
        let mut ring = server.log.lock();
        if ring.ids.id != snapshot.id || !server.log.is_wanted() {
            return Joined::Busy;
        }
        match ring.pin(snapshot.offset) {
            Ok(pin) => Joined::Snapshot(snapshot, pin),
            Err(_) => Joined::Busy,
        }
    }
}

/// Takes the moment: from here on, what changes is captured. The walk is to be taken step by step, in the
/// background.
///
/// # Errors
/// The spool's file cannot be made.
pub fn begin(server: &Arc<Server>, order: Order) -> Result<(Arc<Snapshot>, Walk), SpoolError> {
    let spool = Spool::new(order.file, order.directory)?;
    let (sender, captured) = channel();
    let mut held = server.keyspace.lock_all();
    let since = server.clock.instant();
    crate::hold::mark(since);
    if order.for_replicas {
        server.log.want();
    }
    let mut keys_total = 0;
    for shard in held.shards() {
        shard.begin_snapshot(sender.clone());
        keys_total += (0..server.keyspace.databases()).map(|db| shard.db(db).len() as u64).sum::<u64>();
    }
    let (snapshot, stream_db) = moment(server, spool, keys_total, order.for_replicas);
    let snapshot = Arc::new(snapshot);
    *server.snapshots.current.lock() = Some(snapshot.clone());
    drop(held);
    server.stats.record_lock(since.elapsed());
    Ok((snapshot.clone(), Walk::new(server.clone(), snapshot, captured, stream_db)))
}

/// A snapshot of nothing but the history and the position in it, for who wants no data (REPLCONF rdb-filter-only); it is
/// finished. The log is kept from there on.
///
/// # Errors
/// The spool's file cannot be made.
pub fn without_data(server: &Arc<Server>) -> Result<(Arc<Snapshot>, Pin), SpoolError> {
    let spool = Spool::new(None, server.directory.clone())?;
    let held = server.keyspace.lock_all();
    server.log.want();
    let (mut snapshot, stream_db) = moment(server, spool, 0, true);
    drop(held);
    let pin = snapshot.pin.take().expect("a wanted log is kept");
    let snapshot = Arc::new(snapshot);
    let mut output = Output::new(server.clone(), snapshot.clone());
    output.header(stream_db);
    output.finish();
    Ok((snapshot, pin))
}

/// What the moment is in the stream's history, and its database; all shards are locked.
fn moment(server: &Server, spool: Spool, keys_total: u64, for_replicas: bool) -> (Snapshot, i64) {
    let mut ring = server.log.lock();
    // Who follows begins with SELECT, unless the stream is a master's. Nobody can join the saving of an empty data set in time
    // (FLUSHALL): for that the stream goes on as it is.
    if !server.is_replica() && (for_replicas || keys_total > 0) {
        ring.forget_selected();
    }
    let stream_db = ring.selected().map_or(0, i64::from);
    let offset = ring.end();
    let pin = server.log.is_wanted().then(|| ring.pin(offset).expect("the end is always kept"));
    let snapshot = Snapshot {
        id: ring.ids.id,
        offset,
        spool,
        keys_total,
        keys_done: AtomicU64::new(0),
        started_ms: server.clock.now_ms(),
        pin,
        abandoned: AtomicBool::new(false),
    };
    (snapshot, stream_db)
}

/// So long is rested before somebody looks whether the snapshot is still wanted.
const REST_AT_ONCE: Duration = Duration::from_millis(10);

/// The work of a snapshot, for the background.
pub struct Walk {
    server: Arc<Server>,
    captured: Receiver<Captured>,
    output: Output,
    /// The shard that is being walked.
    shard: usize,
    slice: Slice,
    /// What is left of the rest that `rdb-key-save-delay` asks for.
    rest: Duration,
}

impl Walk {
    fn new(
        server: Arc<Server>,
        snapshot: Arc<Snapshot>,
        captured: Receiver<Captured>,
        stream_db: i64,
    ) -> Walk {
        let mut output = Output::new(server.clone(), snapshot);
        output.header(stream_db);
        Walk { server, captured, output, shard: 0, slice: Slice::default(), rest: Duration::ZERO }
    }

    /// Walks one slice on, and writes it to the spool. False: all is done, the spool is finished or has failed.
    pub fn step(&mut self) -> bool {
        if !self.rest.is_zero() && !self.output.snapshot.is_abandoned() {
            let piece = self.rest.min(REST_AT_ONCE);
            std::thread::sleep(piece);
            self.rest -= piece;
            return true;
        }
        let keys_before = self.output.keys;
        if walk::walk_slice(&self.server, self.shard, &mut self.slice) == WalkStep::Done {
            self.shard += 1;
        }
        self.output.slice(&self.slice);
        // Behind the last shard, all senders are gone: what is there is all that there will be.
        while let Ok(captured) = self.captured.try_recv() {
            self.output.captured(&captured);
        }
        let delay_us = self.server.config.load().rdb_key_save_delay;
        self.rest = crate::persistence::delay_of(self.output.keys - keys_before, delay_us);
        if self.shard < SHARDS {
            return true;
        }
        self.output.finish();
        false
    }
}

/// Encodes what the walk finds, and hands it to the spool piece by piece.
struct Output {
    server: Arc<Server>,
    snapshot: Arc<Snapshot>,
    writer: rdb::Writer,
    db: Option<u16>,
    policy: crate::keyspace::AccessPolicy,
    eviction: bool,
    now_ms: i64,
    keys: u64,
    /// Why this is no snapshot of everything.
    error: Option<SpoolError>,
}

impl Output {
    fn new(server: Arc<Server>, snapshot: Arc<Snapshot>) -> Output {
        let config = server.config.load_full();
        let options = rdb::Options {
            compress: config.rdbcompression,
            compress_max_bytes: IN_PIECES_FROM_BYTES,
            checksum: config.rdbchecksum,
            version: config.rdb_compatible_version as u8,
        };
        Output {
            writer: rdb::Writer::new(options),
            db: None,
            policy: server.access_policy(),
            eviction: config.maxmemory_policy.evicts(),
            now_ms: server.clock.now_ms(),
            keys: 0,
            error: None,
            server,
            snapshot,
        }
    }

    fn flush(&mut self, at_least: usize) {
        hand_over(&mut self.writer, &self.server, &self.snapshot, self.keys, at_least);
    }

    fn finish(&mut self) {
        self.writer.eof();
        self.flush(0);
        let abandoned = self.snapshot.is_abandoned().then(|| SpoolError("abandoned".into()));
        self.snapshot.spool.finish(abandoned.or(self.error.take()));
        self.server.wake_replicas();
    }

    fn header(&mut self, stream_db: i64) {
        let replication = self.server.log.is_wanted().then(|| rdb::ReplicationAux {
            stream_db,
            id: self.snapshot.id.as_str(),
            offset: self.snapshot.offset as i64,
        });
        self.writer.header();
        self.writer.standard_aux(&rdb::Aux {
            redis_ver: crate::config::COMPATIBLE_VERSION,
            ctime: self.now_ms / 1000,
            used_mem: crate::memory::used_bytes(),
            replication,
            aof_base: false,
        });
    }

    fn slice(&mut self, slice: &Slice) {
        for record in slice.records() {
            self.record(record.db, record.expiry_ms, record.access, record.key, record.value);
        }
    }

    fn captured(&mut self, captured: &Captured) {
        let mut entry = |db: u16, entry: &crate::keyspace::Entry| {
            walk::with_written(entry.stored(), |value| {
                self.record(db, entry.expiry_ms(), entry.access(), entry.key(), value);
            });
        };
        match captured {
            Captured::Entry { db, entry: old } => entry(*db, old),
            Captured::Table { db, table, seen } => table.for_each(|old| {
                if old.mark() != *seen {
                    entry(*db, old);
                }
            }),
        }
    }

    fn record(&mut self, db: u16, expiry_ms: Option<i64>, access: u32, key: &[u8], value: rdb::ValueRef<'_>) {
        if !self.writer.can_say(value) {
            self.error.get_or_insert_with(|| {
                let key = String::from_utf8_lossy(key);
                SpoolError(format!(
                    "rdb-compatible-version is too low for the expiring fields of hash '{key}'"
                ))
            });
            return;
        }
        if self.db != Some(db) {
            self.writer.select_db(u32::from(db));
            self.db = Some(db);
        }
        let eviction = match (self.eviction, self.policy) {
            (false, _) => rdb::Eviction::None,
            (true, crate::keyspace::AccessPolicy::Lru) => {
                rdb::Eviction::IdleSeconds(crate::keyspace::access::idle_secs(access, self.now_ms))
            }
            (true, policy) => rdb::Eviction::Frequency(policy.frequency(access, self.now_ms) as u8),
        };
        self.keys += 1;
        let record = rdb::RecordRef { expire_ms: expiry_ms, eviction, key, value };
        let Output { writer, server, snapshot, keys, .. } = self;
        writer
            .record_draining(&record, &mut |writer| hand_over(writer, server, snapshot, *keys, PIECE_BYTES));
        self.flush(PIECE_BYTES);
    }
}

/// Hands what is encoded to the spool, if it is at least so much.
fn hand_over(writer: &mut rdb::Writer, server: &Server, snapshot: &Snapshot, keys: u64, at_least: usize) {
    if writer.buf().len() < at_least {
        return;
    }
    snapshot.keys_done.store(keys, Relaxed);
    let piece = writer.take();
    if !snapshot.is_abandoned() {
        snapshot.spool.push(piece);
        server.wake_replicas();
    }
}
