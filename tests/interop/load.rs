//! A write load from a seed: commands on all types, in several databases, on few hot keys and on many, at a bounded rate,
//! until stopped.
//!
//! Keys fall into classes by what may be done to them (`i:` holds integers, `f:` floats, `list:` lists, …), so that commands
//! succeed and change something; an error reply that does not depend on what else has happened is remembered and fails the
//! test at [`Load::stop`]. A second connection waits for elements, which the first one then adds. When its connection ends (a restart of the master), the load connects again and goes on.

use super::topology::Node;
use crate::mix::{self, EXPECTED_ERRORS, Mix, line};
use crate::support::client::{Client, encode_command};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Commands sent in one write.
const BATCH_COMMANDS: usize = 8;
/// The pause between batches: with [`BATCH_COMMANDS`], at most 1600 commands a second.
const BATCH_INTERVAL: Duration = Duration::from_millis(5);
/// One of so many batches serves a client that waits.
const BATCHES_PER_WAIT: u32 = 6;
/// Of a hundred writes, how many are about other types than strings.
const COLLECTIONS: f64 = 0.6;
/// How collections are written, on few keys and on many.
const HOT: mix::Habits = mix::Habits {
    keys: 2,
    members: 400,
    most_at_once: 12,
    large_bytes: 5000,
    short_lives: false,
    fields_expire: false,
};
const MANY: mix::Habits = mix::Habits { keys: 40, members: 60, most_at_once: 3, ..HOT };
/// The databases written to.
const DATABASES: [u32; 3] = [0, 1, 9];
/// Now and then a value is of this size: larger than a socket's first window, not so large as to be all the traffic.
const LARGE_VALUE_BYTES: usize = 20 * 1024;

/// Whether the load sets times to live that end while a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Some keys live for 50 to 1500 ms: the master writes DELs for them later, after the load has stopped too.
    Soon,
    /// Times to live are of minutes and more: once the load has stopped, the stream has nothing to say.
    Late,
}

/// A running load; dropping it stops it.
pub struct Load {
    stop: Option<Sender<()>>,
    worker: Option<JoinHandle<Option<String>>>,
    written: Arc<AtomicU64>,
}

impl Load {
    /// Starts writing to `node`.
    pub fn start(node: &Node, seed: u64, expiry: Expiry) -> Load {
        Load::start_with(node, seed, expiry, false)
    }

    /// As [`Load::start`], and fields of hashes get times to live too, which redis-server 7.0 does not know.
    pub fn start_with_fields_that_expire(node: &Node, seed: u64, expiry: Expiry) -> Load {
        Load::start_with(node, seed, expiry, true)
    }

    fn start_with(node: &Node, seed: u64, expiry: Expiry, fields_expire: bool) -> Load {
        let (stop, stopped) = channel();
        let written = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            address: SocketAddr::from(([127, 0, 0, 1], node.port())),
            client: None,
            waiter: None,
            commands: Commands::new(seed, expiry, fields_expire),
            complaint: None,
        };
        let count = Arc::clone(&written);
        let worker = std::thread::spawn(move || {
            while stopped.recv_timeout(BATCH_INTERVAL) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                count.fetch_add(writer.write_batch(), Ordering::SeqCst);
            }
            writer.complaint
        });
        Load { stop: Some(stop), worker: Some(worker), written }
    }

    /// Commands answered so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// Waits until `more` commands have been answered from now on.
    pub fn wait_for(&self, more: u64) {
        let goal = self.written() + more;
        super::topology::eventually("the load goes on", || self.written() >= goal);
    }

    /// Ends the load.
    ///
    /// # Panics
    ///
    /// When one of its commands was answered with an error that is none of its own making.
    pub fn stop(mut self) {
        if let Some(complaint) = self.end() {
            panic!("the load got an error: {complaint}");
        }
    }

    fn end(&mut self) -> Option<String> {
        self.stop = None;
        self.worker.take().and_then(|worker| worker.join().expect("the load's thread"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

struct Writer {
    address: SocketAddr,
    client: Option<Client>,
    waiter: Option<Client>,
    commands: Commands,
    complaint: Option<String>,
}

impl Writer {
    /// Sends one batch and reads its replies; how many came.
    fn write_batch(&mut self) -> u64 {
        let Some(mut client) = self.client.take().or_else(|| Client::connect(self.address).ok()) else {
            return 0;
        };
        let mut batch: Vec<_> =
            std::iter::repeat_with(|| self.commands.next()).take(BATCH_COMMANDS).flatten().collect();
        let waiter = self.begin_to_wait(&mut batch);
        let bytes: Vec<u8> = batch.iter().flat_map(|command| encode_command(command)).collect();
        if client.send_raw(&bytes).is_err() {
            return 0;
        }
        for (answered, command) in (0..).zip(&batch) {
            let Ok(reply) = client.read_reply() else { return answered };
            let replies = reply.value.items().unwrap_or(std::slice::from_ref(&reply.value));
            for reply in replies.iter().filter(|reply| reply.is_error() && !is_expected(&reply.text())) {
                let shown = command.join(&b' ').escape_ascii().to_string();
                self.complaint.get_or_insert(format!("{} to {shown:.100}", reply.text()));
            }
        }
        if let Some(mut waiter) = waiter
            && (0..2).all(|_| waiter.read_reply().is_ok())
        {
            self.waiter = Some(waiter);
        }
        self.client = Some(client);
        batch.len() as u64
    }

    /// Now and then lets the second connection wait for what is put at the beginning of the batch.
    fn begin_to_wait(&mut self, batch: &mut Vec<mix::Command>) -> Option<Client> {
        const PAIRS: [(&str, &str); 6] = [
            ("BLPOP wait:none wait:list 1", "RPUSH wait:list a b c"),
            ("BLMOVE wait:list wait:moved LEFT RIGHT 1", "RPUSH wait:list a b c"),
            ("BLMPOP 1 2 wait:none wait:list LEFT COUNT 2", "LPUSH wait:list a b c"),
            ("BZPOPMIN wait:none wait:zset 1", "ZADD wait:zset 1 a 2 b"),
            ("BZMPOP 1 2 wait:none wait:zset MAX COUNT 2", "ZADD wait:zset 1 a 2 b"),
            (
                "XREADGROUP GROUP group consumer BLOCK 1000 STREAMS wait:stream >",
                "XADD wait:stream * field value",
            ),
        ];
        if self.commands.rng.random_range(0..BATCHES_PER_WAIT) > 0 {
            return None;
        }
        let mut waiter = self.waiter.take().or_else(|| Client::connect(self.address).ok())?;
        let (wait, give) = PAIRS[self.commands.rng.random_range(0..PAIRS.len())];
        let prepare = "XGROUP CREATE wait:stream group $ MKSTREAM";
        let bytes = [prepare, wait].map(|text| encode_command(&line(text))).concat();
        waiter.send_raw(&bytes).ok()?;
        batch.splice(0..0, [line("SELECT 0"), line(give)]);
        Some(waiter)
    }
}
/// A restarting server may be loading or on its way out, and a transaction that was begun meanwhile is discarded (for an
/// error that has been looked at before).
fn is_expected(error: &str) -> bool {
    EXPECTED_ERRORS.iter().chain(&["LOADING", "EXECABORT"]).any(|known| error.starts_with(known))
}

/// The seeded source of commands.
struct Commands {
    rng: StdRng,
    expiry: Expiry,
    fields_expire: bool,
}

impl Commands {
    fn new(seed: u64, expiry: Expiry, fields_expire: bool) -> Commands {
        Commands { rng: StdRng::seed_from_u64(seed), expiry, fields_expire }
    }

    /// The next unit: one command, SELECT and one, or a transaction.
    fn next(&mut self) -> Vec<Vec<Vec<u8>>> {
        match self.rng.random_range(0..20) {
            0 => {
                let database = DATABASES[self.rng.random_range(0..DATABASES.len())];
                vec![command(&["SELECT", &database.to_string()]), self.write()]
            }
            1 => {
                let length = self.rng.random_range(2..5);
                let mut unit = vec![command(&["MULTI"])];
                unit.extend(std::iter::repeat_with(|| self.write()).take(length));
                // In a transaction, nothing waits.
                unit.push(self.mixed(|mix| mix.blocking("0")));
                unit.push(command(&["EXEC"]));
                unit
            }
            2 => self.mixed(|mix| mix.story()),
            _ => vec![self.write()],
        }
    }

    /// About other types than strings.
    fn mixed<T>(&mut self, choose: impl FnOnce(&mut Mix<'_>) -> T) -> T {
        let habits = if self.rng.random_bool(0.5) { HOT } else { MANY };
        let habits = mix::Habits {
            short_lives: self.expiry == Expiry::Soon,
            fields_expire: self.fields_expire,
            ..habits
        };
        choose(&mut Mix::new(habits, &mut |below| self.rng.random_range(0..below)))
    }

    fn write(&mut self) -> Vec<Vec<u8>> {
        if self.rng.random_bool(COLLECTIONS) {
            return self.mixed(|mix| mix.write());
        }
        let (s, i, f, b, t) =
            (self.key("s", 200), self.key("i", 50), self.key("f", 20), self.key("b", 20), self.key("t", 60));
        let n = self.rng.random_range(-1000..1000_i64).to_string();
        match self.rng.random_range(0..26) {
            0..=3 => with_value(command(&["SET", &s]), self.value()),
            4 => with_value(command(&["APPEND", &s]), self.short()),
            5 => with_value(
                command(&["SETRANGE", &s, &self.rng.random_range(0..300).to_string()]),
                self.short(),
            ),
            6 => command(&["DEL", &s, &t]),
            7 => command(&["UNLINK", &s]),
            8 => command(&["GETDEL", &s]),
            9 => command(&["RENAME", &s, &self.key("s", 200)]),
            10 => command(&["COPY", &s, &self.key("copy", 50), "REPLACE"]),
            11 => {
                let (one, two) = (self.short(), self.short());
                let head = with_value(command(&["MSET", &s]), one);
                with_value([head, command(&[&self.key("s", 200)])].concat(), two)
            }
            12 | 13 => command(&["INCR", &i]),
            14 => command(&["INCRBY", &i, &n]),
            15 => command(&["SET", &i, &n]),
            16 => command(&["INCRBYFLOAT", &f, &format!("{n}.125")]),
            17 | 18 => command(&[
                "SETBIT",
                &b,
                &self.rng.random_range(0..4000).to_string(),
                &(n.len() % 2).to_string(),
            ]),
            19 | 20 => with_value(command(&["PSETEX", &t, &self.ttl_ms().to_string()]), self.short()),
            21 => command(&["PEXPIREAT", &t, &(now_ms() + self.ttl_ms()).to_string()]),
            22 => command(&["EXPIRE", &s, &self.rng.random_range(100..100_000).to_string()]),
            23 => command(&["PERSIST", &t]),
            24 => command(&["SET", &t, &n, "KEEPTTL"]),
            _ => with_value(command(&["PUBLISH", "load"]), self.short()),
        }
    }

    fn key(&mut self, class: &str, count: u32) -> String {
        format!("{class}:{}", self.rng.random_range(0..count))
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..100) {
            0 => self.bytes(LARGE_VALUE_BYTES),
            1 => vec![b'z'; LARGE_VALUE_BYTES],
            2..10 => Vec::new(),
            10..30 => self.rng.random_range(i64::MIN..i64::MAX).to_string().into_bytes(),
            _ => self.short(),
        }
    }

    fn short(&mut self) -> Vec<u8> {
        let length = self.rng.random_range(0..100);
        self.bytes(length)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn ttl_ms(&mut self) -> u64 {
        match self.expiry {
            Expiry::Soon if self.rng.random_bool(0.5) => self.rng.random_range(50..1500),
            _ => self.rng.random_range(600_000..10_000_000),
        }
    }
}

/// Data that is there before anybody attaches: each shape a value can have, with and without a time to live, in the
/// load's databases and in one that the load does not touch.
pub fn plant(node: &Node) {
    let mut client = node.connect();
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut commands = Commands::new(7, Expiry::Late, false);
    for database in DATABASES.into_iter().chain([15]) {
        client.call(&["SELECT", &database.to_string()]);
        let shapes: [(&str, Vec<u8>); 10] = [
            ("empty", Vec::new()),
            ("zero", b"0".to_vec()),
            ("smallest", i64::MIN.to_string().into_bytes()),
            ("largest", i64::MAX.to_string().into_bytes()),
            ("almost an int", b"007".to_vec()),
            ("binary", every_byte.clone()),
            ("20 KB of one byte", vec![b'a'; 20 * 1024]),
            ("20 KB of noise", commands.bytes(20 * 1024)),
            ("1 MB of one byte", vec![b'b'; 1024 * 1024]),
            ("1 MB of noise", commands.bytes(1024 * 1024)),
        ];
        for (name, value) in &shapes {
            let ttl_key = format!("plant:{name}, with TTL");
            let set = [&b"SET"[..], format!("plant:{name}").as_bytes(), value].map(<[u8]>::to_vec);
            let set_ttl =
                [&b"SET"[..], ttl_key.as_bytes(), value, b"PXAT", b"4102444800123"].map(<[u8]>::to_vec);
            assert_eq!(client.call(&set).text(), "OK");
            assert_eq!(client.call(&set_ttl).text(), "OK");
        }
        assert_eq!(client.call(&[b"SET".to_vec(), every_byte.clone(), b"binary key".to_vec()]).text(), "OK");
        send_all(&mut client, &mix::shapes());
    }
}

/// Sends commands in one write; none may fail.
pub fn send_all(client: &mut Client, commands: &[mix::Command]) {
    let bytes: Vec<u8> = commands.iter().flat_map(|command| encode_command(command)).collect();
    client.send_raw(&bytes).expect("send commands");
    for command in commands {
        let reply = client.read_reply().expect("a reply").value;
        assert!(!reply.is_error(), "{:.100}: {reply}", command.join(&b' ').escape_ascii().to_string());
    }
}

/// About `megabytes` of noise, for transfers that must take a while.
pub fn plant_bulk(node: &Node, megabytes: usize, seed: u64) {
    let mut client = node.connect();
    let mut commands = Commands::new(seed, Expiry::Late, false);
    for number in 0..megabytes {
        let set = with_value(command(&["SET", &format!("bulk:{number}")]), commands.bytes(1024 * 1024));
        assert_eq!(client.call(&set).text(), "OK");
    }
}

fn command(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn with_value(mut command: Vec<Vec<u8>>, value: Vec<u8>) -> Vec<Vec<u8>> {
    command.push(value);
    command
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis() as u64
}
