//! The link to our master: connects, shakes hands, takes a snapshot in if need be, follows the stream; and again from the
//! beginning, as long as we are a replica.
//!
//! It runs on a thread of its own. What it awaits can be given up at any await (REPLICAOF): nothing of ours changes
//! between two of them but by whole units. A full resync is loaded beside the data that is served and takes its place at
//! once, when its checksum has been found right; a failed one changes nothing and is tried again after a while that grows. A
//! master that cannot serve us yet (it loads, its own link is down, the password is wrong) is asked each second.

use super::apply::Applier;
use super::handshake::{Event, Framing, Handshake, Introduction, MARK_BYTES};
use super::log::{Log, ReplId};
use crate::control::background_save_soon;
use crate::executor::ENDING_PAUSE;
use crate::loader::{Expired, Loader};
use crate::net::dial::dial;
use crate::net::stream::{Ends, Stream};
use crate::rdb::Decoder;
use crate::resp::encode;
use crate::server::Server;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The link's read buffer, bytes.
const READ_BYTES: usize = 256 * 1024;
const TICK: Duration = Duration::from_secs(1);
/// Why a master that says nothing is given up: before there is a snapshot, while it comes, afterwards.
const SILENT_IN_HANDSHAKE: &str = "Timeout connecting to the MASTER...";
const SILENT_IN_SYNC: &str = "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value.";
const SILENT_IN_STREAM: &str = "MASTER timeout: no data nor PING received...";
/// The longest pause between two tries after syncs that failed.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Where a master is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub host: String,
    pub port: u16,
}

/// What the link is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// No connection yet.
    #[default]
    Connect,
    Connecting,
    Handshake,
    /// A snapshot will come: the master has said so.
    AwaitingSync,
    /// A snapshot is coming: bytes read, and how many there are if that is known.
    Sync {
        read: u64,
        total: Option<u64>,
    },
    Connected,
}

/// What INFO and ROLE tell of the link.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub state: State,
    /// When the master was last heard, Unix ms.
    pub last_io_ms: i64,
    /// Since when the link is down, Unix ms; 0: it is up, or never was.
    pub down_since_ms: i64,
}

/// The link's handle.
#[derive(Debug)]
pub struct Link {
    target: watch::Sender<Option<Target>>,
    status: Mutex<Status>,
    up: AtomicBool,
    /// We have been a master, so the history that we ask a master to go on with is our own, although there is no log of it.
    has_own_history: AtomicBool,
    /// The client that the master's stream is, for CLIENT KILL.
    drop_now: tokio::sync::Notify,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            target: watch::channel(None).0,
            status: Mutex::default(),
            up: AtomicBool::new(false),
            has_own_history: AtomicBool::new(false),
            drop_now: tokio::sync::Notify::new(),
        }
    }
}

impl Link {
    /// Follows a master, or nobody. Takes effect at the link's next await.
    pub fn follow(&self, target: Option<Target>, now_ms: i64) {
        self.down(now_ms);
        if target.is_none() {
            self.status.lock().down_since_ms = 0;
        }
        self.target.send_replace(target);
    }

    /// A master is about to follow another.
    pub fn note_own_history(&self) {
        self.has_own_history.store(true, Relaxed);
    }

    /// Is there a history that a master may be asked to go on with?
    pub fn may_resume(&self, log: &Log) -> bool {
        log.is_wanted() || self.has_own_history.load(Relaxed)
    }

    /// The master that is followed.
    pub fn target(&self) -> Option<Target> {
        self.target.borrow().clone()
    }

    /// What the link is doing.
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// Is the stream being followed?
    #[inline]
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// Cuts the connection; it is made again.
    pub fn cut(&self) {
        self.drop_now.notify_waiters();
    }

    fn set(&self, state: State, now_ms: i64) {
        let mut status = self.status.lock();
        status.state = state;
        status.last_io_ms = now_ms;
        if state == State::Connected {
            status.down_since_ms = 0;
        }
        self.up.store(state == State::Connected, Relaxed);
    }

    fn heard(&self, now_ms: i64) {
        self.status.lock().last_io_ms = now_ms;
    }

    fn down(&self, now_ms: i64) {
        let mut status = self.status.lock();
        if self.up.swap(false, Relaxed) {
            status.down_since_ms = now_ms;
        }
        status.state = State::Connect;
    }
}

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// The connection could not be made or was lost, or the master does not serve us yet: try again soon.
    Lost(String),
    /// What the master sent cannot be used: try again later, as it has its price for the master.
    Failed(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Lost(match error.kind() {
            ErrorKind::UnexpectedEof => "Connection with master lost.".into(),
            _ => format!("I/O error with master: {error}"),
        })
    }
}

/// The link's life.
pub async fn run(server: Arc<Server>) {
    let mut targets = server.link.target.subscribe();
    loop {
        let target = targets.borrow_and_update().clone();
        let changed = match target {
            None => targets.changed().await,
            Some(target) => tokio::select! {
                biased;
                changed = targets.changed() => changed,
                () = follow(&server, &target) => Ok(()),
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn follow(server: &Arc<Server>, target: &Target) {
    let mut pause = TICK;
    loop {
        let mut session = Session { server, target };
        let cut = server.link.drop_now.notified();
        let end = tokio::select! {
            biased;
            () = cut => End::Lost("Connection with master lost.".into()),
            end = session.run() => end,
        };
        let was_up = server.link.is_up();
        server.link.down(server.clock.now_ms());
        match end {
            End::Lost(text) => {
                tracing::warn!("{text}");
                if was_up {
                    tracing::info!("Caching the disconnected master state.");
                    tracing::info!("Reconnecting to MASTER {}:{}", target.host, target.port);
                    pause = TICK;
                    continue;
                }
                crate::clock::sleep(TICK).await;
            }
            End::Failed(text) => {
                tracing::warn!("{text}");
                crate::clock::sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

struct Session<'a> {
    server: &'a Arc<Server>,
    target: &'a Target,
}

impl Session<'_> {
    /// One connection, until it ends.
    async fn run(&mut self) -> End {
        match self.try_run().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn try_run(&mut self) -> Result<std::convert::Infallible, End> {
        let (server, target) = (self.server, self.target);
        tracing::info!("Connecting to MASTER {}:{}", target.host, target.port);
        server.link.set(State::Connecting, server.clock.now_ms());
        let stream = self.connect().await?;
        tracing::info!("MASTER <-> REPLICA sync started");
        server.link.set(State::Handshake, server.clock.now_ms());
        let mut wire = Wire::new(stream, server);
        let outcome = self.shake_hands(&mut wire).await?;
        match outcome {
            Outcome::Continue(id) => self.go_on(id),
            Outcome::Full { id, offset, framing } => {
                self.full_resync(&mut wire, id, offset, framing).await?;
            }
        }
        server.link.set(State::Connected, server.clock.now_ms());
        self.stream(&mut wire).await
    }

    async fn connect(&self) -> Result<Stream, End> {
        let (host, port) = (self.target.host.as_str(), self.target.port);
        let timeout = Duration::from_secs(self.server.config.load().repl_timeout.max(1) as u64);
        let connect = dial(self.server, host, port);
        match crate::clock::timeout(timeout, connect).await {
            Ok(result) => result
                .map_err(|error| End::Lost(format!("Error condition on socket for SYNC: {}", short(&error)))),
            Err(_) => Err(End::Lost(SILENT_IN_HANDSHAKE.into())),
        }
    }

    fn introduction(&self) -> Introduction {
        let config = self.server.config.load();
        let port = match config.replica_announce_port {
            0 => config.port,
            port => port,
        };
        let ring = self.server.log.lock();
        let resume =
            self.server.link.may_resume(&self.server.log).then(|| (ring.ids.id, ring.end() as i64 + 1));
        Introduction {
            user: config.masteruser.clone(),
            password: config.masterauth.clone(),
            listening_port: port,
            announce_ip: config.replica_announce_ip.clone(),
            resume,
        }
    }

    async fn shake_hands(&self, wire: &mut Wire<'_>) -> Result<Outcome, End> {
        let introduction = self.introduction();
        match introduction.resume {
            Some((id, offset)) => {
                tracing::info!("Trying a partial resynchronization (request {id}:{offset}).")
            }
            None => tracing::info!("Partial resynchronization not possible (no cached master)"),
        }
        let mut out = Vec::new();
        let mut handshake = Handshake::new(introduction, &mut out);
        let mut full = None;
        loop {
            wire.write(&mut out).await?;
            while let Some((n, event)) = handshake.receive(wire.buffered(), &mut out).map_err(|refused| {
                // A master that has said FULLRESYNC has made a snapshot for us.
                if full.is_some() { End::Failed(refused.0) } else { End::Lost(refused.0) }
            })? {
                wire.consume(n);
                match event {
                    Event::Progress => {}
                    Event::Continue(id) => return Ok(Outcome::Continue(id)),
                    Event::FullResync { id, offset } => {
                        tracing::info!("Full resync from master: {id}:{offset}");
                        full = Some((id, offset));
                        self.server.link.set(State::AwaitingSync, self.server.clock.now_ms());
                    }
                    Event::Transfer(framing) => {
                        let (id, offset) = full.expect("a transfer follows FULLRESYNC");
                        return Ok(Outcome::Full { id, offset, framing });
                    }
                    Event::Later(text) => return Err(End::Lost(text)),
                }
            }
            wire.write(&mut out).await?;
            wire.read(if full.is_some() { SILENT_IN_SYNC } else { SILENT_IN_HANDSHAKE }).await?;
        }
    }

    /// The master goes on where we were.
    fn go_on(&self, id: Option<ReplId>) {
        tracing::info!("Successful partial resynchronization with master.");
        self.server.log.want();
        let mut ring = self.server.log.lock();
        if let Some(id) = id.filter(|id| *id != ring.ids.id) {
            ring.ids.id2 = ring.ids.id;
            ring.ids.second_offset = ring.end() as i64 + 1;
            ring.ids.id = id;
            drop(ring);
            tracing::info!("Master replication ID changed to {id}");
            // They learn the new id when they ask again.
            self.server.hub.disconnect_all();
        }
        tracing::info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
    }

    async fn full_resync(
        &self,
        wire: &mut Wire<'_>,
        id: ReplId,
        offset: u64,
        framing: Framing,
    ) -> Result<(), End> {
        let server = self.server;
        let total = match &framing {
            Framing::Length(len) => Some(*len),
            Framing::Mark(_) => None,
        };
        match total {
            Some(len) => {
                tracing::info!("MASTER <-> REPLICA sync: receiving {len} bytes from master to parser")
            }
            None => tracing::info!(
                "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to parser"
            ),
        }
        tracing::info!("MASTER <-> REPLICA sync: Loading DB in memory");
        let loader = self.receive(wire, &framing).await?;
        let stream_db = loader.stream_db;
        tracing::info!("MASTER <-> REPLICA sync: Flushing old data");
        server.replace_data(loader.into_shards(), id, offset, Some(stream_db));
        tracing::info!("MASTER <-> REPLICA sync: Finished with success");
        if !server.config.load().save.is_empty() {
            // A restart without the master is to find the data, as it finds the file that redis-server has received.
            background_save_soon(server);
        }
        Ok(())
    }

    /// Takes the RDB in, to its checked end.
    async fn receive(&self, wire: &mut Wire<'_>, framing: &Framing) -> Result<Loader, End> {
        let server = self.server;
        let mut loader =
            Loader::new(&server.keyspace, server.clock.now_ms(), server.access_policy(), Expired::Keep);
        let mut decoder = Decoder::new(server.verifies_checksums(), server.limits());
        let failed = |text: String| {
            End::Failed(format!("Failed trying to load the MASTER synchronization DB: {text}"))
        };
        let (total, mut end) = match framing {
            Framing::Length(len) => (Some(*len), None),
            Framing::Mark(mark) => (None, Some(MarkSearch::new(mark))),
        };
        let mut read = 0;
        loop {
            let consumed = {
                let left =
                    total.map_or(usize::MAX, |total| usize::try_from(total - read).unwrap_or(usize::MAX));
                let chunk = &wire.buffered()[..wire.buffered().len().min(left)];
                let delay_us = server.config.load().key_load_delay;
                let mut feed = decoder.feed(chunk);
                while let Some(item) = feed.next().map_err(|error| failed(error.to_string()))? {
                    loader.item(item).map_err(|error| failed(error.0))?;
                    std::thread::sleep(crate::persistence::delay_of(1, delay_us));
                }
                feed.consumed()
            };
            let over = end.as_mut().is_some_and(|end| end.passes(wire.buffered(), consumed));
            wire.consume(consumed);
            read += consumed as u64;
            server.stats.repl_input_bytes.fetch_add(consumed as u64, Relaxed);
            server.link.set(State::Sync { read, total }, server.clock.now_ms());
            if decoder.is_done() {
                break;
            }
            // What follows is the stream: a length that is wrong must not swallow it.
            if over || total == Some(read) {
                return Err(failed("it is over in the middle of a value".into()));
            }
            wire.sign_of_life();
            // Clients that are served meanwhile go first.
            std::thread::yield_now();
            wire.read(SILENT_IN_SYNC).await?;
        }
        match framing {
            Framing::Length(len) if *len != read => {
                return Err(failed(format!(
                    "its announced length is {len}, its end came after {read} bytes"
                )));
            }
            Framing::Length(_) => {}
            Framing::Mark(mark) => {
                while wire.buffered().len() < MARK_BYTES {
                    wire.read(SILENT_IN_SYNC).await?;
                }
                if wire.buffered()[..MARK_BYTES] != mark[..] {
                    return Err(failed("the end mark is missing".into()));
                }
                wire.consume(MARK_BYTES);
                server.stats.repl_input_bytes.fetch_add(MARK_BYTES as u64, Relaxed);
            }
        }
        Ok(loader)
    }

    async fn stream(&self, wire: &mut Wire<'_>) -> Result<std::convert::Infallible, End> {
        let server = self.server;
        let mut acknowledge = true;
        let db = server.log.lock().selected().unwrap_or(0);
        let ends = wire.stream.ends().unwrap_or_else(|| Ends {
            addr: format!("{}:{}", self.target.host, self.target.port),
            laddr: String::new(),
            fd: -1,
        });
        let mut applier = Applier::new(server, ends, db);
        server.clients.add(applier.shared().clone());
        let _leaves = Leaves(server, applier.shared().id);
        let mut acked_at = Instant::now();
        loop {
            if server.is_ending() {
                crate::clock::sleep(ENDING_PAUSE).await;
                continue;
            }
            let n = wire.buffered().len();
            if n > 0 || applier.is_held_back() {
                server.stats.repl_input_bytes.fetch_add(n as u64, Relaxed);
                server.stats.here(|stats| stats.reads.add(1));
                let wanted =
                    applier.apply(server, wire.buffered()).map_err(|stopped| End::Failed(stopped.0))?;
                wire.consume(n);
                acknowledge |= wanted;
            }
            if acknowledge || acked_at.elapsed() >= TICK {
                self.acknowledge(wire).await?;
                (acknowledge, acked_at) = (false, Instant::now());
            }
            let until = TICK.saturating_sub(acked_at.elapsed());
            match crate::clock::timeout(until, wire.wait_readable()).await {
                Ok(result) => {
                    result?;
                    wire.take()?;
                    server.link.heard(server.clock.now_ms());
                }
                Err(_) => wire.check_silence(SILENT_IN_STREAM)?,
            }
            if applier.shared().has(crate::client::ClientFlags::CLOSE_ASAP) {
                return Err(End::Lost("Connection with master lost.".into()));
            }
        }
    }

    async fn acknowledge(&self, wire: &mut Wire<'_>) -> Result<(), End> {
        let offset = self.server.log.lock().end();
        let mut out = Vec::new();
        encode::request(&mut out, &["REPLCONF", "ACK", itoa::Buffer::new().format(offset)]);
        self.server.stats.here(|stats| {
            stats.net_output_bytes.add(out.len() as u64);
            stats.writes.add(1);
        });
        wire.write(&mut out).await
    }
}

/// Looks for the mark behind an RDB in what is taken for the RDB.
struct MarkSearch<'a> {
    mark: &'a [u8; MARK_BYTES],
    /// The last bytes that were consumed, fewer than a mark has.
    tail: Vec<u8>,
}

impl<'a> MarkSearch<'a> {
    fn new(mark: &'a [u8; MARK_BYTES]) -> MarkSearch<'a> {
        MarkSearch { mark, tail: Vec::new() }
    }

    /// Has the mark come? `buffered` is what is read and not consumed before now, of which `consumed` bytes are.
    fn passes(&mut self, buffered: &[u8], consumed: usize) -> bool {
        let border = [&self.tail, &buffered[..buffered.len().min(MARK_BYTES - 1)]].concat();
        let found = |bytes| memchr::memmem::find(bytes, self.mark).is_some();
        let passes = found(&border) || found(buffered);
        self.tail.extend_from_slice(&buffered[consumed.saturating_sub(MARK_BYTES - 1)..consumed]);
        self.tail.drain(..self.tail.len().saturating_sub(MARK_BYTES - 1));
        passes
    }
}

struct Leaves<'a>(&'a Server, u64);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.clients.remove(self.1);
    }
}

enum Outcome {
    Continue(Option<ReplId>),
    Full { id: ReplId, offset: u64, framing: Framing },
}

fn short(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_string()
}

/// The socket with what has been read from it and not been used.
struct Wire<'a> {
    stream: Stream,
    server: &'a Arc<Server>,
    buf: Vec<u8>,
    used: usize,
    heard_at: Instant,
    newline_at: Instant,
}

impl<'a> Wire<'a> {
    fn new(stream: Stream, server: &'a Arc<Server>) -> Wire<'a> {
        let now = Instant::now();
        let buf = Vec::with_capacity(READ_BYTES);
        Wire { stream, server, buf, used: 0, heard_at: now, newline_at: now }
    }

    fn buffered(&self) -> &[u8] {
        &self.buf[self.used..]
    }

    fn consume(&mut self, n: usize) {
        self.used += n;
        if self.used == self.buf.len() {
            self.buf.clear();
            self.used = 0;
        }
    }

    async fn wait_readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.stream.poll_read_ready(cx)).await
    }

    /// A master that takes nothing and says nothing is given up as one that says nothing.
    async fn wait_writable(&self) -> Result<(), End> {
        match crate::clock::timeout(TICK, poll_fn(|cx| self.stream.poll_write_ready(cx))).await {
            Ok(result) => Ok(result?),
            Err(_) => self.check_silence(SILENT_IN_STREAM),
        }
    }

    /// Reads what is there, if anything.
    fn take(&mut self) -> Result<(), End> {
        if self.used > 0 {
            self.buf.drain(..self.used);
            self.used = 0;
        }
        match self.stream.try_read_buf(&mut self.buf, READ_BYTES) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(_) => {
                self.heard_at = Instant::now();
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for bytes and reads them; a master that is silent for `repl-timeout` is given up.
    async fn read(&mut self, when_silent: &str) -> Result<(), End> {
        loop {
            match crate::clock::timeout(TICK, self.wait_readable()).await {
                Ok(result) => {
                    result?;
                    let before = self.buffered().len();
                    self.take()?;
                    if self.buffered().len() > before {
                        return Ok(());
                    }
                }
                Err(_) => {
                    self.check_silence(when_silent)?;
                    self.sign_of_life();
                }
            }
        }
    }

    fn check_silence(&self, text: &str) -> Result<(), End> {
        let timeout = Duration::from_secs(self.server.config.load().repl_timeout.max(1) as u64);
        if self.heard_at.elapsed() > timeout { Err(End::Lost(text.into())) } else { Ok(()) }
    }

    /// A newline each second tells the master that we are at work.
    fn sign_of_life(&mut self) {
        if self.newline_at.elapsed() >= TICK {
            self.newline_at = Instant::now();
            // If it does not fit, the master has others to read.
            let _ = self.stream.try_write(&[IoSlice::new(b"\n")]);
        }
    }

    async fn write(&mut self, out: &mut Vec<u8>) -> Result<(), End> {
        let mut sent = 0;
        while sent < out.len() {
            match self.stream.try_write(&[IoSlice::new(&out[sent..])]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        out.clear();
        Ok(())
    }
}
