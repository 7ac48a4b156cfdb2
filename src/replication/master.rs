//! The master's side of one replica's link, on the replica's own connection.
//!
//! PSYNC is decided, a snapshot is sent if need be, then the stream from the replica's own cursor into the log. Each replica
//! goes at its own pace: a slow one costs only the log that it pins, most of it on disk, and is cut off when the disk's share
//! (`repl-backlog-disk-size`) is used up and what it pins in memory reaches `client-output-buffer-limit replica`.

use super::hub::{Progress, Replica};
use super::log::{NotKept, Pin, WAITING_FOR_DISK_BYTES};
use super::psync::{Decision, Reason, SyncRequest, decide};
use crate::client::{Client, ClientFlags};
use crate::command::{Lookup, table};
use crate::commands::client::{line_of, warn_of_output_limit};
use crate::config::{ClientClass, Limit};
use crate::net::Connection;
use crate::resp::parser::{Arg, number};
use crate::server::Server;
use crate::snapshot::spool::Piece;
use crate::snapshot::{Joined, Snapshot, SpoolError};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// What one turn takes from the log or the spool at most, bytes.
const SEND_BYTES: usize = 256 * 1024;
/// How often a link is looked at when nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How long the disk is left alone when it has failed.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// Serves a replica until its link ends, which is how it ends: with an error.
///
/// # Errors
/// The socket's, a time-out, a limit.
pub async fn serve(conn: &mut Connection, request: SyncRequest) -> io::Result<()> {
    let server = conn.server.clone();
    conn.flush_all().await?;
    let replica = enter(conn);
    let _leaves = Leaves { server: &server, replica: &replica };
    let now = Instant::now();
    let mut link = Link {
        conn,
        server: &server,
        replica: &replica,
        queue: VecDeque::new(),
        pin: None,
        over_soft_since: None,
        sign_at: now,
        moved_at: now,
        looked_at: now,
    };
    let result = link.run(request).await;
    if let Some(pin) = link.pin {
        server.log.lock().unpin(pin);
    }
    match &result {
        Err(error) => tracing::info!("Connection with replica {} lost: {error}", replica.name()),
        Ok(()) => tracing::info!("Connection with replica {} lost.", replica.name()),
    }
    Err(result.err().unwrap_or_else(|| ErrorKind::ConnectionAborted.into()))
}

fn enter(conn: &Connection) -> Arc<Replica> {
    let client = &conn.client;
    let peer = client.shared.addr.rsplit_once(':').map_or("", |(ip, _)| ip);
    let ip = client.replconf.ip_address.as_deref().unwrap_or(peer.trim_matches(['[', ']']));
    let replica = Arc::new(Replica {
        shared: client.shared.clone(),
        ip: ip.to_string(),
        port: client.replconf.listening_port,
        progress: Mutex::new(Progress::AwaitingSnapshot),
        acked_at_ms: AtomicI64::new(conn.server.clock.now_ms()),
        acknowledged: AtomicBool::new(false),
    });
    client.shared.set_flag(ClientFlags::REPLICA, true);
    conn.server.hub.add(replica.clone());
    replica
}

struct Leaves<'a> {
    server: &'a Server,
    replica: &'a Arc<Replica>,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.server.hub.remove(self.replica, self.server.clock.now_ms());
        self.server.hub.acknowledged.notify_waiters();
    }
}

struct Link<'a> {
    conn: &'a mut Connection,
    server: &'a Arc<Server>,
    replica: &'a Arc<Replica>,
    queue: VecDeque<Bytes>,
    pin: Option<Pin>,
    /// Since when it has been behind by the soft limit without a break.
    over_soft_since: Option<Instant>,
    /// When the last newline was sent to a replica that waits.
    sign_at: Instant,
    /// When the replica last took or said something.
    moved_at: Instant,
    /// When its silence was last looked at.
    looked_at: Instant,
}

impl Link<'_> {
    async fn run(&mut self, request: SyncRequest) -> io::Result<()> {
        let acked_first = match self.decide(&request) {
            Some(from) => {
                self.go_online(from);
                false
            }
            None => {
                let acked_first = self.full_sync(&request).await?;
                if self.conn.client.replconf.rdb_only {
                    return self.end().await;
                }
                acked_first
            }
        };
        self.stream(acked_first).await
    }

    /// Tries a partial resync: pins the log and answers +CONTINUE. `None`: a full one is needed.
    fn decide(&mut self, request: &SyncRequest) -> Option<u64> {
        let mut ring = self.server.log.lock();
        let kept = ring.start()..=ring.end();
        let decision = match decide(request, &ring.ids, kept) {
            Decision::Continue { .. } if !self.server.log.is_wanted() => Decision::Full(Reason::NotKept),
            decision => decision,
        };
        let name = self.replica.name();
        let (from, backlog) = match decision {
            Decision::Continue { from } => (from, ring.end() - from),
            Decision::Full(reason) => {
                let ids = ring.ids;
                drop(ring);
                self.log_refusal(request, reason, &ids);
                return None;
            }
        };
        self.pin = ring.pin(from).ok();
        let id = ring.ids.id;
        drop(ring);
        self.server.stats.sync_partial_ok.fetch_add(1, Relaxed);
        tracing::info!(
            "Partial resynchronization request from {name} accepted. Sending {backlog} bytes of backlog starting from offset {}.",
            from + 1
        );
        let answer = if self.conn.client.replconf.capa_psync2 {
            format!("+CONTINUE {id}\r\n")
        } else {
            "+CONTINUE\r\n".into()
        };
        self.queue.push_back(answer.into());
        Some(from)
    }

    fn log_refusal(&self, request: &SyncRequest, reason: Reason, ids: &super::log::Ids) {
        let name = self.replica.name();
        if let SyncRequest::Psync { id, offset } = request
            && reason != Reason::Asked
        {
            self.server.stats.sync_partial_err.fetch_add(1, Relaxed);
            let id = String::from_utf8_lossy(id);
            match reason {
                Reason::OtherHistory if id == ids.id2.as_str() => tracing::info!(
                    "Partial resynchronization not accepted: Requested offset for second ID was {offset}, but I can reply up to {}",
                    ids.second_offset
                ),
                Reason::OtherHistory => tracing::info!(
                    "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{id}', my replication IDs are '{}' and '{}')",
                    ids.id,
                    ids.id2
                ),
                _ => tracing::info!(
                    "Unable to partial resync with replica {name} for lack of backlog (Replica request was: {offset})."
                ),
            }
        } else {
            tracing::info!("Full resync requested by replica {name}");
        }
    }

    fn go_online(&self, from: u64) {
        *self.replica.progress.lock() = Progress::Online { sent: from, acked: 0 };
        self.replica.acknowledged.store(false, Relaxed);
        self.replica.acked_at_ms.store(self.server.clock.now_ms(), Relaxed);
    }

    /// Sends a snapshot. Returns whether the stream must wait for the first acknowledgement.
    async fn full_sync(&mut self, request: &SyncRequest) -> io::Result<bool> {
        self.server.stats.sync_full.fetch_add(1, Relaxed);
        let snapshot = match self.conn.client.replconf.no_data {
            true => self.without_data()?,
            false => self.join_snapshot().await?,
        };
        let offset = snapshot.offset;
        *self.replica.progress.lock() = Progress::Loading { from: offset };
        let bare = *request == SyncRequest::Sync;
        if !bare {
            self.queue.push_back(format!("+FULLRESYNC {} {offset}\r\n", snapshot.id).into());
        }
        let mark = (self.conn.client.replconf.capa_eof && self.server.config.load().repl_diskless_sync)
            .then(|| super::log::ReplId::random(&self.server.entropy));
        match mark {
            Some(mark) => self.queue.push_back(format!("$EOF:{mark}\r\n").into()),
            None => {
                let len = self.snapshot_len(&snapshot).await?;
                self.queue.push_back(format!("${len}\r\n").into());
            }
        }
        self.send_snapshot(&snapshot).await?;
        if let Some(mark) = mark {
            self.queue.push_back(Bytes::copy_from_slice(&mark.0));
        }
        if !self.conn.client.replconf.rdb_only {
            tracing::info!("Synchronization with replica {} succeeded", self.replica.name());
            self.go_online(offset);
        }
        Ok(mark.is_some())
    }

    /// The snapshot was all that was wanted.
    async fn end(&mut self) -> io::Result<()> {
        tracing::info!(
            "RDB transfer completed, rdb only replica ({}) should be disconnected asap",
            self.replica.name()
        );
        while !self.queue.is_empty() {
            self.turn().await?;
        }
        Ok(())
    }

    /// Waits for a snapshot that this replica can have, and pins the log from its offset.
    async fn join_snapshot(&mut self) -> io::Result<Arc<Snapshot>> {
        loop {
            let over = self.server.snapshots.over();
            tokio::pin!(over);
            over.as_mut().enable();
            match self.server.snapshots.join(self.server) {
                Ok(Joined::Snapshot(snapshot, pin)) => {
                    self.pin = Some(pin);
                    return Ok(snapshot);
                }
                Ok(Joined::Busy) => {
                    tokio::select! {
                        biased;
                        () = over => {}
                        result = self.turn() => result?,
                    }
                    self.sign_of_life();
                }
                Err(error) => return Err(self.no_snapshot(error)),
            }
        }
    }

    fn without_data(&mut self) -> io::Result<Arc<Snapshot>> {
        let (snapshot, pin) =
            crate::snapshot::without_data(self.server).map_err(|error| self.no_snapshot(error))?;
        self.pin = Some(pin);
        Ok(snapshot)
    }

    fn no_snapshot(&self, error: SpoolError) -> io::Error {
        tracing::warn!("Snapshot for replica {} failed: {}", self.replica.name(), error.0);
        io::Error::other(error.0)
    }

    async fn snapshot_len(&mut self, snapshot: &Snapshot) -> io::Result<u64> {
        loop {
            match snapshot.spool.finished_len() {
                Ok(Some(len)) => return Ok(len),
                Ok(None) => self.turn().await?,
                Err(error) => return Err(io::Error::other(error.0)),
            }
            self.sign_of_life();
        }
    }

    /// A newline each second tells a waiting replica that we are there. Only before the snapshot's bytes.
    fn sign_of_life(&mut self) {
        if self.queue.is_empty() && self.sign_at.elapsed() >= TICK {
            self.sign_at = Instant::now();
            self.queue.push_back(Bytes::from_static(b"\n"));
        }
    }

    async fn send_snapshot(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let mut at = 0;
        loop {
            match snapshot.spool.read(at).map_err(|error| io::Error::other(error.0))? {
                Piece::Bytes(bytes) => {
                    at += bytes.len() as u64;
                    self.queue.push_back(bytes);
                    while !self.queue.is_empty() {
                        self.turn().await?;
                    }
                }
                Piece::Wait => self.turn().await?,
                Piece::End => return Ok(()),
            }
        }
    }

    async fn stream(&mut self, mut wait_for_ack: bool) -> io::Result<()> {
        loop {
            wait_for_ack = wait_for_ack && !self.replica.has_acknowledged();
            if !wait_for_ack && self.queue.is_empty() {
                self.take_from_log()?;
            }
            self.turn().await?;
        }
    }

    fn take_from_log(&mut self) -> io::Result<()> {
        let Some(pin) = self.pin else { return Ok(()) };
        let pieces = self
            .server
            .log
            .lock()
            .read(pin, SEND_BYTES)
            .map_err(|NotKept| io::Error::other("the log is lost"))?;
        let mut bytes = 0;
        for piece in pieces {
            let piece = piece.bytes().inspect_err(|error| {
                tracing::warn!("Can't read the replication log on disk: {error}");
                self.server.log.lock().forget_disk();
            })?;
            bytes += piece.len() as u64;
            self.queue.push_back(piece);
        }
        if let Progress::Online { sent, .. } = &mut *self.replica.progress.lock() {
            *sent += bytes;
        }
        Ok(())
    }

    /// Sends what the socket takes; if that is not all, or there was nothing, waits for something to happen.
    async fn turn(&mut self) -> io::Result<()> {
        let had_something = !self.queue.is_empty();
        self.write()?;
        self.check_silence()?;
        self.check_limits()?;
        if had_something && self.queue.is_empty() {
            // There may be more to send: see first, but let others of this thread have their turn.
            crate::net::outbox::yield_now().await;
            return self.read();
        }
        let Ok(wake) = crate::clock::timeout(TICK, self.conn.wait(!self.queue.is_empty(), true)).await else {
            return Ok(());
        };
        let wake = wake?;
        if wake.called && self.conn.answer_call() {
            return Err(io::Error::other("closed"));
        }
        if wake.readable { self.read() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                self.queue.iter().take(16).map(|piece| IoSlice::new(piece)).collect();
            match self.conn.peer.stream.try_write(&slices) {
                Ok(n) => {
                    self.server.stats.repl_output_bytes.fetch_add(n as u64, Relaxed);
                    advance(&mut self.queue, n);
                    self.moved_at = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what the replica says: acknowledgements. Whatever is answered to a client has no place here.
    fn read(&mut self) -> io::Result<()> {
        let (replica, server) = (self.replica, self.server);
        self.moved_at = Instant::now();
        let mut not_for_replicas = None;
        let replconf = table().get(b"replconf").expect("it is in the table");
        self.conn.read_requests(|client: &mut Client, args: &[Arg<'_>]| match said(args) {
            Said::Acknowledged(offset) => {
                let since = server.clock.instant();
                client.shared.last_command.store(replconf.id, Relaxed);
                replica.ack(offset, server.clock.now_ms());
                server.hub.acknowledged.notify_waiters();
                server.stats.ran(replconf, since.elapsed(), None);
            }
            Said::Nothing => {}
            Said::Request(name) => not_for_replicas = not_for_replicas.take().or(Some(name)),
        })?;
        let Some(name) = not_for_replicas else { return Ok(()) };
        tracing::warn!(
            "Replica generated a reply to command '{name}', disconnecting it: {}",
            line_of(&self.conn.client.shared, server.clock.now_ms())
        );
        Err(io::Error::other("a replica asked for something"))
    }

    /// An online replica acknowledges each second; one that loads takes what it is sent. Looked at each second, however
    /// often the link wakes.
    fn check_silence(&mut self) -> io::Result<()> {
        if self.looked_at.elapsed() < TICK {
            return Ok(());
        }
        self.looked_at = Instant::now();
        let timeout_secs = i64::from(self.server.config.load().repl_timeout);
        let online = matches!(*self.replica.progress.lock(), Progress::Online { .. });
        let (silent, what) = if online {
            (self.replica.lag_secs(self.server.clock.now_ms()) > timeout_secs, "streaming sync")
        } else {
            let stuck_secs = self.moved_at.elapsed().as_secs() as i64;
            (!self.queue.is_empty() && stuck_secs > timeout_secs, "full sync")
        };
        if silent {
            tracing::warn!("Disconnecting timedout replica ({what}): {}", self.replica.name());
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn check_limits(&mut self) -> io::Result<()> {
        let config = self.server.config.load();
        let mut limit = config.client_output_buffer_limit[ClientClass::Replica as usize];
        let disk_bytes = config.repl_backlog_disk_size;
        let Some(pin) = self.pin else { return Ok(()) };
        let (mut held_bytes, kept_bytes, must_spill) = {
            let ring = self.server.log.lock();
            (ring.held_bytes(pin), ring.keep_limit(), ring.must_spill(disk_bytes))
        };
        if must_spill && self.server.log.begin_spilling() {
            spill(self.server, disk_bytes);
        }
        if disk_bytes > 0 {
            // What waits for the disk does not count: only what finds no room there.
            held_bytes = held_bytes.saturating_sub(kept_bytes.saturating_add(WAITING_FOR_DISK_BYTES));
        } else if limit.hard > 0 {
            // What is kept anyway costs nothing.
            limit.hard = limit.hard.max(kept_bytes);
        }
        if is_over(limit, held_bytes, &mut self.over_soft_since, Instant::now()) {
            warn_of_output_limit(&self.conn.client.shared, self.server.clock.now_ms());
            return Err(io::Error::other("output buffer limit"));
        }
        Ok(())
    }
}

/// Writes to disk what the log has no room for in memory, on a thread of its own.
fn spill(server: &Arc<Server>, disk_bytes: u64) {
    let on_thread = server.clone();
    let work = move || {
        if let Err(error) = on_thread.log.spill(&on_thread.directory, disk_bytes) {
            tracing::warn!("Can't write the replication log to disk: {error}");
            std::thread::sleep(DISK_PAUSE);
        }
        on_thread.log.end_spilling();
    };
    if let Err(error) = std::thread::Builder::new().name("bio_spill_log".into()).spawn(work) {
        tracing::warn!("Can't write the replication log to disk: {error}");
        server.log.end_spilling();
    }
}

/// Is a replica that holds so many bytes of memory to be cut off: at the hard limit, or after more than `soft_secs` at the soft one?
fn is_over(limit: Limit, held_bytes: u64, over_soft_since: &mut Option<Instant>, now: Instant) -> bool {
    let reaches = |bytes: u64| bytes > 0 && held_bytes >= bytes;
    *over_soft_since = reaches(limit.soft).then(|| over_soft_since.unwrap_or(now));
    let soft_secs = over_soft_since.map_or(0, |since| now.duration_since(since).as_secs() as i64);
    reaches(limit.hard) || (over_soft_since.is_some() && soft_secs > limit.soft_secs)
}

/// What a replica says on its link.
enum Said {
    Acknowledged(u64),
    /// What asks for no reply.
    Nothing,
    /// A command of this name.
    Request(&'static str),
}

fn said(args: &[Arg<'_>]) -> Said {
    let is = |at: usize, text: &str| {
        args.get(at).is_some_and(|arg| arg.bytes().eq_ignore_ascii_case(text.as_bytes()))
    };
    match args {
        [] => Said::Nothing,
        [_, _, offset, ..] if is(0, "replconf") && is(1, "ack") => {
            match number(offset.bytes()).map(u64::try_from) {
                Some(Ok(offset)) => Said::Acknowledged(offset),
                _ => Said::Nothing,
            }
        }
        [_, _, _, ..] if is(0, "replconf") && is(1, "getack") => Said::Nothing,
        _ => match table().lookup(args) {
            Lookup::Found(command) => Said::Request(command.row.name),
            Lookup::Unknown(_) => Said::Request("<unknown>"),
        },
    }
}

fn advance(queue: &mut VecDeque<Bytes>, mut n: usize) {
    while let Some(first) = queue.front_mut() {
        if n < first.len() {
            let _ = first.split_to(n);
            return;
        }
        n -= first.len();
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Second by second: how much a replica holds, and in which second it is cut off.
    #[track_caller]
    fn check(limit: (u64, u64, i64), held: &[u64], expected: Option<usize>) {
        let (hard, soft, soft_secs) = limit;
        let (start, mut over_soft_since) = (Instant::now(), None);
        let cut = held.iter().enumerate().position(|(at, held_bytes)| {
            let now = start + TICK * at as u32;
            is_over(Limit { hard, soft, soft_secs }, *held_bytes, &mut over_soft_since, now)
        });
        assert_eq!(cut, expected, "{limit:?} {held:?}");
    }

    #[test]
    fn limits_cut_a_replica_off() {
        check((100, 0, 0), &[0, 99, 100], Some(2));
        check((100, 50, 3), &[0, 500], Some(1));
        check((0, 0, 0), &[0, u64::MAX], None);
        check((0, 50, 2), &[0, 50, 50, 60, 70], Some(4));
        check((0, 50, 2), &[50, 50, 50, 49, 50, 50, 50], None);
        check((0, 50, 2), &[50, 50, 50, 49, 50, 50, 50, 50], Some(7));
        check((0, 50, 0), &[50, 50], Some(1));
    }
}
