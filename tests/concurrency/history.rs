//! A history: what each client sent, when, what it was told, and when.

use super::model::State;
use super::wire::{Command, encode};
use crate::support::client::{Client, Value};
use std::fmt;
use std::io;
use std::time::Instant;

/// What takes effect as one: a command, or a transaction's commands without their MULTI and EXEC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    One(Command),
    Transaction(Vec<Command>),
}

/// One step of one client.
#[derive(Clone, Debug)]
pub struct Event {
    pub step: Step,
    /// Of a transaction: EXEC's.
    pub reply: Value,
    /// Before its first byte was sent, nanoseconds since the round began.
    pub called_ns: u64,
    /// After its last byte came.
    pub answered_ns: u64,
}

/// A round: where it began, and each client's events in the order in which it sent them.
#[derive(Clone, Debug)]
pub struct History {
    pub initial: State,
    pub clients: Vec<Vec<Event>>,
}

/// A step from words: `one("SET k v")`.
pub fn one(line: &str) -> Step {
    Step::One(words(line))
}

/// A transaction from its commands: `transaction(&["INCR a", "GET b"])`.
pub fn transaction(lines: &[&str]) -> Step {
    Step::Transaction(lines.iter().map(|line| words(line)).collect())
}

fn words(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

impl Step {
    /// As it goes over the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |command: &Command| {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            out.extend(encode(&words));
        };
        match self {
            Step::One(command) => put(command),
            Step::Transaction(commands) => {
                put(&words("MULTI"));
                commands.iter().for_each(&mut put);
                put(&words("EXEC"));
            }
        }
    }

    /// Reads what the server answers to it; what leads up to EXEC must be `+OK` and `+QUEUED`.
    pub fn read_reply(&self, client: &mut Client) -> io::Result<Value> {
        if let Step::Transaction(commands) = self {
            let multi = client.read_reply()?.value;
            assert_eq!(multi.text(), "OK", "MULTI: {multi}");
            for command in commands {
                let queued = client.read_reply()?.value;
                assert_eq!(queued.text(), "QUEUED", "{}: {queued}", shown(command));
            }
        }
        Ok(client.read_reply()?.value)
    }
}

/// Sends steps in one write and reads their replies: they are all under way at the same time, in their order.
///
/// # Panics
///
/// When the connection fails: a history with unanswered steps is of no use here.
pub fn record(client: &mut Client, steps: Vec<Step>, began: Instant, into: &mut Vec<Event>) {
    let mut bytes = Vec::new();
    steps.iter().for_each(|step| step.encode(&mut bytes));
    let called_ns = began.elapsed().as_nanos() as u64;
    client.send_raw(&bytes).expect("send the steps");
    for step in steps {
        let reply = step.read_reply(client).unwrap_or_else(|error| panic!("{step}: {error}"));
        into.push(Event { step, reply, called_ns, answered_ns: began.elapsed().as_nanos() as u64 });
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::One(command) => write!(f, "{}", shown(command)),
            Step::Transaction(commands) => {
                let commands: Vec<String> = commands.iter().map(shown).collect();
                write!(f, "MULTI [{}] EXEC", commands.join("; "))
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} => {}", self.step, self.reply)
    }
}

/// Sorted by the time of the call.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from {}", self.initial)?;
        let numbered = self.clients.iter().enumerate();
        let mut events: Vec<(usize, &Event)> =
            numbered.flat_map(|(client, events)| events.iter().map(move |event| (client, event))).collect();
        events.sort_by_key(|(_, event)| (event.called_ns, event.answered_ns));
        for (client, event) in events {
            let (called, answered) = (event.called_ns as f64 / 1e3, event.answered_ns as f64 / 1e3);
            writeln!(f, "  [{called:>9.1} to {answered:>9.1} us] client {client}: {event}")?;
        }
        Ok(())
    }
}

fn shown(command: &Command) -> String {
    command.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}
