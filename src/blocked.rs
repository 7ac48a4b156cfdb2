//! Clients that wait: for a key (BLPOP and its kin, XREAD with BLOCK), or for replicas (WAIT, see
//! `crate::replication::wait`).
//!
//! A command that finds nothing leaves a [`Waiter`] here and tickets in the queues of its keys (see
//! `crate::keyspace::waiting`). When one of the keys changes, whoever has changed it runs the waiter's command again, first
//! come first served, while it still holds the locks (`crate::executor`): nobody who comes later can take the
//! element away. There is no second code for serving: the command is the same and so are its effects.
//!
//! A waiter ends once, by whoever gets hold of it first: the one that serves it, the time, CLIENT UNBLOCK, or its end.

use crate::client::{ClientFlags, OwnedArg, ReplyMode, Shared};
use crate::command::Command;
use crate::error::{self, Error};
use crate::keyspace::Keyspace;
use crate::keyspace::shard_of;
use crate::keyspace::waiting::Ticket;
use crate::net::Connection;
use crate::resp::{Out, Proto, Reply};
use crate::server::Server;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU8, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
};
use std::time::Duration;

/// What a client gets when its time is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nothing {
    NullArray,
    /// The number of replicas that have acknowledged this offset; the wait is over when they are as many as `wanted`.
    Acknowledged {
        offset: u64,
        wanted: usize,
    },
}

/// What a command waits for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The keys, in any of which something may come. None: it does not wait for keys.
    pub keys: Vec<Box<[u8]>>,
    /// TYPE's name of what must be there for another try.
    pub wanted: &'static str,
    /// Another try as well when the key is gone or of another type (XREADGROUP, to fail then).
    pub or_gone: bool,
    /// Unix milliseconds; `None`: for ever.
    pub deadline_ms: Option<i64>,
    pub nothing: Nothing,
    /// The request to run again, if it is not the one that came.
    pub args: Option<Vec<OwnedArg>>,
}

/// Longer than anybody waits, and short enough to be added to any time.
const LONGEST_MS: i64 = 1000 * 365 * 86_400_000;

const WAITING: u8 = 0;
const SERVING: u8 = 1;
const ENDED: u8 = 2;

/// A client that waits.
#[derive(Debug)]
pub struct Waiter {
    pub ticket: Ticket,
    pub client: Arc<Shared>,
    pub db: u16,
    pub proto: Proto,
    pub reply_mode: ReplyMode,
    pub command: &'static Command,
    pub args: Vec<OwnedArg>,
    /// All keys of the command, those that it does not wait for included.
    pub touches: Vec<Box<[u8]>>,
    pub request: Request,
    /// The log's end after what it has written when it was served.
    pub seen_offset: AtomicU64,
    state: AtomicU8,
}

impl Waiter {
    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, AcqRel, Acquire).is_ok()
    }

    /// Gets hold of the waiter to try its command again; false: it has ended.
    pub fn begin(&self) -> bool {
        self.change(WAITING, SERVING)
    }

    /// The try was in vain.
    pub fn wait_on(&self) {
        self.state.store(WAITING, std::sync::atomic::Ordering::Release);
    }

    /// It is served: the reply is in the client's mailbox. The client does not count as blocked any more when it reads that.
    pub fn served(&self) {
        self.client.set_flag(ClientFlags::BLOCKED, false);
        self.state.store(ENDED, std::sync::atomic::Ordering::Release);
    }

    /// Ends it without serving; false: somebody else has hold of it.
    pub fn end(&self) -> bool {
        let ended = self.change(WAITING, ENDED);
        if ended {
            self.client.set_flag(ClientFlags::BLOCKED, false);
        }
        ended
    }

    fn has_ended(&self) -> bool {
        self.state.load(Acquire) == ENDED
    }

    /// Puts a reply into the client's mailbox, if it wants one.
    pub fn post(&self, now_ms: i64, write: impl FnOnce(&mut Out)) {
        if self.reply_mode == ReplyMode::On {
            self.client.post(now_ms, write);
        }
    }
}

/// All who wait.
#[derive(Default, Debug)]
pub struct Blocked {
    waiters: Mutex<BTreeMap<Ticket, Arc<Waiter>>>,
    last: AtomicU64,
    /// How many wait for keys, for whoever has no time to ask under the lock.
    count: AtomicUsize,
}

impl Blocked {
    /// Does nobody wait for a key? Whoever holds a shard's lock and reads true may be sure that nobody waits for a key of that shard.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// The next place in the queues.
    pub fn next_ticket(&self) -> Ticket {
        self.last.fetch_add(1, Relaxed) + 1
    }

    /// A waiter whose command has just run in vain.
    pub fn waiter(
        &self,
        (client, db, proto, reply_mode): (Arc<Shared>, u16, Proto, ReplyMode),
        command: &'static Command,
        (args, touches): (Vec<OwnedArg>, Vec<Box<[u8]>>),
        request: Request,
    ) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            ticket: self.next_ticket(),
            client,
            db,
            proto,
            reply_mode,
            command,
            args,
            touches,
            request,
            seen_offset: AtomicU64::new(0),
            state: AtomicU8::new(WAITING),
        });
        waiter.client.set_flag(ClientFlags::BLOCKED, true);
        self.waiters.lock().insert(waiter.ticket, waiter.clone());
        if !waiter.request.keys.is_empty() {
            self.count.fetch_add(1, Relaxed);
        }
        waiter
    }

    /// The holder of a ticket.
    pub fn get(&self, ticket: Ticket) -> Option<Arc<Waiter>> {
        self.waiters.lock().get(&ticket).cloned()
    }

    /// Strikes a ticket out. Those in the keys' queues are the caller's to take out.
    pub fn remove(&self, ticket: Ticket) {
        let removed = self.waiters.lock().remove(&ticket);
        if removed.is_some_and(|waiter| !waiter.request.keys.is_empty()) {
            self.count.fetch_sub(1, Relaxed);
        }
    }

    /// How many wait with a limit to their patience (INFO `clients_in_timeout_table`).
    pub fn with_deadline(&self) -> usize {
        self.waiters.lock().values().filter(|waiter| waiter.request.deadline_ms.is_some()).count()
    }

    /// How many keys somebody waits for, and how many of those by a command that the key's end wakes, too (INFO
    /// `total_blocking_keys`, `total_blocking_keys_on_nokey`).
    pub fn keys(&self) -> (usize, usize) {
        let waiters = self.waiters.lock();
        let of = |waiters: &mut dyn Iterator<Item = &Arc<Waiter>>| {
            let keys = waiters.flat_map(|waiter| waiter.request.keys.iter().map(|key| (waiter.db, key)));
            keys.collect::<BTreeSet<_>>().len()
        };
        (of(&mut waiters.values()), of(&mut waiters.values().filter(|waiter| waiter.request.or_gone)))
    }

    /// Ends a client's waiting. Returns whether it was waiting. `error`: what it gets; else what it gets when its time is up.
    pub fn unblock(&self, server: &Server, client: u64, error: Option<&Error>) -> bool {
        let found = self.waiters.lock().values().find(|waiter| waiter.client.id == client).cloned();
        found.is_some_and(|waiter| release(server, &waiter, error))
    }

    /// Ends all waiting with an error and then the connections: what they wait for does not come here any more.
    pub fn end_all(&self, server: &Server, error: &Error) {
        let all: Vec<_> = self.waiters.lock().values().cloned().collect();
        all.iter().for_each(|waiter| dismiss(server, waiter, error));
    }
}

fn dismiss(server: &Server, waiter: &Waiter, error: &Error) {
    waiter.client.set_flag(ClientFlags::CLOSE_AFTER_REPLY, true);
    release(server, waiter, Some(error));
}

/// Ends a wait, if nobody else has, without serving it: with an error, or with what the client gets when its time is up. Returns
/// whether it did.
fn release(server: &Server, waiter: &Waiter, error: Option<&Error>) -> bool {
    if !waiter.end() {
        return false;
    }
    waiter.post(server.clock.now_ms(), |out| {
        let mut reply = Reply::new(out, waiter.proto);
        match error {
            Some(error) => reply.error(error),
            None => say_nothing(&mut reply, server, waiter.request.nothing),
        }
    });
    server.stats.ran(waiter.command, Duration::ZERO, error);
    waiter.client.call();
    true
}

fn say_nothing(reply: &mut Reply<'_>, server: &Server, nothing: Nothing) {
    match nothing {
        Nothing::Acknowledged { offset, .. } => reply.len(server.hub.acked_by(offset)),
        Nothing::NullArray => reply.null_array(),
    }
}

fn leave_queues(keyspace: &Keyspace, waiter: &Waiter) {
    for key in &waiter.request.keys {
        let shard = shard_of(keyspace.hash(key));
        keyspace.slot(shard).lock().waiting.remove(waiter.db, key, waiter.ticket);
    }
}

/// Waits on a connection whose command found nothing (or too few replicas), until it is served or has waited enough.
///
/// # Errors
/// The connection has ended meanwhile.
pub async fn wait(conn: &mut Connection, waiter: &Arc<Waiter>) -> io::Result<()> {
    let server = conn.server.clone();
    let result = match waiter.request.nothing {
        Nothing::Acknowledged { offset, wanted } => {
            if server.is_replica() {
                // WAIT holds no locks: the role has changed since it asked for it, and before it could be told.
                dismiss(&server, waiter, &error::UNBLOCKED_BY_ROLE);
            }
            tokio::select! {
                biased;
                () = crate::replication::wait::until_acknowledged(&server, offset, wanted) => {
                    release(&server, waiter, None);
                    Ok(())
                }
                result = until_ended(conn, waiter) => result,
            }
        }
        Nothing::NullArray => until_ended(conn, waiter).await,
    };
    while !waiter.end() && !waiter.has_ended() {
        // Somebody tries the command right now, under locks: that takes an instant.
        crate::net::outbox::yield_now().await;
    }
    leave_queues(&server.keyspace, waiter);
    server.blocked.remove(waiter.ticket);
    let client = &mut conn.client;
    client.seen_offset = client.seen_offset.max(waiter.seen_offset.load(Relaxed));
    result?;
    conn.client.shared.collect_mail(&mut conn.out);
    conn.flush()
}

async fn until_ended(conn: &mut Connection, waiter: &Waiter) -> io::Result<()> {
    conn.flush()?;
    let now_ms = conn.server.clock.now_ms();
    let until = waiter.request.deadline_ms.map(|at| {
        tokio::time::Instant::now() + Duration::from_millis((at - now_ms).clamp(0, LONGEST_MS) as u64)
    });
    while !waiter.has_ended() {
        let wake = conn.wait(!conn.out.is_empty(), true);
        let woken = match until {
            Some(until) => crate::clock::timeout_at(until, wake).await.ok(),
            None => Some(wake.await),
        };
        let Some(wake) = woken.transpose()? else {
            if !release(&conn.server, waiter, None) {
                // Served at the last moment, or tried in vain right now.
                crate::net::outbox::yield_now().await;
            }
            continue;
        };
        if wake.called && conn.answer_call() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if wake.readable {
            conn.read_ahead()?;
        }
        conn.flush()?;
    }
    Ok(())
}
