//! A client: the state that its connection owns ([`Client`]) and the part that others may see ([`Shared`]).
//!
//! Nobody writes another client's output. What is for it (a message, a line of MONITOR) goes into its mailbox, which
//! is bounded by `client-output-buffer-limit`, and its connection is woken; what others want to know of it (CLIENT LIST)
//! is a handful of atomics that only its own connection writes.

use crate::command::Command;
use crate::keyspace::Blob;
use crate::keyspace::watch::WatchFlag;
use crate::resp::parser::Arg;
use crate::resp::{Out, Proto};
use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
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
    /// It was logically expired already when it was watched, so that its deletion is no change.
    pub was_expired: bool,
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
    pub transaction: Option<Transaction>,
    pub watched: Vec<Watched>,
    pub watch_flag: WatchFlag,
    pub channels: HashSet<Box<[u8]>>,
    pub patterns: HashSet<Box<[u8]>>,
    /// The log's end after this client's last write, for WAIT.
    pub write_offset: u64,
    /// The connection does something else from now on.
    pub takeover: Option<Takeover>,
    /// The master asks for an acknowledgement (REPLCONF GETACK in its stream).
    pub ack_wanted: bool,
    /// The log has grown since the replicas were last woken.
    pub log_grew: bool,
    /// What the peer said by REPLCONF.
    pub replconf: Replconf,
    /// The stream's own bytes of the current unit, for a [`Kind::Master`] client.
    pub verbatim: Vec<u8>,
}

/// What a future replica has told by REPLCONF.
#[derive(Clone, Default, Debug)]
pub struct Replconf {
    pub listening_port: u16,
    pub ip_address: Option<String>,
    pub capa_eof: bool,
    pub capa_psync2: bool,
    pub rdb_only: bool,
    pub version: Option<String>,
}

/// What a command may turn its connection into, once it has returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Takeover {
    /// PSYNC or SYNC: the connection becomes a replica's.
    Replica(crate::replication::SyncRequest),
    /// WAIT: no further request is read until the wait is over.
    Wait { replicas: usize, timeout_ms: u64, offset: u64 },
    /// SAVE, or DEBUG RELOAD: no further request is read until it is done.
    Save { reload: bool },
    /// SHUTDOWN: no further request is read unless it is refused.
    Shutdown { save: Option<bool>, force: bool },
    /// CONFIG SET of where the server listens: no further request is read until it is done.
    Configure { pairs: crate::config_apply::Pairs, local: bool },
    /// CONFIG REWRITE: no further request is read until the file is on disk.
    RewriteConfig,
    /// Nothing is read for so long (DEBUG SLEEP, without blocking the thread).
    Sleep { ms: u64 },
}

impl Client {
    /// A fresh client.
    pub fn new(shared: Arc<Shared>, authenticated: bool) -> Client {
        Client {
            shared,
            kind: Kind::Normal,
            db: 0,
            proto: Proto::Resp2,
            authenticated,
            reply_mode: ReplyMode::On,
            transaction: None,
            watched: Vec::new(),
            watch_flag: Arc::new(AtomicBool::new(false)),
            channels: HashSet::new(),
            patterns: HashSet::new(),
            write_offset: 0,
            takeover: None,
            ack_wanted: false,
            log_grew: false,
            replconf: Replconf::default(),
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

    /// Closes the connection once what has been replied is sent.
    pub fn close_after_reply(&self) {
        self.shared.set_flag(ClientFlags::CLOSE_AFTER_REPLY, true);
    }

    /// Ends a transaction's queueing, if there is one.
    pub fn end_transaction(&mut self) -> Option<Transaction> {
        self.shared.set_flag(ClientFlags::MULTI, false);
        self.shared.queued.store(-1, Relaxed);
        self.transaction.take()
    }
}

/// What one client's mailbox holds.
#[derive(Default, Debug)]
struct Mailbox {
    out: Out,
    /// Total that may wait here.
    hard_limit_bytes: u64,
}

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
    pub channels: AtomicUsize,
    pub patterns: AtomicUsize,
    pub watched: AtomicUsize,
    pub resp: AtomicU32,
    pub query_bytes: AtomicUsize,
    pub query_capacity: AtomicUsize,
    pub out_bytes: AtomicUsize,
    pub total_net_in: AtomicU64,
    pub total_net_out: AtomicU64,
    pub total_commands: AtomicU64,
    mailbox: Mutex<Mailbox>,
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
            channels: AtomicUsize::new(0),
            patterns: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            resp: AtomicU32::new(2),
            query_bytes: AtomicUsize::new(0),
            query_capacity: AtomicUsize::new(0),
            out_bytes: AtomicUsize::new(0),
            total_net_in: AtomicU64::new(0),
            total_net_out: AtomicU64::new(0),
            total_commands: AtomicU64::new(0),
            mailbox: Mutex::new(Mailbox::default()),
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

    /// Ends the connection soon, from any thread.
    pub fn kill(&self) {
        self.set_flag(ClientFlags::CLOSE_ASAP, true);
        self.call();
    }

    /// Bounds what may wait in the mailbox; 0: nothing does.
    pub fn set_mailbox_limit(&self, hard_limit_bytes: u64) {
        self.mailbox.lock().hard_limit_bytes = hard_limit_bytes;
    }

    /// Puts a message into the mailbox; the connection is woken by [`Shared::call`], after unlocking whatever the sender holds.
    /// A client that does not read is ended when its limit is passed.
    pub fn post(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut mailbox = self.mailbox.lock();
        write(mailbox.out.bytes());
        let over = mailbox.hard_limit_bytes > 0 && mailbox.out.len() as u64 > mailbox.hard_limit_bytes;
        if over {
            mailbox.out.clear();
            drop(mailbox);
            self.set_flag(ClientFlags::CLOSE_ASAP, true);
        }
    }

    /// Moves what the mailbox holds to the end of `out`.
    pub fn collect_mail(&self, out: &mut Out) {
        self.mailbox.lock().out.append_to(out);
    }

    /// Wakes the connection: there is mail, or a flag for it.
    pub fn call(&self) {
        if !self.called.swap(true, std::sync::atomic::Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Has it been called since the last time? If not, `waker` is woken when it is.
    pub fn poll_called(&self, waker: &Waker) -> bool {
        use std::sync::atomic::Ordering::AcqRel;
        if self.called.load(Relaxed) && self.called.swap(false, AcqRel) {
            return true;
        }
        self.waker.register(waker);
        self.called.load(std::sync::atomic::Ordering::Acquire) && self.called.swap(false, AcqRel)
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
