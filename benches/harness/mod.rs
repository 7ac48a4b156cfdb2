//! What the benches share: options, the two kinds of server, a pipeline, what Linux knows of a process, and tables.
//!
//! Figures compare two servers on one machine, in rounds that alternate, so that a slow minute of the machine meets both. Where
//! redis-server is not on PATH, Redpoll is measured alone.
//!
//! `cargo bench` builds the server with the bench profile, which is cheap to build. Figures worth keeping come from the
//! release profile: REDPOLL_BENCH_BINARY in the environment names a copy of its binary. A copy, because `cargo bench` puts its own
//! build into target/release, in place of what was there.

// Each bench compiles its own copy of this module and uses a part of it.
#![allow(dead_code)]

#[path = "../../tests/support/mod.rs"]
// Its own tests do not exist here, but what they import does.
#[allow(unused_imports)]
pub mod support;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use support::client::{Client, Value, encode_command};
use support::server::{Server, find_redis};

/// How long a single reply may take: a machine that is busy with other things is slow, not broken.
const PATIENCE: Duration = Duration::from_secs(120);
/// Commands that are sent before their replies are read.
const BATCH: usize = 500;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Redis,
    Redpoll,
}

impl Kind {
    /// Those that are there.
    pub fn all() -> Vec<Kind> {
        let redis = find_redis().map(|_| Kind::Redis);
        redis.into_iter().chain([Kind::Redpoll]).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Redis => "redis-server",
            Kind::Redpoll => "redpoll",
        }
    }

    /// Starts one, without save points.
    pub fn start(self, args: &[&str]) -> Server {
        let binary = match self {
            Kind::Redis => PathBuf::from("redis-server"),
            Kind::Redpoll => redpoll_binary(),
        };
        Server::start(&binary, args)
    }
}

fn redpoll_binary() -> PathBuf {
    match std::env::var_os("REDPOLL_BENCH_BINARY") {
        Some(path) => fs::canonicalize(path).expect("REDPOLL_BENCH_BINARY"),
        None => PathBuf::from(env!("CARGO_BIN_EXE_redpoll")),
    }
}

/// Whether `--smoke` was given: few keys, once, only to see that everything works.
pub fn is_smoke() -> bool {
    std::env::args().any(|arg| arg == "--smoke")
}

/// The number after an option, or else this.
pub fn option(name: &str, default: usize) -> usize {
    let mut args = std::env::args().skip_while(|arg| arg != name).skip(1);
    args.next().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} wants a number")))
}

/// A connection that waits as long as it takes.
pub fn connect(server: &Server) -> Client {
    let mut client = server.connect();
    client.set_deadline(PATIENCE);
    client
}

/// Sends commands in batches, and gives each reply to `check`.
pub fn pipeline(
    client: &mut Client,
    commands: impl Iterator<Item = Vec<Vec<u8>>>,
    mut check: impl FnMut(&Value),
) {
    let mut commands = commands.peekable();
    while commands.peek().is_some() {
        let batch: Vec<_> = commands.by_ref().take(BATCH).map(|args| encode_command(&args)).collect();
        client.send_raw(&batch.concat()).expect("the server takes commands");
        for _ in &batch {
            check(&client.read_reply().expect("the server replies").value);
        }
    }
}

/// Fills the server with keys `k:0` to `k:count - 1` of `len` bytes that cannot be compressed.
pub fn fill(client: &mut Client, count: usize, len: usize) {
    let mut noise = Noise::new(1);
    let sets = (0..count).map(|n| vec![b"SET".to_vec(), key(n), noise.bytes(len)]);
    pipeline(client, sets, |reply| assert_eq!(*reply, Value::Simple(b"OK".to_vec())));
    assert_eq!(client.line("DBSIZE").int(), Some(count as i64));
}

pub fn key(n: usize) -> Vec<u8> {
    format!("k:{n}").into_bytes()
}

/// A field of a section of INFO.
pub fn info(client: &mut Client, section: &str, field: &str) -> Option<String> {
    let text = client.call(&["INFO", section]).text();
    text.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_string()))
}

/// Numbers that look random and are the same each time (xorshift).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.number().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Processor time of a process and of its ended children, seconds.
pub fn cpu_seconds(pid: u32) -> f64 {
    /// The kernel shows times to user space in hundredths of a second.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    // After the name in parentheses: state is the first word; utime, stime, cutime, cstime the 12th to 15th.
    let words = stat.rsplit_once(')').expect("a name in parentheses").1.split_whitespace();
    words.skip(11).take(4).map(|word| word.parse::<f64>().expect("ticks")).sum::<f64>() / TICKS_PER_SECOND
}

/// Memory of a process and of its children, shared pages counted once, MB.
pub fn memory_mb(pid: u32) -> f64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|word| word.parse().ok());
    // A child may have ended since.
    std::iter::once(pid).chain(children).filter_map(|pid| pss_kb(pid).ok()).sum::<f64>() / 1024.0
}

fn pss_kb(pid: u32) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Figures of one kind of server, by name, a value per round.
#[derive(Default)]
pub struct Figures(Vec<(&'static str, Vec<f64>)>);

impl Figures {
    pub fn add(&mut self, name: &'static str, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name, vec![value])),
        }
    }

    /// Adds what INFO tells of the longest time under a lock, microseconds; redis-server has no such field.
    pub fn add_lock_hold(&mut self, name: &'static str, client: &mut Client) {
        if let Some(held) = info(client, "stats", "lock_hold_max_usec") {
            self.add(name, held.parse().expect("microseconds"));
        }
    }

    fn median(&self, name: &str) -> Option<f64> {
        let mut values = self.0.iter().find(|(known, _)| *known == name)?.1.clone();
        values.sort_by(f64::total_cmp);
        Some(values[values.len() / 2])
    }
}

/// Prints medians side by side, Redpoll's as a multiple of Redis's, and then what the rounds were.
pub fn print_table(redis: &Figures, redpoll: &Figures) {
    println!("{:<44} {:>12} {:>12} {:>8}", "median", Kind::Redis.name(), Kind::Redpoll.name(), "ratio");
    for (name, _) in &redpoll.0 {
        let (theirs, ours) = (redis.median(name), redpoll.median(name));
        let shown = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
        let ratio = theirs.zip(ours).filter(|(theirs, _)| *theirs != 0.0).map(|(theirs, ours)| ours / theirs);
        println!("{name:<44} {:>12} {:>12} {:>8}", shown(theirs), shown(ours), shown(ratio));
    }
    for (kind, figures) in [(Kind::Redis, redis), (Kind::Redpoll, redpoll)] {
        for (name, values) in figures.0.iter().filter(|(_, values)| values.len() > 1) {
            let values: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
            println!("{}, rounds, {name}: {}", kind.name(), values.join(" "));
        }
    }
}
