//! One client's connection: reads, runs what it has read, answers.
//!
//! A task on one I/O thread, woken when the socket can be read, when it takes bytes again, or when somebody calls (mail, an
//! order to close). What a wake-up does between two awaits is plain code: read once, parse and run every whole request, post the
//! replies ([`outbox`]). A request whose shards are busy gives way to the thread's other connections and is tried again.

use super::outbox::{self, Peer, Receipt};
use super::stream::Stream;
use super::threads::Place;
use crate::client::{Client, ClientFlags, ReplyMode, Takeover};
use crate::clock::BatchTime;
use crate::commands::client::warn_of_output_limit;
use crate::error::{self, Error};
use crate::executor::{Busy, ENDING_PAUSE, PREPARED, Prepared, execute, prepare};
use crate::resp::parser::{self, Arg, Limits, Parser, Progress};
use crate::resp::{Out, Reply};
use crate::server::Server;
use crate::snapshot::StartError;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

/// The thread's read buffer: enough for a long pipeline, small enough for the cache.
const READ_BYTES: usize = 64 * 1024;
/// What a connection or a thread keeps of an output buffer when it is empty.
const KEPT_OUT_BYTES: usize = 256 * 1024;
/// What is read at once behind a large value, where another may follow: little of that one, so that the rest of it is
/// received where it will stay. Copying it costs more than reading twice.
const BETWEEN_LARGE_BYTES: usize = 512;
/// Large values that follow each other are read up to this in one turn.
const LARGE_TURN_BYTES: usize = 256 * 1024;
/// So many bytes of replies are sent at once instead of waiting for the other connections' turns.
const SEND_AT_ONCE_BYTES: usize = 16 * 1024;

#[derive(Default)]
struct Buffers {
    read: Vec<u8>,
    /// What the connection whose turn it is writes to.
    out: Out,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers { read: vec![0; READ_BYTES], ..Buffers::default() });
}

/// A client's connection.
pub struct Connection {
    pub server: Arc<Server>,
    /// Its socket, and what it takes to send to it.
    pub peer: Arc<Peer>,
    pub client: Client,
    parser: Parser,
    /// Bytes of requests that are not complete, or not yet run.
    pending: Vec<u8>,
    /// The first request in `pending` was parsed, takes so many bytes, and waits for its locks.
    retry: Option<(usize, u32)>,
    /// The last read filled its room: the socket may have more.
    more_follows: bool,
    /// The last bytes read began a large value.
    large_follow: bool,
    /// How often the plain request at the beginning of `pending` has tried for its locks in vain.
    tries: u32,
    /// Replies that the socket has not taken.
    pub out: Out,
    /// Replies that wait for the thread to have nothing else to run; `out` is empty then.
    posted: Option<Receipt>,
    _place: Place,
}

/// What a turn ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// All requests that had arrived are done.
    Idle,
    /// A request waits for locks.
    Busy,
    /// The connection's next task is in `client.takeover`.
    Takeover,
    /// The connection ends, when what is in `out` is sent.
    Close,
}

/// Why a connection woke.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wake {
    pub readable: bool,
    pub writable: bool,
    pub called: bool,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(server: Arc<Server>, stream: Stream, client: Client, place: Place) -> Connection {
        let peer = Peer { stream, shared: client.shared.clone(), server: server.clone() };
        Connection {
            server,
            peer: Arc::new(peer),
            client,
            parser: Parser::default(),
            pending: Vec::new(),
            retry: None,
            more_follows: false,
            large_follow: false,
            tries: 0,
            out: Out::default(),
            posted: None,
            _place: place,
        }
    }

    /// Serves the client, which the registry knows, until it goes.
    pub async fn run(mut self: Box<Self>) {
        if let Err(error) = self.serve().await {
            tracing::debug!("Client {} closed connection: {error}", self.client.shared.addr);
        }
        if self.client.shared.has(ClientFlags::OVER_LIMIT) {
            warn_of_output_limit(&self.client.shared, self.server.clock.now_ms());
        }
        self.take_back();
        if !self.out.is_empty() {
            // A peer that says no more may still read.
            let _ = self.flush();
        }
        self.server.forget_client(&mut self.client);
    }

    async fn serve(&mut self) -> io::Result<()> {
        let mut turn = Turn::Idle;
        loop {
            match turn {
                Turn::Idle => {
                    let wake = self.wait(!self.out.is_empty(), true).await?;
                    self.take_back();
                    if wake.called && self.answer_call() {
                        return Ok(());
                    }
                    if wake.readable {
                        turn = self.read()?;
                        if self.more_follows && turn == Turn::Idle {
                            outbox::yield_now().await;
                        }
                    } else {
                        self.flush()?;
                        self.check_output_limit()?;
                    }
                }
                Turn::Busy => {
                    if self.server.is_ending() {
                        crate::clock::sleep(ENDING_PAUSE).await;
                    }
                    outbox::yield_now().await;
                    turn = self.resume()?;
                }
                Turn::Takeover => {
                    // On the heap: most connections never do this, and what it needs would be a part of every one.
                    Box::pin(self.take_over()).await?;
                    let ends = self.client.shared.has(ClientFlags::CLOSE_AFTER_REPLY);
                    turn = if ends { Turn::Close } else { self.resume()? };
                }
                Turn::Close => return self.flush_all().await,
            }
        }
    }

    /// Takes back what is posted and not sent.
    fn take_back(&mut self) {
        if let Some(unsent) = self.posted.take().and_then(outbox::take_back) {
            debug_assert!(self.out.is_empty());
            self.out = unsent;
        }
    }

    /// Waits until there is something to do.
    ///
    /// # Errors
    /// The socket's.
    pub async fn wait(&self, want_write: bool, want_read: bool) -> io::Result<Wake> {
        poll_fn(|cx| {
            let mut wake = Wake::default();
            if want_write && let Poll::Ready(result) = self.peer.stream.poll_write_ready(cx) {
                result?;
                wake.writable = true;
            }
            if want_read && let Poll::Ready(result) = self.peer.stream.poll_read_ready(cx) {
                result?;
                wake.readable = true;
            }
            // Whoever has something to do anyway need not ask to be woken.
            let shared = &self.client.shared;
            wake.called =
                if wake == Wake::default() { shared.poll_called(cx.waker()) } else { shared.was_called() };
            if wake == Wake::default() { Poll::Pending } else { Poll::Ready(Ok(wake)) }
        })
        .await
    }

    /// Somebody called: collects the mail. Returns whether the connection is to end now.
    pub fn answer_call(&mut self) -> bool {
        if self.client.shared.has(ClientFlags::CLOSE_ASAP) {
            return true;
        }
        if self.out.is_empty() {
            // Otherwise it waits where it is counted against the limit.
            self.client.shared.collect_mail(&mut self.out);
        }
        false
    }

    /// Reads once and runs what came; of large values that follow each other several, so that their replies go together.
    fn read(&mut self) -> io::Result<Turn> {
        BUFFERS.with_borrow_mut(|buffers| {
            let mut taken = 0;
            loop {
                let (n, room) = match self.read_once(buffers) {
                    Ok((0, _)) if taken == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok((n, room)) => (n, room),
                    Err(error) if taken == 0 && error.kind() != ErrorKind::WouldBlock => return Err(error),
                    // The replies go first; an end or an error is met again.
                    Err(_) => {
                        self.more_follows = false;
                        return Ok(Turn::Idle);
                    }
                };
                taken += n;
                self.more_follows = n == room;
                let turn = if n == 0 { Turn::Idle } else { self.take_in(n, buffers)? };
                if turn != Turn::Idle || n < room || !self.large_follow || taken >= LARGE_TURN_BYTES {
                    return Ok(turn);
                }
            }
        })
    }

    /// Reads once, into the large value that is being received or the thread's buffer: how many bytes, and for how many
    /// there was room.
    fn read_once(&mut self, buffers: &mut Buffers) -> io::Result<(usize, usize)> {
        if let Some((large, room)) = self.parser.large() {
            return Ok((self.peer.stream.try_read_buf(large, room)?, room));
        }
        let room = if self.large_follow { BETWEEN_LARGE_BYTES } else { READ_BYTES };
        Ok((self.peer.stream.try_read(&mut buffers.read[..room])?, room))
    }

    /// Runs what has been read.
    fn take_in(&mut self, n: usize, buffers: &mut Buffers) -> io::Result<Turn> {
        self.count_read(n);
        self.parser.take_beyond(&mut self.pending);
        if self.parser.is_gathering() {
            self.note_large();
            if self.parser.large().is_some() {
                return Ok(Turn::Idle);
            }
            return self.process_pending(buffers);
        }
        let turn = if self.pending.is_empty() {
            let read = std::mem::take(&mut buffers.read);
            let turn = self.process(&read[..n], buffers);
            buffers.read = read;
            turn
        } else {
            self.pending.extend_from_slice(&buffers.read[..n]);
            self.process_pending(buffers)
        };
        self.large_follow = self.parser.is_gathering();
        turn
    }

    /// A large value is being received, or has just been.
    fn note_large(&self) {
        let (shared, now_ms) = (&self.client.shared, self.server.clock.now_ms());
        let held = self.pending.len() + self.parser.held_bytes();
        shared.query_bytes.store(held, Relaxed);
        shared.query_capacity.store(held, Relaxed);
        shared.last_interaction_ms.store(now_ms, Relaxed);
        self.server.stats.recent_input.note(now_ms, held as u64);
    }

    fn count_read(&self, n: usize) {
        let shared = &self.client.shared;
        // Only this thread writes it.
        shared.total_net_in.store(shared.total_net_in.load(Relaxed) + n as u64, Relaxed);
        self.server.stats.here(|stats| {
            stats.net_input_bytes.add(n as u64);
            stats.reads.add(1);
        });
    }

    /// Goes on with what has been read already.
    fn resume(&mut self) -> io::Result<Turn> {
        BUFFERS.with_borrow_mut(|buffers| self.process_pending(buffers))
    }

    fn process_pending(&mut self, buffers: &mut Buffers) -> io::Result<Turn> {
        let pending = std::mem::take(&mut self.pending);
        self.process(&pending, buffers)
    }

    /// Runs the requests at the beginning of `data` and keeps what is left. The replies are posted, or sent if they are many or
    /// the connection has something else to do than to read on; what the socket did not take is in `self.out` afterwards.
    fn process(&mut self, data: &[u8], buffers: &mut Buffers) -> io::Result<Turn> {
        let out = &mut buffers.out;
        debug_assert!(out.is_empty() && self.pending.is_empty());
        self.take_back();
        if !self.out.is_empty() {
            // Replies that wait go first.
            self.out.append_to(out);
        }
        // While they run, the requests are in the query buffer: CLIENT LIST shows itself.
        self.client.shared.query_bytes.store(data.len(), Relaxed);
        let (left, turn) = self.run_requests(data, out);
        self.pending.extend_from_slice(left);
        if self.pending.capacity() > KEPT_OUT_BYTES && self.pending.is_empty() {
            self.pending = Vec::new();
        }
        if std::mem::take(&mut self.client.log_grew) {
            self.server.wake_replicas();
        }
        let mut sent = Ok(());
        if turn != Turn::Idle || out.len() > SEND_AT_ONCE_BYTES {
            sent = self.peer.send(out);
        } else if !out.is_empty() {
            match outbox::post(&self.peer, out) {
                Ok(posted) => self.posted = posted,
                Err(error) => sent = Err(error),
            }
        }
        if !out.is_empty() {
            out.append_to(&mut self.out);
        }
        self.note_query();
        out.shrink(KEPT_OUT_BYTES);
        sent?;
        self.check_output_limit()?;
        let held = self.pending.len() + self.parser.held_bytes();
        if held as u64 > self.server.query_buffer_limit() {
            tracing::warn!(
                "Closing client that reached max query buffer length: {}",
                self.client.shared.addr
            );
            return Ok(Turn::Close);
        }
        Ok(turn)
    }

    fn run_requests<'d>(&mut self, data: &'d [u8], out: &mut Out) -> (&'d [u8], Turn) {
        let mut rest = data;
        let mut time = BatchTime::begin(&self.server.clock);
        self.client.shared.last_interaction_ms.store(time.now_ms(&self.server.clock), Relaxed);
        self.client.batch = Some(time);
        let turn = loop {
            let turn = if self.may_be_plain() { self.run_plain(&mut rest, out) } else { None };
            if let Some(turn) = turn.or_else(|| self.run_one(&mut rest, out)) {
                break turn;
            }
        };
        self.client.batch = None;
        (rest, turn)
    }

    fn may_be_plain(&self) -> bool {
        self.retry.is_none()
            && self.parser.is_idle()
            && (self.client.authenticated || !self.server.auth.is_required())
    }

    /// Runs the whole plain requests at the beginning of `rest`, several at a time; what is not plain is left for
    /// [`Connection::run_one`].
    fn run_plain(&mut self, rest: &mut &[u8], out: &mut Out) -> Option<Turn> {
        loop {
            let mut args = SmallVec::<[Arg<'_>; 4 * PREPARED]>::new();
            let first = parser::plain(rest, &mut args)?;
            if first == rest.len() {
                // One alone: that is what most clients send.
                let turn = self.run_prepared(Prepared::from(&args[..]), first, rest, out);
                return Some(turn.unwrap_or(Turn::Idle));
            }
            let mut ends = SmallVec::<[(usize, usize); PREPARED]>::from_elem((args.len(), first), 1);
            while ends.len() < PREPARED
                && let (_, at) = ends[ends.len() - 1]
                && let Some(n) = parser::plain(&rest[at..], &mut args)
            {
                ends.push((args.len(), at + n));
            }
            let requests =
                ends.iter().scan(0, |from, (to, _)| Some(&args[std::mem::replace(from, *to)..*to]));
            let requests = match ends.len() {
                1 => requests.map(Prepared::from).collect(),
                _ => prepare(&self.client, &self.server, requests),
            };
            let mut done = 0;
            for (request, (_, end)) in requests.into_iter().zip(&ends) {
                let turn = self.run_prepared(request, end - done, rest, out);
                if turn.is_some() {
                    return turn;
                }
                done = *end;
            }
            if rest.is_empty() {
                return Some(Turn::Idle);
            }
        }
    }

    /// Runs the request in the first `len` bytes of `rest`, and goes on behind it unless it has to wait.
    fn run_prepared(
        &mut self,
        request: Prepared<'_>,
        len: usize,
        rest: &mut &[u8],
        out: &mut Out,
    ) -> Option<Turn> {
        let tries = std::mem::take(&mut self.tries);
        if let Err(Busy) = execute(&mut self.client, &self.server, request, out, tries) {
            self.tries = tries + 1;
            return Some(Turn::Busy);
        }
        *rest = &rest[len..];
        self.diversion(out)
    }

    /// Does the connection do something else now than to run the next request?
    fn diversion(&self, out: &Out) -> Option<Turn> {
        if self.client.takeover.is_some() {
            Some(Turn::Takeover)
        } else if self.client.shared.has(ClientFlags::CLOSE_AFTER_REPLY.union(ClientFlags::CLOSE_ASAP)) {
            Some(Turn::Close)
        } else if self.is_over_hard_limit(out) {
            // What the socket takes is taken first; who is over it then goes.
            Some(Turn::Busy)
        } else {
            None
        }
    }

    /// Runs the request at the beginning of `rest`, of whatever form, or keeps what there is of it.
    fn run_one(&mut self, rest: &mut &[u8], out: &mut Out) -> Option<Turn> {
        let (n, tries) = match self.retry.take() {
            Some(retry) => retry,
            None => match self.parser.parse(rest, &self.limits()) {
                Ok(Progress::Complete(n)) => (n, 0),
                Ok(Progress::Incomplete(keep)) => {
                    *rest = &rest[..keep];
                    return Some(Turn::Idle);
                }
                Err(error) => {
                    let error = Error::err([&b"Protocol error: "[..], &error.0].concat());
                    self.server.stats.rejected(None, &error);
                    if self.client.reply_mode == ReplyMode::On {
                        Reply::new(out, self.client.proto).error(&error);
                    }
                    *rest = &[];
                    return Some(Turn::Close);
                }
            },
        };
        let args = self.parser.args(rest);
        if !args.is_empty()
            && let Err(Busy) = execute(&mut self.client, &self.server, &args[..], out, tries)
        {
            self.retry = Some((n, tries + 1));
            return Some(Turn::Busy);
        }
        *rest = &rest[n..];
        self.diversion(out)
    }

    fn limits(&self) -> Limits {
        Limits {
            max_bulk_bytes: self.server.max_bulk_bytes() as i64,
            unauthenticated: !self.client.authenticated && self.server.auth.is_required(),
        }
    }

    fn note_query(&self) {
        let shared = &self.client.shared;
        shared.query_bytes.store(self.pending.len(), Relaxed);
        shared.query_capacity.store(self.pending.capacity(), Relaxed);
    }

    fn is_over_hard_limit(&self, out: &Out) -> bool {
        let hard = self.server.normal_output_limit();
        hard != 0 && out.len() as u64 > hard
    }

    fn check_output_limit(&mut self) -> io::Result<()> {
        if self.is_over_hard_limit(&self.out) {
            self.client.shared.cut_off();
        }
        if self.client.shared.has(ClientFlags::OVER_LIMIT) {
            self.out = Out::default();
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Sends what the socket takes of `self.out`.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush(&mut self) -> io::Result<()> {
        let sent = self.peer.send(&mut self.out);
        if self.out.is_empty() {
            // What is idle keeps no buffer.
            self.out = Out::default();
        }
        sent
    }

    /// Sends all of `self.out`, for up to some seconds (the peer may not read).
    ///
    /// # Errors
    /// The socket's, or the time is up.
    pub async fn flush_all(&mut self) -> io::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let all = async {
            loop {
                self.flush()?;
                if self.out.is_empty() {
                    return Ok(());
                }
                poll_fn(|cx| self.peer.stream.poll_write_ready(cx)).await?;
            }
        };
        crate::clock::timeout(PATIENCE, all).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    /// Reads once and keeps what came for later: a connection that waits for something finds out that its peer has gone.
    ///
    /// # Errors
    /// The socket's, its end, or more than `client-query-buffer-limit`.
    pub fn read_ahead(&mut self) -> io::Result<()> {
        BUFFERS.with_borrow_mut(|buffers| match self.peer.stream.try_read(&mut buffers.read) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.count_read(n);
                self.pending.extend_from_slice(&buffers.read[..n]);
                if self.pending.len() as u64 > self.server.query_buffer_limit() {
                    Err(ErrorKind::OutOfMemory.into())
                } else {
                    Ok(())
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        })
    }

    /// Reads once and gives every whole request to `take` instead of running it (a replica's acknowledgements).
    ///
    /// # Errors
    /// The socket's, or a protocol error.
    pub fn read_requests(&mut self, mut take: impl FnMut(&mut Client, &[Arg<'_>])) -> io::Result<()> {
        BUFFERS.with_borrow_mut(|buffers| {
            match self.peer.stream.try_read(&mut buffers.read) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.count_read(n);
                    let now_ms = self.server.clock.now_ms();
                    self.client.shared.last_interaction_ms.store(now_ms, Relaxed);
                    self.pending.extend_from_slice(&buffers.read[..n]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let pending = std::mem::take(&mut self.pending);
            let mut rest = &pending[..];
            loop {
                match self.parser.parse(rest, &self.limits()) {
                    Ok(Progress::Complete(n)) => {
                        take(&mut self.client, &self.parser.args(rest));
                        rest = &rest[n..];
                    }
                    Ok(Progress::Incomplete(keep)) => {
                        self.pending.extend_from_slice(&rest[..keep]);
                        return Ok(());
                    }
                    Err(error) => return Err(io::Error::other(error.to_string())),
                }
            }
        })
    }

    /// Replies to a command that takes its time, if the client wants replies (CLIENT REPLY).
    pub fn reply(&mut self, write: impl FnOnce(&mut Reply<'_>)) {
        if self.client.reply_mode == ReplyMode::On {
            write(&mut Reply::new(&mut self.out, self.client.proto));
        }
    }

    /// Replies what such a command has come to.
    fn answer(&mut self, result: Result<(), Error>) {
        match result {
            Ok(()) => self.reply(|reply| reply.ok()),
            Err(error) => self.fail(&error),
        }
    }

    /// Such a command has failed.
    pub fn fail(&mut self, error: &Error) {
        self.server.stats.failed(self.client.shared.last_command.load(Relaxed), error);
        self.reply(|reply| reply.error(error));
    }

    async fn save(&self) -> Result<(), Error> {
        crate::control::save_now(&self.server).await.map_err(|text| {
            tracing::warn!("{text}");
            error::SAVE_FAILED
        })
    }

    async fn take_over(&mut self) -> io::Result<()> {
        match self.client.takeover.take() {
            Some(Takeover::Block) => {
                if let Some(waiter) = self.client.waiter.take() {
                    crate::blocked::wait(self, &waiter).await?;
                }
            }
            Some(Takeover::Save) => {
                let saved = self.save().await;
                self.answer(saved);
            }
            Some(Takeover::SaveFlushed { answered }) => {
                // What was flushed is gone, saved or not.
                let _ = self.save().await;
                if !answered {
                    self.reply(|reply| reply.ok());
                }
            }
            Some(Takeover::Reload(order)) => {
                let mut result = if order.save { self.save().await } else { Ok(()) };
                if result.is_ok() {
                    result = crate::persistence::reload(&self.server, order).await.map_err(|text| {
                        tracing::warn!("{text}");
                        error::RELOAD_FAILED
                    });
                }
                self.answer(result);
            }
            Some(Takeover::BackgroundSave { answered: true }) => {
                crate::control::background_save_soon(&self.server);
            }
            Some(Takeover::BackgroundSave { answered: false }) => {
                match crate::control::background_save(&self.server) {
                    Ok(()) => self.reply(|reply| reply.simple(crate::commands::persistence::SAVE_STARTED)),
                    Err(StartError::Running) => self.fail(&error::SAVE_RUNNING),
                    Err(StartError::Failed(_)) => self.fail(&error::SAVE_FAILED),
                }
            }
            Some(Takeover::Shutdown(options)) => {
                self.client.shared.set_flag(ClientFlags::BLOCKED, true);
                let answer = self.server.lingering.ask(&self.server.orders, options);
                if let Ok(text) = answer.await {
                    self.client.shared.set_flag(ClientFlags::BLOCKED, false);
                    self.fail(&Error::err(text));
                }
            }
            Some(Takeover::Configure { pairs, local }) => {
                let (done, answer) = tokio::sync::oneshot::channel();
                self.server.orders.give(crate::control::Order::Configure { pairs, local, done });
                self.answer(answer.await.unwrap_or(Err(error::ENDING)));
            }
            Some(Takeover::RewriteConfig) => {
                let server = self.server.clone();
                let rewrite = move || crate::config_apply::rewrite(&server);
                self.answer(tokio::task::spawn_blocking(rewrite).await.unwrap_or(Err(error::ENDING)));
            }
            Some(Takeover::Migrate(order)) => crate::migrate::migrate(self, &order).await,
            Some(Takeover::Replica(request)) => crate::replication::master::serve(self, request).await?,
            None => {}
        }
        if self.client.reply_mode == ReplyMode::Skip {
            self.client.reply_mode = ReplyMode::On;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 1024, "{} bytes", size_of::<Connection>());
        assert!(size_of::<Client>() <= 640, "{} bytes", size_of::<Client>());
    }
}
