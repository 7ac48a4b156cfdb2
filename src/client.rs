//! A client: the state that its connection owns ([`Client`]) and the part that others may see ([`Shared`]).
//!
//! Nobody writes another client's output. What is for it (a message, a line of MONITOR) goes into its mailbox, which
//! is bounded by `client-output-buffer-limit`, and its connection is woken; what others want to know of it (CLIENT LIST)
//! is a handful of atomics that only its own connection writes.

use crate::blocked::Waiter;
use crate::clock::BatchTime;
use crate::command::Command;
use crate::config::{ClientClass, Limit};
use crate::keyspace::Blob;
use crate::keyspace::watch::WatchFlag;
use crate::resp::parser::Arg;
use crate::resp::{Out, Proto};
use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Waker;

bitflags::bitflags! {
    /// What a client is doing, as CLIENT LIST's letters tell.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ClientFlags: u32 {
        const REPLICA = 1 << 0;
        const MASTER = 1 << 1;
        const MONITOR = 1 << 2;
        const MULTI = 1 << 3;
        const BLOCKED = 1 << 4;
        const DIRTY_CAS = 1 << 5;
        const CLOSE_AFTER_REPLY = 1 << 6;
        const CLOSE_ASAP = 1 << 7;
        const PUBSUB = 1 << 8;
        const UNIX_SOCKET = 1 << 9;
        const NO_EVICT = 1 << 10;
        const NO_TOUCH = 1 << 11;
        const READONLY = 1 << 12;
        /// CLIENT REPLY is off: MONITOR shows it nothing.
        const SILENT = 1 << 13;
        /// More waits for it than may: its connection ends, and tells the log why.
        const OVER_LIMIT = 1 << 14;
    }
}

/// Which of a client's commands are answered (CLIENT REPLY).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// The next command is not answered.
    SkipNext,
    /// The current command is not answered.
    Skip,
}

/// An argument that outlives its read buffer.
#[derive(Clone, Debug)]
pub enum OwnedArg {
    Bytes(Box<[u8]>),
    Large(Blob),
}

impl OwnedArg {
    /// The argument for another run.
    pub fn as_arg(&self) -> Arg<'_> {
        match self {
            OwnedArg::Bytes(bytes) => Arg::Slice(bytes),
            OwnedArg::Large(blob) => Arg::Large(blob),
        }
    }
}

impl From<&Arg<'_>> for OwnedArg {
    fn from(arg: &Arg<'_>) -> OwnedArg {
        match arg {
            Arg::Large(blob) => OwnedArg::Large((*blob).clone()),
            arg => OwnedArg::Bytes(arg.bytes().into()),
        }
    }
}

/// A command that waits for EXEC.
#[derive(Clone, Debug)]
pub struct Queued {
    pub command: &'static Command,
    pub args: Vec<OwnedArg>,
}

/// A transaction between MULTI and EXEC.
#[derive(Default, Debug)]
pub struct Transaction {
    pub queued: Vec<Queued>,
    /// A command was refused while queueing: EXEC will fail.
    pub aborted: bool,
}

/// A watched key.
#[derive(Debug)]
pub struct Watched {
    pub db: u16,
    pub key: Box<[u8]>,
}

/// Who the client is to the executor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    #[default]
    Normal,
    /// The link to our master: its commands are obeyed, not checked, and not answered.
    Master,
}

/// The state that a connection owns.
pub struct Client {
    pub shared: Arc<Shared>,
    pub kind: Kind,
    pub db: u16,
    pub proto: Proto,
    pub authenticated: bool,
    pub reply_mode: ReplyMode,
    /// The running command has heeded [`Client::reply_mode`] itself, as it was when it wrote each part of its reply (EXEC).
    pub reply_is_settled: bool,
    pub transaction: Option<Transaction>,
    pub watched: Vec<Watched>,
    pub watch_flag: WatchFlag,
    /// Sorted, so that UNSUBSCRIBE from all answers in the same order in every run.
    pub channels: BTreeSet<Box<[u8]>>,
    pub patterns: BTreeSet<Box<[u8]>>,
    /// The log's end after this client's last command, for WAIT.
    pub seen_offset: u64,
    /// The connection does something else from now on.
    pub takeover: Option<Takeover>,
    /// The master asks for an acknowledgement (REPLCONF GETACK in its stream).
    pub ack_wanted: bool,
    /// The log has grown since the replicas were last woken.
    pub log_grew: bool,
    /// What the peer said by REPLCONF.
    pub replconf: Replconf,
    /// Whom the running command has written to: they are called once the locks are released.
    pub called: Vec<Listeners>,
    /// The running command has published to the client itself: the message follows the reply.
    pub has_own_mail: bool,
    /// Positions of the running command's arguments that MONITOR must not show (passwords).
    pub redacted: Vec<usize>,
    /// The time of the running batch of requests; without one every command asks the clock.
    pub batch: Option<BatchTime>,
    /// The running command has found nothing and waits.
    pub blocking: Option<Box<crate::blocked::Request>>,
    /// The wait that the connection takes part in next.
    pub waiter: Option<Arc<Waiter>>,
    /// Awaited keys that the running command has changed in shards that are not held any more.
    pub ready_elsewhere: Vec<(u16, Box<[u8]>)>,
    /// It stands for another client, which waits while its command is tried again, or while its keys move: what it runs is
    /// not counted or shown as anybody's command.
    pub stands_in: bool,
    /// The stream's own bytes of the current unit, for a [`Kind::Master`] client.
    pub verbatim: Vec<u8>,
}

/// What a future replica has told by REPLCONF.
#[derive(Clone, Default, Debug)]
pub struct Replconf {
    /// 0: unknown.
    pub listening_port: i32,
    pub ip_address: Option<String>,
    pub capa_eof: bool,
    pub capa_psync2: bool,
    pub rdb_only: bool,
    /// The RDB is to be empty (`rdb-filter-only` with nothing, or with functions, of which there are none).
    pub no_data: bool,
    pub version: Option<String>,
}

/// What DEBUG RELOAD is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reload {
    /// Save before loading.
    pub save: bool,
    /// What is loaded takes the place of what is there; else it comes to it.
    pub flush: bool,
    /// A key that is there already is replaced.
    pub merge: bool,
}

/// What a command may turn its connection into, once it has returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Takeover {
    /// PSYNC or SYNC: the connection becomes a replica's.
    Replica(crate::replication::SyncRequest),
    /// SAVE: no further request is read until it is done.
    Save,
    /// FLUSHALL where there are save points: no further request is read until the file is empty, too. `answered`: its reply is
    /// EXEC's already.
    SaveFlushed { answered: bool },
    /// DEBUG RELOAD: no further request is read until it is done.
    Reload(Reload),
    /// BGSAVE: no further request is read until it has begun. `answered`: its reply is EXEC's already.
    BackgroundSave { answered: bool },
    /// SHUTDOWN: no further request is read unless it is refused.
    Shutdown(crate::config::enums::ShutdownFlags),
    /// CONFIG SET of where the server listens: no further request is read until it is done.
    Configure { pairs: crate::config_apply::Pairs, local: bool },
    /// CONFIG REWRITE: no further request is read until the file is on disk.
    RewriteConfig,
    /// MIGRATE: no further request is read until the keys have arrived, or have not.
    Migrate(crate::migrate::Order),
    /// A blocking command: no further request is read until `Client::waiter` has ended.
    Block,
}

impl Client {
    /// Is what is written to it now left out (CLIENT REPLY)?
    pub fn is_silent(&self) -> bool {
        matches!(self.reply_mode, ReplyMode::Off | ReplyMode::Skip)
    }

    /// A fresh client.
    pub fn new(shared: Arc<Shared>, authenticated: bool) -> Client {
        Client {
            watch_flag: shared.watch_flag.clone(),
            shared,
            kind: Kind::Normal,
            db: 0,
            proto: Proto::Resp2,
            authenticated,
            reply_mode: ReplyMode::On,
            reply_is_settled: false,
            transaction: None,
            watched: Vec::new(),
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            seen_offset: 0,
            takeover: None,
            ack_wanted: false,
            log_grew: false,
            replconf: Replconf::default(),
            called: Vec::new(),
            has_own_mail: false,
            redacted: Vec::new(),
            batch: None,
            blocking: None,
            waiter: None,
            stands_in: false,
            ready_elsewhere: Vec::new(),
            verbatim: Vec::new(),
        }
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// Channels and patterns it is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Selects a database.
    pub fn select(&mut self, db: u16) {
        self.db = db;
        self.shared.db.store(u32::from(db), Relaxed);
    }

    /// Speaks another version of the protocol from the next reply on.
    pub fn speak(&mut self, proto: Proto) {
        self.proto = proto;
        self.shared.resp.store(if proto == Proto::Resp3 { 3 } else { 2 }, Relaxed);
    }

    /// Tells the others how many subscriptions there are now.
    pub fn count_subscriptions(&self) {
        self.shared.channels.store(self.channels.len(), Relaxed);
        self.shared.patterns.store(self.patterns.len(), Relaxed);
        self.shared.set_flag(ClientFlags::PUBSUB, self.subscriptions() > 0);
    }

    /// Calls those whom the last command has written to. No lock may be held: waking is a system call at times.
    pub fn call_listeners(&mut self) {
        for listeners in self.called.drain(..) {
            listeners.iter().for_each(|listener| listener.call());
        }
    }

    /// Closes the connection once what has been replied is sent.
    pub fn close_after_reply(&self) {
        self.shared.set_flag(ClientFlags::CLOSE_AFTER_REPLY, true);
    }

    /// Ends a transaction's queueing, if there is one.
    pub fn end_transaction(&mut self) -> Option<Transaction> {
        self.shared.set_flag(ClientFlags::MULTI, false);
        self.shared.queued.store(-1, Relaxed);
        self.shared.queued_bytes.store(0, Relaxed);
        self.transaction.take()
    }
}

/// Clients to whom the same is sent: a snapshot that stays as it is while it is used.
pub type Listeners = Arc<Vec<Arc<Shared>>>;

/// What waits for one client, and how much of it may.
#[derive(Debug)]
struct Mailbox {
    out: Out,
    limit: Limit,
    /// Since when there is more than the soft limit.
    over_soft_since_ms: Option<i64>,
}

impl Mailbox {
    /// Has a limit been passed, with `unsent` bytes beside the mail?
    fn is_over(&mut self, unsent: usize, now_ms: i64) -> bool {
        let waiting = (self.out.len() + unsent) as u64;
        if self.limit.hard > 0 && waiting > self.limit.hard {
            return true;
        }
        if self.limit.soft == 0 || waiting <= self.limit.soft {
            self.over_soft_since_ms = None;
            return false;
        }
        let since_ms = *self.over_soft_since_ms.get_or_insert(now_ms);
        now_ms - since_ms > self.limit.soft_secs.saturating_mul(1000)
    }
}

/// Before a client has subscribed to anything.
const NO_LIMIT: Limit = Limit { hard: 0, soft: 0, soft_secs: 0 };

/// The part of a client that others see.
#[derive(Debug)]
pub struct Shared {
    pub id: u64,
    /// `ip:port` of the peer, or the path of the unix socket with `:0`.
    pub addr: String,
    pub laddr: String,
    pub fd: i32,
    pub created_ms: i64,
    pub names: Mutex<Names>,
    flags: AtomicU32,
    pub db: AtomicU32,
    pub last_interaction_ms: AtomicI64,
    /// Id of the last command in the table, 0 for none (see `Command::id`).
    pub last_command: AtomicUsize,
    /// Queued commands, -1 outside MULTI.
    pub queued: AtomicI64,
    /// Bytes of the queued commands' arguments.
    pub queued_bytes: AtomicUsize,
    pub channels: AtomicUsize,
    pub patterns: AtomicUsize,
    pub watched: AtomicUsize,
    /// Set when a watched key has changed.
    pub watch_flag: WatchFlag,
    pub resp: AtomicU32,
    pub query_bytes: AtomicUsize,
    pub query_capacity: AtomicUsize,
    /// Replies that are not sent yet, and the memory that they occupy.
    pub out_bytes: AtomicUsize,
    pub out_capacity: AtomicUsize,
    pub total_net_in: AtomicU64,
    pub total_net_out: AtomicU64,
    pub total_commands: AtomicU64,
    mailbox: Mutex<Mailbox>,
    /// Is there something in the mailbox? Written under its lock.
    has_mail: AtomicBool,
    called: AtomicBool,
    waker: AtomicWaker,
}

/// The names that a client goes by.
#[derive(Clone, Default, Debug)]
pub struct Names {
    pub name: String,
    pub lib_name: String,
    pub lib_ver: String,
    pub user: String,
}

impl Shared {
    /// A client's shared part.
    pub fn new(id: u64, addr: String, laddr: String, fd: i32, created_ms: i64) -> Shared {
        Shared {
            id,
            addr,
            laddr,
            fd,
            created_ms,
            names: Mutex::new(Names { user: "default".into(), ..Names::default() }),
            flags: AtomicU32::new(0),
            db: AtomicU32::new(0),
            last_interaction_ms: AtomicI64::new(created_ms),
            last_command: AtomicUsize::new(0),
            queued: AtomicI64::new(-1),
            queued_bytes: AtomicUsize::new(0),
            channels: AtomicUsize::new(0),
            patterns: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            watch_flag: Arc::new(AtomicBool::new(false)),
            resp: AtomicU32::new(2),
            query_bytes: AtomicUsize::new(0),
            query_capacity: AtomicUsize::new(0),
            out_bytes: AtomicUsize::new(0),
            out_capacity: AtomicUsize::new(0),
            total_net_in: AtomicU64::new(0),
            total_net_out: AtomicU64::new(0),
            total_commands: AtomicU64::new(0),
            mailbox: Mutex::new(Mailbox { out: Out::default(), limit: NO_LIMIT, over_soft_since_ms: None }),
            has_mail: AtomicBool::new(false),
            called: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// The flags.
    pub fn flags(&self) -> ClientFlags {
        ClientFlags::from_bits_truncate(self.flags.load(Relaxed))
    }

    /// Is any of these flags set?
    #[inline]
    pub fn has(&self, flags: ClientFlags) -> bool {
        self.flags.load(Relaxed) & flags.bits() != 0
    }

    /// Sets or clears flags.
    pub fn set_flag(&self, flag: ClientFlags, on: bool) {
        if on {
            self.flags.fetch_or(flag.bits(), Relaxed);
        } else {
            self.flags.fetch_and(!flag.bits(), Relaxed);
        }
    }

    /// Does it come from this machine: loopback, or a unix socket?
    pub fn is_local(&self) -> bool {
        let ip = || self.addr.rsplit_once(':')?.0.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok();
        self.has(ClientFlags::UNIX_SOCKET) || ip().is_some_and(|ip| ip.is_loopback())
    }

    /// Ends the connection soon, from any thread.
    pub fn kill(&self) {
        self.set_flag(ClientFlags::CLOSE_ASAP, true);
        self.call();
    }

    /// Bounds what may wait for the client, in the mailbox and in its connection's buffer, by its class
    /// (`client-output-buffer-limit`). To be called again when the class or the configuration changes.
    pub fn apply_limits(&self, limits: &[Limit; 3]) {
        let class = match self.flags() {
            flags if flags.contains(ClientFlags::REPLICA) => ClientClass::Replica,
            flags if flags.contains(ClientFlags::PUBSUB) => ClientClass::Pubsub,
            _ => ClientClass::Normal,
        };
        self.mailbox.lock().limit = limits[class as usize];
    }

    /// Puts a message into the mailbox; the connection is woken by [`Shared::call`], after unlocking whatever the sender holds.
    /// A client that does not read is ended when its limit is passed; what waits for it goes with it.
    pub fn post(&self, now_ms: i64, write: impl FnOnce(&mut Out)) {
        if self.has(ClientFlags::CLOSE_ASAP) {
            return;
        }
        let mut mailbox = self.mailbox.lock();
        write(&mut mailbox.out);
        self.has_mail.store(!mailbox.out.is_empty(), Relaxed);
        if mailbox.is_over(self.out_bytes.load(Relaxed), now_ms) {
            self.cut_off();
        }
    }

    /// Has more than may be waited for it, now or for too long?
    pub fn is_over_limit(&self, now_ms: i64) -> bool {
        self.mailbox.lock().is_over(self.out_bytes.load(Relaxed), now_ms)
    }

    /// Has the connection end because it is over its limit, when it is called.
    pub fn cut_off(&self) {
        self.set_flag(ClientFlags::CLOSE_ASAP | ClientFlags::OVER_LIMIT, true);
    }

    /// Moves what the mailbox holds to the end of `out`.
    pub fn collect_mail(&self, out: &mut Out) {
        let mut mailbox = self.mailbox.lock();
        mailbox.out.append_to(out);
        self.has_mail.store(false, Relaxed);
        if out.len() as u64 <= mailbox.limit.soft {
            mailbox.over_soft_since_ms = None;
        }
    }

    /// Does anything wait in the mailbox? Known for certain to who was called for it.
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Relaxed)
    }

    /// Bytes that wait to be sent, replies and mail.
    pub fn output_bytes(&self) -> usize {
        self.buffers().iter().map(|(waiting, _)| waiting).sum()
    }

    /// Memory that goes when the client does, bytes. What it shares with the data set or with other clients does not count.
    pub fn own_bytes(&self) -> usize {
        self.fixed_bytes() + self.buffers().iter().map(|(_, own)| own).sum::<usize>()
    }

    /// Memory that it occupies, bytes, as if it shared nothing.
    pub fn total_bytes(&self) -> usize {
        self.fixed_bytes() + self.buffers().iter().map(|(waiting, own)| waiting.max(own)).sum::<usize>()
    }

    fn fixed_bytes(&self) -> usize {
        let requests = self.query_capacity.load(Relaxed) + self.queued_bytes.load(Relaxed);
        size_of::<Client>() + size_of::<Shared>() + requests
    }

    /// Of the replies and the mail: bytes that wait, and those of the buffer that they are in.
    fn buffers(&self) -> [(usize, usize); 2] {
        let unsent = self.out_bytes.load(Relaxed);
        // Where nothing waits, the buffer was the thread's.
        let capacity = if unsent > 0 { self.out_capacity.load(Relaxed) } else { 0 };
        let mailbox = self.mailbox.lock();
        [(unsent, capacity), (mailbox.out.len(), mailbox.out.capacity())]
    }

    /// The protocol that the client speaks.
    pub fn proto(&self) -> Proto {
        if self.resp.load(Relaxed) == 3 { Proto::Resp3 } else { Proto::Resp2 }
    }

    /// Wakes the connection: there is mail, or a flag for it.
    pub fn call(&self) {
        if !self.called.swap(true, std::sync::atomic::Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Has it been called since the last time?
    pub fn was_called(&self) -> bool {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        self.called.load(Acquire) && self.called.swap(false, AcqRel)
    }

    /// As [`Shared::was_called`]; if not, `waker` is woken when it is.
    pub fn poll_called(&self, waker: &Waker) -> bool {
        self.was_called() || {
            self.waker.register(waker);
            self.was_called()
        }
    }
}

/// All clients, by number.
#[derive(Default, Debug)]
pub struct Registry {
    clients: Mutex<BTreeMap<u64, Arc<Shared>>>,
    last_id: AtomicU64,
}

impl Registry {
    /// The next client's number.
    pub fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }

    /// Enters a client.
    pub fn add(&self, client: Arc<Shared>) {
        self.clients.lock().insert(client.id, client);
    }

    /// Strikes a client out.
    pub fn remove(&self, id: u64) {
        self.clients.lock().remove(&id);
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.clients.lock().len()
    }

    /// Nobody there?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One client.
    pub fn get(&self, id: u64) -> Option<Arc<Shared>> {
        self.clients.lock().get(&id).cloned()
    }

    /// All clients, in the order of their numbers.
    pub fn all(&self) -> Vec<Arc<Shared>> {
        self.clients.lock().values().cloned().collect()
    }
}
