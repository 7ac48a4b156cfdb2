//! The executor: one way to run a command, whoever sent it.
//!
//! ```text
//! gates (arity, AUTH, read-only, loading, subscribed, MULTI) → keys → shards → locks → handler → effects → log → unlock
//! ```
//!
//! Client connections, EXEC, the master's stream and re-run blocked commands all come through [`execute`]; they differ only in
//! their [`Client`]. Effects are collected while a unit runs and leave through one door, [`propagate`], while its shards
//! are still held: any two commands that share a key are in the log in the order in which they took effect. Waking others
//! comes after unlocking.

use crate::blocked::Request;
use crate::client::{Client, ClientFlags, Kind, OwnedArg, Queued, ReplyMode};
use crate::clock::BatchTime;
use crate::command::keys::Positions;
use crate::command::{Command, Flags, KeySpec, Lookup, Row, table};
use crate::commands::transaction;
use crate::error::{self, Error};
use crate::keyspace::ShardSet;
use crate::keyspace::entry::{Entry, Stored};
use crate::keyspace::events::{Class, KeyEvent};
use crate::keyspace::table::Table;
use crate::keyspace::view::{Moment, Viewer};
use crate::keyspace::{Held, Keyspace, NewValue, SHARDS, Shard, View, shard_of};
use crate::pubsub::Published;
use crate::resp::parser::{Arg, number};
use crate::resp::{Out, Proto, Reply, encode};
use crate::server::Server;
use crate::types::long_double::LongDouble;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

mod waiting;

pub use waiting::serve_ready;

/// The locks that a command needs are taken: let others of this thread go on and try again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

/// After so many tries in vain a command waits for its locks in order.
pub const PATIENCE: u32 = 8;

/// How often a client that waits for the server's end asks whether it goes on after all.
pub const ENDING_PAUSE: Duration = Duration::from_millis(20);

/// The arguments of a command, its name first.
#[derive(Clone, Copy)]
pub struct Args<'c>(pub &'c [Arg<'c>]);

impl<'c> Args<'c> {
    /// Number of arguments, the name included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: there is always the name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The argument at `at`, if there are that many.
    pub fn get(&self, at: usize) -> Option<&'c [u8]> {
        self.0.get(at).map(Arg::bytes)
    }

    /// The argument at `at`, which the arity check has ensured.
    #[inline]
    pub fn at(&self, at: usize) -> &'c [u8] {
        self.0[at].bytes()
    }

    /// Is the argument at `at` this word, in any case?
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.get(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The arguments from `from` on.
    pub fn from(&self, from: usize) -> impl ExactSizeIterator<Item = &'c [u8]> + use<'c> {
        self.0.get(from..).unwrap_or_default().iter().map(Arg::bytes)
    }

    /// The argument as an integer.
    ///
    /// # Errors
    /// `ERR value is not an integer or out of range`.
    pub fn int(&self, at: usize) -> Result<i64, Error> {
        number(self.at(at)).ok_or(error::NOT_INTEGER)
    }

    /// The argument as a string value to be stored: an integer where its text is one, shared where it is large.
    pub fn value(&self, at: usize) -> NewValue<'c> {
        match &self.0[at] {
            Arg::Large(blob) => NewValue::Blob((*blob).clone()),
            arg => string_value(arg.bytes()),
        }
    }
}

/// A string value to be stored, as an integer where its text is one (at most 20 characters, canonical).
pub fn string_value(bytes: &[u8]) -> NewValue<'_> {
    match number(bytes) {
        Some(n) if bytes.len() <= 20 => NewValue::Int(n),
        _ => NewValue::Bytes { bytes, raw: false },
    }
}

/// What a command leaves in the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Trace {
    /// The command as it came, if it changed anything.
    #[default]
    AsIs,
    /// The command as it came, whether or not it changed anything.
    Forced,
    /// These requests instead.
    Instead(Vec<Vec<u8>>),
    /// Nothing.
    Nothing,
}

/// One run of one command: all that its handler sees.
pub struct Call<'c, 'k> {
    pub args: Args<'c>,
    pub reply: Reply<'c>,
    pub view: &'c mut View<'k>,
    pub client: &'c mut Client,
    pub server: &'c Arc<Server>,
    pub command: &'static Command,
    /// Runs inside EXEC.
    pub in_transaction: bool,
    effects: &'c mut Effects,
    trace: Trace,
}

/// Does more wait for a client than may ([`Call::waiting_limit`])? Then it is cut off.
pub fn outgrows(reply: &Reply<'_>, limit: usize, client: &Client) -> bool {
    let outgrows = reply.waiting() > limit;
    if outgrows {
        client.shared.cut_off();
    }
    outgrows
}

impl Call<'_, '_> {
    /// How much may wait for the client, bytes, before it is cut off: for replies that are as long as a number in the request says.
    pub fn waiting_limit(&self) -> usize {
        match (self.client.kind, self.server.normal_output_limit()) {
            (Kind::Master, _) | (_, 0) => usize::MAX,
            (Kind::Normal, limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }

    /// The log gets this request instead of the command as it came (several calls: several requests).
    pub fn propagate_instead<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let mut request = Vec::new();
        if self.effects.wanted {
            encode::request(&mut request, args);
        }
        match &mut self.trace {
            Trace::Instead(requests) => requests.push(request),
            trace => *trace = Trace::Instead(vec![request]),
        }
    }

    /// Does anybody read the log? If not, what is propagated need not be put together.
    pub fn is_logged(&self) -> bool {
        self.effects.wanted
    }

    /// The log gets the command as it came although no key changed (PUBLISH, FLUSHALL).
    pub fn propagate_always(&mut self) {
        self.trace = Trace::Forced;
    }

    /// Calls `f` with every shard: with those that are held inside EXEC, else with one after the other. The row says
    /// [`Flags::EXEC_ALL_SHARDS`].
    pub fn for_each_shard(&mut self, mut f: impl FnMut(&mut Shard)) {
        let held = self.view.held();
        if held.is_all() {
            held.shards().for_each(f);
        } else {
            let ready = &mut self.client.ready_elsewhere;
            self.server.keyspace.for_each_shard(|shard| {
                f(shard);
                ready.extend(shard.waiting.take_ready());
            });
        }
    }

    /// The log gets nothing of this command.
    pub fn propagate_nothing(&mut self) {
        self.trace = Trace::Nothing;
    }

    /// MONITOR shows `(redacted)` instead of the argument at `at`.
    pub fn redact(&mut self, at: usize) {
        self.client.redacted.push(at);
    }

    /// May the client be made to wait for a key? Not inside a transaction, for example.
    pub fn may_block(&self) -> bool {
        !self.in_transaction && self.client.kind == Kind::Normal
    }

    /// Nothing was found: the client waits, and the command runs again when there may be something.
    pub fn block(&mut self, request: Request) {
        debug_assert!(self.may_block());
        self.client.blocking = Some(Box::new(request));
    }

    /// The deadline that a timeout in seconds (possibly with a fraction) sets, Unix milliseconds; `None`: none.
    ///
    /// # Errors
    /// `ERR timeout is …`.
    pub fn deadline_secs(&self, at: usize) -> Result<Option<i64>, Error> {
        let secs = LongDouble::parse(self.args.at(at)).ok_or(error::TIMEOUT_NOT_FLOAT)?;
        // What does not fit becomes negative there (observed: redis-server 7.0.15).
        self.deadline(secs.scaled_up(1000).unwrap_or(i64::MIN))
    }

    /// The deadline that a timeout in milliseconds sets, Unix milliseconds; `None`: none.
    ///
    /// # Errors
    /// `ERR timeout is …`.
    pub fn deadline_ms(&self, at: usize) -> Result<Option<i64>, Error> {
        self.deadline(self.args.int(at).map_err(|_| error::TIMEOUT_NOT_INTEGER)?)
    }

    /// A deadline after the end of time is none.
    fn deadline(&self, timeout_ms: i64) -> Result<Option<i64>, Error> {
        match timeout_ms {
            ..0 => Err(error::TIMEOUT_NEGATIVE),
            0 => Ok(None),
            timeout_ms => Ok(self.view.now_ms().checked_add(timeout_ms)),
        }
    }

    /// Runs a queued command as a part of this one (EXEC), with its reply in place.
    pub fn run_queued(&mut self, queued: &Queued) {
        let args: SmallVec<[Arg<'_>; 8]> = queued.args.iter().map(OwnedArg::as_arg).collect();
        self.view.db = self.client.db;
        let end = self.reply.out().end();
        let closing = self.client.shared.has(ClientFlags::CLOSE_AFTER_REPLY);
        let started = self.server.clock.instant();
        let result = run(
            Unit { client: self.client, server: self.server, view: self.view, effects: self.effects },
            queued.command,
            &args,
            self.reply.out(),
            true,
        );
        if !self.client.stands_in {
            self.server.stats.ran(queued.command, started.elapsed(), result.as_ref().err());
        }
        if closing || self.client.is_silent() {
            self.reply.out().truncate(end);
        }
    }
}

/// One effect: a request and the database it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    pub db: u16,
    pub request: Vec<u8>,
}

/// The effects of an execution unit, in order.
#[derive(Default, Debug)]
pub struct Effects {
    wanted: bool,
    list: Vec<Effect>,
}

impl Effects {
    /// An empty list; when nobody reads the log (`wanted` is false) nothing is encoded.
    pub fn new(wanted: bool) -> Effects {
        Effects { wanted, list: Vec::new() }
    }

    /// Adds a request.
    pub fn add<A: AsRef<[u8]>>(&mut self, db: u16, args: &[A]) {
        if self.wanted {
            let mut request = Vec::new();
            encode::request(&mut request, args);
            self.list.push(Effect { db, request });
        }
    }

    /// Adds the deletion of expired keys and fields.
    #[inline]
    pub fn add_expired(&mut self, view: &mut View<'_>, lazy: bool) {
        if view.has_expired() {
            self.add_some_expired(view, lazy);
        }
    }

    #[cold]
    fn add_some_expired(&mut self, view: &mut View<'_>, lazy: bool) {
        for expired in view.take_expired() {
            let name = match (expired.fields.is_empty(), lazy) {
                (true, true) => &b"UNLINK"[..],
                (true, false) => b"DEL",
                (false, _) => b"HDEL",
            };
            let fields = expired.fields.iter().map(|field| &**field);
            let words: Vec<&[u8]> = [name, &expired.key].into_iter().chain(fields).collect();
            self.add(expired.db, &words);
        }
    }

    /// Appends the effects to the log, each on its own. Returns whether there were any. The shards are still held.
    pub fn append_separately(&self, server: &Server) -> bool {
        server.log.append_separately(&self.list);
        !self.list.is_empty()
    }

    fn add_as_is(&mut self, db: u16, args: &[Arg<'_>]) {
        if self.wanted {
            let size = args.iter().map(|arg| arg.bytes().len() + 16).sum();
            let mut request = Vec::with_capacity(size);
            encode::head(&mut request, args.len());
            args.iter().for_each(|arg| encode::arg(&mut request, arg.bytes()));
            self.list.push(Effect { db, request });
        }
    }
}

/// What a command runs in.
struct Unit<'u, 'k> {
    client: &'u mut Client,
    server: &'u Arc<Server>,
    view: &'u mut View<'k>,
    effects: &'u mut Effects,
}

/// A request and what was found out about it before its turn came.
#[derive(Clone, Copy)]
pub struct Prepared<'r> {
    args: &'r [Arg<'r>],
    command: Option<&'static Command>,
    /// Of the only key.
    hash: Option<u64>,
}

impl<'r> From<&'r [Arg<'r>]> for Prepared<'r> {
    fn from(args: &'r [Arg<'r>]) -> Prepared<'r> {
        Prepared { args, command: None, hash: None }
    }
}

impl<'r> Prepared<'r> {
    /// The element that the command will look up first, if it is known.
    fn element(&self) -> Option<&'r [u8]> {
        let row = self.command?.row;
        if row.element == 0 { None } else { self.args.get(row.element).map(Arg::bytes) }
    }
}

/// Runs one request of a client. The reply is appended to `out`.
///
/// # Errors
/// [`Busy`] when its shards are locked by others and `tries` is below [`PATIENCE`]: nothing has happened yet.
pub fn execute<'r>(
    client: &mut Client,
    server: &Arc<Server>,
    request: impl Into<Prepared<'r>>,
    out: &mut Out,
    tries: u32,
) -> Result<(), Busy> {
    let end = out.end();
    let result = execute_answering(client, server, &request.into(), out, tries);
    match client.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => suppress(client, out, end),
        ReplyMode::SkipNext => client.reply_mode = ReplyMode::Skip,
        ReplyMode::Skip if result.is_ok() => {
            suppress(client, out, end);
            // A command that takes its time has not replied yet.
            if client.takeover.is_none() {
                client.reply_mode = ReplyMode::On;
            }
        }
        ReplyMode::Skip => {}
    }
    if std::mem::take(&mut client.has_own_mail) {
        client.shared.collect_mail(out);
    }
    result
}

/// Takes a command's reply back, unless it has heeded CLIENT REPLY itself.
fn suppress(client: &mut Client, out: &mut Out, end: (usize, usize)) {
    if !std::mem::take(&mut client.reply_is_settled) {
        out.truncate(end);
    }
}

fn execute_answering(
    client: &mut Client,
    server: &Arc<Server>,
    request: &Prepared<'_>,
    out: &mut Out,
    tries: u32,
) -> Result<(), Busy> {
    let args = request.args;
    let command = match request.command.map_or_else(|| table().lookup(args), Lookup::Found) {
        Lookup::Found(command) => command,
        Lookup::Unknown(_) if is_http(args) => {
            tracing::warn!(
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. \
                 This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis \
                 instance. Connection from {} aborted.",
                client.shared.addr
            );
            client.shared.set_flag(ClientFlags::CLOSE_ASAP, true);
            return Ok(());
        }
        Lookup::Unknown(error) => {
            client.shared.last_command.store(0, Relaxed);
            reject(client, server, None, &error, out);
            return Ok(());
        }
    };
    if must_wait_for_the_end(client, server, command) {
        return Err(Busy);
    }
    let mut time = client.batch.unwrap_or_else(|| BatchTime::begin(&server.clock));
    if tries > 0 {
        // The time that others held the locks is not ours.
        time.next(&server.clock);
    }
    client.shared.last_command.store(command.id, Relaxed);
    if let Err(error) = gate(client, server, command, args.len()) {
        reject(client, server, Some(command), &error, out);
        return Ok(());
    }
    if client.transaction.is_some() && !command.row.flags.contains(Flags::NOT_QUEUED) {
        queue(client, command, args);
        Reply::new(out, client.proto).simple("QUEUED");
        return Ok(());
    }
    let needed = lock_set(client, server, command, request);
    let held = lock(&server.keyspace, &needed.shards, tries)?;
    let held = waiting::with_waiters(client, server, (command, args), held);
    if must_wait_for_the_end(client, server, command) {
        return Err(Busy);
    }
    if client.kind == Kind::Normal
        && let Err(error) = server.admits(command.row)
    {
        // The server's role has changed while we waited for the locks.
        drop(held);
        reject(client, server, Some(command), &error, out);
        return Ok(());
    }
    let moment = moment(client, server, time.now_ms(&server.clock));
    let (result, later) = {
        let mut view = View::new(&server.keyspace, held, client.db, moment);
        match needed.hashed.as_slice() {
            [] => {}
            [(at, hash)] => view.know_hash(args[*at].bytes(), *hash),
            all => view.know_hashes(all.iter().map(|(at, hash)| (args[*at].bytes(), *hash))),
        }
        let mut effects = Effects::new(server.log.is_wanted());
        let result =
            run(Unit { client, server, view: &mut view, effects: &mut effects }, command, args, out, false);
        tell_events(client, server, &mut view);
        if is_about_any_key(command.row) {
            client.log_grew |= effects.append_separately(server);
        } else {
            propagate(client, server, effects);
        }
        if let Some(request) = client.blocking.take() {
            waiting::block(client, server, &mut view, (command, args), *request);
        }
        (result, waiting::serve(client, server, &mut view))
    };
    client.seen_offset = server.log.end();
    let took = time.next(&server.clock);
    server.stats.record_lock(took);
    if client.waiter.is_none() && !client.stands_in {
        // A command that waits is counted when it has ended.
        server.stats.ran(command, took, result.as_ref().err());
    }
    waiting::serve_each(server, later);
    if !client.ready_elsewhere.is_empty() {
        serve_ready(server, std::mem::take(&mut client.ready_elsewhere));
    }
    if client.batch.is_some() {
        client.batch = Some(time);
    }
    client.call_listeners();
    Ok(())
}

/// Does a browser speak, made to send our commands in an HTTP request's body?
fn is_http(args: &[Arg<'_>]) -> bool {
    let name = args[0].bytes();
    name.eq_ignore_ascii_case(b"host:") || name.eq_ignore_ascii_case(b"post")
}

/// While the server ends, whoever would write waits: for the connection's end, or until the server goes on after all.
fn must_wait_for_the_end(client: &Client, server: &Server, command: &Command) -> bool {
    const LOGS: Flags = Flags::WRITE.union(Flags::MAY_REPLICATE).union(Flags::QUEUED_SHARDS);
    server.is_ending() && client.kind == Kind::Normal && command.row.flags.intersects(LOGS)
}

/// Requests that are prepared for together: their keys' memory is asked for before the first of them needs it.
pub const PREPARED: usize = 16;

/// Asks for the memory of the keys of requests that will run next: first all buckets, then all entries, so that the waits
/// overlap. Only a hint: a shard that is busy is passed over. What else is found out on the way is handed on.
pub fn prepare<'r>(
    client: &Client,
    server: &Server,
    requests: impl Iterator<Item = &'r [Arg<'r>]>,
) -> SmallVec<[Prepared<'r>; PREPARED]> {
    let (mut prepared, mut fetched) = (SmallVec::new(), SmallVec::<[u64; PREPARED]>::new());
    let mut last = None;
    for args in requests {
        let mut request = Prepared::from(args);
        if let Lookup::Found(command) = table().lookup(args) {
            request.command = Some(command);
            let key = command.single_key.and_then(|at| args.get(at));
            request.hash = key.map(|key| server.keyspace.hash(key.bytes()));
        }
        if let Some(hash) = request.hash
            && last.replace(hash) != Some(hash)
            && on_table(client, server, hash, Table::prefetch_bucket) == Some(true)
        {
            fetched.push(hash);
        }
        prepared.push(request);
    }
    for hash in fetched {
        on_table(client, server, hash, Table::prefetch_entry);
    }
    let elements = |request: &Prepared<'_>| request.element().map(|_| request.hash);
    for run in prepared.chunk_by(|a, b| elements(a).is_some() && elements(a) == elements(b)) {
        if run.len() > 1 {
            prefetch_elements(client, server, run);
        }
    }
    prepared
}

/// Asks for the memory of the elements of one collection that these requests are about.
fn prefetch_elements(client: &Client, server: &Server, requests: &[Prepared<'_>]) {
    let elements: SmallVec<[&[u8]; PREPARED]> = requests.iter().filter_map(Prepared::element).collect();
    let Some(Prepared { args, command: Some(Command { single_key: Some(at), .. }), hash: Some(hash) }) =
        requests.first()
    else {
        return;
    };
    on_table(client, server, *hash, |table, hash| {
        let entry = table.find(hash, args[*at].bytes()).map(|at| table.at(at));
        if let Some(Stored::Object(object)) = entry.map(Entry::stored) {
            object.read().prefetch(&elements);
        }
    });
}

/// Shows the table in which a key of this hash would be; `None`: its shard is busy.
fn on_table<R>(
    client: &Client,
    server: &Server,
    hash: u64,
    look: impl FnOnce(&Table, u64) -> R,
) -> Option<R> {
    let shard = server.keyspace.slot(shard_of(hash)).try_lock()?;
    Some(look(shard.db(client.db).table(), hash))
}

/// The circumstances of a unit that begins now.
fn moment(client: &Client, server: &Server, now_ms: i64) -> Moment {
    let viewer = match client.kind {
        Kind::Master => Viewer::MasterStream,
        // At the end nothing may enter the log any more, expired keys' DELs neither.
        Kind::Normal if server.is_replica() || server.is_ending() => Viewer::OnReplica,
        Kind::Normal => Viewer::OnMaster,
    };
    Moment {
        now_ms,
        viewer,
        access: server.access_policy(),
        no_touch: client.shared.has(ClientFlags::NO_TOUCH),
        seed: server.next_seed(),
        events: server.events(),
    }
}

/// An error before the command ran: counted as rejected, and the end of a transaction.
fn reject(client: &mut Client, server: &Server, command: Option<&Command>, error: &Error, out: &mut Out) {
    let ends_transaction = command.is_some_and(|command| command.row.flags.contains(Flags::QUEUED_SHARDS));
    if ends_transaction {
        // Even when there is none: that EXEC was refused is told, and counted, in EXEC's way.
        let aborted = Error::exec_aborted(error);
        server.stats.rejected(command, &aborted);
        client.end_transaction();
        transaction::forget_watches(client, &server.keyspace);
        Reply::new(out, client.proto).error(&aborted);
        return;
    }
    server.stats.rejected(command, error);
    if let Some(transaction) = &mut client.transaction {
        transaction.aborted = true;
    }
    Reply::new(out, client.proto).error(error);
}

fn queue(client: &mut Client, command: &'static Command, args: &[Arg<'_>]) {
    let transaction = client.transaction.as_mut().expect("asked by the caller");
    if transaction.aborted || client.watch_flag.load(Relaxed) {
        // EXEC will run nothing: nothing is kept for it.
        return;
    }
    transaction.queued.push(Queued { command, args: args.iter().map(OwnedArg::from).collect() });
    client.shared.queued.store(transaction.queued.len() as i64, Relaxed);
    let bytes = args.iter().map(|arg| arg.bytes().len()).sum();
    client.shared.queued_bytes.fetch_add(bytes, Relaxed);
}

/// What a client in MONITOR may not do.
const USES_KEYSPACE: Flags = Flags::WRITE.union(Flags::READONLY).union(Flags::MAY_REPLICATE);

/// May the client run this command now?
fn gate(client: &Client, server: &Server, command: &Command, argc: usize) -> Result<(), Error> {
    let row = command.row;
    if !row.arity_ok(argc) {
        return Err(Error::arity(row.name));
    }
    if client.kind == Kind::Master {
        return Ok(());
    }
    if !client.authenticated && server.auth.is_required() && !row.flags.contains(Flags::NO_AUTH) {
        return Err(error::NO_AUTH);
    }
    // What runs at once inside MULTI says itself what is wrong with that.
    let refused = row.flags.contains(Flags::NO_MULTI) && !row.flags.contains(Flags::NOT_QUEUED);
    if refused && client.transaction.is_some() {
        return Err(Error::err("Command not allowed inside a transaction"));
    }
    if client.proto == Proto::Resp2 && client.subscriptions() > 0 && !row.flags.contains(Flags::SUBSCRIBED) {
        return Err(Error::err(format!(
            "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            row.name
        )));
    }
    if client.shared.has(ClientFlags::MONITOR) && row.flags.intersects(USES_KEYSPACE) {
        return Err(error::MONITOR_KEYSPACE);
    }
    server.admits(row)
}

/// The shards that a command needs, and where its keys are with their hashes, as far as it names them.
struct LockSet {
    shards: ShardSet,
    hashed: SmallVec<[(usize, u64); 1]>,
}

/// The positions of a command's keys; `None`: it may use any key. Arguments that contradict the key specs are no keys: the
/// handler says what is wrong with them.
fn key_positions(row: &Row, args: &[Arg<'_>]) -> Option<Positions> {
    if row.flags.contains(Flags::ALL_SHARDS) {
        return None;
    }
    if let Some(reach) = row.reach {
        return reach(Args(args));
    }
    let of_spec = |spec: &KeySpec| spec.positions(args.len(), |at| args[at].bytes()).unwrap_or_default();
    Some(row.keys.iter().flat_map(of_spec).collect())
}

#[inline]
fn lock_set(client: &Client, server: &Server, command: &Command, request: &Prepared<'_>) -> LockSet {
    let (row, args) = (command.row, request.args);
    if let Some(at) = command.single_key {
        let hash = request.hash.unwrap_or_else(|| server.keyspace.hash(args[at].bytes()));
        return LockSet { shards: smallvec![shard_of(hash)], hashed: smallvec![(at, hash)] };
    }
    let Some(hashed) = hashed_keys(server, row, args) else { return all_shards() };
    let shard = |(_, hash): &(usize, u64)| shard_of(*hash);
    let mut shards: ShardSet = hashed.iter().map(shard).collect();
    if row.flags.contains(Flags::QUEUED_SHARDS) {
        for queued in client.transaction.iter().flat_map(|transaction| &transaction.queued) {
            if queued.command.row.flags.contains(Flags::EXEC_ALL_SHARDS) {
                return all_shards();
            }
            let args: SmallVec<[Arg<'_>; 8]> = queued.args.iter().map(OwnedArg::as_arg).collect();
            let Some(hashed) = hashed_keys(server, queued.command.row, &args) else { return all_shards() };
            shards.extend(hashed.iter().map(shard));
        }
    }
    if row.flags.contains(Flags::WATCHED_SHARDS) {
        shards.extend(client.watched.iter().map(|watched| shard_of(server.keyspace.hash(&watched.key))));
    }
    shards.sort_unstable();
    shards.dedup();
    LockSet { shards, hashed }
}

fn all_shards() -> LockSet {
    LockSet { shards: (0..SHARDS).collect(), hashed: SmallVec::new() }
}

/// Where a command's keys are, and their hashes; `None`: it may use any key.
fn hashed_keys(server: &Server, row: &Row, args: &[Arg<'_>]) -> Option<SmallVec<[(usize, u64); 1]>> {
    let positions = key_positions(row, args)?;
    Some(positions.into_iter().map(|at| (at, server.keyspace.hash(args[at].bytes()))).collect())
}

fn lock<'k>(keyspace: &'k Keyspace, shards: &[usize], tries: u32) -> Result<Held<'k>, Busy> {
    match Held::try_many(keyspace, shards) {
        Ok(held) => Ok(held),
        Err(_) if tries >= PATIENCE => Ok(Held::many(keyspace, shards)),
        Err(_) => Err(Busy),
    }
}

/// Does the command read keys that it does not name (SCAN, RANDOMKEY)? What it finds expired has nothing to do with each
/// other.
fn is_about_any_key(row: &Row) -> bool {
    row.keys.is_empty() && row.flags.contains(Flags::READONLY.union(Flags::ALL_SHARDS))
}

/// Runs a command whose shards are held and collects its effects.
fn run(
    unit: Unit<'_, '_>,
    command: &'static Command,
    args: &[Arg<'_>],
    out: &mut Out,
    in_transaction: bool,
) -> Result<(), Error> {
    let Unit { client, server, view, effects } = unit;
    let (changes, db, end) = (view.changes(), client.db, out.end());
    let mut call = Call {
        args: Args(args),
        reply: Reply::new(out, client.proto),
        view,
        client,
        server,
        command,
        in_transaction,
        effects,
        trace: Trace::AsIs,
    };
    let result = (command.row.handler)(&mut call);
    let trace = std::mem::take(&mut call.trace);
    effects.add_expired(view, server.lazy_expire());
    match trace {
        Trace::AsIs if view.changes() > changes && command.row.is_write() => effects.add_as_is(db, args),
        Trace::Forced => effects.add_as_is(db, args),
        Trace::Instead(requests) if effects.wanted => {
            effects.list.extend(requests.into_iter().map(|request| Effect { db, request }));
        }
        Trace::AsIs | Trace::Instead(_) | Trace::Nothing => {}
    }
    if let Err(error) = &result {
        out.truncate(end);
        Reply::new(out, client.proto).error(error);
    }
    if !client.stands_in {
        server.monitors.feed(server, client, command, args);
    }
    client.redacted.clear();
    result
}

/// Tells those who listen what has happened to keys.
#[inline]
fn tell_events(client: &mut Client, server: &Server, view: &mut View<'_>) {
    if view.has_events() {
        tell_some_events(client, server, view);
    }
}

#[cold]
fn tell_some_events(client: &mut Client, server: &Server, view: &mut View<'_>) {
    let (now_ms, id) = (view.now_ms(), client.id());
    for published in view.take_events().iter().flat_map(|event| events(server, event, id, now_ms)) {
        client.called.extend(published.called);
        client.has_own_mail |= published.to_sender;
    }
}

/// Publishes one event on the channels that are asked for. `client`: the number of the client whose doing it was, or 0.
pub fn events(
    server: &Server,
    event: &KeyEvent,
    client: u64,
    now_ms: i64,
) -> impl Iterator<Item = Published> {
    let KeyEvent { event, db, key } = event;
    let (told, name) = (server.events(), event.name.as_bytes());
    let publish = |kind: &str, of: &[u8], payload: &[u8]| {
        let channel = [format!("__{kind}@{db}__:").as_bytes(), of].concat();
        server.pubsub.publish(&channel, &Arg::Slice(payload), client, now_ms)
    };
    let by_key = told.contains(Class::KEYSPACE).then(|| publish("keyspace", key, name));
    let by_event = told.contains(Class::KEYEVENT).then(|| publish("keyevent", name, key));
    by_key.into_iter().chain(by_event)
}

/// The one door through which effects leave: into the log, while the unit's shards are still held.
pub fn propagate(client: &mut Client, server: &Server, effects: Effects) {
    if client.kind == Kind::Master {
        if client.transaction.is_none() {
            server.log.append_verbatim(&mut client.verbatim, client.db);
            client.log_grew = true;
        }
        return;
    }
    if !effects.list.is_empty() {
        server.log.append_unit(&effects.list);
        client.log_grew = true;
    }
}
