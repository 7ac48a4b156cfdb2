//! Many keys that expire in the same millisecond, and one heavy command beside another.
//!
//! ```text
//! cargo bench --bench expiry [-- --keys 1000000 --expiring 100000 --megabytes 50 --rounds 3] [--smoke]
//! ```
//!
//! The deletions must be in the replication stream as many times as there are keys; that is checked, not measured. The second part
//! counts the bits of large strings by one connection, and by two at once, each on a string of its own. Two strings share a
//! shard once in 64 times, so each round has new names.

mod harness;

use harness::support::client::{Client, Value, encode_command};
use harness::support::server::Server;
use harness::support::wait_until;
use harness::{Figures, Kind, Noise, connect, fill, info, is_smoke, key, option, pipeline, print_table};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of a value.
const VALUE_BYTES: usize = 32;
/// After this, what should have expired never will.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often one connection counts for a while, and then two.
const TURNS: u32 = 4;

struct Sizes {
    keys: usize,
    expiring: usize,
    /// Of each string whose bits are counted.
    bytes: usize,
    /// How long they are counted at a time.
    turn: Duration,
}

fn main() {
    let small = is_smoke();
    let size = |name, full, smoke| option(name, if small { smoke } else { full });
    let sizes = Sizes {
        keys: size("--keys", 1_000_000, 20_000),
        expiring: size("--expiring", 100_000, 2_000),
        bytes: size("--megabytes", 50, 1) * 1_000_000,
        turn: Duration::from_millis(if small { 10 } else { 500 }),
    };
    let (mut redis, mut redpoll) = (Figures::default(), Figures::default());
    for _ in 0..size("--rounds", 3, 1) {
        for kind in Kind::all() {
            let figures = if kind == Kind::Redis { &mut redis } else { &mut redpoll };
            expire_together(kind, &sizes, figures);
            count_together(kind, &sizes, figures);
        }
    }
    print_table(&redis, &redpoll);
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as u64
}

/// Lets keys expire together, and sees how long that takes.
fn expire_together(kind: Kind, sizes: &Sizes, figures: &mut Figures) {
    let server = kind.start(&[]);
    let mut client = connect(&server);
    fill(&mut client, sizes.keys, VALUE_BYTES);
    let deletions = Deletions::follow(&server);
    let moment = set_expiry(&mut client, sizes.expiring);
    assert_eq!(client.line("CONFIG RESETSTAT").text(), "OK");
    thread::sleep(Duration::from_millis(moment.saturating_sub(now_ms())));
    let left = (sizes.keys - sizes.expiring) as i64;
    wait_until("DBSIZE is right", DEADLINE, || client.line("DBSIZE").int() == Some(left));
    figures.add("DBSIZE right after the moment, ms", now_ms().saturating_sub(moment) as f64);
    if let Some(held) = info(&mut client, "stats", "lock_hold_max_usec") {
        figures.add("lock_hold_max_usec", held.parse().expect("microseconds"));
    }
    assert_eq!(info(&mut client, "stats", "expired_keys"), Some(sizes.expiring.to_string()));
    wait_until("the stream has the deletions", DEADLINE, || deletions.seen.load(Relaxed) >= sizes.expiring);
    drop(server);
    assert_eq!(deletions.count(), sizes.expiring, "deletions in {}'s stream", kind.name());
}

/// Gives the first keys the same time to expire at, and returns it, in Unix milliseconds.
///
/// A first pass with a time far ahead tells how long a pass takes here, so that the second is over before the moment comes.
fn set_expiry(client: &mut Client, expiring: usize) -> u64 {
    let mut pass = |moment: u64| {
        let at = moment.to_string().into_bytes();
        let commands = (0..expiring).map(|n| vec![b"PEXPIREAT".to_vec(), key(n), at.clone()]);
        pipeline(client, commands, |reply| assert_eq!(reply.int(), Some(1)));
    };
    let began = Instant::now();
    pass(now_ms() + 3_600_000);
    let moment = now_ms() + 4 * began.elapsed().as_millis() as u64 + 500;
    pass(moment);
    assert!(now_ms() < moment, "the machine is too busy: keys expired while others were still being set");
    moment
}

/// A replica that counts DELs (or UNLINKs) in its stream.
struct Deletions {
    seen: Arc<AtomicUsize>,
    reader: thread::JoinHandle<()>,
}

impl Deletions {
    /// Attaches to the server; the counting ends with it.
    fn follow(server: &Server) -> Deletions {
        let mut link = connect(server);
        let seen = Arc::new(AtomicUsize::new(0));
        link.send(&["PSYNC", "?", "-1"]).expect("the server takes commands");
        let line = line(&mut link);
        assert!(line.starts_with("+FULLRESYNC"), "{line}");
        let len = self::line(&mut link);
        let len = len.strip_prefix('$').and_then(|len| len.parse().ok());
        link.read_exact(len.expect("a snapshot's length")).expect("a snapshot");
        let counter = seen.clone();
        let reader = thread::spawn(move || {
            while let Ok(reply) = link.read_reply() {
                let name = reply.value.items().and_then(<[Value]>::first).map(Value::text);
                if name.is_some_and(|name| ["DEL", "UNLINK"].contains(&name.to_ascii_uppercase().as_str())) {
                    counter.fetch_add(1, Relaxed);
                }
            }
        });
        Deletions { seen, reader }
    }

    /// All that came, when the server has ended.
    fn count(self) -> usize {
        self.reader.join().expect("the stream is RESP");
        self.seen.load(Relaxed)
    }
}

/// A line that is not empty: a server that prepares a snapshot sends empty ones.
fn line(link: &mut Client) -> String {
    loop {
        let line = link.read_line().expect("a line");
        let line = String::from_utf8_lossy(&line).trim().to_string();
        if !line.is_empty() {
            return line;
        }
    }
}

/// Counts the bits of two strings, one connection alone and two at once.
fn count_together(kind: Kind, sizes: &Sizes, figures: &mut Figures) {
    let server = kind.start(&["--io-threads", "2"]);
    let mut control = connect(&server);
    let mut ones = Vec::new();
    let names = [1, 2].map(|n| format!("bits:{n}:{}", now_ms()));
    for (seed, name) in names.iter().enumerate() {
        let bytes = Noise::new(seed as u64 + 7).bytes(sizes.bytes);
        ones.push(bytes.iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>());
        assert_eq!(control.call(&[b"SET", name.as_bytes(), &bytes]).text(), "OK");
    }
    let mut clients = [connect(&server), connect(&server)];
    let (mut alone, mut together) = (0, 0);
    // In turns: what others leave of the memory's bandwidth changes from second to second.
    for _ in 0..TURNS {
        alone += count(&mut clients[0], &names[0], ones[0], sizes.turn);
        together += thread::scope(|scope| {
            let each = clients.iter_mut().zip(&names).zip(&ones);
            let counting =
                each.map(|((client, name), ones)| scope.spawn(|| count(client, name, *ones, sizes.turn)));
            let counting: Vec<_> = counting.collect();
            counting.into_iter().map(|counts| counts.join().expect("it counts right")).sum::<usize>()
        });
    }
    let all = TURNS as f64 * sizes.turn.as_secs_f64();
    figures.add("BITCOUNT alone, ms each", all * 1000.0 / alone as f64);
    figures.add("BITCOUNT, two against one, times", together as f64 / alone as f64);
}

/// Counts until the time is over; returns how often.
fn count(client: &mut Client, name: &str, ones: i64, time: Duration) -> usize {
    let command = encode_command(&["BITCOUNT", name]);
    let (began, mut times) = (Instant::now(), 0);
    while began.elapsed() < time {
        client.send_raw(&command).expect("the server takes commands");
        assert_eq!(client.read_reply().expect("the server replies").value.int(), Some(ones));
        times += 1;
    }
    times
}
