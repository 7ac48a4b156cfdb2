//! A storm: several connections that write as fast as they can, a wide mix of commands on all types over few keys, and others
//! that wait for elements, from a seed.
//!
//! Keys fall into classes by what may be done to them (`i:` integers, `f:` floats, `b:` bitmaps, `l:` large values, `s:`
//! any strings, `list:` lists …), so that commands succeed; an error reply that is not one of the expected ones fails the test.
//! Times to live are far away: when the storm is over, the data set stands still.

use super::mix::{self, Mix, line};
use super::topology::Node;
use super::wire::{Command, encode};
use crate::support::client::{Client, Value};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Connections that write.
const WRITERS: u64 = 5;
/// Connections that wait for elements, and how long at most, in seconds.
const WAITERS: u64 = 4;
const WAIT_SECS: &str = "0.02";
/// How other types than strings are written: keys that are hot and, some of them, large.
const COLLECTIONS: mix::Habits = mix::Habits {
    keys: 3,
    members: 300,
    most_at_once: 10,
    large_bytes: 6000,
    short_lives: false,
    fields_expire: false,
};
/// Units (commands or transactions) sent in one write.
const BATCH_UNITS: usize = 12;
/// The databases written to.
const DATABASES: u32 = 3;
/// Keys of a class.
const KEYS: u32 = 8;
/// From here on, strings are large to the server: stored apart, and shared with a snapshot.
const LARGE_BYTES: usize = 16 * 1024;
/// The earliest time to live ends then, Unix milliseconds: in 2096.
const FAR_MS: u64 = 4_000_000_000_000;

/// A running storm; dropping it ends it.
pub struct Storm {
    over: Arc<AtomicBool>,
    units: Arc<AtomicU64>,
    waits: Arc<Waits>,
    clients: Vec<JoinHandle<()>>,
}

/// How the waiting clients fared.
#[derive(Default)]
struct Waits {
    served: AtomicU64,
    in_vain: AtomicU64,
}

impl Storm {
    /// Starts all clients.
    pub fn start(node: &Node, seed: u64) -> Storm {
        Storm::start_with(node, seed, COLLECTIONS)
    }

    /// As [`Storm::start`], and fields of hashes get times to live too, which redis-server 7.0 does not know.
    pub fn start_with_fields_that_expire(node: &Node, seed: u64) -> Storm {
        Storm::start_with(node, seed, mix::Habits { fields_expire: true, ..COLLECTIONS })
    }

    fn start_with(node: &Node, seed: u64, habits: mix::Habits) -> Storm {
        let (over, units, waits) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<Waits>::default());
        let mut clients = Vec::new();
        for number in 0..WRITERS + WAITERS {
            let (mut client, over, units, waits) =
                (node.connect(), over.clone(), units.clone(), waits.clone());
            let rng = StdRng::seed_from_u64(seed * (WRITERS + WAITERS) + number);
            let mut commands = Commands { rng, habits };
            clients.push(std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    if number < WRITERS {
                        write_batch(&mut client, &mut commands);
                        units.fetch_add(BATCH_UNITS as u64, Ordering::Relaxed);
                    } else {
                        wait_once(&mut client, &mut commands, &waits);
                    }
                }
            }));
        }
        Storm { over, units, waits, clients }
    }

    /// Waits until `more` units have been answered from now on.
    pub fn wait_for(&self, more: u64) {
        let goal = self.units.load(Ordering::Relaxed) + more;
        super::topology::eventually("the storm goes on", || {
            assert!(self.clients.iter().all(|client| !client.is_finished()), "a client has ended");
            self.units.load(Ordering::Relaxed) >= goal
        });
    }

    /// Ends it; all that was sent has been answered then.
    ///
    /// # Panics
    ///
    /// When a command was answered with an error of the server's making, or no client ever had to wait, or waited for more than
    /// nothing.
    pub fn stop(mut self) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client of the storm");
        }
        let [served, in_vain] =
            [&self.waits.served, &self.waits.in_vain].map(|count| count.load(Ordering::Relaxed));
        assert!(served > 0 && in_vain > 0, "{served} waits were served, {in_vain} were not");
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn write_batch(client: &mut Client, commands: &mut Commands) {
    let batch: Vec<Command> = (0..BATCH_UNITS).flat_map(|_| commands.unit()).collect();
    let bytes: Vec<u8> = batch.iter().flat_map(encode_command).collect();
    client.send_raw(&bytes).expect("send a batch");
    for command in &batch {
        let reply = client.read_reply().expect("a reply to the storm").value;
        let replies = reply.items().unwrap_or(std::slice::from_ref(&reply));
        replies.iter().for_each(|reply| assert_expected(command, reply));
    }
}

/// One command that may wait, often of keys that are not there.
fn wait_once(client: &mut Client, commands: &mut Commands, waits: &Waits) {
    let wide = mix::Habits { keys: u64::from(KEYS), ..commands.habits };
    let command = commands.mixed(wide, |mix| mix.blocking(WAIT_SECS));
    for command in [commands.select(), command] {
        let reply = client.call(&command);
        assert_expected(&command, &reply);
        match reply {
            Value::NullBulk | Value::NullArray => waits.in_vain.fetch_add(1, Ordering::Relaxed),
            Value::Array(_) | Value::Bulk(_) => waits.served.fetch_add(1, Ordering::Relaxed),
            _ => continue,
        };
    }
}

/// An error may depend on what the others do.
fn assert_expected(command: &Command, reply: &Value) {
    let known = || mix::EXPECTED_ERRORS.iter().chain(&["UNBLOCKED"]);
    let expected = !reply.is_error() || known().any(|error| reply.text().starts_with(error));
    assert!(expected, "{:.200}: {reply}", super::wire::words(command).join(" "));
}

/// A command as it goes over the wire.
pub fn encode_command(command: &Command) -> Vec<u8> {
    encode(&command.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The commands of one client.
struct Commands {
    rng: StdRng,
    habits: mix::Habits,
}

impl Commands {
    /// A command, or a transaction with its MULTI and EXEC, or a SELECT and a command.
    fn unit(&mut self) -> Vec<Command> {
        match self.rng.random_range(0..20) {
            0..=2 => {
                let mut unit = vec![line("MULTI")];
                for _ in 0..self.rng.random_range(1..6) {
                    unit.push(if self.rng.random_bool(0.2) { self.select() } else { self.write() });
                }
                // In a transaction, nothing waits.
                unit.push(self.mixed(self.habits, |mix| mix.blocking("0")));
                unit.push(line("EXEC"));
                unit
            }
            6 => self.mixed(self.habits, |mix| mix.story()),
            3..=5 => vec![self.select(), self.write()],
            _ => vec![self.write()],
        }
    }

    fn select(&mut self) -> Command {
        line(&format!("SELECT {}", self.number(DATABASES)))
    }

    fn mixed<T>(&mut self, habits: mix::Habits, choose: impl FnOnce(&mut Mix<'_>) -> T) -> T {
        choose(&mut Mix::new(habits, &mut |below| self.rng.random_range(0..below)))
    }

    fn write(&mut self) -> Command {
        match self.rng.random_range(0..200) {
            100..180 => self.mixed(self.habits, |mix| mix.write()),
            180..200 => self.for_waiters(),
            0..40 => self.on_strings(),
            40..52 => self.on_numbers(),
            52..64 => self.on_bits(),
            64..74 => self.on_large(),
            74..86 => self.on_expiry(),
            _ => self.on_keyspace(),
        }
    }

    /// An element, here and there: fewer than the waiting clients could take.
    fn for_waiters(&mut self) -> Command {
        let n = self.number(KEYS);
        line(&match self.rng.random_range(0..4) {
            0 => format!("RPUSH list:{n} waited"),
            1 => format!("ZADD zset:{n} {n} waited"),
            2 => format!("XGROUP CREATE stream:{n} group0 $ MKSTREAM"),
            _ => format!("XADD stream:{n} * waited {n}"),
        })
    }

    fn on_strings(&mut self) -> Command {
        let (key, other) = (self.key("s"), self.key("s"));
        match self.rng.random_range(0..12) {
            0..=2 => with(&format!("SET {key}"), self.short()),
            3 => with(&format!("APPEND {key}"), self.short()),
            4 => {
                let offset = self.number(300);
                with(&format!("SETRANGE {key} {offset}"), self.short())
            }
            5 => with(&format!("GETSET {key}"), self.short()),
            6 => line(&format!("GETDEL {key}")),
            7 => with(&format!("SETNX {key}"), self.short()),
            8 => with(&format!("MSET {other} 1 {key}"), self.short()),
            9 => with(&format!("MSETNX {other} 2 {key}"), self.short()),
            10 => line(&format!("DEL {key} {other}")),
            _ => line(&format!("UNLINK {key}")),
        }
    }

    fn on_numbers(&mut self) -> Command {
        let (i, f, n) = (self.key("i"), self.key("f"), self.number(2000));
        match self.rng.random_range(0..6) {
            0 | 1 => line(&format!("INCR {i}")),
            2 => line(&format!("DECRBY {i} {n}")),
            3 => line(&format!("SET {i} {n}")),
            _ => line(&format!("INCRBYFLOAT {f} {n}.{}", self.number(1000))),
        }
    }

    fn on_bits(&mut self) -> Command {
        let (b, one, other, at) = (self.key("b"), self.key("b"), self.key("s"), self.number(4000));
        match self.rng.random_range(0..6) {
            0..=2 => line(&format!("SETBIT {b} {at} {}", self.number(2))),
            3 => line(&format!("BITOP XOR {b} {one} {other}")),
            4 => line(&format!("BITOP NOT {b} {one}")),
            _ => line(&format!("BITFIELD {b} SET u8 {at} 7 INCRBY i5 #3 1 OVERFLOW FAIL INCRBY u2 {at} 1")),
        }
    }

    fn on_large(&mut self) -> Command {
        let (l, other, at) = (self.key("l"), self.key("l"), self.number(2 * LARGE_BYTES as u32));
        match self.rng.random_range(0..8) {
            0 | 1 => with(&format!("SET {l}"), self.large()),
            2 | 3 => with(&format!("APPEND {l}"), self.short()),
            4 => with(&format!("SETRANGE {l} {at}"), self.short()),
            5 => line(&format!("SETBIT {l} {at} 1")),
            6 => line(&format!("RENAME {l} {other}")),
            _ => line(&format!("COPY {l} {other} REPLACE")),
        }
    }

    fn on_expiry(&mut self) -> Command {
        let (key, at, n) = (self.key("s"), FAR_MS + u64::from(self.number(1_000_000)), self.number(1000));
        match self.rng.random_range(0..9) {
            0 => with(&format!("PSETEX {key} {at}"), self.short()),
            1 => line(&format!("SET {key} {n} EX 90000{n} GET")),
            2 => line(&format!("SET {key} {n} KEEPTTL")),
            3 => line(&format!("EXPIRE {key} 80000{n} NX")),
            4 => line(&format!("PEXPIREAT {key} {at}")),
            5 => line(&format!("PEXPIREAT {key} {at} GT")),
            6 => line(&format!("GETEX {key} PXAT {at}")),
            7 => line(&format!("GETEX {key} PERSIST")),
            _ => line(&format!("PERSIST {key}")),
        }
    }

    fn on_keyspace(&mut self) -> Command {
        let class = ["s", "i", "l", "list", "set", "hash", "zset", "stream"][self.rng.random_range(0..8)];
        let (key, other) = (self.key(class), self.key(class));
        let (db, other_db) = (self.number(DATABASES), self.number(DATABASES));
        match self.rng.random_range(0..100) {
            0..20 => line(&format!("RENAME {key} {other}")),
            20..30 => line(&format!("RENAMENX {key} {other}")),
            30..60 => line(&format!("COPY {key} {other} DB {db} REPLACE")),
            60..90 => line(&format!("MOVE {key} {db}")),
            90..96 => line(&format!("SWAPDB {db} {other_db}")),
            96..98 => line("FLUSHDB"),
            98 => line("FLUSHDB ASYNC"),
            _ => with("PUBLISH storm", self.short()),
        }
    }

    fn key(&mut self, class: &str) -> String {
        format!("{class}:{}", self.number(KEYS))
    }

    fn number(&mut self, below: u32) -> u32 {
        self.rng.random_range(0..below)
    }

    fn short(&mut self) -> Vec<u8> {
        let length = self.rng.random_range(0..60);
        self.bytes(length)
    }

    /// Around the bound from which on it is large.
    fn large(&mut self) -> Vec<u8> {
        let length = self.rng.random_range(LARGE_BYTES - 100..LARGE_BYTES + 1000);
        if self.rng.random_bool(0.3) { self.bytes(length) } else { vec![b'z'; length] }
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}

fn with(start: &str, last: Vec<u8>) -> Command {
    let mut command = line(start);
    command.push(last);
    command
}
