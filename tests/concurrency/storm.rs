//! A storm: several connections that write as fast as they can, a wide mix of commands over few keys, from a seed.
//!
//! Keys fall into classes by what may be done to them (`i:` integers, `f:` floats, `b:` bitmaps, `l:` large values, `s:`
//! anything), so that commands succeed; an error reply that is not one of the expected ones fails the test. Times to live
//! are far away: when the storm is over, the data set stands still.

use super::topology::Node;
use super::wire::{Command, encode};
use crate::support::client::Client;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Connections that write.
const WRITERS: u64 = 5;
/// Units (commands or transactions) sent in one write.
const BATCH_UNITS: usize = 12;
/// The databases written to.
const DATABASES: u32 = 3;
/// Keys of a class.
const KEYS: u32 = 8;
/// From here on, strings are large to the server: stored apart, and shared with a snapshot.
const LARGE_BYTES: usize = 16 * 1024;
/// Errors that depend on what the others do.
const EXPECTED_ERRORS: [&str; 2] = ["ERR no such key", "ERR source and destination objects are the same"];
/// The earliest time to live ends then, Unix milliseconds: in 2096.
const FAR_MS: u64 = 4_000_000_000_000;

/// A running storm; dropping it ends it.
pub struct Storm {
    over: Arc<AtomicBool>,
    units: Arc<AtomicU64>,
    writers: Vec<JoinHandle<()>>,
}

impl Storm {
    /// Starts all writers.
    pub fn start(node: &Node, seed: u64) -> Storm {
        let (over, units) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let writer = |number: u64| {
            let (mut client, over, units) = (node.connect(), over.clone(), units.clone());
            let mut mix = Mix { rng: StdRng::seed_from_u64(seed * WRITERS + number) };
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    write_batch(&mut client, &mut mix);
                    units.fetch_add(BATCH_UNITS as u64, Ordering::Relaxed);
                }
            })
        };
        let writers = (0..WRITERS).map(writer).collect();
        Storm { over, units, writers }
    }

    /// Waits until `more` units have been answered from now on.
    pub fn wait_for(&self, more: u64) {
        let goal = self.units.load(Ordering::Relaxed) + more;
        super::topology::eventually("the storm goes on", || {
            assert!(self.writers.iter().all(|writer| !writer.is_finished()), "a writer has ended");
            self.units.load(Ordering::Relaxed) >= goal
        });
    }

    /// Ends it; all that was sent has been answered then.
    ///
    /// # Panics
    ///
    /// When a command was answered with an error of the server's making.
    pub fn stop(mut self) {
        self.over.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            writer.join().expect("a writer of the storm");
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn write_batch(client: &mut Client, mix: &mut Mix) {
    let batch: Vec<Command> = (0..BATCH_UNITS).flat_map(|_| mix.unit()).collect();
    let bytes: Vec<u8> = batch.iter().flat_map(encode_command).collect();
    client.send_raw(&bytes).expect("send a batch");
    for command in &batch {
        let reply = client.read_reply().expect("a reply to the storm").value;
        let replies = reply.items().unwrap_or(std::slice::from_ref(&reply));
        for reply in replies.iter().filter(|reply| reply.is_error()) {
            let expected = EXPECTED_ERRORS.iter().any(|expected| reply.text().starts_with(expected));
            assert!(expected, "{:.200}: {reply}", super::wire::words(command).join(" "));
        }
    }
}

/// A command as it goes over the wire.
pub fn encode_command(command: &Command) -> Vec<u8> {
    encode(&command.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The commands of one writer.
struct Mix {
    rng: StdRng,
}

impl Mix {
    /// A command, or a transaction with its MULTI and EXEC, or a SELECT and a command.
    fn unit(&mut self) -> Vec<Command> {
        match self.rng.random_range(0..20) {
            0..=2 => {
                let mut unit = vec![line("MULTI")];
                for _ in 0..self.rng.random_range(1..6) {
                    unit.push(if self.rng.random_bool(0.2) { self.select() } else { self.write() });
                }
                unit.push(line("EXEC"));
                unit
            }
            3..=5 => vec![self.select(), self.write()],
            _ => vec![self.write()],
        }
    }

    fn select(&mut self) -> Command {
        line(&format!("SELECT {}", self.number(DATABASES)))
    }

    fn write(&mut self) -> Command {
        match self.rng.random_range(0..100) {
            0..40 => self.on_strings(),
            40..52 => self.on_numbers(),
            52..64 => self.on_bits(),
            64..74 => self.on_large(),
            74..86 => self.on_expiry(),
            _ => self.on_keyspace(),
        }
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
        let class = ["s", "i", "l"][self.rng.random_range(0..3)];
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

fn line(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn with(start: &str, last: Vec<u8>) -> Command {
    let mut command = line(start);
    command.push(last);
    command
}
