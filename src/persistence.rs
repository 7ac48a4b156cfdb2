//! The RDB file: loaded at start, written by SAVE, BGSAVE, save points and at shutdown.
//!
//! A file is written under a temporary name, synced, and renamed: whatever happens in between, the old one is whole.

use crate::client::Reload;
use crate::expire;
use crate::loader::{Expired, LoadError, Loader};
use crate::rdb::Decoder;
use crate::resp::encode;
use crate::server::Server;
use crate::snapshot::{Order, Snapshot, SpoolError, StartError};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is read from the file at a time, bytes.
const READ_BYTES: usize = 1024 * 1024;

/// What INFO persistence tells.
#[derive(Debug)]
pub struct Persistence {
    pub last_save_ms: AtomicI64,
    last_bgsave_ok: AtomicBool,
    pub last_bgsave_secs: AtomicI64,
    pub last_bgsave_try_ms: AtomicI64,
    pub saves: AtomicU64,
    /// A background save is to begin as soon as no other snapshot runs.
    pub scheduled: AtomicBool,
    /// `Server::changes` when the last successful save began.
    pub changes_at_save: AtomicU64,
    pub load_started_ms: AtomicI64,
    pub load_total_bytes: AtomicU64,
    pub load_done_bytes: AtomicU64,
    /// What the writer of the file that is loaded used, bytes; 0: it does not say so.
    pub load_used_mem: AtomicU64,
    pub last_load_expired: AtomicU64,
    pub last_load_keys: AtomicU64,
}

impl Persistence {
    /// Nothing saved yet.
    pub fn new(now_ms: i64) -> Persistence {
        Persistence {
            last_save_ms: AtomicI64::new(now_ms),
            last_bgsave_ok: AtomicBool::new(true),
            last_bgsave_secs: AtomicI64::new(-1),
            last_bgsave_try_ms: AtomicI64::new(0),
            saves: AtomicU64::new(0),
            scheduled: AtomicBool::new(false),
            changes_at_save: AtomicU64::new(0),
            load_started_ms: AtomicI64::new(0),
            load_total_bytes: AtomicU64::new(0),
            load_done_bytes: AtomicU64::new(0),
            load_used_mem: AtomicU64::new(0),
            last_load_expired: AtomicU64::new(0),
            last_load_keys: AtomicU64::new(0),
        }
    }

    /// Did the last background save succeed?
    pub fn last_bgsave_ok(&self) -> bool {
        self.last_bgsave_ok.load(Relaxed)
    }
}

/// May a save begin that nobody waits for? Not beside another snapshot, and for a while not after one that failed.
fn may_save_unasked(server: &Server, now_ms: i64) -> bool {
    const RETRY_SECS: i64 = 5;
    let state = &server.persistence;
    let is_time =
        state.last_bgsave_ok() || (now_ms - state.last_bgsave_try_ms.load(Relaxed)) / 1000 > RETRY_SECS;
    is_time && !server.is_loading() && server.snapshots.current().is_none()
}

/// Begins to write the RDB file. `then` is called on the snapshot's thread with the outcome, when the next one may begin.
///
/// # Errors
/// Another snapshot runs, or the temporary file cannot be made.
pub fn save(
    server: &Arc<Server>,
    then: impl FnOnce(Result<(), String>) + Send + 'static,
) -> Result<(), StartError> {
    let now_ms = server.clock.now_ms();
    // CONFIG SET dir may come before the save is over.
    let directory = std::path::absolute(&server.directory).unwrap_or_else(|_| server.directory.clone());
    let target = directory.join(&server.config.load().dbfilename);
    let temporary = directory.join(format!("temp-{}-{now_ms}.rdb", std::process::id()));
    let changes = server.changes();
    server.persistence.last_bgsave_try_ms.store(now_ms, Relaxed);
    let order = Order { file: Some(temporary.clone()), directory, for_replicas: false };
    let started = server.snapshots.start(server, order, move |server, snapshot| {
        let result = finish(snapshot, &temporary, &target);
        record(server, snapshot, changes, &result);
        move || then(result)
    });
    if let Err(StartError::Failed(error)) = &started {
        tracing::warn!("Failed opening the temp RDB file for saving: {}", error.0);
        server.persistence.last_bgsave_ok.store(false, Relaxed);
        server.note_save_result();
    }
    started.map(|_| ())
}

fn finish(snapshot: &Snapshot, temporary: &Path, target: &Path) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let written = snapshot
        .spool
        .finished_len()
        .map_err(|SpoolError(text)| text)
        .and_then(|_| snapshot.spool.sync().map_err(text))
        .and_then(|()| std::fs::rename(temporary, target).map_err(text))
        .and_then(|()| sync_directory(target).map_err(text));
    if written.is_err() {
        // It is of no use; if it cannot be removed either, so be it.
        let _ = std::fs::remove_file(temporary);
    }
    written
}

fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn record(server: &Server, snapshot: &Snapshot, changes: u64, result: &Result<(), String>) {
    let state = &server.persistence;
    let now_ms = server.clock.now_ms();
    state.last_bgsave_ok.store(result.is_ok(), Relaxed);
    state.last_bgsave_secs.store((now_ms - snapshot.started_ms) / 1000, Relaxed);
    match result {
        Ok(()) => {
            state.saves.fetch_add(1, Relaxed);
            state.last_save_ms.store(now_ms, Relaxed);
            state.changes_at_save.store(changes, Relaxed);
            tracing::info!("DB saved on disk");
        }
        Err(error) => tracing::warn!("Write error saving DB on disk: {error}"),
    }
    server.note_save_result();
}

/// Why a file was not loaded.
#[derive(Debug)]
pub enum LoadFailure {
    /// It is not there.
    Missing,
    Io(io::Error),
    /// What is wrong with it.
    Broken(String),
}

/// Reads an RDB file into a data set beside the one that is served.
///
/// # Errors
/// See [`LoadFailure`]; nothing has changed.
pub fn read_file(server: &Server, path: &Path, expired: Expired) -> Result<Loader, LoadFailure> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LoadFailure::Missing,
        _ => LoadFailure::Io(error),
    })?;
    let state = &server.persistence;
    state.load_total_bytes.store(file.metadata().map_or(0, |meta| meta.len()), Relaxed);
    state.load_done_bytes.store(0, Relaxed);
    state.load_started_ms.store(server.clock.now_ms(), Relaxed);
    let mut loader = Loader::new(&server.keyspace, server.clock.now_ms(), server.access_policy(), expired);
    let mut decoder = Decoder::new(server.verifies_checksums(), server.limits());
    let mut chunk = vec![0; READ_BYTES];
    while !decoder.is_done() {
        let n = file.read(&mut chunk).map_err(LoadFailure::Io)?;
        if n == 0 {
            break;
        }
        let broken = |text: String| LoadFailure::Broken(text);
        let delay_us = server.config.load().key_load_delay;
        let mut feed = decoder.feed(&chunk[..n]);
        while let Some(item) = feed.next().map_err(|error| broken(error.to_string()))? {
            loader.item(item).map_err(|LoadError(text)| broken(text))?;
            std::thread::sleep(delay_of(1, delay_us));
        }
        drop(feed);
        state.load_used_mem.store(loader.used_mem.unwrap_or(0), Relaxed);
        state.load_done_bytes.fetch_add(n as u64, Relaxed);
    }
    decoder.finish().map_err(|error| LoadFailure::Broken(error.to_string()))?;
    Ok(loader)
}

/// How long so many keys take longer because of `key-load-delay` or `rdb-key-save-delay`: so many microseconds each, or one for
/// so many keys if it is negative. Tests of what happens meanwhile ask for it.
pub fn delay_of(keys: u64, delay_us: i32) -> Duration {
    Duration::from_micros(match u64::try_from(delay_us) {
        Ok(delay_us) => keys.saturating_mul(delay_us),
        Err(_) => keys / u64::from(delay_us.unsigned_abs()),
    })
}

/// Makes a loaded data set the one that is served, at start or by DEBUG RELOAD; `adopt_history`: its place in a
/// replication history too.
pub fn install(server: &Server, mut loader: Loader, adopt_history: bool) {
    let state = &server.persistence;
    state.last_load_keys.store(loader.keys, Relaxed);
    state.last_load_expired.store(loader.expired_keys.len() as u64, Relaxed);
    let history = loader.repl_id.zip(loader.repl_offset).filter(|_| adopt_history);
    let (loader_keys, empty_keys) = (loader.keys, loader.empty_keys);
    let (stream_db, expired) = (loader.stream_db, std::mem::take(&mut loader.expired_keys));
    let mut held = server.keyspace.lock_all();
    held.adopt(loader.into_shards());
    if let Some((id, offset)) = history {
        adopt_history_of(server, id, offset, stream_db);
    }
    log_loaded(loader_keys, expired.len(), empty_keys);
    log_expired(server, &expired);
    drop(held);
    state.changes_at_save.store(server.changes(), Relaxed);
}

/// Adds a loaded data set to the one that is served; keys of both are replaced if that is asked for.
fn add(server: &Server, loader: Loader, replace: bool) -> Result<(), String> {
    let loaded = loader.into_shards();
    let mut held = server.keyspace.lock_all();
    if !replace && held.shards().zip(&loaded).any(|(shard, other)| shard.has_key_of(other)) {
        return Err("The RDB file has a key that is there already".into());
    }
    for (shard, other) in held.shards().zip(&loaded) {
        shard.absorb(other);
    }
    Ok(())
}

fn log_loaded(keys: u64, expired: usize, empty: u64) {
    if empty == 0 {
        tracing::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}.");
    } else {
        tracing::warn!(
            "Done loading RDB, keys loaded: {keys}, keys expired: {expired}, empty keys skipped: {empty}."
        );
    }
}

fn adopt_history_of(server: &Server, id: crate::replication::log::ReplId, offset: u64, stream_db: u16) {
    let mut ring = server.log.lock();
    if server.is_replica() {
        ring.ids.id = id;
        ring.restart(offset);
        ring.set_selected(Some(stream_db));
    } else {
        ring.ids.id2 = id;
        ring.ids.second_offset = offset as i64 + 1;
        ring.restart(offset);
    }
    server.log.want();
}

/// Keys that were left out because they had expired: followers of the history have them still.
fn log_expired(server: &Server, expired: &[(u16, Vec<u8>)]) {
    if !server.log.is_wanted() {
        return;
    }
    let effects: Vec<_> = expired
        .iter()
        .map(|(db, key)| {
            let mut request = Vec::new();
            encode::request(&mut request, &[&b"DEL"[..], key]);
            crate::executor::Effect { db: *db, request }
        })
        .collect();
    server.log.append_separately(&effects);
}

/// Loads the RDB file at start.
///
/// # Errors
/// The text for the log; the server must not run on.
pub fn load_at_start(server: &Server) -> Result<(), String> {
    let path = server.directory.join(&server.config.load().dbfilename);
    let started = server.clock.instant();
    let expired = if server.is_replica() { Expired::Keep } else { Expired::Drop };
    match read_file(server, &path, expired) {
        Ok(loader) => {
            install(server, loader, true);
            tracing::info!("DB loaded from disk: {:.3} seconds", started.elapsed().as_secs_f64());
            Ok(())
        }
        Err(LoadFailure::Missing) => Ok(()),
        Err(LoadFailure::Io(error)) => {
            Err(format!("Fatal error loading the DB, check server logs. Exiting. ({error})"))
        }
        Err(LoadFailure::Broken(text)) => {
            tracing::warn!("{text}");
            tell_what_is_wrong(server, &path);
            tracing::warn!("Terminating server after rdb file reading failure.");
            Err("Fatal error loading the DB, check server logs. Exiting.".into())
        }
    }
}

/// Where the file is damaged, at which key, and what can be read of it: redis-check-rdb's lines, for the operator.
fn tell_what_is_wrong(server: &Server, path: &Path) {
    let (name, now_ms) = (path.display().to_string(), server.clock.now_ms());
    let checked =
        crate::rdb::check::check(&name, File::open(path), &server.limits(), now_ms, &mut io::stdout());
    if let Err(error) = checked {
        tracing::warn!("{name} cannot be checked: {error}");
    }
}

/// DEBUG RELOAD: loads the RDB file, which was saved before if that was asked for.
///
/// # Errors
/// What went wrong; the data set is what it was.
pub async fn reload(server: &Arc<Server>, order: Reload) -> Result<(), String> {
    let server = server.clone();
    let load = move || match read_file(
        &server,
        &server.directory.join(&server.config.load().dbfilename),
        Expired::Keep,
    ) {
        Ok(loader) => {
            if order.flush {
                install(&server, loader, false);
            } else {
                add(&server, loader, order.merge)?;
            }
            tracing::warn!("DB reloaded by DEBUG RELOAD");
            Ok(())
        }
        Err(error) => Err(format!("Error trying to load the RDB dump: {error:?}")),
    };
    tokio::task::spawn_blocking(load).await.map_err(|error| error.to_string())?
}

/// Is a save scheduled that may begin now?
pub fn scheduled_save_may_begin(server: &Server) -> bool {
    server.persistence.scheduled.load(Relaxed) && may_save_unasked(server, server.clock.now_ms())
}

/// Is a save point reached? Not while a snapshot runs.
pub fn save_point_reached(server: &Server) -> Option<(i64, i64)> {
    let state = &server.persistence;
    let (config, now_ms) = (server.config.load(), server.clock.now_ms());
    if config.save.is_empty() || !may_save_unasked(server, now_ms) {
        return None;
    }
    // A command that takes its time may hold a shard: the next turn looks again.
    let changes =
        server.changes_within(expire::PATIENCE)?.saturating_sub(state.changes_at_save.load(Relaxed)) as i64;
    let elapsed = (now_ms - state.last_save_ms.load(Relaxed)) / 1000;
    let reached = config.save.iter().find(|point| changes >= point.changes && elapsed > point.secs)?;
    tracing::info!("{} changes in {} seconds. Saving...", reached.changes, reached.secs);
    Some((reached.changes, reached.secs))
}
