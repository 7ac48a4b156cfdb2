//! Two servers that are given the same commands, and the comparison of all they say.
//!
//! The oracle answers first and decides how many replies a command has (see `session`); the server under
//! test must then give as many. Commands go out in batches, both servers work on a batch at the same time,
//! and a batch belongs to one connection: between connections the order is therefore the same on both.
//!
//! Published messages are the one thing that may come at any time, so they are set aside as they come, and
//! compared in their order when a connection is drained.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::compare;
use crate::session::{Session, is_message};
use crate::support::client::{Client, Value, encode_command, is_closed};
use crate::support::server::{Server, binary_under_test, find_redis};
use crate::support::wait_until;
use crate::syntax::{Args, name, show};
use crate::wanted;

/// How long the server under test may be silent when the oracle has answered.
const REPLY_DEADLINE: Duration = Duration::from_secs(10);

/// Databases that generated commands use, and a neighbour that they must not touch.
pub const DATABASES: usize = 4;

/// The most bytes sent before replies are read: more could block both ends at once.
const BATCH_BYTES: usize = 128 * 1024;

/// What both servers are started with.
const SERVER_ARGS: &[&str] = &["--enable-debug-command", "yes"];

/// Directives that generated commands change, and what they are reset to.
pub const CHANGED_DIRECTIVES: &[(&str, &str)] = &[
    ("slowlog-max-len", "128"),
    ("lfu-decay-time", "1"),
    ("hash-max-listpack-entries", "128"),
    ("proto-max-bulk-len", "536870912"),
    ("hll-sparse-max-bytes", "3000"),
    ("tcp-keepalive", "300"),
];

/// One command on one of the paired connections.
#[derive(Clone, Debug)]
pub struct Step {
    pub connection: usize,
    pub args: Args,
}

/// Two replies (or data sets) that should have been the same.
#[derive(Debug)]
pub struct Difference {
    /// The index of the step, of those given.
    pub at: usize,
    /// What was compared: a command, or what a checkpoint looked at.
    pub what: String,
    pub oracle: String,
    pub tested: String,
    /// The oracle itself did not answer as the model of a session expects: nothing was compared.
    pub is_unmodelled: bool,
    /// Nothing behind it can be compared: a connection was closed, or replies cannot be told apart.
    pub is_final: bool,
}

/// What a server did about one command.
#[derive(Debug, PartialEq)]
enum Outcome {
    Replies(Vec<Value>),
    /// It closed the connection, after these replies.
    Closed(Vec<Value>),
    /// Nothing more came before the deadline, or something that is not RESP.
    Failed(String),
}

/// One server's end of a connection.
struct Line {
    client: Client,
    messages: Vec<Value>,
    id: i64,
}

/// One server and its ends of the connections.
struct Side {
    server: Server,
    admin: Client,
    lines: Vec<Option<Line>>,
}

/// The oracle and the server under test.
pub struct Pair {
    oracle: Side,
    tested: Side,
    sessions: Vec<Session>,
    /// The protocol (2 or 3) that a new connection of this index starts in.
    protocols: Vec<u8>,
    /// Whether arguments have `{id0}`, `{addr0}` and `{laddr0}` replaced (edge cases only).
    placeholders: bool,
    deadline: Duration,
}

impl Pair {
    /// Starts both; `None` (and a word about it) where there is no oracle. `protocols` has one entry for each
    /// paired connection.
    pub fn start(protocols: &[u8]) -> Option<Pair> {
        Pair::of(&binary_under_test(), &[], protocols)
    }

    /// The oracle beside any server, which gets `args` too: to test the tests.
    pub fn of(tested: &Path, args: &[&str], protocols: &[u8]) -> Option<Pair> {
        let oracle = Side::new(Server::start(&find_redis()?, SERVER_ARGS));
        let tested = Side::new(Server::start(tested, &[SERVER_ARGS, args].concat()));
        let mut pair = Pair {
            oracle,
            tested,
            sessions: Vec::new(),
            protocols: Vec::new(),
            placeholders: false,
            deadline: REPLY_DEADLINE,
        };
        pair.reset(protocols);
        Some(pair)
    }

    /// Empties both servers (starts again what has crashed), sets their directives back and closes all paired connections.
    pub fn reset(&mut self, protocols: &[u8]) {
        for side in [&mut self.oracle, &mut self.tested] {
            side.revive();
            side.lines = protocols.iter().map(|_| None).collect();
            side.wait_for_solitude();
            side.admin.line("FLUSHALL");
            side.admin.line("DEBUG SET-ACTIVE-EXPIRE 1");
            for (directive, value) in CHANGED_DIRECTIVES {
                side.admin.call(&["CONFIG", "SET", directive, value]);
            }
        }
        self.protocols = protocols.to_vec();
        self.sessions = protocols.iter().map(|_| Session::default()).collect();
    }

    /// Turns on `{id0}`, `{addr0}` and `{laddr0}` in arguments.
    pub fn use_placeholders(&mut self) {
        self.placeholders = true;
    }

    /// Sets how long the server under test may be silent.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// Gives all steps to both and compares; the first difference ends it.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Difference> {
        let mut start = 0;
        while start < steps.len() {
            let end = batch_end(steps, start);
            let differences = self.run_batch(&steps[start..end]);
            if let Some(first) = differences.into_iter().next() {
                return Err(first.after(start));
            }
            start = end;
        }
        Ok(())
    }

    /// Like [`Pair::run`], but goes on behind a difference while it is clear which reply is whose.
    pub fn run_all(&mut self, steps: &[Step]) -> Vec<Difference> {
        let mut all: Vec<Difference> = Vec::new();
        let mut start = 0;
        while start < steps.len() && !all.last().is_some_and(|last| last.is_final) {
            let end = batch_end(steps, start);
            let differences = self.run_batch(&steps[start..end]);
            all.extend(differences.into_iter().map(|difference| difference.after(start)));
            start = end;
        }
        all
    }

    /// A batch of one connection.
    fn run_batch(&mut self, batch: &[Step]) -> Vec<Difference> {
        let connection = batch[0].connection;
        let protocol = self.protocols[connection];
        self.oracle.open(connection, protocol);
        self.tested.open(connection, protocol);
        for side in [&mut self.oracle, &mut self.tested] {
            side.send(connection, batch, self.placeholders);
        }
        let (oracle, queued) = match self.oracle_outcomes(batch) {
            Ok(outcomes) => outcomes,
            Err(difference) => return vec![difference],
        };
        let mut differences = Vec::new();
        for (at, ((step, outcome), queued)) in batch.iter().zip(&oracle).zip(&queued).enumerate() {
            let theirs = self.tested.outcome_like(connection, outcome, self.deadline);
            if !same_outcome(&step.args, queued, outcome, &theirs) {
                let is_final = !matches!((outcome, &theirs), (Outcome::Replies(ours), Outcome::Replies(_)) if ours.len() == 1);
                let (oracle, tested) = (outcome.shown(), theirs.shown());
                differences
                    .push(Difference { is_final, ..Difference::new(at, show(&step.args), oracle, tested) });
                if is_final {
                    return differences;
                }
            }
        }
        if matches!(oracle.last(), Some(Outcome::Closed(_))) {
            self.close(connection);
        }
        differences
    }

    /// Reads the oracle's replies to a batch, up to a close; with each, the commands that EXEC's reply answers.
    fn oracle_outcomes(&mut self, batch: &[Step]) -> Result<(Vec<Outcome>, Vec<Vec<Args>>), Difference> {
        let (mut outcomes, mut queued) = (Vec::new(), Vec::new());
        for (at, step) in batch.iter().enumerate() {
            let session = &mut self.sessions[step.connection];
            let line = self.oracle.line(step.connection);
            let outcome = line.outcome(self.deadline, |first| session.reply_count(&step.args, first));
            if let Outcome::Failed(problem) = &outcome {
                return Err(Difference::unmodelled(at, &step.args, problem));
            }
            let (Outcome::Replies(replies) | Outcome::Closed(replies)) = &outcome else { unreachable!() };
            queued.push(session.observe(&step.args, replies));
            let closed = matches!(outcome, Outcome::Closed(_));
            outcomes.push(outcome);
            if closed {
                break;
            }
        }
        let unread = self.oracle.line(batch[0].connection).client.unread();
        if outcomes.len() == batch.len() && !unread.is_empty() {
            let problem = format!("more than expected: {}", unread.escape_ascii());
            return Err(Difference::unmodelled(batch.len() - 1, &batch[batch.len() - 1].args, &problem));
        }
        Ok((outcomes, queued))
    }

    fn close(&mut self, connection: usize) {
        self.sessions[connection] = Session::default();
        self.oracle.lines[connection] = None;
        self.tested.lines[connection] = None;
    }

    /// Compares the data sets of both, and the messages that every connection has got.
    pub fn checkpoint(&mut self, at: usize) -> Result<(), Difference> {
        for connection in 0..self.sessions.len() {
            self.compare_messages(connection).map_err(|difference| difference.after(at))?;
        }
        let (oracle, tested) = (self.oracle.data_set(), self.tested.data_set());
        for (ours, theirs) in oracle.iter().zip(&tested) {
            if !compare::same(&ours.0, &[], &ours.1, &theirs.1) || ours.0 != theirs.0 {
                let shown = |one: &(Args, Value)| format!("{} → {}", show(&one.0), one.1);
                let (oracle, tested) = (shown(ours), shown(theirs));
                return Err(Difference::new(at, "the data sets at a checkpoint".into(), oracle, tested));
            }
        }
        assert_eq!(oracle.len(), tested.len(), "equal keys give equal questions");
        Ok(())
    }

    fn compare_messages(&mut self, connection: usize) -> Result<(), Difference> {
        if !self.sessions[connection].can_ping() || self.oracle.lines[connection].is_none() {
            return Ok(());
        }
        self.run(&[Step { connection, args: vec![b"PING".to_vec(), b"drain".to_vec()] }])?;
        let mut ours = std::mem::take(&mut self.oracle.line(connection).messages);
        let deadline = self.deadline;
        let line = self.tested.line(connection);
        while line.messages.len() < ours.len() && line.take_message(deadline) {}
        let mut theirs = std::mem::take(&mut line.messages);
        sort_by_pattern(&mut ours);
        sort_by_pattern(&mut theirs);
        if ours == theirs {
            return Ok(());
        }
        let first = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
        let shown = |all: &[Value]| all.get(first).map_or("(none)".into(), Value::to_string);
        let what = format!("published message {first} of {} on connection {connection}", ours.len());
        Err(Difference::new(0, what, shown(&ours), shown(&theirs)))
    }

    /// Sends raw bytes on a new connection to each, and compares all that comes until the end, which this side
    /// brings about by closing its half; with `patience` it is compared before whether the server closes on
    /// its own within that time.
    pub fn run_raw(&mut self, bytes: &[u8], patience: Option<Duration>) -> Result<(), Difference> {
        let mut ours = self.oracle.server.connect();
        let mut theirs = self.tested.server.connect();
        for client in [&mut ours, &mut theirs] {
            // A server that closes early is not an error here.
            let _ = client.send_raw(bytes);
        }
        let (mut oracle, mut tested) = ((Vec::new(), false), (Vec::new(), false));
        if let Some(patience) = patience {
            oracle = ours.read_until_closed(patience);
            tested = theirs.read_until_closed(patience);
            // One that closes may only be the faster: the other gets its time.
            match (oracle.1, tested.1) {
                (true, false) => theirs.read_on(&mut tested, self.deadline),
                (false, true) => ours.read_on(&mut oracle, self.deadline),
                _ => {}
            }
        }
        for (client, (seen, closed)) in [(&mut ours, &mut oracle), (&mut theirs, &mut tested)] {
            if !*closed {
                client.finish_sending();
                seen.extend(client.read_until_closed(self.deadline).0);
            }
        }
        let normal = |seen: &[u8], closed| (wanted::without_identity(seen), closed);
        let same = normal(&oracle.0, oracle.1) == normal(&tested.0, tested.1);
        let same = same || wanted::refuses_a_long_line(bytes, &tested.0);
        if same || oracle.0 == tested.0 && wanted::closes_a_deaf_connection(bytes, oracle.1, tested.1) {
            return Ok(());
        }
        let shown = |(seen, closed): &(Vec<u8>, bool)| format!("{} (closed: {closed})", seen.escape_ascii());
        let what = format!("the bytes \"{}\"", bytes.escape_ascii());
        Err(Difference::new(0, what, shown(&oracle), shown(&tested)))
    }
}

impl Difference {
    fn new(at: usize, what: String, oracle: String, tested: String) -> Difference {
        Difference { at, what, oracle, tested, is_unmodelled: false, is_final: false }
    }

    fn unmodelled(at: usize, args: &[Vec<u8>], problem: &str) -> Difference {
        let oracle = format!("answers otherwise than the model of a session expects: {problem}");
        let difference = Difference::new(at, show(args), oracle, "(not asked)".into());
        Difference { is_unmodelled: true, is_final: true, ..difference }
    }

    fn after(mut self, steps: usize) -> Difference {
        self.at += steps;
        self
    }
}

/// Where the batch that starts at `start` ends: at another connection, at a size, or behind a QUIT (whether
/// anything that follows is still read is a race).
fn batch_end(steps: &[Step], start: usize) -> usize {
    let mut bytes = 0;
    let mut end = start;
    while end < steps.len() && steps[end].connection == steps[start].connection && bytes < BATCH_BYTES {
        bytes += steps[end].args.iter().map(Vec::len).sum::<usize>();
        end += 1;
        if name(&steps[end - 1].args) == "QUIT" {
            break;
        }
    }
    end
}

/// A message that several patterns of a client match comes once for each, in an order that nothing defines.
fn sort_by_pattern(messages: &mut [Value]) {
    let published = |message: &Value| message.items().map(|items| items[items.len() - 2..].to_vec());
    for same in messages.chunk_by_mut(|one, next| {
        let kinds = [one, next].map(|message| message.items().map(<[Value]>::len));
        kinds == [Some(4), Some(4)] && published(one) == published(next)
    }) {
        same.sort_by_cached_key(Value::encode);
    }
}

fn same_outcome(args: &[Vec<u8>], queued: &[Args], oracle: &Outcome, tested: &Outcome) -> bool {
    let (ours, theirs) = match (oracle, tested) {
        (Outcome::Replies(ours), Outcome::Replies(theirs)) => (ours, theirs),
        (Outcome::Closed(ours), Outcome::Closed(theirs)) => (ours, theirs),
        _ => return false,
    };
    match (ours.as_slice(), theirs.as_slice()) {
        ([ours], [theirs]) => compare::same(args, queued, ours, theirs),
        _ => compare::same(args, queued, &Value::Array(ours.clone()), &Value::Array(theirs.clone())),
    }
}

impl Outcome {
    fn shown(&self) -> String {
        let all = |replies: &[Value]| replies.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
        match self {
            Outcome::Replies(replies) => all(replies),
            Outcome::Closed(replies) => format!("{} (closed)", all(replies)),
            Outcome::Failed(problem) => format!("(failed: {problem})"),
        }
    }
}

impl Line {
    /// Reads the replies to one command: `count` is asked without, then with the first reply.
    fn outcome(&mut self, deadline: Duration, count: impl Fn(Option<&Value>) -> usize) -> Outcome {
        self.client.set_deadline(deadline);
        let mut replies = Vec::new();
        while replies.len() < count(replies.first()) {
            match self.client.read_reply() {
                Ok(reply) if is_message(&reply.value) => self.messages.push(reply.value),
                Ok(reply) => replies.push(reply.value),
                Err(error) if is_closed(&error) => return Outcome::Closed(replies),
                Err(error) => return Outcome::Failed(format!("{error} after {} replies", replies.len())),
            }
        }
        Outcome::Replies(replies)
    }

    /// Waits for one more message; says whether one came.
    fn take_message(&mut self, deadline: Duration) -> bool {
        self.client.set_deadline(deadline);
        let message = self.client.read_reply().ok().filter(|reply| is_message(&reply.value));
        let came = message.is_some();
        self.messages.extend(message.map(|reply| reply.value));
        came
    }
}

impl Side {
    fn new(server: Server) -> Side {
        let admin = server.connect();
        Side { server, admin, lines: Vec::new() }
    }

    fn revive(&mut self) {
        if !self.server.is_running() {
            self.server.start_again();
            self.admin = self.server.connect();
        }
    }

    /// Waits until the server has forgotten all connections but the admin's: what is said of clients and channels would
    /// otherwise depend on how fast it notices that a client has gone.
    fn wait_for_solitude(&mut self) {
        let alone = || self.admin.line("CLIENT LIST").text().lines().count() == 1;
        wait_until("the server has forgotten the closed connections", REPLY_DEADLINE, alone);
    }

    fn line(&mut self, connection: usize) -> &mut Line {
        self.lines[connection].as_mut().expect("the connection is open")
    }

    /// Reads what corresponds to the oracle's outcome: as many replies, and the close if there was one.
    fn outcome_like(&mut self, connection: usize, oracle: &Outcome, deadline: Duration) -> Outcome {
        let count = match oracle {
            Outcome::Replies(replies) => replies.len(),
            Outcome::Closed(replies) => replies.len() + 1,
            Outcome::Failed(problem) => unreachable!("the oracle failed: {problem}"),
        };
        self.line(connection).outcome(deadline, |_| count)
    }

    fn open(&mut self, connection: usize, protocol: u8) {
        if self.lines[connection].is_none() {
            let mut client = self.server.connect();
            let id = client.line("CLIENT ID").int().unwrap_or_default();
            if protocol == 3 {
                client.line("HELLO 3");
            }
            self.lines[connection] = Some(Line { client, messages: Vec::new(), id });
        }
    }

    fn send(&mut self, connection: usize, batch: &[Step], placeholders: bool) {
        let mut bytes = Vec::new();
        for step in batch {
            if placeholders {
                let args: Args = step.args.iter().map(|arg| self.substitute(arg)).collect();
                bytes.extend(encode_command(&args));
            } else {
                bytes.extend(encode_command(&step.args));
            }
        }
        match self.line(connection).client.send_raw(&bytes) {
            // That it is closed will be seen where the reply is read.
            Err(error) if !is_closed(&error) => panic!("sending a batch: {error}"),
            _ => {}
        }
    }

    /// `{id0}`, `{addr0}` and `{laddr0}` as this server knows connection 0.
    fn substitute(&self, arg: &[u8]) -> Vec<u8> {
        let Some(inside) = arg.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")) else {
            return arg.to_vec();
        };
        let Some((digit @ b'0'..=b'9', kind)) = inside.split_last() else { return arg.to_vec() };
        let Some(Some(line)) = self.lines.get(usize::from(digit - b'0')) else { return arg.to_vec() };
        match kind {
            b"id" => line.id.to_string().into_bytes(),
            b"addr" => line.client.local_addr().to_string().into_bytes(),
            b"laddr" => self.server.addr().to_string().into_bytes(),
            _ => arg.to_vec(),
        }
    }

    /// Questions and answers that describe the whole data set, in an order of their own.
    fn data_set(&mut self) -> Vec<(Args, Value)> {
        let mut asked = vec![self.ask(vec![args("DEBUG DIGEST")])];
        for database in 0..DATABASES {
            asked.push(self.ask(vec![args(&format!("SELECT {database}")), args("DBSIZE")]));
            let keys = self.admin.line("KEYS *");
            let mut keys: Vec<Vec<u8>> = keys
                .items()
                .unwrap_or_default()
                .iter()
                .filter_map(Value::bytes)
                .map(<[u8]>::to_vec)
                .collect();
            keys.sort();
            asked.push(self.ask(keys.iter().flat_map(|key| about_key(key)).collect()));
        }
        asked.concat()
    }

    /// Asks all at once.
    fn ask(&mut self, questions: Vec<Args>) -> Vec<(Args, Value)> {
        let bytes: Vec<u8> = questions.iter().flat_map(|question| encode_command(question)).collect();
        let answers = |admin: &mut Client| -> io::Result<Vec<Value>> {
            admin.send_raw(&bytes)?;
            questions.iter().map(|_| admin.read_reply().map(|reply| reply.value)).collect()
        };
        let answers = answers(&mut self.admin)
            .unwrap_or_else(|error| panic!("{}, at a checkpoint: {error}", self.server.addr()));
        questions.into_iter().zip(answers).collect()
    }
}

fn args(line: &str) -> Args {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// What a checkpoint asks about a key.
fn about_key(key: &[u8]) -> Vec<Args> {
    let with_key = |line: &str| {
        let mut question = args(line);
        question.push(key.to_vec());
        question
    };
    ["DEBUG DIGEST-VALUE", "TYPE", "GET", "PEXPIRETIME", "OBJECT ENCODING"].map(with_key).into()
}
